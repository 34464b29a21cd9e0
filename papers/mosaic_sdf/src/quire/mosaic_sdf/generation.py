"""Flow matching on matrices of mosaics, and back to shapes. Algorithms 2 and 3."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.data.meshes import Surface
from quire.common.fields.solids import SDF, project
from quire.common.fields.surfaces import farthest_points, marching_cubes
from quire.common.random import generator
from quire.common.train.flow_matching import flow_loss, guide, integrate, noise_and_times
from quire.mosaic_sdf.matrix import SMALLEST_SCALE, Statistics, from_matrix
from quire.mosaic_sdf.mosaic import OUTSIDE, MosaicSDF, blend, on_grid
from quire.mosaic_sdf.transformer import SetTransformer


def flow_matching_loss(
    model: SetTransformer,
    x1: Float[Array | np.ndarray, "b n d"],
    key: jax.Array,
    classes: Int[Array | np.ndarray, " b"] | None = None,
    dropout: float = 0.1,
) -> Float[Array, ""]:
    """Mean squared error of the velocity at random times on the paths from noise to the data.

    Args:
        model: the network.
        x1: normalised matrices.
        key: for noise, times, and which conditions are dropped.
        classes: of the matrices; None trains without conditions.
        dropout: share of the classes that are replaced by none, so that the network learns both velocities.
    """
    of_path, of_drop = jax.random.split(key)
    x0, t = noise_and_times(of_path, x1)
    if classes is not None:
        dropped = jax.random.uniform(of_drop, t.shape) < dropout
        classes = jnp.where(dropped, model.n_classes, classes)
    return flow_loss(lambda x, t: model(x, t, classes), x0, x1, t)


def guided_velocity(
    model: SetTransformer,
    x: Float[Array | np.ndarray, "b n d"],
    t: Float[Array | np.ndarray, ""],
    classes: Int[Array | np.ndarray, " b"],
    w: float | Array,
) -> Float[Array, "b n d"]:
    """Velocities without and with the classes, by one call on both, mixed."""
    both = jnp.concatenate([jnp.full_like(classes, model.n_classes), classes])
    without, given = jnp.split(model(jnp.concatenate([x, x]), jnp.broadcast_to(t, both.shape), both), 2)
    return guide(without, given, w)


@partial(jax.jit, static_argnames=("graph", "steps", "method"))
def flow(
    graph: nnx.GraphDef,
    state: Any,
    x0: Float[Array | np.ndarray, "b n d"],
    classes: Int[Array | np.ndarray, " b"],
    guidance: float | Array,
    steps: int,
    method: str,
) -> Float[Array, "b n d"]:
    """Noise carried to data by the guided velocity; a model as its graph and state, so that seeds share the program."""
    model = nnx.merge(graph, state)
    return integrate(lambda x, t: guided_velocity(model, x, t, classes, guidance), x0, steps, method)


def sample(
    model: SetTransformer,
    key: jax.Array,
    n: int,
    classes: Int[Array | np.ndarray, " b"],
    *,
    steps: int = 25,
    guidance: float = 1.0,
    method: str = "midpoint",
    statistics: Statistics | None = None,
) -> MosaicSDF:
    """Generated mosaics of the given classes, with a leading axis.

    Args:
        model: trained on matrices that these statistics normalised.
        key: for the noise.
        n: rows of every matrix; a set may have other sizes than in training.
        classes: one a mosaic.
        steps, method: of the solver, as for `integrate`.
        guidance: 0 leaves the classes out, 1 is the conditional velocity, above 1 exaggerates it.
        statistics: those of the training set; numbers stay as they are without.

    Raises:
        ValueError: for n or steps below 1, a class that the model does not have, another method, or rows that are no mosaic's.
    """
    check_at_least("n", n)
    check_ids("classes", classes, model.n_classes)
    x0 = generator(key).standard_normal((len(classes), n, model.head.out_features)).astype(np.float32)
    x = flow(*nnx.split(model), x0, jnp.asarray(classes, jnp.int32), guidance, steps, method)
    stats = () if statistics is None else (statistics,)
    return from_matrix(x, *stats, smallest_scale=SMALLEST_SCALE)


# --- From fields to clouds and meshes ---


NEWTON = 5
"""Steps of Newton's method to the surface of a field."""


def cloud(field: SDF, starts: Float[Array | np.ndarray, "m 3"], count: int) -> Float[Array, "count 3"]:
    """Points on the zero level of a field: Newton steps from the starts where it is smallest, then the farthest points.

    Twice as many points as are wanted start, and the quarter of them where the field is largest in the end is left out.
    """
    moved = project(field, jnp.asarray(starts), 2 * count, steps=NEWTON)
    kept = jax.lax.top_k(-jnp.abs(field(moved)), 3 * count // 2)[1]
    points = moved[kept]
    return points[farthest_points(points, count)]


def starts_in(m: MosaicSDF, u: Float[Array | np.ndarray, "n r 3"]) -> Float[Array, "m 3"]:
    """Points at the places u of `[-1, 1]^3` of every cube."""
    return (m.centers[:, None] + m.scales[:, None, None] * u).reshape(-1, 3)


@partial(jax.jit, static_argnames="count")
def mosaic_clouds(mosaics: MosaicSDF, u: Float[Array | np.ndarray, "n r 3"], count: int) -> Float[Array, "b count 3"]:
    """A cloud of every mosaic, started from the same places in its cubes."""

    def of(m):
        every = jnp.arange(len(m.centers))[None]
        return cloud(lambda x: blend(m, x, jnp.broadcast_to(every, (len(x), every.shape[1])), OUTSIDE)[0], starts_in(m, u), count)

    return jax.lax.map(of, mosaics)


def mesh(m: MosaicSDF, size: int = 64, *, neighbours: int | None = None) -> Surface:
    """The zero level of a mosaic as triangles, by marching cubes on a grid over `[-1, 1]^3`.

    Raises:
        ValueError: if the field does not change its sign on the grid.
        ImportError: without scikit-image.
    """
    return marching_cubes(np.array(on_grid(m, size, neighbours=neighbours)))  # scikit-image wants an array to write to

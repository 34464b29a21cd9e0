"""Signed distances as fields: shapes, where they are sampled, and the fit. Section 4.2."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from quire.common.checks import check_at_least, check_positive
from quire.common.data.meshes import Surface, centred, stanford_surface
from quire.common.fields.surfaces import box_sdf, mesh_sdf, points_on, torus_sdf
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.neurbf.adaptive import fit_kernels
from quire.neurbf.config import FieldConfig, Training
from quire.neurbf.field import NeuRBF, prepare
from quire.neurbf.kernels import Kernels
from quire.neurbf.training import Task, relative_error, switches, train_field

CMAX = np.ones(3)
"""Shapes lie in `[-1, 1]^3`."""


class Shape(NamedTuple):
    """A name for tables, the signed distance `[n, 3] -> [n]`, and the mesh, if it is one."""

    name: str
    sdf: Callable[[Array], Array]
    surface: Surface | None = None
    stand_in_for: str = ""


def ring_and_box(x: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """Signed distance to a torus with a cube in its hole."""
    return jnp.minimum(torus_sdf(x, 0.6, 0.22), box_sdf(x, (0.2, 0.2, 0.2)))


def open_shape(name: str) -> Shape:
    """`"ring and box"`, or a scanned surface: `"bunny"` or `"armadillo"`.

    Raises:
        DatasetUnavailable: if a scanned surface is asked for and not here.
        ValueError: for another name.
    """
    if name == "ring and box":
        return Shape("torus and cube, analytic", jax.jit(ring_and_box), stand_in_for="scanned surfaces")
    return mesh_shape(f"Stanford {name}", centred(stanford_surface(name), 0.9))


def mesh_shape(name: str, surface: Surface, *, batch_size: int = 64) -> Shape:
    """A triangle mesh, which should lie in `[-1, 1]^3`."""
    vertices, faces = jnp.asarray(surface.vertices, jnp.float32), jnp.asarray(surface.faces, jnp.int32)
    return Shape(name, jax.jit(lambda x: mesh_sdf(vertices, faces, x, batch_size=batch_size)), surface)


def sample_points(shape: Shape, count: int, near: float, key: jax.Array) -> Float[np.ndarray, "n 3"]:
    """Points in the box, half of them uniform, half moved from the surface along its normal by at most `near`.

    Args:
        shape: the points of an analytic one come from uniform points, moved by their distance against its gradient.
        count: how many, even.
        near: largest distance.
        key: for the draws.

    Raises:
        ValueError: if count is not even and positive, or near not positive.
    """
    check_at_least("count", count, 2)
    check_positive("near", near)
    if count % 2:
        raise ValueError(f"count is {count}; it must be even")
    draw, half = generator(key), count // 2
    uniform = draw.uniform(-1, 1, (half, 3)).astype(np.float32)
    offset = draw.uniform(-near, near, (half, 1)).astype(np.float32)
    if shape.surface is None:
        start = jnp.asarray(draw.uniform(-1, 1, (half, 3)), jnp.float32)
        distance, gradient = _with_gradient(shape.sdf)(start)
        close = np.asarray(start) + (offset - np.asarray(distance)[:, None]) * np.asarray(gradient)
    else:
        direction = draw.standard_normal((half, 3))
        close = points_on(key, shape.surface, half) + offset * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return np.concatenate([uniform, close.astype(np.float32)]).clip(-1, 1)


def _with_gradient(sdf: Callable[[Array], Array]) -> Callable[[Array], tuple[Array, Array]]:
    return jax.jit(lambda x: (sdf(x), jax.grad(lambda x: sdf(x).sum())(x)))


def distance_weights(distance: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """`1 / (|d| + 1e-9)`: kernels gather at the surface."""
    return 1 / (np.abs(np.asarray(distance, float)) + 1e-9)


def sdf_kernels(
    points: Float[np.ndarray, "n 3"], distance: Float[np.ndarray, " n"], config: FieldConfig, key: jax.Array, n_kernels: int
) -> Kernels:
    """Kernels that gather at the surface; widths are bounded from below by a 200th of the finest cell of the grid."""
    dims = np.full(3, config.finest)
    weights = distance_weights(distance)
    return fit_kernels(points, weights, n_kernels, key, kind=config.kind, alpha=config.alpha, cmax=CMAX, dims=dims)


def iou(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> float:
    """Intersection over union of two insides; NaN if both are empty.

    >>> iou(np.array([True, True, False]), np.array([True, False, False]))
    0.5
    """
    union = np.sum(a | b)
    return float(np.sum(a & b) / union) if union else float("nan")


def grid_points(side: int) -> Float[np.ndarray, "n 3"]:
    """Nodes of a grid over `[-1, 1]^3`, the last axis fastest. Float32."""
    line = np.linspace(-1, 1, check_at_least("side", side, 2))
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)


def fit_sdf(
    shape: Shape | Callable[[Array], Array] | Surface,
    config: FieldConfig,
    training: Training,
    key: jax.Array,
    *,
    pool: int = 32_768,
    near: float = 0.02,
    n_kernels: int | None = None,
    block: int | None = None,
) -> tuple[NeuRBF, Float[np.ndarray, " steps"]]:
    """A NeuRBF of a signed distance, and the losses of its training.

    Args:
        shape: a `Shape`, a mesh in `[-1, 1]^3`, or a function `[n, 3] -> [n]`.
        config: sizes.
        training: length and rates.
        key: for points, kernels, weights and batches.
        pool: points that kernels are fitted to and batches drawn from.
        near: half of them lie so near the surface.
        n_kernels: in place of the count that the budget pays for.
        block: as for `NeuRBF`.
    """
    if isinstance(shape, Surface):
        shape = mesh_shape("mesh", shape)
    elif not isinstance(shape, Shape):
        shape = Shape("function", shape)
    points = sample_points(shape, pool, near, key)
    distance = np.asarray(shape.sdf(jnp.asarray(points)))
    kernels = sdf_kernels(points, distance, config, key, config.n_kernels(3) if n_kernels is None else n_kernels)
    model = NeuRBF(config, kernels, CMAX, rngs=nnx.Rngs(key))
    order = epoch_indices(key, pool, training.batch, training.steps)
    task = Task(prepare(model, jnp.asarray(points), block=block), jnp.asarray(distance)[:, None], order, switches(config))
    return model, train_field(model.field, task, training, relative_error, key)

"""A mosaic of one shape: where the grids lie and what they hold, then a refinement by gradients. Algorithm 1."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_positive, floating
from quire.common.fields.solids import SDF, value_and_gradient
from quire.common.fields.surfaces import farthest_points
from quire.common.random import generator
from quire.common.roots import length
from quire.mosaic_sdf.mosaic import OUTSIDE, Flag, MosaicSDF, blend, grid_nodes, heaviest, raw_weights, size
from quire.mosaic_sdf.shapes import Shape, distances, points_of

ROWS = 1024
"""Points that are compared with all centres at a time."""


def min_cover_scale(
    points: Float[Array | np.ndarray, "m 3"], centers: Float[Array | np.ndarray, "n 3"], *, ball: Flag = False
) -> Float[Array, ""]:
    """The smallest common scale whose cubes (or balls) reach all points: `max_x min_i |x - p_i|_inf`.

    Points at that distance lie on the border of their cube, where its weight is zero: a mosaic needs a larger scale.

    Raises:
        ValueError: without points or centres.

    >>> min_cover_scale(jnp.array([[0.0, 0.0, 0.0], [1.0, 3.0, 2.0]]), jnp.array([[1.0, 0.0, 1.0]])).item()
    3.0
    """
    if not len(points) or not len(centers):
        raise ValueError(f"there are {len(points)} points and {len(centers)} centers; at least one of each is needed")
    points, centers = floating(points, centers)
    reach = jax.lax.map(lambda x: size(x[None] - centers, ball).min(), points, batch_size=min(ROWS, len(points)))
    return reach.max()


def initial_mosaic(
    sdf: SDF,
    surface_points: Float[Array | np.ndarray, "m 3"],
    n: int,
    k: int,
    *,
    margin: float = 1.2,
    start: int = 0,
    centers: Float[Array | np.ndarray, "n 3"] | None = None,
) -> MosaicSDF:
    """Grids at the farthest points of a surface, all of one scale, which hold the distance at their nodes.

    Args:
        sdf: signed distance `[m, 3] -> [m]`.
        surface_points: a dense sample.
        n, k: number of grids, and nodes along an axis of one.
        margin: the scale is so many times the smallest that covers the sample.
        start: index of the first centre.
        centers: in place of the farthest points.

    Raises:
        ValueError: for no surface points, n that is not between 1 and their number, k below 2, or a margin that leaves
            part of the sample uncovered, with that part.
    """
    check_at_least("number of surface_points", len(surface_points))
    check_at_least("k", k, 2)
    points = jax.device_put(surface_points)
    chosen = points[farthest_points(points, n, start)] if centers is None else jnp.asarray(centers, points.dtype)
    found = place_compiled(sdf, points, chosen, k, margin, ball=False)
    if not float(found.scales[0]) > 0:
        raise ValueError(
            f"the scale is {float(found.scales[0])}; it needs more surface_points than centers, and a positive margin"
        )
    share = float(np.mean(~np.asarray(_covers(found, points))))
    if share:
        raise ValueError(f"margin is {margin}; {share:.2%} of surface_points are outside of every cube")
    return found


def place(
    sdf: SDF,
    points: Float[Array | np.ndarray, "m 3"],
    centers: Float[Array | np.ndarray, "n 3"],
    k: int,
    margin: float | Array,
    *,
    ball: Flag = False,
) -> MosaicSDF:
    """Grids of one scale about the centres, their values by the distance; no check, for compiled loops."""
    centers = jnp.asarray(centers)
    scales = jnp.broadcast_to(margin * min_cover_scale(points, centers, ball=ball), (len(centers),))
    nodes = jnp.asarray(grid_nodes(centers, scales, k))
    return MosaicSDF(centers, scales, sdf(nodes.reshape(-1, 3)).reshape(nodes.shape[:-1]))


place_compiled = jax.jit(place, static_argnames=("sdf", "k"))

_covers = jax.jit(lambda m, x: (raw_weights(m, x) > 0).any(-1))


# --- What a field is fitted to ---


class Samples(NamedTuple):
    """Points with their signed distances and gradients."""

    x: Array | np.ndarray
    distance: Array | np.ndarray
    gradient: Array | np.ndarray


def near_surface(
    shape: Shape, surface_points: Float[Array | np.ndarray, "m 3"], count: int, noise: float, key: jax.Array
) -> Samples:
    """Surface points moved by normal noise of standard deviation `noise` in every coordinate."""
    draw = generator(key)
    rows = draw.integers(0, len(surface_points), count)
    x = (surface_points[rows] + noise * draw.standard_normal((count, 3))).astype(np.float32)
    return Samples(x, *distances(shape, x))


def band(shape: Shape, surface_points: Float[Array | np.ndarray, "m 3"], count: int, width: float, key: jax.Array) -> Samples:
    """Points at most `width` from the surface, at a uniform distance along its normals; to judge a field with."""
    draw = generator(key)
    start = surface_points[draw.integers(0, len(surface_points), 2 * count)]
    x = start + draw.uniform(-width, width, (2 * count, 1)).astype(np.float32) * distances(shape, start)[1]
    found = Samples(x.astype(np.float32), *distances(shape, x))
    kept = np.flatnonzero(np.abs(found.distance) < width)[:count]
    if len(kept) < count:
        raise ValueError(f"width is {width}; only {len(kept)} of {count} points are so near, so sdf is no distance")
    return Samples(*(a[kept] for a in found))


# --- Descent on the loss, for any field ---

Field = Callable[[Any, Array], Array]
"""`f(params, x [m, 3]) -> [m]`."""


def sdf_loss(field: Field, params: Any, batch: Samples, lam: float | Array) -> Float[Array, ""]:
    """`mean |F - d| + lam mean |grad F - grad d|`, the second of Euclidean lengths."""
    value, slope = value_and_gradient(lambda x: field(params, x), batch.x)
    return jnp.mean(jnp.abs(value - batch.distance)) + lam * jnp.mean(length(slope - batch.gradient))


class Descent(NamedTuple):
    """Parameters of a field, and the state of Adam."""

    params: Any
    moments: optax.OptState


ADAM = optax.scale_by_adam()


def begin(params: Any) -> Descent:
    """Parameters with moments of zero."""
    return Descent(params, jax.jit(ADAM.init)(params))


@partial(jax.jit, static_argnames="field")
def descend(
    field: Field,
    state: Descent,
    pool: Samples,
    order: Int[Array | np.ndarray, "steps batch"],
    rates: Float[Array | np.ndarray, " steps"],
    lam: float | Array,
) -> tuple[Descent, Float[Array, " steps"]]:
    """Adam on `sdf_loss`: one compiled loop for every shape, seed and ablation.

    Args:
        field: which field.
        state: where to go on.
        pool: samples that batches are taken from.
        order: rows of the pool, of every step.
        rates: learning rates.
        lam: weight of the gradients.

    Returns:
        The state after the last step, and the losses before each.
    """

    def step(state, now):
        rows, rate = now
        batch = jax.tree.map(lambda a: a[rows], pool)
        loss, grads = jax.value_and_grad(lambda params: sdf_loss(field, params, batch, lam))(state.params)
        updates, moments = ADAM.update(grads, state.moments)
        return Descent(jax.tree.map(lambda p, u: p - rate * u, state.params, updates), moments), loss

    return jax.lax.scan(step, state, (order, rates))


CHUNK = 20
"""Steps of one call: runs of any multiple share a program."""


def minimise(
    field: Field,
    params: Any,
    pool: Samples,
    key: jax.Array,
    *,
    steps: int,
    batch: int,
    rate: float,
    lam: float,
    floor: float = 0.0,
) -> tuple[Any, Float[np.ndarray, " steps"]]:
    """Parameters after so many steps, the rate falling along half a cosine to `floor` times its start, and the losses.

    Raises:
        ValueError: for steps below 1, a batch below 1, or a loss that is not finite, naming the step.
    """
    check_at_least("steps", steps)
    check_at_least("batch", batch)
    order = generator(key).integers(0, len(pool.x), (steps, batch)).astype(np.int32)
    rates = (rate * (floor + (1 - floor) * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2)).astype(np.float32)
    state, losses = begin(params), []
    pool, lam = jax.device_put(pool), jnp.float32(lam)
    for first in range(0, steps, CHUNK):
        now = slice(first, first + CHUNK)
        state, found = descend(field, state, pool, order[now], rates[now], lam)
        losses.append(found)
    losses = np.concatenate([np.asarray(found) for found in losses])
    if not np.isfinite(losses).all():
        raise ValueError(f"the loss is not finite from step {int(np.argmin(np.isfinite(losses)))} on; rate is {rate}")
    return state.params, losses


# --- The mosaic as such a field ---


class Logarithmic(NamedTuple):
    """A mosaic with the logarithms of its scales, which keep them positive."""

    centers: Array
    log_scales: Array
    values: Array

    @property
    def mosaic(self) -> MosaicSDF:
        """With scales."""
        return MosaicSDF(self.centers, jnp.exp(self.log_scales), self.values)


def logarithmic(m: MosaicSDF) -> Logarithmic:
    """The parameters that are refined."""
    return Logarithmic(m.centers, jnp.log(m.scales), m.values)


@cache
def mosaic_field(neighbours: int) -> Field:
    """The field of a `Logarithmic`, with the heaviest grids of every point only."""

    def field(params: Logarithmic, x: Array) -> Array:
        m = params.mosaic
        return blend(m, x, jax.lax.stop_gradient(heaviest(m, x, neighbours)), OUTSIDE)[0]

    return field


class Blended(NamedTuple):
    """A mosaic with the shape of its weights, `ball` as for `raw_weights`."""

    params: Logarithmic
    ball: Flag

    @property
    def mosaic(self) -> MosaicSDF:
        """Without that shape."""
        return self.params.mosaic


@cache
def blended_field(neighbours: int) -> Field:
    """The same of a `Blended`, to judge both shapes by one program."""

    def field(params: Blended, x: Array) -> Array:
        m = params.mosaic
        return blend(m, x, heaviest(m, x, neighbours, ball=params.ball), OUTSIDE, ball=params.ball)[0]

    return field


def refine(
    m: MosaicSDF,
    pool: Samples,
    key: jax.Array,
    *,
    steps: int,
    batch: int,
    rate: float = 1e-3,
    lam: float = 0.1,
    neighbours: int = 16,
    floor: float = 0.0,
) -> tuple[MosaicSDF, Float[np.ndarray, " steps"]]:
    """Centres, logarithms of scales and values after Adam, and the losses.

    Args:
        m: where to start.
        pool: samples near the surface.
        key: for the batches.
        steps, batch: length, and points a step.
        rate, floor: as for `minimise`.
        lam: weight of the gradients.
        neighbours: grids that are looked at for every point; those with the largest weights.

    Raises:
        ValueError: as `minimise`, for a rate that is not positive, or neighbours below 1.
    """
    check_positive("rate", rate)
    check_at_least("neighbours", neighbours)
    field = mosaic_field(min(neighbours, len(m.centers)))
    found, losses = minimise(field, logarithmic(m), pool, key, steps=steps, batch=batch, rate=rate, lam=lam, floor=floor)
    return found.mosaic, losses


def fit_mosaic(
    shape: Shape | Callable[[Array], Array],
    surface_points: Float[Array | np.ndarray, "m 3"] | None,
    n: int,
    k: int,
    *,
    key: jax.Array,
    steps: int = 1000,
    batch: int = 512,
    lam: float = 0.1,
    rate: float = 1e-3,
    noise: float = 0.02,
    margin: float = 1.2,
    neighbours: int = 16,
    pool: int = 20_000,
) -> tuple[MosaicSDF, Float[np.ndarray, " steps"]]:
    """A mosaic of a shape: initial grids, then `refine`; and the losses.

    Args:
        shape: a `Shape`, or a signed distance `[m, 3] -> [m]`.
        surface_points: a dense sample of its surface; 4096 points are drawn for None.
        n, k, margin: as for `initial_mosaic`.
        key: for samples and batches.
        steps, batch, lam, rate, neighbours: as for `refine`; no steps leave the initial grids.
        noise: standard deviation of the samples about the surface.
        pool: how many samples.

    Raises:
        ValueError: as `initial_mosaic` and `refine`.
    """
    shape = shape if isinstance(shape, Shape) else Shape("function", shape)
    check_at_least("steps", steps, 0)
    keys = jax.random.split(key, 3)
    points = points_of(shape, 4096, keys[0]) if surface_points is None else np.asarray(surface_points, np.float32)
    m = initial_mosaic(shape.sdf, points, n, k, margin=margin)
    if not steps:
        return m, np.zeros(0, np.float32)
    samples = near_surface(shape, points, pool, noise, keys[1])
    return refine(m, samples, keys[2], steps=steps, batch=batch, rate=rate, lam=lam, neighbours=neighbours)

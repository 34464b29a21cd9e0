"""Points to collocate at: uniform, one in every cell, and on the sides of a box."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import floating


def uniform(key: jax.Array, num_points: int, low: Float[Array, " d"], high: Float[Array, " d"]) -> Float[Array, "n d"]:
    """Independent uniform points of a box.

    Raises:
        ValueError: for fewer than one point.
    """
    if num_points < 1:
        raise ValueError(f"num_points is {num_points}; it must be at least 1")
    low, high = floating(low, high)
    return low[None] + (high - low)[None] * jax.random.uniform(key, (num_points, low.size), low.dtype)


def cell_centres(resolution: tuple[int, ...], low: Float[Array, " d"], high: Float[Array, " d"]) -> Float[Array, "n d"]:
    """Centres of the cells of a regular partition of a box, the last axis fastest.

    Raises:
        ValueError: if `resolution` does not name one positive number per dimension.
    """
    if len(resolution) != low.size or min(resolution) < 1:
        raise ValueError(f"resolution is {resolution}; it needs {low.size} positive numbers")
    low, high = floating(low, high)
    axes = [(jnp.arange(n, dtype=low.dtype) + 0.5) / n for n in resolution]
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, low.size)
    return low[None] + (high - low)[None] * grid


def stratified(
    key: jax.Array, resolution: tuple[int, ...], low: Float[Array, " d"], high: Float[Array, " d"]
) -> Float[Array, "n d"]:
    """One uniform point in each cell of a regular partition: no holes and no clusters.

    Raises:
        ValueError: as for `cell_centres`.
    """
    low, high = floating(low, high)
    centres = cell_centres(resolution, low, high)
    cell = (high - low) / jnp.asarray(resolution, low.dtype)
    return centres + cell[None] * (jax.random.uniform(key, centres.shape, low.dtype) - 0.5)


def sides(
    key: jax.Array, num_points: int, axis: int, low: Float[Array, " d"], high: Float[Array, " d"], *, jitter: float = 1e-4
) -> Float[Array, "n d"]:
    """Points near the two sides of a box that are normal to `axis`, by turns, within `jitter` half-widths of them.

    Raises:
        ValueError: for fewer than one point or another axis than the box has.
    """
    if not 0 <= axis < low.size:
        raise ValueError(f"axis is {axis}; the box has axes 0 to {low.size - 1}")
    low, high = floating(low, high)
    points = uniform(key, num_points, low, high)
    side = jnp.where(jnp.arange(num_points) % 2 == 0, low[axis], high[axis])
    shift = jitter * (points[:, axis] - (low[axis] + high[axis]) / 2)
    return points.at[:, axis].set(side + shift)

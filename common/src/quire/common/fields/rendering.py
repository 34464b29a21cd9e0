"""Volume rendering: rays through a box, samples along them, and their compositing.

References:
    Max, *Optical Models for Direct Volume Rendering*, 1995; Mildenhall et al., *NeRF*, 2020, equation 3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quire.common.checks import check_at_least, floating


class Pixels(NamedTuple):
    """What rays see: colour `[n, c]`, opacity `[n]`, and the weight `[n, samples]` of every sample."""

    rgb: Array
    opacity: Array
    weights: Array


def ray_box(
    origins: Float[Array | np.ndarray, "n 3"], directions: Float[Array | np.ndarray, "n 3"], *, half_width: float = 1.0
) -> tuple[Float[Array, " n"], Float[Array, " n"], Bool[Array, " n"]]:
    """Where rays enter and leave the box `[-half_width, half_width]^3`, and whether they meet it ahead.

    Args:
        origins: of the rays.
        directions: of any length; distances are in units of it. An axis along which a ray does not move bounds nothing.
        half_width: of the box.

    Returns:
        Distances to the entry and the exit, which mean nothing where the ray misses, and whether it hits.

    >>> near, far, hit = ray_box(jnp.array([[-3.0, 0.0, 0.0]]), jnp.array([[1.0, 0.0, 0.0]]))
    >>> near.item(), far.item(), hit.item()
    (2.0, 4.0, True)
    """
    origins, directions = floating(origins, directions)
    moves = directions != 0
    safe = jnp.where(moves, directions, 1)
    low, high = (-half_width - origins) / safe, (half_width - origins) / safe
    within = jnp.abs(origins) <= half_width
    far_away = jnp.asarray(jnp.inf, origins.dtype)
    # a still axis lets everything through if the origin lies between its faces, and nothing otherwise
    near = jnp.where(moves, jnp.minimum(low, high), jnp.where(within, -far_away, far_away)).max(-1)
    far = jnp.where(moves, jnp.maximum(low, high), jnp.where(within, far_away, -far_away)).min(-1)
    return near, far, (near <= far) & (far > 0)


def stratified(
    key: jax.Array | None, near: Float[Array, " n"], far: Float[Array, " n"], samples: int
) -> tuple[Float[Array, "n samples"], Float[Array, "n samples"]]:
    """One sample in each of equal parts of every ray: drawn uniformly, or in the middle without a key.

    Returns:
        Distances along the rays, and the length that each sample stands for: the way to the next one, and a part for the last.

    Raises:
        ValueError: if there is no sample.
    """
    check_at_least("samples", samples)
    size = (len(near), samples)
    place = 0.5 if key is None else jax.random.uniform(key, size, near.dtype)
    part = (far - near)[:, None] / samples
    t = near[:, None] + (jnp.arange(samples, dtype=near.dtype)[None] + place) * part
    return t, jnp.concatenate([jnp.diff(t, axis=1), part], axis=1)


@jax.custom_jvp
def trunc_exp(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`exp(x)` whose derivative is `exp(clip(x, -12, 12))`, so that a density can neither explode nor lose its gradient."""
    return jnp.exp(x)


@trunc_exp.defjvp
def _trunc_exp_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return jnp.exp(x), jnp.exp(jnp.clip(x, -12, 12)) * dx


def composite(
    sigma: Float[Array, "n samples"],
    rgb: Float[Array, "n samples c"],
    delta: Float[Array, "n samples"],
    background: Float[Array | np.ndarray, "n c"] | float = 0.0,
) -> Pixels:
    """Colour of rays through an absorbing and emitting medium, `sum_i T_i (1 - exp(-sigma_i delta_i)) c_i` over a background.

    `T_i = exp(-sum_{j<i} sigma_j delta_j)` is computed from the sum, so it is exact where a product of `1 - alpha` would
    round to zero.

    Args:
        sigma: density, not negative, in units of 1 / length.
        rgb: colour of every sample.
        delta: length that it stands for.
        background: what lies behind; one number for all, or one colour a ray.

    >>> composite(jnp.array([[1e9, 1.0]]), jnp.array([[[1.0], [0.0]]]), jnp.ones((1, 2)), 0.5).rgb.tolist()
    [[1.0]]
    """
    depth = sigma * delta
    behind = jnp.cumsum(depth, axis=1)
    before = jnp.pad(behind[:, :-1], ((0, 0), (1, 0)))  # `behind - depth` would lose what lies before a dense sample
    weights = jnp.exp(-before) * -jnp.expm1(-depth)
    left = jnp.exp(-behind[:, -1])
    colour = jnp.einsum("ns,nsc->nc", weights, rgb) + left[:, None] * background
    return Pixels(colour, 1 - left, weights)

"""Rotary position embedding (Su et al. 2021): pairs of channels turned by an angle in proportion to the position."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.checks import floating

Layout = Literal["half", "interleaved"]


def rotary(
    x: Float[Array, "*batch n dim"], positions: Real[Array, " n"], *, base: float = 1e4, layout: Layout = "half"
) -> Float[Array, "*batch n dim"]:
    """Every pair of channels turned by `position * base^(-2 i / dim)`, pair i of dim / 2.

    Angles are computed in float32 at least, so that far positions keep their phase in half precision.

    Args:
        x: queries or keys, positions before channels.
        positions: of the n tokens.
        base: of the frequencies.
        layout: which channels pair up: i with `i + dim / 2` (`"half"`, as in Llama), or `2 i` with `2 i + 1` (`"interleaved"`,
            as in the paper).

    Raises:
        ValueError: for an odd dimension, one position too many or few, an unknown layout, or a base that is not positive.

    References:
        Su et al., *RoFormer: Enhanced Transformer with Rotary Position Embedding*, 2021, arXiv 2104.09864, eq. 34.

    >>> print(rotary(jnp.array([[1.0, 0.0]]), jnp.array([jnp.pi / 2])).round(3))
    [[-0.  1.]]
    """
    n, dim = x.shape[-2:]
    if dim % 2 or layout not in ("half", "interleaved") or not base > 0:
        raise ValueError(f"x has dimension {dim}, layout is {layout!r}, base {base}; they need an even one, a known one, above 0")
    if positions.shape != (n,):
        raise ValueError(f"positions has shape {positions.shape}; x needs {(n,)}")
    (x,) = floating(x)
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    frequencies = base ** (-jnp.arange(0, dim, 2, dtype=dtype) / dim)
    angles = positions.astype(dtype)[:, None] * frequencies[None]
    angles = angles.reshape((1,) * (x.ndim - 2) + angles.shape)
    pairs = x.reshape(*x.shape[:-1], 2, dim // 2) if layout == "half" else x.reshape(*x.shape[:-1], dim // 2, 2).swapaxes(-1, -2)
    first, second = pairs[..., 0, :].astype(dtype), pairs[..., 1, :].astype(dtype)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    turned = jnp.stack([first * cos - second * sin, first * sin + second * cos], axis=-2).astype(x.dtype)
    return (turned if layout == "half" else turned.swapaxes(-1, -2)).reshape(x.shape)

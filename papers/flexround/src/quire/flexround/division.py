"""FlexRound: every weight is divided by its own learned scale before it is rounded (section 3.2, equation 2).

`What = s1 clip(round(W / (s1 S2 s3 s4)), -z, 2^b - 1 - z)`: the scale s1 of the grid divides inside and multiplies outside, the
others only divide. All are learned as logarithms. Rounding has the derivative 1, clipping that of its closed range, so that for
`G = dL/dWhat`, `u = W / (s1 S2 s3)`, in = 1 where round(u) is on the grid:

    dL/dS2 = -G in W / (S2^2 s3)      grows with |W|: the reciprocal rule (proposition 3.1)
    dL/ds1 = sum G (clip(round(u)) - in u)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from quire.common.checks import floating, is_concrete
from quire.common.quant.uniform import Grid, affine_codes, affine_quantize, min_max_grid, search_range

Weight = Float[Array, "out in *kernel"]
AnyWeight = Float[Array | np.ndarray, "out in *kernel"]
"""Weights of a linear map `[out, in]` or a convolution `[out, in, height, width]`."""


class FlexRoundParams(NamedTuple):
    """What FlexRound learns of one weight, as logarithms; `zero` stays fixed.

    Attributes:
        log_s1: of the grid, a scalar or `[out, 1, ...]`.
        log_S2: of every weight, in its shape.
        log_s3: of every output channel, `[out, 1, ...]`.
        log_s4: of every input channel of a convolution, `[1, in, 1, 1]`; None for a linear map.
        zero: zero point, like `log_s1`.
    """

    log_s1: Array
    log_S2: Array
    log_s3: Array
    log_s4: Array | None
    zero: Array

    @property
    def grid(self) -> Grid:
        """Scale s1 and zero point: all that is stored beside the codes."""
        return Grid(jnp.exp(self.log_s1), jax.lax.stop_gradient(self.zero))

    @property
    def stretch(self) -> Array:
        """`S2 s3 s4`, what weights are divided by besides the scale of the grid."""
        parts = [self.log_S2, self.log_s3] + ([] if self.log_s4 is None else [self.log_s4])
        product = jnp.exp(parts[0])
        for part in parts[1:]:
            product = product * jnp.exp(part)
        return product


def initial_grid(
    w: AnyWeight, bits: int | Array, *, per_channel: bool = False, symmetric: bool = False, clip_search: bool = True
) -> Grid:
    """Scale and zero point to start from: a search over ranges that cut the largest weights off, or all of their range.

    Args:
        w: `[out, in]` or `[out, in, height, width]`.
        bits: 2 to 8; may be traced without the search.
        per_channel: a grid for each output channel (scale `[out, 1, ...]`) rather than one in all (a scalar).
        symmetric: signed codes, no zero point.
        clip_search: minimise `mean |W - Q(W)|^2.4`; otherwise the range reaches from the least to the largest weight.

    Raises:
        ValueError: for bits outside 2..8, other shapes, no weights, or weights that are not finite.
    """
    w = check_weight(w)
    if is_concrete(bits) and not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; it must lie between 2 and 8")
    if clip_search:
        return search_range(w, bits, per_channel=per_channel, symmetric=symmetric)
    axes = tuple(range(1, w.ndim)) if per_channel else None
    return min_max_grid(w.min(axes, keepdims=per_channel), w.max(axes, keepdims=per_channel), bits, symmetric)


def check_weight(w: AnyWeight) -> Weight:
    """The weight in a floating dtype, at least float32.

    Raises:
        ValueError: unless it is `[out, in]` or `[out, in, height, width]`, has entries, and all of them are finite.
    """
    (w,) = floating(w)
    w = w.astype(jnp.promote_types(w.dtype, jnp.float32))
    if w.ndim not in (2, 4) or w.size == 0:
        raise ValueError(f"w has shape {w.shape}; it must be [out, in] or [out, in, height, width], with at least one weight")
    if is_concrete(w) and not np.isfinite(w).all():
        raise ValueError("w has weights that are not finite")
    return w


def start_flexround(w: AnyWeight, grid: Grid) -> FlexRoundParams:
    """Parameters that round to nearest on a grid: all scales besides s1 are one."""
    ones = (1,) * (w.ndim - 1)
    s4 = jnp.zeros((1, w.shape[1], 1, 1), w.dtype) if w.ndim == 4 else None
    return FlexRoundParams(jnp.log(grid.scale), jnp.zeros_like(w), jnp.zeros((len(w), *ones), w.dtype), s4, grid.zero)


def init_flexround(
    w: AnyWeight, bits: int, *, per_channel: bool = False, symmetric: bool = False, clip_search: bool = True
) -> FlexRoundParams:
    """Parameters that round W to nearest on its `initial_grid`.

    Args, Raises: as for `initial_grid`.

    >>> p = init_flexround(jnp.array([[0.1, -0.4], [0.9, 0.5]]), 2, clip_search=False)
    >>> print(f"{p.grid.scale:.3f}, zero point {p.grid.zero:.0f}")
    0.433, zero point 1
    """
    w = check_weight(w)
    options = {"per_channel": per_channel, "symmetric": symmetric, "clip_search": clip_search}
    return start_flexround(w, initial_grid(w, bits, **options))


def flexround(w: AnyWeight, p: FlexRoundParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """`s1 clip(round(W / (s1 S2 s3 s4)), -z, 2^b - 1 - z)`, equation 2, with straight-through derivatives.

    Args:
        w: weights `[out, in]` or `[out, in, height, width]`.
        p: as `init_flexround` gives them.
        bits: of a code; may be traced.
        symmetric: codes from `-2^(b-1)` to `2^(b-1) - 1`, no zero point.

    Returns:
        Points of the grid, in the shape of w.

    Raises:
        ValueError: if the parameters are those of another weight.

    >>> w = jnp.array([[0.1, -0.4], [0.9, 0.5]])
    >>> p = init_flexround(w, 2, clip_search=False)
    >>> [f"{x:.3f}" for x in flexround(w, p, 2).ravel()]
    ['0.000', '-0.433', '0.867', '0.433']
    >>> moved = p._replace(log_S2=jnp.log(jnp.array([[0.3, 1.0], [1.0, 1.0]])))  # 0.1 / 0.3 is nearer to 0.43
    >>> print(f"{flexround(w, moved, 2)[0, 0]:.3f}")
    0.433
    """
    return p.grid.scale * (flexround_codes(w, p, bits, symmetric) - p.grid.zero)


def flexround_codes(w: AnyWeight, p: FlexRoundParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """The codes of `flexround`: whole numbers, as floats, from 0 (from `-2^(b-1)` on a symmetric grid)."""
    if p.log_S2.shape != w.shape:
        raise ValueError(f"p has scales for weights of shape {p.log_S2.shape}; w has shape {w.shape}")
    return affine_codes(w, Grid(p.grid.scale * p.stretch, p.grid.zero), bits, symmetric)


def rtn(w: AnyWeight, grid: Grid, bits: int | Array, symmetric: bool = False) -> Weight:
    """Rounding to nearest, `s clip(round(W / s), -z, 2^b - 1 - z)`: where FlexRound starts.

    >>> print(rtn(jnp.array([[0.2, 0.8]]), Grid(jnp.float32(0.5), jnp.float32(0)), 2))
    [[0. 1.]]
    """
    return affine_quantize(w, grid, bits, symmetric)


def export_int(w: AnyWeight, p: FlexRoundParams, bits: int, symmetric: bool = False) -> tuple[UInt8[Array, "..."], Array, Array]:
    """What is kept for inference: codes, scale, zero point. `scale (codes - zero)` is `flexround(w, p, bits, symmetric)`.

    Args:
        w, p, bits, symmetric: as for `flexround`; a symmetric grid is stored with zero point `2^(b-1)`.

    Returns:
        Codes uint8 `0 .. 2^b - 1` in the shape of w, and the grid. S2, s3 and s4 are not needed any more.

    Raises:
        ValueError: for bits outside 2..8.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; it must lie between 2 and 8")
    lift = 2 ** (bits - 1) if symmetric else 0
    codes = flexround_codes(w, p, bits, symmetric) + lift
    return codes.astype(jnp.uint8), p.grid.scale, p.zero + lift


def grid_shift(w: AnyWeight, p: FlexRoundParams, bits: int, grid: Grid | None = None) -> Int[Array, "..."]:
    """How many points of the grid FlexRound moves each weight away from rounding to nearest.

    Args:
        w, p, bits: as for `flexround`, on an asymmetric grid.
        grid: that of rounding to nearest: the one that learning started from. By default the learned one, which leaves the
            movement of the grid itself out.

    Returns:
        int32 in the shape of w.
    """
    nearest = affine_codes(w, p.grid if grid is None else grid, bits)
    return (flexround_codes(w, p, bits) - nearest).astype(jnp.int32)

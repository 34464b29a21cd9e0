"""Uniform grids: rounding with straight-through derivatives, and the search for scale and zero point.

A grid of b bits has the values `s (q - z)`, q = 0 .. 2^b - 1; the symmetric one `s q`, q = -2^(b-1) .. 2^(b-1) - 1.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating, is_concrete

SMALLEST_SCALE = 1e-8
"""Scale of a tensor of zeros, whose codes are all the zero point."""


class Grid(NamedTuple):
    """Scale and zero point, scalars or one per row (`[rows, 1, ...]`), both floating point; the zero point is an integer."""

    scale: Array
    zero: Array


def round_ste(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Rounded to the nearest integer, ties to even; the derivative is 1 (straight through).

    >>> print(jax.grad(lambda x: round_ste(x))(0.4), round_ste(jnp.float32(1.6)))
    1.0 2.0
    """
    return x + jax.lax.stop_gradient(jnp.round(x) - x)


def clip_ste(x: Float[Array, "*shape"], low: Array | float, high: Array | float) -> Float[Array, "*shape"]:
    """Clipped to `[low, high]`, with derivative 1 on the CLOSED range.

    After rounding, numbers lie exactly on the bounds, where `jnp.clip` has the derivative 1/2 and `lax.clamp` 0.

    >>> print(jax.grad(lambda x: clip_ste(x, 0.0, 3.0))(3.0))
    1.0
    """
    inside = (x >= low) & (x <= high)
    return jnp.where(inside | jnp.isnan(x), x, jax.lax.stop_gradient(jnp.clip(x, low, high)))


def code_range(bits: int | Array, symmetric: bool = False) -> tuple[int | Array, int | Array]:
    """Smallest and largest code. Bits may be traced here and in what calls this, so that one program serves several widths.

    Raises:
        ValueError: for bits outside 1..16.

    >>> code_range(3), code_range(3, symmetric=True)
    ((0, 7), (-4, 3))
    """
    if is_concrete(bits) and not 1 <= np.asarray(bits) <= 16:
        raise ValueError(f"bits is {bits}; it must lie between 1 and 16")
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)


def affine_codes(
    w: Float[Array | np.ndarray, "*shape"], grid: Grid, bits: int | Array, symmetric: bool = False
) -> Float[Array, "*shape"]:
    """Codes `clip(round(w / s) + z)`, as floating-point integers; straight through in w and s.

    Raises:
        ValueError: for bits out of range.
    """
    low, high = code_range(bits, symmetric)
    # clipped before the zero point is added, which is the same for an integer z and keeps the bounds exact
    return clip_ste(round_ste(quotient(w, grid.scale)), low - grid.zero, high - grid.zero) + grid.zero


def quotient(w: Float[Array | np.ndarray, "*shape"], scale: Array) -> Float[Array, "*shape"]:
    """`w / scale`, rounded once.

    XLA multiplies by the reciprocal of what it broadcasts, which rounds twice. A number between two codes, as the least one of a
    symmetric grid is, then falls to either side.
    """
    whole = jnp.broadcast_to(scale, jnp.broadcast_shapes(jnp.shape(w), jnp.shape(scale)))
    return w / (scale if jnp.shape(scale) == jnp.shape(w) else jax.lax.optimization_barrier(whole))


def affine_quantize(
    w: Float[Array | np.ndarray, "*shape"], grid: Grid, bits: int | Array, symmetric: bool = False
) -> Float[Array, "*shape"]:
    """The nearest point of the grid, `s (clip(round(w / s) + z) - z)`; derivatives as in LSQ (Esser et al. 2020).

    Args:
        w: numbers to round.
        grid: scale and zero point, which broadcast against `w`.
        bits: of a code.
        symmetric: whether codes are signed.

    Raises:
        ValueError: for bits out of range.

    >>> print(affine_quantize(jnp.array([-1.0, 0.26, 9.0]), Grid(jnp.float32(0.5), jnp.float32(2.0)), bits=2))
    [-1.   0.5  0.5]
    """
    return grid.scale * (affine_codes(w, grid, bits, symmetric) - grid.zero)


def min_max_grid(low: Array, high: Array, bits: int | Array, symmetric: bool = False) -> Grid:
    """The grid that spans `[low, high]` with zero on it.

    Args:
        low, high: ends; 0 is added to the range when it lies outside.
        bits: of a code.
        symmetric: signed codes, the larger end deciding.
    """
    code_range(bits, symmetric)
    low, high = jnp.minimum(low, 0), jnp.maximum(high, 0)
    width = 2 * jnp.maximum(-low, high) if symmetric else high - low
    scale = jnp.maximum(width / (2**bits - 1), SMALLEST_SCALE)
    zero = jnp.zeros_like(scale) if symmetric else jnp.clip(-jnp.round(low / scale), 0, 2**bits - 1)
    return Grid(scale, zero)


@partial(jax.jit, static_argnames=("bits", "per_channel", "symmetric", "num"))
def search_range(
    w: Float[Array, "rows *rest"],
    bits: int,
    *,
    per_channel: bool = False,
    symmetric: bool = False,
    num: int = 100,
    power: float = 2.4,
) -> Grid:
    """The grid that minimises `mean |w - Q(w)|^power` over the ranges tried (BRECQ, Li et al. 2021).

    Where no number of `w` is negative, or none positive, the ranges `i / num` of the largest one are tried; otherwise, for each
    of `num` widths, every zero point, in one-sided channels too; for a symmetric grid, `num` largest values. The first of equally
    good ranges wins.

    Args:
        w: weights, output channels first.
        bits: 2 to 8; the search costs `num 2^bits` roundings of `w`, one after the other, so memory stays that of `w`.
        per_channel: one grid a row (scale and zero `[rows, 1, ...]`) rather than one in all (scalars).
        symmetric: signed codes without a zero point.
        num: how many widths.
        power: of the error.

    Raises:
        ValueError: for bits outside 2..8, num below 1, or no weights.
    """
    if not 2 <= bits <= 8 or num < 1 or w.size == 0:
        raise ValueError(f"bits is {bits}, num {num} and w has shape {w.shape}; they need 2..8, at least 1, and a weight")
    (w,) = floating(w)
    one_sided = (w.min() >= 0) | (w.max() <= 0)
    if not per_channel:
        return _search_tensor(w, one_sided, bits, symmetric, num, power)
    grid = jax.vmap(lambda row: _search_tensor(row, one_sided, bits, symmetric, num, power))(w)
    return jax.tree.map(lambda x: x.reshape((-1,) + (1,) * (w.ndim - 1)), grid)


def _search_tensor(w: Array, one_sided: Array, bits: int, symmetric: bool, num: int, power: float) -> Grid:
    """The search over one tensor, as a loop that keeps the best range so far."""
    low0, high0 = jnp.minimum(w.min(), 0), jnp.maximum(w.max(), 0)
    zeros = 1 if symmetric else 2**bits

    def bounds(trial):
        fraction, zero = (trial // zeros + 1) / num, (trial % zeros).astype(w.dtype)
        largest = jnp.maximum(-low0, high0) * fraction.astype(w.dtype)
        if symmetric:
            return -largest, largest
        width = (high0 - low0) * fraction.astype(w.dtype)
        step = width / (2**bits - 1)
        # one-sided numbers have a single sensible zero point, so every trial of a width is the same range
        low = jnp.where(one_sided, jnp.where(low0 < 0, -largest, 0), -zero * step)
        return low, jnp.where(one_sided, jnp.where(high0 > 0, largest, 0), width - zero * step)

    def error(low, high):
        grid = min_max_grid(low, high, bits, symmetric)
        return jnp.mean(jnp.abs(w - affine_quantize(w, grid, bits, symmetric)) ** power)

    def attempt(trial, best):
        low, high = bounds(trial)
        score = error(low, high)
        better = score < best[0]
        return jax.tree.map(partial(jnp.where, better), (score, low, high), best)

    start = (jnp.asarray(jnp.inf, w.dtype), low0, high0)
    _, low, high = jax.lax.fori_loop(0, num * zeros, attempt, start)
    return min_max_grid(low, high, bits, symmetric)

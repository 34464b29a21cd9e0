"""The low-rank form of the authors' code (LRQ, Lee et al. 2024): `log S2` is a product of two thin matrices.

`What = s1 clip(round(W / exp(log s1 + L U + r + c)), -z, 2^b - 1 - z)`: a fraction of the parameters that FlexRound learns.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from quire.common.quant.uniform import Grid, affine_codes
from quire.flexround.division import AnyWeight, Weight


class LowRankParams(NamedTuple):
    """Logarithms of the scales of one linear map.

    Attributes:
        log_s1: of the grid, a scalar or `[out, 1]`.
        left, right: `L [out, rank]` and `U [rank, in]`.
        rows, columns: `r [out, 1]` and `c [1, in]`.
        zero: zero point, fixed.
    """

    log_s1: Array
    left: Array
    right: Array
    rows: Array
    columns: Array
    zero: Array

    @property
    def grid(self) -> Grid:
        """Scale and zero point."""
        return Grid(jnp.exp(self.log_s1), jax.lax.stop_gradient(self.zero))

    @property
    def stretch(self) -> Array:
        """`exp(L U + r + c)`, what weights are divided by besides the scale of the grid."""
        return jnp.exp(self.left @ self.right + self.rows + self.columns)


def low_rank_init(w: AnyWeight, grid: Grid, key: jax.Array, rank: int = 4) -> LowRankParams:
    """Rounding to nearest: `L`, `r` and `c` are zero, `U` is uniform in `± 1 / sqrt(in)` (PyTorch's Kaiming with a = sqrt(5)).

    Raises:
        ValueError: for a weight that is no matrix, or a rank outside 1 .. min(out, in).
    """
    if w.ndim != 2 or not 1 <= rank <= min(w.shape):
        raise ValueError(f"rank is {rank} and w has shape {w.shape}; w must be [out, in] and the rank 1 to min(out, in)")
    out, width = w.shape
    right = jax.random.uniform(key, (rank, width), w.dtype, -1, 1) / math.sqrt(width)
    left, rows, columns = (jnp.zeros(shape, w.dtype) for shape in ((out, rank), (out, 1), (1, width)))
    return LowRankParams(jnp.log(grid.scale), left, right, rows, columns, grid.zero)


def low_rank(w: AnyWeight, p: LowRankParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """Points of the grid, with straight-through derivatives.

    >>> w = jnp.array([[0.2, 0.8]])
    >>> p = low_rank_init(w, Grid(jnp.float32(0.5), jnp.float32(0)), jax.random.key(0), rank=1)
    >>> print(low_rank(w, p, 2), low_rank(w, p._replace(columns=jnp.log(jnp.array([[0.5, 1.0]]))), 2))
    [[0. 1.]] [[0.5 1. ]]
    """
    return p.grid.scale * (low_rank_codes(w, p, bits, symmetric) - p.grid.zero)


def low_rank_codes(w: AnyWeight, p: LowRankParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """The codes of `low_rank`, whole numbers as floats."""
    return affine_codes(w, Grid(p.grid.scale * p.stretch, p.grid.zero), bits, symmetric)

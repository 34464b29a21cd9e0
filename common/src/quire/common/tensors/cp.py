"""CP decomposition of observed cells by alternating least squares."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float, Int, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, check_positive, floating
from quire.common.tensors.multilinear import cp_score


def cp_als(
    indices: Int[AnyArray, "_ _"],
    values: Real[AnyArray, " _"],
    dims: tuple[int, ...],
    rank: int,
    ridge: float,
    *,
    key: jax.Array,
    sweeps: int = 20,
) -> tuple[Float[Array, "_ rank"], ...]:
    """Factors of low rank for the observed cells, one mode after the other.

    They minimise `sum over observed cells of (x - sum_r a_r b_r ...)^2 + ridge sum |factor|^2`. Given the other modes, every row
    of a factor is a ridge regression of its own; one sweep solves those of all modes in order. The objective never rises. A row
    without a cell becomes 0.

    Args:
        indices: of the observed cells.
        values: of the observed cells.
        dims: sizes of the modes.
        rank: number of terms.
        ridge: weight of the squared norms, positive.
        key: of the start, standard normal over the square root of the rank.
        sweeps: over all modes.

    Returns:
        One factor `[dim, rank]` for each mode; `cp_score` of their rows gives the cells.

    Raises:
        ValueError: for sizes below 1, a ridge that is not positive, indices out of range, or values that do not fit.

    >>> x = np.outer([1.0, 2.0], [3.0, 1.0, 2.0])
    >>> cells = np.argwhere(x > 1.5)
    >>> a, b = cp_als(cells, x[tuple(cells.T)], x.shape, 1, 1e-4, key=jax.random.key(0))
    >>> print(f"{float(a[0] @ b[1]):.2f}")  # a cell that was not observed
    1.00
    """
    indices, values = checked_cells(indices, values, dims, rank, ridge, sweeps)
    draw = jax.random.normal(key, (sum(dims), rank), values.dtype) / np.sqrt(rank)
    start = tuple(jnp.split(draw, np.cumsum(dims)[:-1]))
    return _sweeps(indices, values, start, jnp.asarray(ridge, values.dtype), sweeps)


def checked_cells(
    indices: Int[AnyArray, "_ _"], values: Real[AnyArray, " _"], dims: tuple[int, ...], rank: int, ridge: float, sweeps: int
) -> tuple[Int[Array, "cells modes"], Float[Array, " cells"]]:
    """The observed cells as arrays in one floating dtype, once everything that alternating least squares needs is in range.

    Raises:
        ValueError: as `cp_als`.
    """
    check_at_least("rank", rank)
    check_at_least("sweeps", sweeps)
    check_positive("ridge", ridge)
    indices, (values,) = jnp.asarray(indices), floating(values)
    if indices.ndim != 2 or indices.shape[1] != len(dims) or values.shape != indices.shape[:1] or not len(values):
        raise ValueError(
            f"indices have shape {indices.shape} and values {values.shape}; dims {dims} need [cells, {len(dims)}] and [cells]"
        )
    for mode, size in enumerate(dims):
        check_ids(f"indices of mode {mode}", indices[:, mode], size)
    return indices, values


@partial(jax.jit, static_argnames="sweeps")
def _sweeps(indices, values, factors, ridge, sweeps):
    rank = factors[0].shape[1]

    def solve(factors, mode):
        others = [factor[indices[:, m]] for m, factor in enumerate(factors) if m != mode]
        z = jnp.prod(jnp.stack(others), axis=0) if others else jnp.ones((len(values), rank), values.dtype)
        return ridge_rows(z, values, indices[:, mode], factors[mode].shape[0], ridge)

    def sweep(_, factors):
        for mode in range(len(factors)):
            factors = (*factors[:mode], solve(factors, mode), *factors[mode + 1 :])
        return factors

    return jax.lax.fori_loop(0, sweeps, sweep, factors)


def ridge_rows(
    z: Float[Array, "cells rank"], values: Float[Array, " cells"], rows: Int[Array, " cells"], num_rows: int, ridge: ScalarLike
) -> Float[Array, "num_rows rank"]:
    """Every row's ridge regression on its own cells: the minimiser of `sum (x - z^T a)^2 + ridge |a|^2`; 0 without a cell."""
    gram = jax.ops.segment_sum(z[:, :, None] * z[:, None], rows, num_rows) + ridge * jnp.eye(z.shape[1], dtype=z.dtype)[None]
    right = jax.ops.segment_sum(z * values[:, None], rows, num_rows)
    return cho_solve(cho_factor(gram), right[..., None])[..., 0]


def predict(factors: tuple[Float[Array, "_ rank"], ...], indices: Int[AnyArray, "cells _"]) -> Float[Array, " cells"]:
    """Cells of the tensor with these factors.

    Raises:
        ValueError: if indices are out of range, or not one for each factor.
    """
    if indices.ndim != 2 or indices.shape[1] != len(factors):
        raise ValueError(f"indices have shape {indices.shape}; {len(factors)} factors need [cells, {len(factors)}]")
    for mode, factor in enumerate(factors):
        check_ids(f"indices of mode {mode}", indices[:, mode], len(factor))
    return cp_score(*(factor[indices[:, mode]] for mode, factor in enumerate(factors)))

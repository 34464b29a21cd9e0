"""The two masks of a table: which rows stay, and how many dimensions of each."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating
from quire.common.roots import length

Norm = Literal[1, 2]


def ste_step(z: Real[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
    """`S(z) = 1[z > 0]`, so that `S(0) = 0`, with a slope that lets a gradient pass; NaN stays NaN.

    `dS/dz := 2 - 4 |z|` for `|z| <= 0.4`, 0.4 for `0.4 < |z| <= 1`, 0 beyond: a step decides, and whoever is near the line hears
    what the decision costs.

    >>> print(ste_step(jnp.array([-0.2, 0.0, 0.2])), [round(float(jax.grad(ste_step)(z)), 3) for z in (-0.2, 0.0, 0.7, 1.5)])
    [0. 0. 1.] [1.2, 2.0, 0.4, 0.0]

    References:
        The authors' code, `BinaryStep`; the estimator is that of Xu and Cheung, *Accurate and compact convolutional neural
        networks with trained binarization*, 2019.
    """
    return _step(*floating(z))


@jax.custom_jvp
def _step(z):
    return jnp.where(jnp.isnan(z), z, (z > 0).astype(z.dtype))


@_step.defjvp
def _step_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    return _step(z), step_slope(z) * dz


def step_slope(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """What stands in for the derivative of the step.

    >>> print(step_slope(jnp.array([0.0, -0.25, 0.5, 1.0, 1.5])))
    [2.  1.  0.4 0.4 0. ]
    """
    size = jnp.abs(z)
    return jnp.where(size <= 0.4, 2 - 4 * size, jnp.where(size <= 1, jnp.asarray(0.4, z.dtype), 0))


def row_norms(rows: Real[AnyArray, "*batch dim"], norm: Norm = 1) -> Float[Array, "*batch"]:
    """`||E_v||_p` of the last axis, with the derivative 0 at a zero row.

    Raises:
        ValueError: for a norm that is neither 1 nor 2.

    >>> print(row_norms(jnp.array([[3.0, -4.0]])), row_norms(jnp.array([[3.0, -4.0]]), 2))
    [7.] [5.]
    """
    if norm not in get_args(Norm):
        raise ValueError(f"norm is {norm}; it must be 1 or 2")
    (rows,) = floating(rows)
    return jnp.sum(jnp.abs(rows), axis=-1) if norm == 1 else length(rows)


def row_mask(rows: Real[AnyArray, "*batch dim"], threshold: Real[AnyArray, "*batch"], norm: Norm = 1) -> Float[Array, "*batch"]:
    """`m_f = S(||E_v||_p - t)`: 1 for rows whose norm is above their threshold. Gradients reach both.

    Args:
        rows: of the table.
        threshold: of every row.
        norm: p.

    Raises:
        ValueError: for another norm, or if there is not one threshold for each row.

    >>> print(row_mask(jnp.array([[0.1, -0.1], [0.5, 0.5]]), jnp.array([0.3, 0.3])))
    [0. 1.]
    """
    if threshold.shape != rows.shape[:-1]:
        raise ValueError(f"threshold has shape {threshold.shape} and rows {rows.shape}; every row needs a threshold")
    rows, threshold = floating(rows, threshold)
    return ste_step(row_norms(rows, norm) - threshold)


def prefix_mask(dim_index: Int[AnyArray, "*batch"], dim: int) -> Float[Array, "*batch dim"]:
    """`m_c`: the first `c + 1` of `dim` dimensions, by comparing c with their numbers rather than from a table of masks.

    Args:
        dim_index: c, the last dimension that is kept, from 0.
        dim: D.

    Raises:
        ValueError: for a size below 1, or an index that is no integer below it. Traced indices beyond D keep all dimensions.

    >>> print(prefix_mask(np.array([0, 2]), 4))
    [[1. 0. 0. 0.]
     [1. 1. 1. 0.]]
    """
    check_at_least("dim", dim)
    check_ids("dim_index", dim_index, dim)
    index = jnp.asarray(dim_index)[..., None]
    return (jax.lax.broadcasted_iota(index.dtype, (*index.shape[:-1], dim), index.ndim - 1) <= index).astype(
        jnp.result_type(float)
    )


def prefix_masks(dim: int) -> Float[Array, "dim dim"]:
    """All masks of `dim` dimensions, one a row.

    >>> print(prefix_masks(2))
    [[1. 0.]
     [1. 1.]]
    """
    return prefix_mask(np.arange(check_at_least("dim", dim)), dim)


def field_of_values(field_dims: tuple[int, ...]) -> Int[np.ndarray, " values"]:
    """The field of every value, where the values of all fields are counted through.

    >>> field_of_values((2, 3)).tolist()
    [0, 0, 1, 1, 1]
    """
    return np.repeat(np.arange(len(field_dims), dtype=np.int32), field_dims)

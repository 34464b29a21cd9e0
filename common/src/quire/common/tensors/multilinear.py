"""Multilinear algebra: unfoldings, products of factors, scores of entries, moments of products of independent vectors.

The axes that an unfolding leaves keep their order, the last one fastest; `khatri_rao` and `kron_moments` count rows alike, so
that a tensor of rank r is `unfold(x, n) = F_n khatri_rao(the other factors)^T`.

References:
    Kolda and Bader, *Tensor decompositions and applications*, 2009, whose unfoldings run through the other axes backwards.
"""

from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray


def unfold(x: Real[AnyArray, "*dims"], mode: int) -> Real[Array, "size rest"]:
    """A tensor as a matrix: one row for every index of an axis.

    Raises:
        ValueError: if there is no such axis.

    >>> unfold(jnp.arange(6).reshape(1, 2, 3), 2).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    return jnp.moveaxis(jnp.asarray(x), _axis(mode, x.ndim), 0).reshape(x.shape[mode], -1)


def fold(matrix: Real[AnyArray, "size rest"], mode: int, dims: Sequence[int]) -> Real[Array, "*dims"]:
    """The tensor of these sizes whose unfolding along an axis is the matrix.

    Raises:
        ValueError: if there is no such axis, or the matrix is not of that tensor's size.
    """
    axis = _axis(mode, len(dims))
    others = [size for i, size in enumerate(dims) if i != axis]
    needed = (dims[axis], reduce(int.__mul__, others, 1))
    if matrix.shape != needed:
        raise ValueError(f"matrix has shape {matrix.shape}; mode {mode} of a tensor of sizes {tuple(dims)} needs {needed}")
    return jnp.moveaxis(jnp.asarray(matrix).reshape(dims[axis], *others), 0, axis)


def khatri_rao(factors: Sequence[Real[AnyArray, "_ _"]]) -> Real[Array, "product rank"]:
    """Columnwise Kronecker product: row `(i, j, ...)` is the elementwise product of the factors' rows, the last index fastest.

    Raises:
        ValueError: without a factor, or if their numbers of columns differ.

    >>> khatri_rao([jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [5.0]])]).tolist()
    [[3.0], [5.0], [6.0], [10.0]]
    """
    _check_ranks("factors", factors)
    if any(x.ndim != 2 for x in factors):
        raise ValueError(f"factors have shapes {[x.shape for x in factors]}; they need to be matrices [_, rank]")
    return reduce(lambda a, b: (a[:, None] * b[None]).reshape(-1, a.shape[1]), map(_wide, factors))


def cp_score(*rows: Real[AnyArray, "*_ _"]) -> Real[Array, "*batch"]:
    """Entries of a tensor of rank r, `sum_i a_i b_i c_i ...`, from the rows of its factors; batches broadcast.

    Raises:
        ValueError: without rows, or if their ranks differ.

    >>> float(cp_score(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]), jnp.array([1.0, 1.0])))
    11.0
    """
    _check_ranks("rows", rows)
    return jnp.sum(reduce(jnp.multiply, jnp.broadcast_arrays(*map(_wide, rows))), axis=-1)


def tucker_score(core: Real[AnyArray, "*ranks"], *rows: Real[AnyArray, "*_ _"]) -> Real[Array, "*batch"]:
    """Entries of a Tucker tensor, `sum_abc.. C_abc.. u_a v_b w_c ..`, from the rows of its factors; batches broadcast.

    Raises:
        ValueError: if the core has not one axis for each factor, of its rank.

    >>> float(tucker_score(jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.array([2.0, 3.0]), jnp.array([5.0, 7.0])))
    14.0
    """
    ranks = tuple(row.shape[-1] for row in rows)
    if core.shape != ranks:
        raise ValueError(f"core has shape {core.shape}; the rows need {ranks}")
    letters = "abcdefghijklmnopqrstuvwxyz"[: core.ndim]
    spec = f"{letters},{','.join('...' + letter for letter in letters)}->..."
    return jnp.einsum(spec, *map(_wide, (core, *rows)), optimize="optimal")


def _wide(x: AnyArray) -> Array:
    """Whole numbers in 32 bits at least: products of bytes are no bytes."""
    x = jnp.asarray(x)
    return x.astype(jnp.int32) if jnp.issubdtype(x.dtype, jnp.integer) and x.dtype.itemsize < 4 else x


def hadamard_moments(means: Sequence[Float[AnyArray, "*_ _"]], covariances: Sequence[Float[AnyArray, "*_ _ _"]]):
    """First and second moments of the elementwise product of independent vectors: products of their moments.

    Args:
        means: of every vector.
        covariances: of every vector.

    Returns:
        `E[z]` `[*batch, rank]` and `E[z z^T]` `[*batch, rank, rank]`.

    Raises:
        ValueError: without a vector, or if a covariance does not fit its mean.
    """
    seconds = _second_moments(means, covariances)
    _check_ranks("means", means)
    return reduce(jnp.multiply, means), reduce(jnp.multiply, seconds)


def kron_moments(means: Sequence[Float[AnyArray, "*_ _"]], covariances: Sequence[Float[AnyArray, "*_ _ _"]]):
    """First and second moments of the Kronecker product of independent vectors, the last vector's index fastest.

    Args:
        means: of every vector.
        covariances: of every vector.

    Returns:
        `E[z]` `[*batch, product of ranks]` and `E[z z^T]` `[*batch, product, product]`.

    Raises:
        ValueError: without a vector, or if a covariance does not fit its mean.

    >>> first, second = kron_moments([jnp.array([1.0, 2.0]), jnp.array([3.0])], [jnp.eye(2), jnp.ones((1, 1))])
    >>> first.tolist(), second.tolist()
    ([3.0, 6.0], [[20.0, 20.0], [20.0, 50.0]])
    """
    seconds = _second_moments(means, covariances)
    return reduce(_kron_vectors, means), reduce(_kron_matrices, seconds)


def _kron_vectors(a: AnyArray, b: AnyArray) -> AnyArray:
    return (a[..., :, None] * b[..., None, :]).reshape(*a.shape[:-1], -1)


def _kron_matrices(a: AnyArray, b: AnyArray) -> AnyArray:
    size = a.shape[-1] * b.shape[-1]
    return (a[..., :, None, :, None] * b[..., None, :, None, :]).reshape(*a.shape[:-2], size, size)


def _second_moments(means: Sequence[AnyArray], covariances: Sequence[AnyArray]) -> list[AnyArray]:
    if not means or len(means) != len(covariances):
        raise ValueError(f"there are {len(means)} means and {len(covariances)} covariances; they need to be as many, at least 1")
    for i, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        if covariance.shape != (*mean.shape, mean.shape[-1]):
            raise ValueError(f"covariance {i} has shape {covariance.shape}; its mean needs {(*mean.shape, mean.shape[-1])}")
    return [c + m[..., :, None] * m[..., None, :] for m, c in zip(means, covariances, strict=True)]


def _axis(mode: int, ndim: int) -> int:
    if not 0 <= mode < ndim:
        raise ValueError(f"mode is {mode}; a tensor with {ndim} axes needs one from 0 to {ndim - 1}")
    return mode


def _check_ranks(name: str, arrays: Sequence[AnyArray]) -> None:
    ranks = {x.shape[-1] if x.ndim else 0 for x in arrays}
    if len(ranks) != 1:
        raise ValueError(f"{name} have ranks {sorted(ranks)}; they need one rank, and at least one of them")

"""Low-rank representations: the rows of a layer's weights as `S = L D`, and the error of clustering L instead of S.

S  [n, m]   the weights, cut into rows of m numbers
L  [n, d]   a representation of d numbers for every row
D  [d, m]   the map from representations to rows, shared by the layer
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating, is_concrete

_matmul = partial(jnp.matmul, precision="highest")


class LowRank(NamedTuple):
    """Representations `[n, d]` and the map `[d, m]`; the weights are `rows @ basis`."""

    rows: Float[Array, "n d"]
    basis: Float[Array, "d m"]


@partial(jax.jit, static_argnames="d")
def low_rank_svd(s: Real[AnyArray, "n m"], d: int) -> LowRank:
    """The best factors of rank d of trained weights: `D = V_(1:d)`, `L = S D^T`. The rows of D are orthonormal.

    Args:
        s: weights in rows.
        d: numbers a row, 1 to m.

    Raises:
        ValueError: for a d outside 1..m.

    >>> s = jnp.array([[3.0, 0.0], [0.0, 1.0]])
    >>> low_rank_svd(s, 1).rows.ravel().tolist()
    [3.0, 0.0]
    """
    check_dim(d, s.shape[1])
    (s,) = floating(s)
    s = s.astype(jnp.promote_types(s.dtype, jnp.float32))  # singular values of 16-bit numbers are not computed anywhere
    basis = jnp.linalg.svd(s, full_matrices=False)[2]
    if len(basis) < d:  # fewer rows than numbers: any orthonormal completion will do
        basis = jnp.linalg.svd(s, full_matrices=True)[2]
    basis = basis[:d]
    basis = basis * jnp.where(basis[jnp.arange(d), jnp.argmax(jnp.abs(basis), axis=1)] < 0, -1, 1)[:, None]
    return LowRank(_matmul(s, basis.T), basis)


def low_rank_normal(key: jax.Array, n: int, m: int, d: int, fan_in: int) -> LowRank:
    """Factors to train from scratch: `L ~ N(0, 1)`, `D ~ N(0, 2 / (d fan_in))`, so that the weights have He's variance.

    Raises:
        ValueError: for sizes below 1 or a d above m.

    >>> factors = low_rank_normal(jax.random.key(0), 4000, 64, 16, fan_in=16)
    >>> print(f"{float(jnp.var(factors.rows @ factors.basis)):.1f}")  # 2 / 16
    0.1
    """
    check_at_least("n", n)
    check_at_least("fan_in", fan_in)
    check_dim(d, m)
    drawn = jax.random.normal(key, (n * d + d * m,))
    return LowRank(drawn[: n * d].reshape(n, d), (2 / (d * fan_in)) ** 0.5 * drawn[n * d :].reshape(d, m))


@jax.jit
def orthonormal(factors: LowRank) -> LowRank:
    """The same weights with orthonormal rows of D: `D^T = Q R`, so `L D = (L R^T) Q^T`.

    Only then is a distance between representations one between weights; training does not keep it so.

    >>> found = orthonormal(LowRank(jnp.array([[1.0]]), jnp.array([[3.0, 4.0]])))
    >>> [[round(abs(float(x)), 4) for x in part.ravel()] for part in found]
    [[5.0], [0.6, 0.8]]
    """
    rows, basis = floating(*factors)
    q, r = jnp.linalg.qr(basis.T)
    return LowRank(_matmul(rows, r.T), q.T)


def restored(codebook: Real[AnyArray, "k d"], codes: Int[AnyArray, " n"], basis: Real[AnyArray, "d m"]) -> Float[Array, "n m"]:
    """Weights in rows from a codebook: `C[a] D`. The product is formed on the k codewords, not on the n rows.

    Raises:
        ValueError: for a code that is no codeword, or sizes that do not fit.

    >>> restored(jnp.array([[1.0], [2.0]]), jnp.array([1, 0]), jnp.array([[1.0, -1.0]])).tolist()
    [[2.0, -2.0], [1.0, -1.0]]
    """
    codebook, basis = floating(codebook, basis)
    if codebook.ndim != 2 or basis.ndim != 2 or codebook.shape[1] != basis.shape[0]:
        raise ValueError(f"codebook has shape {codebook.shape} and basis {basis.shape}; they need [k, d] and [d, m]")
    check_ids("codes", codes, len(codebook))
    return jnp.take(_matmul(codebook, basis), jnp.asarray(codes), axis=0, mode="clip")


class Errors(NamedTuple):
    """Sums of squares: what the rank leaves out, what clustering adds, and both together."""

    low_rank: Float[Array, ""]
    clustering: Float[Array, ""]
    total: Float[Array, ""]


def error_decomposition(
    s: Real[AnyArray, "n m"], basis: Real[AnyArray, "d m"], codebook: Real[AnyArray, "k d"], codes: Int[AnyArray, " n"]
) -> Errors:
    """`|S - C[a] D|^2 = |S - L D|^2 + |L - C[a]|^2` with `L = S D^T`, by Pythagoras; the rows of D must be orthonormal.

    All three are computed as they stand, so that their sum is a test.

    Raises:
        ValueError: if the rows of `basis` are not orthonormal, or sizes do not fit.

    >>> errors = error_decomposition(jnp.eye(2), jnp.array([[1.0, 0.0]]), jnp.array([[0.5]]), jnp.array([0, 0]))
    >>> [float(x) for x in errors]
    [1.0, 0.5, 1.5]
    """
    s, basis, codebook = floating(s, basis, codebook)
    if is_concrete(basis):
        gram = np.asarray(basis, np.float64) @ np.asarray(basis, np.float64).T
        if not np.abs(gram - np.eye(len(gram))).max() < 1e-3:
            raise ValueError("basis has rows that are not orthonormal; `orthonormal` makes them so")
    rows = _matmul(s, basis.T)
    return Errors(
        jnp.sum((s - _matmul(rows, basis)) ** 2),
        jnp.sum((rows - codebook[jnp.asarray(codes)]) ** 2),
        jnp.sum((s - restored(codebook, codes, basis)) ** 2),
    )


def check_dim(d: int, m: int) -> None:
    """A rank is at least 1 and at most the length of a row.

    Raises:
        ValueError: otherwise.
    """
    if not 1 <= d <= m:
        raise ValueError(f"d is {d}; rows of {m} numbers need 1 to {m}")

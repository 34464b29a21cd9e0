"""Coding rates: how many nats describe unit vectors up to a distortion, all of them together or cluster by cluster.

    R(Z)          = logdet(I + d / (n eps^2) Z^T Z)
    R_c(Z, Pi)    = sum_j <Pi_j, 1> / n  logdet(I + d / (<Pi_j, 1> eps^2) Z^T Diag(Pi_j) Z)
    R_c(Z, Gamma) = 1/n sum_j logdet(I + d / eps^2 Z^T Diag(Gamma_j) Z)

Rows of Z are points (the paper writes them as columns). `eps_squared` is the paper's eps^2, which both related code bases call
`eps`; there is no factor 1/2 here, as in the paper, and one of 1/2 on every rate in those code bases.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite, check_positive, is_concrete

Scalar = float | Array
_matmul = partial(jnp.matmul, precision="highest")


@jax.custom_jvp
def log_det(m: Float[Array, "*batch d d"]) -> Float[Array, "*batch"]:
    """Logarithm of the determinant of symmetric positive definite matrices, by Cholesky. Its derivative is the inverse.

    >>> print(f"{log_det(jnp.array([[2.0, 0.0], [0.0, 3.0]])):.4f}")
    1.7918
    """
    return _from_cholesky(jnp.linalg.cholesky(m))


def _from_cholesky(factor):
    return 2 * jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)


@log_det.defjvp
def _log_det_jvp(primals, tangents):
    """The inverse from the factor that is there: cheaper to run and to compile than differentiating the factorisation."""
    (m,), (change,) = primals, tangents
    factor = jnp.linalg.cholesky(m)
    d = m.shape[-1]
    padding = (1 << (d - 1).bit_length()) - d
    square = jnp.pad(factor, [(0, 0)] * (m.ndim - 2) + [(0, padding)] * 2)
    square = square + jnp.broadcast_to(jnp.diag((jnp.arange(d + padding) >= d).astype(m.dtype)), square.shape)
    root = _inverse_lower(square)[..., :d, :d]
    inverse = _matmul(jnp.swapaxes(root, -1, -2), root)
    return _from_cholesky(factor), jnp.sum(inverse * change, axis=(-2, -1))


def _inverse_lower(m):
    """The inverse of lower triangular matrices whose size is a power of two, by halves, both halves as one batch.

    Products alone: the triangular solves of LAPACK, many at a time, make the threads of a small machine wait for each other.
    """
    half = m.shape[-1] // 2
    if not half:
        return 1 / m
    first, second = _inverse_lower(jnp.stack([m[..., :half, :half], m[..., half:, half:]]))
    below = -_matmul(_matmul(second, m[..., half:, :half]), first)
    upper = jnp.concatenate([first, jnp.zeros_like(below)], axis=-1)
    return jnp.concatenate([upper, jnp.concatenate([below, second], axis=-1)], axis=-2)


def coding_rate(Z: Real[AnyArray, "n d"], eps_squared: Scalar) -> Float[Array, ""]:
    """Rate of all points together, `R(Z)`, in nats.

    Args:
        Z: points in rows, of unit length.
        eps_squared: square of the distortion. In float32, `d / eps_squared` up to about 1e4 is safe.

    Raises:
        ValueError: for no point or no feature, a distortion that is not positive, or numbers that are not finite.

    >>> print(f"{coding_rate(jnp.eye(2), 1.0):.4f}")  # 2 log 2
    1.3863
    """
    (Z,) = _points(Z, eps_squared)
    n, d = Z.shape
    small = Z if n < d else Z.T  # the smaller of both Gram matrices has the same determinant
    return log_det(_plus_identity(d / (n * eps_squared) * _matmul(small, small.T)))


def coding_rate_classes(Z: Real[AnyArray, "n d"], Pi: Real[AnyArray, "n k"], eps_squared: Scalar) -> Float[Array, ""]:
    """Rate of the points cluster by cluster, `R_c(Z, Pi)`: the second term of MCR2.

    Args:
        Z: points in rows, of unit length.
        Pi: weight of every point in every cluster, not negative; rows sum to 1. An empty cluster costs nothing.
        eps_squared: as in `coding_rate`.

    Raises:
        ValueError: as `coding_rate`, or if Pi has another number of points or a negative weight.

    >>> print(f"{coding_rate_classes(jnp.eye(2), jnp.eye(2), 1.0):.4f}")  # two clusters of one point: log 3
    1.0986
    """
    Z, Pi = _points(Z, eps_squared, Pi=Pi)
    size = Pi.sum(0)
    empty = size == 0
    scale = jnp.where(empty, 0, Z.shape[1] / (jnp.where(empty, 1, size) * eps_squared))
    return jnp.sum(size * _rates(Z, Pi.T, scale)) / len(Z)


def coding_rate_ds(
    Z: Real[AnyArray, "n d"], Gamma: Real[AnyArray, "n n"], eps_squared: Scalar, *, block: int | None = None
) -> Float[Array, ""]:
    """Rate of the points in n soft clusters, one around every point, `R_c(Z, Gamma)` of objective (4).

    Args:
        Z: points in rows, of unit length.
        Gamma: doubly stochastic; column j is the cluster of point j.
        eps_squared: as in `coding_rate`.
        block: columns that are computed at once, and again for the gradient; all of them for None. They need `block d^2` numbers.

    Raises:
        ValueError: as `coding_rate`, or if Gamma is not `[n, n]`, has a negative weight, or block does not divide n.

    >>> print(f"{coding_rate_ds(jnp.eye(2), jnp.full((2, 2), 0.5), 1.0):.4f}")  # uniform: R(Z)
    1.3863
    """
    Z, Gamma = _points(Z, eps_squared, Gamma=Gamma)
    n, d = Z.shape
    if Gamma.shape != (n, n):
        raise ValueError(f"Gamma has shape {Gamma.shape}; {n} points need [{n}, {n}]")
    scale = jnp.broadcast_to(jnp.asarray(d / eps_squared, Z.dtype), (n,))
    if block is None:
        return jnp.mean(_rates(Z, Gamma.T, scale))
    if check_at_least("block", block) and n % block:
        raise ValueError(f"block is {block}; it must divide the {n} points")
    one_block = jax.checkpoint(lambda columns: _rates(Z, columns, scale[:block]))
    return jnp.mean(jax.lax.map(one_block, Gamma.T.reshape(-1, block, n)))


def _rates(Z, columns, scale):
    """Rates of clusters given by weights `[clusters, n]`. All weighted Gram matrices are one product of matrices."""
    n, d = Z.shape
    products = (Z[:, :, None] * Z[:, None, :]).reshape(n, d * d)
    grams = _matmul(columns, products).reshape(-1, d, d)
    return log_det(_plus_identity(scale[:, None, None] * grams))


def _plus_identity(gram):
    identity = jnp.broadcast_to(jnp.eye(gram.shape[-1], dtype=gram.dtype), gram.shape)
    return (gram + jnp.swapaxes(gram, -1, -2)) / 2 + identity


def _points(Z, eps_squared, **weights):
    """All in one dtype, after a look at shapes and numbers."""
    check_positive("eps_squared", eps_squared)
    for name, x in {"Z": Z, **weights}.items():
        check_finite(name, x)
    Z, *others = at_least_float32(Z, *weights.values())
    if Z.ndim != 2 or 0 in Z.shape:
        raise ValueError(f"Z has shape {Z.shape}; a rate needs [n, d], at least one point and one feature")
    for name, x in zip(weights, others, strict=True):
        if x.ndim != 2 or len(x) != len(Z):
            raise ValueError(f"{name} has shape {x.shape}; it needs a row for each of the {len(Z)} points")
        check_not_negative(name, x)
    return [Z, *others]


def check_not_negative(name: str, x: Array) -> None:
    """No weight is negative, of an array that can be looked at.

    Raises:
        ValueError: otherwise.
    """
    if is_concrete(x) and x.size and not float(x.min()) >= 0:
        raise ValueError(f"{name} has the entry {float(x.min()):.3g}; weights are not negative")

"""Compression of kernels that are trained already: truncated singular values for two ways, nested ones for three, least squares.

The rival of one-way layers, which never had a full kernel. Eckart and Young say how well a matrix can be done: the best
approximation of rank R leaves `sqrt(sum_{q > R} s_q^2)`.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.tensors.cp import cp_als

Factors = tuple[Float[np.ndarray, "out in rank _"], ...]


def svd_compress(kernel: Real[AnyArray, "_ _ in out"], rank: int) -> Factors:
    """Filters of each pair of channels whose sum of products is nearest to a kernel of two ways; see `cp_kernel`.

    Args:
        kernel: `[k1, k2, in, out]`.
        rank: terms; at most `min(k1, k2)` are of use, and more are an error.

    Returns:
        Factors `[out, in, rank, k1]` and `[out, in, rank, k2]`, the singular value shared between them.

    Raises:
        ValueError: if the kernel has not two ways, or the rank does not lie between 1 and the smaller of them.

    >>> a, b = svd_compress(np.ones((3, 5, 2, 4)), 1)
    >>> a.shape, b.shape, f"{(a[0, 0, 0, 0] * b[0, 0, 0, 0]):.3f}"
    ((4, 2, 1, 3), (4, 2, 1, 5), '1.000')
    """
    kernel = _matrices(kernel, 2)
    _check_rank("rank", rank, kernel.shape[2:])
    return _truncated(kernel, rank)


def nested_svd(kernel: Real[AnyArray, "_ _ _ in out"], rank: int, inner_rank: int) -> Factors:
    """Filters for a kernel of three ways: singular values of `k1 x (k2 k3)`, then those of each right vector as `k2 x k3`.

    Args:
        kernel: `[k1, k2, k3, in, out]`.
        rank: terms of the first decomposition.
        inner_rank: terms of each second one; the form has `rank * inner_rank` terms.

    Returns:
        Three factors `[out, in, rank * inner_rank, taps]`.

    Raises:
        ValueError: as `svd_compress`, for either rank.
    """
    kernel = _matrices(kernel, 3)
    out, channels, k1, k2, k3 = kernel.shape
    _check_rank("rank", rank, (k1, k2 * k3))
    _check_rank("inner_rank", inner_rank, (k2, k3))
    left, right = _truncated(kernel.reshape(out, channels, k1, k2 * k3), rank)
    b, c = _truncated(right.reshape(out, channels * rank, k2, k3), inner_rank)
    whole = (out, channels, rank * inner_rank)
    return np.repeat(left, inner_rank, axis=2), b.reshape(*whole, k2), c.reshape(*whole, k3)


def shared_fit(
    kernel: Real[AnyArray, "*_"], rank: int, key: jax.Array, *, sweeps: int = 20, ridge: float = 1e-6
) -> tuple[Array, ...]:
    """Filters in common, by alternating least squares on a kernel of three ways; see `shared_kernel`.

    Args:
        kernel: `[k1, k2, k3, in, out]`.
        rank: terms.
        key, sweeps, ridge: of `cp_als`.

    Returns:
        `u [rank, in, k1]`, `v [rank, k2]`, `w [out, rank, k3]`.

    Raises:
        ValueError: if the kernel has not three ways, or as `cp_als`.
    """
    kernel = _matrices(kernel, 3)  # out, in, k1, k2, k3
    out, channels, k1, k2, k3 = kernel.shape
    dims = (channels * k1, k2, out * k3)
    values = kernel.transpose(1, 2, 3, 0, 4).reshape(-1)
    indices = np.stack(np.unravel_index(np.arange(math.prod(dims)), dims), axis=1)
    u, v, w = cp_als(indices, values, dims, rank, ridge, key=key, sweeps=sweeps)
    return u.T.reshape(rank, channels, k1), v.T, w.reshape(out, k3, rank).transpose(0, 2, 1)


def singular_values(kernel: Real[AnyArray, "_ _ in out"]) -> Float[np.ndarray, "out in _"]:
    """Of each pair of channels, descending.

    Raises:
        ValueError: if the kernel has not two ways.
    """
    return np.linalg.svd(_matrices(kernel, 2), compute_uv=False)


def best_errors(kernel: Real[AnyArray, "_ _ in out"], rank: int) -> Float[np.ndarray, "out in"]:
    """What no approximation of this rank can do better than, in the Frobenius norm: `sqrt(sum_{q > R} s_q^2)`.

    Raises:
        ValueError: if the kernel has not two ways, or the rank is negative.
    """
    check_at_least("rank", rank, 0)
    return np.sqrt(np.sum(singular_values(kernel)[..., rank:] ** 2, axis=-1))


def _truncated(matrices, rank):
    u, s, vt = np.linalg.svd(matrices, full_matrices=False)
    root = np.sqrt(s[..., :rank])
    return np.swapaxes(u[..., :rank], -1, -2) * root[..., None], vt[..., :rank, :] * root[..., None]


def _matrices(kernel, ways):
    """`[out, in, *size]`, in a floating dtype that NumPy knows."""
    if np.ndim(kernel) != ways + 2:
        raise ValueError(f"kernel has shape {np.shape(kernel)}; it needs {ways} ways before its channels")
    kernel = np.asarray(kernel)
    if not jnp.issubdtype(kernel.dtype, jnp.floating):
        raise ValueError(f"kernel has dtype {kernel.dtype}; it must be floating")
    kernel = kernel.astype(np.promote_types(np.float32, kernel.dtype) if kernel.dtype.kind == "f" else np.float32)
    if not np.isfinite(kernel).all():
        raise ValueError("kernel has numbers that are not finite")
    return kernel.transpose(ways + 1, ways, *range(ways))


def _check_rank(name, rank, shape):
    if not 1 <= rank <= min(shape):
        raise ValueError(f"{name} is {rank}; it must lie between 1 and {min(shape)}")

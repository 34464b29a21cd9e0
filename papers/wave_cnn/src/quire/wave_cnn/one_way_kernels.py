"""Kernels as sums of products of one-way filters: a canonical polyadic form, for each pair of channels or for all at once.

    per kernel   K[o, i] = sum_r a[o, i, r] (x) b[o, i, r] (x) c[o, i, r]
    shared       K[o, i, a, b, c] = sum_r u[r, i, a] v[r, b] w[o, r, c]

Dense kernels come as convolutions take them, `[*size, in, out]`.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating

AXES = "xyz"


def cp_kernel(factors: Sequence[Real[AnyArray, "out in rank _"]]) -> Float[Array, "*size in out"]:
    """The dense kernel of one-way filters of each pair of channels.

    Args:
        factors: one for each axis of space, one to three, `[out, in, rank, taps]`.

    Raises:
        ValueError: if there are none or more than three, or they differ in channels or rank.

    >>> a, b = np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 10.0, 100.0]]]])
    >>> cp_kernel([a, b])[:, :, 0, 0].tolist()
    [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]]
    """
    check_per_kernel(factors)
    letters = AXES[: len(factors)]
    terms = ",".join("oir" + axis for axis in letters)
    return jnp.einsum(f"{terms}->{letters}io", *floating(*factors))


def check_per_kernel(factors: Sequence[Real[AnyArray, "out in rank _"]]) -> None:
    """Shapes of filters of each pair of channels.

    Raises:
        ValueError: if there are none or more than three, or they differ in channels or rank.
    """
    shapes = [np.shape(f) for f in factors]
    if not 1 <= len(shapes) <= 3 or len({shape[:-1] for shape in shapes}) > 1 or len(shapes[0]) != 4:
        raise ValueError(f"factors have shapes {shapes}; they need [out, in, rank, taps], one to three")


def shared_kernel(factors: Sequence[Real[AnyArray, "*_"]]) -> Float[Array, "*size in out"]:
    """The dense kernel of filters that all pairs of channels share.

    Args:
        factors: `u [rank, in, taps]`, then `v [rank, taps]` for three axes of space, and `w [out, rank, taps]`.

    Raises:
        ValueError: if their number or their ranks do not fit.

    >>> shared_kernel([np.ones((2, 3, 5)), np.ones((2, 7)), np.ones((4, 2, 9))]).shape
    (5, 7, 9, 3, 4)
    """
    check_shared(factors)
    terms = "rix,rz,ory->xzyio" if len(factors) == 3 else "rix,ory->xyio"
    return jnp.einsum(terms, *floating(*factors))


def check_shared(factors: Sequence[Real[AnyArray, "*_"]]) -> None:
    """Shapes of shared filters.

    Raises:
        ValueError: if their number or their ranks do not fit.
    """
    shapes = [np.shape(f) for f in factors]
    fits = len(shapes) in (2, 3) and [len(s) for s in shapes] == ([3, 2, 3] if len(shapes) == 3 else [3, 3])
    if not fits or len({shapes[0][0], shapes[-1][1], *(s[0] for s in shapes[1:-1])}) > 1:
        raise ValueError(
            f"factors have shapes {shapes}; they need [rank, in, taps], [rank, taps] for a third axis, [out, rank, taps]"
        )


def factor_std(variance: float, rank: int, ways: int) -> float:
    """Deviation of the numbers of every factor for which the dense kernel has this variance: `(variance / rank)^(1 / (2 ways))`.

    Raises:
        ValueError: if the variance is not positive, or rank or ways are below 1.

    >>> print(f"{factor_std(2 / 9, 2, 2) ** 4 * 2:.4f}")
    0.2222
    """
    check_at_least("rank", rank)
    check_at_least("ways", ways)
    if not variance > 0:
        raise ValueError(f"variance is {variance}; it must be positive")
    return (variance / rank) ** (1 / (2 * ways))


def he_variance(in_features: int, size: Sequence[int]) -> float:
    """`2 / (in prod(size))`: what a kernel before a ReLU starts with.

    Raises:
        ValueError: for a size below 1.
    """
    check_at_least("in_features", in_features)
    check_at_least("size", min(size, default=0))
    return 2 / (in_features * math.prod(size))

"""The hash kernel: an inner product after signed hashing is right on average, and how much it scatters.

`phi(x)_m = sum_{h(i) = m} s_i x_i` with uniform `h` and signs `s`. Host mathematics, in float64.
"""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from quire.common.checks import check_at_least
from quire.common.layers.hashing import hash_bucket


class Moments(NamedTuple):
    """Mean and variance of `<phi(x), phi(y)>` over the hash functions."""

    mean: float
    variance: float


def signed_hash(
    x: Num[np.ndarray, " n"], buckets: Int[np.ndarray, " n"], signs: Num[np.ndarray, " n"], m: int
) -> Float[np.ndarray, " m"]:
    """`phi(x)`.

    >>> signed_hash(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0]), np.array([1, 1, -1]), 2).tolist()
    [-2.0, 2.0]
    """
    return np.bincount(buckets, np.asarray(signs, float) * x, minlength=m)


def kernel_moments(x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], m: float) -> Moments:
    """`<x, y>` and `(1/m) sum_{i != j} (x_i² y_j² + x_i y_i x_j y_j)`.

    Args:
        x, y: vectors.
        m: number of buckets.

    Raises:
        ValueError: for fewer than one bucket, or vectors of different lengths.

    References:
        Weinberger et al., *Feature hashing for large scale multitask learning*, 2009, lemma 2.
    """
    if not m >= 1:
        raise ValueError(f"m is {m}; it must be at least 1")
    x, y = _vectors(x, y)
    squares, products = np.square(x), x * y
    off = squares.sum() * np.square(y).sum() + products.sum() ** 2 - 2 * np.square(products).sum()
    return Moments(float(products.sum()), float(off / m))


def split_kernel_moments(xs: Iterable[np.ndarray], ys: Iterable[np.ndarray], ms: Iterable[float]) -> Moments:
    """The same for one table a feature: the moments of independent inner products add up.

    Args:
        xs, ys: the parts of the vectors that belong to each feature.
        ms: buckets of each.
    """
    found = [kernel_moments(*each) for each in zip(xs, ys, ms, strict=True)]
    return Moments(*(sum(each) for each in zip(*found, strict=True)))


def enumerated_moments(x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], m: int) -> Moments:
    """The moments over all `m^n` hash functions and all `2^n` signs, one by one.

    Raises:
        ValueError: if these are more than a million.

    >>> x, y = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    >>> enumerated_moments(x, y, 2), kernel_moments(x, y, 2)
    (Moments(mean=1.0, variance=12.5), Moments(mean=1.0, variance=12.5))
    """
    x, y = _vectors(x, y)
    if check_at_least("m", m) ** len(x) * 2 ** len(x) > 10**6:
        raise ValueError(f"m is {m} for {len(x)} numbers; there would be more than a million hash functions")
    found = [
        signed_hash(x, np.array(h, int), np.array(s), m) @ signed_hash(y, np.array(h, int), np.array(s), m)
        for h in product(range(m), repeat=len(x))
        for s in product((1, -1), repeat=len(x))
    ]
    return Moments(float(np.mean(found)), float(np.var(found)))


def sampled_kernel(
    x: Num[np.ndarray, " n"], y: Num[np.ndarray, " n"], m: int, draws: int, draw: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """`<phi(x), phi(y)>` for hash functions of `splitmix64`, a salt for the buckets and one for the signs in each draw."""
    x, y = _vectors(x, y)
    indices = np.arange(len(x))

    def one(salts):
        buckets, signs = hash_bucket(indices, salts[0], m), 2 * hash_bucket(indices, salts[1], 2) - 1
        return signed_hash(x, buckets, signs, m) @ signed_hash(y, buckets, signs, m)

    return np.array([one(salts) for salts in draw.integers(0, 2**63, (draws, 2))])


def _vectors(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}; they need one shape [n]")
    return x, y

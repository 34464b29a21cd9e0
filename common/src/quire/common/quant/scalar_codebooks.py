"""Codebooks of scalars: k-means of numbers on a line, exactly by dynamic programming or nearly so for many, on the host.

References:
    Wang and Song 2011 (optimal k-means in one dimension); Lloyd 1982.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least

MOST_EXACT = 4096
"""Different numbers that the exact program takes: its tables grow with their square."""

FEW = 1024
"""Different numbers up to which `kmeans_1d` is exact."""

Numbers = Num[Array | np.ndarray, "*shape"]


class ScalarClusters(NamedTuple):
    """Centres `[k]` in ascending order, and the weighted sum of squared distances to the nearest ones."""

    centres: np.ndarray
    cost: float


def assign_1d(x: Numbers, centres: Float[Array | np.ndarray, " k"]) -> Int[Array, "*shape"]:
    """Index of the nearest of ascending centres for every number, int32; the lower one of two equally near. Traceable.

    Args:
        x: numbers of any shape.
        centres: ascending, at least one.

    Raises:
        ValueError: if there is no centre, or centres have more axes than one.

    >>> assign_1d(jnp.array([[0.2, 0.5], [0.9, 7.0]]), jnp.array([0.0, 1.0])).tolist()
    [[0, 0], [1, 1]]
    """
    if centres.ndim != 1 or len(centres) == 0:
        raise ValueError(f"centres has shape {centres.shape}; it needs [k], k at least 1")
    x, borders = jnp.asarray(x), jnp.asarray((centres[1:] + centres[:-1]) / 2)
    return jnp.sum(x[..., None] > borders.reshape((1,) * x.ndim + (-1,)), axis=-1, dtype=jnp.int32)


def kmeans_1d_exact(x: Numbers, k: int, *, weights: Numbers | None = None) -> ScalarClusters:
    """The best k centres, by dynamic programming over the sorted numbers: `O(k n^2)`.

    With fewer different numbers than k, the largest is repeated, so that there always are k centres.

    Args:
        x: numbers of any shape.
        k: number of centres.
        weights: how much every number counts; all the same by default.

    Returns:
        Centres in the floating dtype of x, and their cost.

    Raises:
        ValueError: for k below 1, no number or one that is not finite, weights that are negative or all zero, or more than
            `MOST_EXACT` different numbers.

    >>> found = kmeans_1d_exact(np.array([5.0, 0.0, 0.5, 5.5, 0.25]), 2)
    >>> found.centres.tolist(), found.cost
    ([0.25, 5.25], 0.25)
    """
    values, mass, dtype = _sorted(x, k, weights)
    if len(values) > MOST_EXACT:
        raise ValueError(f"x has {len(values)} different numbers; the exact program takes {MOST_EXACT}, kmeans_1d takes any")
    return _clusters(values, mass, _optimal_borders(values, mass, k), k, dtype)


def kmeans_1d(x: Numbers, k: int, *, weights: Numbers | None = None, bins: int = 512, iters: int = 30) -> ScalarClusters:
    """k centres of any number of numbers: the best ones of a histogram, then Lloyd's iterations on all of them.

    Half of the bins have equal mass, half equal width. Up to `FEW` different numbers the result is exact.

    Args:
        x: numbers of any shape.
        k: number of centres.
        weights: how much every number counts; all the same by default.
        bins: of the histogram, twice k to `FEW`.
        iters: of Lloyd, at most; they stop where nothing changes.

    Returns:
        As for `kmeans_1d_exact`.

    Raises:
        ValueError: as for `kmeans_1d_exact`, for bins out of range or negative iterations.

    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> bool(kmeans_1d(x, 4).cost <= 1.001 * kmeans_1d_exact(x, 4).cost)
    True
    """
    values, mass, dtype = _sorted(x, k, weights)
    if not 2 * k <= bins <= FEW or iters < 0:
        raise ValueError(f"bins is {bins} and iters {iters}; they need {2 * k} (twice k) to {FEW}, and at least 0")
    if len(values) <= FEW:
        return _clusters(values, mass, _optimal_borders(values, mass, k), k, dtype)
    total = np.cumsum(mass)
    share = np.arange(bins // 2) / (bins // 2)
    by_mass = np.searchsorted(total, total[-1] * share, side="right")
    by_width = np.searchsorted(values, values[0] + (values[-1] - values[0]) * share)  # for the tails
    starts = np.unique(np.concatenate([by_mass, by_width]))
    coarse = np.add.reduceat(mass, starts)
    means = np.add.reduceat(mass * values, starts) / coarse
    borders = starts[_optimal_borders(means, coarse, k)]
    for _ in range(iters):
        centres = _means(values, mass, borders)
        moved = np.concatenate([[0], np.searchsorted(values, (centres[1:] + centres[:-1]) / 2, side="right")])
        moved = np.unique(moved)  # an empty cluster between two others disappears
        if np.array_equal(moved, borders):
            break
        borders = moved
    return _clusters(values, mass, borders, k, dtype)


def _sorted(x: Numbers, k: int, weights: Numbers | None) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """Different numbers in ascending order, their total weights, float64, and the dtype of the answer."""
    check_at_least("k", k)
    x = np.asarray(x)
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else np.dtype(np.float32)
    flat = x.astype(np.float64).ravel()
    if flat.size == 0 or not np.isfinite(flat).all():
        raise ValueError(f"x has {flat.size} numbers, {np.isfinite(flat).sum()} of them finite; it needs one, and all finite")
    mass = np.ones(flat.size) if weights is None else np.asarray(weights, np.float64).ravel()
    if mass.size != flat.size or not np.isfinite(mass).all() or mass.min() < 0 or mass.max() == 0:
        raise ValueError(f"weights has {mass.size} numbers; it needs one a number of x, none negative, not all zero")
    values, where = np.unique(flat[mass > 0], return_inverse=True)
    return values, np.bincount(where.ravel(), mass[mass > 0]), dtype


def _optimal_borders(values: np.ndarray, mass: np.ndarray, k: int) -> np.ndarray:
    """Where each of the best clusters of ascending numbers begins; fewer than k where there are fewer numbers."""
    n = len(values)
    values = values - np.average(values, weights=mass)  # so that squares of large offsets do not drown the differences
    sums = [np.concatenate([[0.0], np.cumsum(mass * values**power)]) for power in range(3)]
    m, s, q = (total[None, :] - total[:, None] for total in sums)  # of the numbers from i to j - 1, at [i, j]
    inside = m > 0
    cost = np.where(inside, np.maximum(q - s**2 / np.where(inside, m, 1), 0), np.inf)
    best, choices = cost[0], []
    for _ in range(min(k, n) - 1):
        total = best[:, None] + cost
        choices.append(total.argmin(0))
        best = total.min(0)
    borders, end = [], n
    for choice in reversed(choices):
        end = int(choice[end])
        borders.append(end)
    return np.array([0, *reversed(borders)])


def _means(values: np.ndarray, mass: np.ndarray, borders: np.ndarray) -> np.ndarray:
    return np.add.reduceat(mass * values, borders) / np.add.reduceat(mass, borders)


def _clusters(values: np.ndarray, mass: np.ndarray, borders: np.ndarray, k: int, dtype: np.dtype) -> ScalarClusters:
    centres = _means(values, mass, borders)
    centres = np.pad(centres, (0, k - len(centres)), mode="edge")
    nearest = centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, values)]
    return ScalarClusters(centres.astype(dtype), float(np.sum(mass * (values - nearest) ** 2)))

"""Adaptive initialisation: centres by weighted k-means, shapes from the covariances of the clusters. Section 3.2.

All in float64 on the host, once, before training. References: section 3.2, and `rbf/` of the authors' code.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.spatial import KDTree

from quire.common.checks import check_at_least, check_positive
from quire.common.random import generator
from quire.neurbf.kernels import Kernels, check_kind, check_positive_definite

LARGEST_CORRELATION = 0.999
EMPTY = 1e-10
"""Variance of a cluster without members, before it is clipped."""


def drop_zero_weights(
    points: Float[np.ndarray, "p d"], weights: Float[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, "q d"], Float[np.ndarray, " q"]]:
    """Points of positive weight in float64, the weights divided by their mean.

    Raises:
        ValueError: if shapes differ, a number is not finite, a weight is negative, or all are zero.
    """
    points, weights = np.asarray(points, float), np.asarray(weights, float)
    if points.ndim != 2 or weights.shape != points.shape[:1]:
        raise ValueError(f"points has shape {points.shape} and weights {weights.shape}; they need [p, d] and [p]")
    if not (np.isfinite(points).all() and np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError("weights must not be negative nor all zero, and all numbers finite")
    positive = weights > 0
    return points[positive], weights[positive] / weights.mean()


def draw_centers(
    key: jax.Array, points: Float[np.ndarray, "p d"], weights: Float[np.ndarray, " p"], count: int
) -> Float[np.ndarray, "k d"]:
    """Different points, drawn with a probability in proportion to their weights.

    Raises:
        ValueError: if there are fewer different points of positive weight than centres.
    """
    points, weights = drop_zero_weights(points, weights)
    different, where = np.unique(points, axis=0, return_inverse=True)
    if not 1 <= count <= len(different):
        raise ValueError(f"count is {count}; it must be between 1 and the {len(different)} different points of positive weight")
    mass = np.bincount(where.ravel(), weights)
    return different[generator(key).choice(len(different), count, replace=False, p=mass / mass.sum())]


def nearest_center(points: Float[np.ndarray, "p d"], centers: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " p"]:
    """The nearest centre of every point, by a k-d tree."""
    return KDTree(centers).query(points)[1]


def weighted_kmeans(
    points: Float[np.ndarray, "p d"], weights: Float[np.ndarray, " p"], start: Float[np.ndarray, "k d"], iters: int = 10
) -> Float[np.ndarray, "k d"]:
    """Centres after so many iterations of Lloyd's algorithm: `c_j = sum w x / sum w` over the points nearest to `c_j`.

    A centre that no point is nearest to stays where it is.

    Args:
        points: in any dimension.
        weights: not negative; points of weight 0 do not count.
        start: first centres.
        iters: iterations.

    Raises:
        ValueError: for weights as in `drop_zero_weights`, or negative iterations.

    >>> x = np.array([[0.0], [1.0], [5.0]])
    >>> weighted_kmeans(x, np.array([1.0, 3.0, 1.0]), np.array([[0.0], [4.0], [9.0]])).ravel().tolist()
    [0.75, 5.0, 9.0]
    """
    check_at_least("iters", iters, 0)
    points, weights = drop_zero_weights(points, weights)
    centers = np.array(start, float)
    for _ in range(iters):
        labels = nearest_center(points, centers)
        mass = np.bincount(labels, weights, len(centers))
        sums = np.stack([np.bincount(labels, weights * axis, len(centers)) for axis in points.T], axis=1)
        centers = np.where(mass[:, None] > 0, sums / np.where(mass > 0, mass, 1)[:, None], centers)
    return centers


def cluster_covariances(
    points: Float[np.ndarray, "p d"], weights: Float[np.ndarray, " p"], centers: Float[np.ndarray, "k d"], alpha: float = 0.5
) -> Float[np.ndarray, "k d d"]:
    """Weighted covariances of the points nearest to each centre, about the centre, divided by alpha.

    Args:
        points, weights: as for `weighted_kmeans`.
        centers: final ones.
        alpha: the smaller, the wider.

    Returns:
        `1e-10` on the diagonal for a centre without points.
    """
    check_positive("alpha", alpha)
    points, weights = drop_zero_weights(points, weights)
    labels = nearest_center(points, centers)
    offset = points - centers[labels]
    count, dim = centers.shape
    mass = np.bincount(labels, weights, count)
    sums = [np.bincount(labels, weights * offset[:, i] * offset[:, j], count) for i in range(dim) for j in range(dim)]
    covariances = np.stack(sums, axis=1).reshape(count, dim, dim) / np.where(mass > 0, mass, 1)[:, None, None]
    return np.where(mass[:, None, None] > 0, covariances / alpha, EMPTY * np.eye(dim))


def width_limits(extent: Float[np.ndarray, " d"], dims: Int[np.ndarray, " d"]) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest standard deviation an axis: a 200th of a pixel, and a tenth of the domain.

    Args:
        extent: `cmax - cmin`, in the order of the coordinates.
        dims: pixels, in the same order.
    """
    extent, dims = np.asarray(extent, float), np.asarray(dims, float)
    return extent / dims / 200, extent / 10


def clip_covariances(
    covariances: Float[np.ndarray, "k d d"], least: Float[np.ndarray, " d"], most: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "k d d"]:
    """Variances within `[least^2, most^2]` and correlations, by the clipped variances, within 0.999.

    In three dimensions that does not make a matrix positive definite; where it is not, its correlations are halved until it is.

    Args:
        covariances: symmetric.
        least, most: standard deviations an axis, as from `width_limits`.

    >>> clip_covariances(np.array([[[9.0, 3.0], [3.0, 0.01]]]), np.full(2, 0.5), np.full(2, 2.0)).tolist()
    [[[4.0, 0.999], [0.999, 0.25]]]
    """
    clipped = np.array(covariances, float)
    dim = clipped.shape[-1]
    diagonal = np.arange(dim)
    variance = np.clip(clipped[:, diagonal, diagonal], least**2, most**2)
    bound = LARGEST_CORRELATION * np.sqrt(variance[:, :, None] * variance[:, None, :])
    clipped = np.clip(clipped, -bound, bound)
    clipped[:, diagonal, diagonal] = variance
    while (bad := np.linalg.eigvalsh(clipped)[:, 0] <= 0).any():
        clipped[bad] = (clipped[bad] + clipped[bad] * np.eye(dim)) / 2
    return clipped


def clip_inverse_covariances(
    inverse: Float[np.ndarray, "k d d"],
    least: Float[np.ndarray, " d"],
    most: Float[np.ndarray, " d"],
    *,
    floor: float | None = None,
) -> Float[np.ndarray, "k d d"]:
    """The same for inverse covariances, for shapes that are trained: diagonals within `[1 / most^2, 1 / least^2]`.

    Args:
        inverse: symmetric.
        least, most: standard deviations an axis.
        floor: a least standard deviation that holds for every axis; the authors' code takes 1e-3 where it has one.
    """
    least = np.asarray(least, float) if floor is None else np.maximum(least, floor)
    return clip_covariances(inverse, 1 / np.asarray(most, float), 1 / least)


SCALES = {"nlin": 4.0, "ivmq": 1 / 3}
"""Factors on the variances: a hat of `nlin` has half its height at one standard deviation."""


def shapes_of(
    kind: str, covariances: Float[np.ndarray, "k d d"], least: Float[np.ndarray, " d"], most: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "k ..."]:
    """Shapes of the bases: clipped and inverted covariances, variances, or mean squared distances; for `nlin` inverse widths.

    Args:
        kind: of the kernels.
        covariances: of the clusters, divided by alpha already.
        least, most: standard deviations an axis; scalar shapes are held between the largest and the smallest of them.
    """
    name, shape = check_kind(kind)
    scaled = np.asarray(covariances, float) * SCALES.get(name, 1.0)
    if shape in "af":
        inverse = np.linalg.inv(clip_covariances(scaled, least, most))
        return np.linalg.cholesky(inverse).swapaxes(-1, -2) if shape == "f" else (inverse + inverse.swapaxes(-1, -2)) / 2
    variance = np.diagonal(scaled, axis1=1, axis2=2)
    if shape == "s":
        variance, least, most = variance.sum(1, keepdims=True), least.max(keepdims=True), most.min(keepdims=True)
    variance = np.clip(variance, least**2, most**2)
    return 1 / np.sqrt(variance) if name == "nlin" else 1 / variance


def fit_kernels(
    points: Float[np.ndarray, "p d"],
    weights: Float[np.ndarray, " p"],
    n_kernels: int,
    key: jax.Array,
    *,
    kind: str = "ivq_a",
    alpha: float = 0.5,
    cmax: Float[np.ndarray, " d"],
    dims: Int[np.ndarray, " d"],
    iters: int = 10,
) -> Kernels:
    """Bases that follow a signal: weighted k-means for the centres, covariances of the clusters for the shapes.

    Args:
        points: where the signal was looked at, in `[-cmax, cmax]`.
        weights: how much happens there.
        n_kernels: how many.
        key: for the first centres.
        kind: of the kernels.
        alpha: the smaller, the wider.
        cmax: half the extent of the domain, in the order of the coordinates.
        dims: pixels an axis, in the same order; they bound the widths from below.
        iters: of k-means.

    Returns:
        Float32 kernels.

    Raises:
        ValueError: for an unknown kind, weights as in `drop_zero_weights`, or too few different points.

    References:
        Section 3.2, equations 6 to 8.
    """
    check_kind(kind)
    start = draw_centers(key, points, weights, n_kernels)
    centers = weighted_kmeans(points, weights, start, iters)
    covariances = cluster_covariances(points, weights, centers, alpha)
    shapes = shapes_of(kind, covariances, *width_limits(2 * np.asarray(cmax, float), dims))
    return kernels(kind, centers, shapes)


def kernels(kind: str, centers: np.ndarray, shapes: np.ndarray) -> Kernels:
    """Kernels in float32 whose matrices have been looked at.

    Raises:
        ValueError: if an inverse covariance is not positive definite.
    """
    if check_kind(kind)[1] == "a":
        check_positive_definite(shapes)
    return Kernels(kind, _single(centers), _single(shapes))


def _single(x: np.ndarray) -> Array:
    return jnp.asarray(x, jnp.float32)

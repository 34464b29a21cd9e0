"""From memberships to labels: spectral clustering, and how well labels fit the classes."""

import jax
import numpy as np
from jaxtyping import Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_finite
from quire.common.random import generator


def normalized_laplacian(Gamma: Real[AnyArray, "n n"]) -> Float[np.ndarray, "n n"]:
    """`I - D^(-1/2) W D^(-1/2)` of `W = (Gamma + Gamma^T) / 2`; a point without weight keeps a 1.

    Raises:
        ValueError: if Gamma is not square, empty or not finite, or has a negative entry.

    >>> normalized_laplacian(np.ones((2, 2))).round(3).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    weights = np.asarray(Gamma, np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not weights.size:
        raise ValueError(f"Gamma has shape {weights.shape}; it must be square, of at least one point")
    check_finite("Gamma", weights)
    if weights.min() < 0:
        raise ValueError(f"Gamma has the entry {weights.min():.3g}; weights are not negative")
    weights = (weights + weights.T) / 2
    degree = weights.sum(1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    return np.eye(len(weights)) - scale[:, None] * weights * scale[None, :]


def laplacian_eigenvalues(Gamma: Real[AnyArray, "n n"], count: int) -> Float[np.ndarray, " count"]:
    """The smallest eigenvalues of the normalised Laplacian, rising: a zero for every part of the graph, a gap after k clusters.

    Raises:
        ValueError: if count is not between 1 and the number of points.
    """
    return _smallest(normalized_laplacian(Gamma), count, "count")[0]


def spectral_cluster(Gamma: Real[AnyArray, "n n"], k: int, key: jax.Array) -> Int[np.ndarray, " n"]:
    """Labels by k-means (10 starts) of the rows of the k lowest eigenvectors of the normalised Laplacian, at unit length.

    An over-segmented graph, of more than k parts, has no meaningful answer: see `num_components`.

    Args:
        Gamma: weights between points, not negative; symmetrised here.
        k: clusters.
        key: for the starts.

    Raises:
        ValueError: if k is not between 1 and the number of points, and as `normalized_laplacian`.

    >>> blocks = np.kron(np.eye(2), np.ones((3, 3)))
    >>> labels = spectral_cluster(blocks, 2, jax.random.key(0))
    >>> bool((labels[:3] == labels[0]).all() and (labels[3:] == 1 - labels[0]).all())
    True
    """
    vectors = _smallest(normalized_laplacian(Gamma), k, "k")[1]
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return kmeans_labels(vectors / np.where(size > 0, size, 1), k, key)


def _smallest(laplacian, count, name):
    from scipy.linalg import eigh
    from threadpoolctl import threadpool_limits

    if not 1 <= count <= len(laplacian):
        raise ValueError(f"{name} is {count}; {len(laplacian)} points allow 1 to {len(laplacian)}")
    with threadpool_limits(1):  # of a few hundred points; more threads than free cores would wait for each other
        return eigh(laplacian, subset_by_index=[0, count - 1])


def kmeans_labels(x: Real[AnyArray, "n d"], k: int, key: jax.Array) -> Int[np.ndarray, " n"]:
    """Labels by k-means, the best of 10 starts.

    Raises:
        ValueError: if k is not between 1 and the number of points, or x is not finite.

    >>> kmeans_labels(np.array([[0.0], [0.1], [5.0]]), 2, jax.random.key(0))[:2].std()
    np.float64(0.0)
    """
    from sklearn.cluster import KMeans

    x = np.asarray(x, np.float64)
    if not 1 <= k <= len(x):
        raise ValueError(f"k is {k}; {len(x)} points allow 1 to {len(x)}")
    check_finite("x", x)
    k = min(k, len(np.unique(x, axis=0)))  # of fewer different points, scikit-learn would only warn
    seed = int(generator(key).integers(2**31))
    return KMeans(k, n_init=10, random_state=seed).fit_predict(x).astype(np.int32)


def num_components(Gamma: Real[AnyArray, "n n"], threshold: float = 1e-3) -> int:
    """Connected parts of the graph whose edges weigh more than `threshold` times the largest entry.

    >>> num_components(np.eye(3))
    3
    """
    from scipy.sparse.csgraph import connected_components

    weights = np.asarray(Gamma, np.float64)
    return int(connected_components(weights > threshold * weights.max(initial=0), directed=False)[0])


def clustering_accuracy(y: Int[AnyArray, " n"], predicted: Int[AnyArray, " n"]) -> float:
    """Share of points whose cluster is their class, under the best one-to-one matching of clusters and classes.

    There may be more clusters than classes or fewer: those left over count as wrong.

    Raises:
        ValueError: if there are not as many labels in both, or none.

    >>> clustering_accuracy(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 7]))
    0.75
    """
    from scipy.optimize import linear_sum_assignment

    y, predicted = np.asarray(y), np.asarray(predicted)
    if y.ndim != 1 or y.shape != predicted.shape or not y.size:
        raise ValueError(f"y has shape {y.shape} and predicted {predicted.shape}; they need one label a point, at least one")
    classes, clusters = (np.unique(x, return_inverse=True)[1] for x in (y, predicted))
    table = np.zeros((classes.max() + 1, clusters.max() + 1), int)
    np.add.at(table, (classes, clusters), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(y))


def numerical_rank(W: Real[AnyArray, "n d"], share: float = 0.95) -> int:
    """The fewest singular values whose squares sum to more than a share of all squares; 0 for zeros.

    Raises:
        ValueError: if W is no matrix, not finite, or the share not between 0 and 1.

    >>> numerical_rank(np.diag([3.0, 1.0, 0.1]))
    2
    """
    W = np.asarray(W, np.float64)
    check_finite("W", W)
    if W.ndim != 2 or not 0 < share < 1:
        raise ValueError(f"W has shape {W.shape} and share is {share}; it needs a matrix and a share between 0 and 1")
    energy = np.cumsum(np.linalg.svd(W, compute_uv=False) ** 2)
    return int(np.searchsorted(energy, share * energy[-1], side="right") + 1) if energy.size and energy[-1] else 0


def class_ranks(Z: Real[AnyArray, "n d"], labels: Int[AnyArray, " n"], share: float = 0.95) -> Int[np.ndarray, " classes"]:
    """The numerical rank of the points of every class, in the order of the labels.

    >>> class_ranks(np.eye(3), np.array([0, 0, 1])).tolist()
    [2, 1]
    """
    Z, labels = np.asarray(Z), np.asarray(labels)
    return np.array([numerical_rank(Z[labels == c], share) for c in np.unique(labels)])


def class_cosines(Z: Real[AnyArray, "n d"], labels: Int[AnyArray, " n"]) -> Float[np.ndarray, "classes classes"]:
    """Mean absolute cosine between the points of two classes; orthogonal subspaces have zeros off the diagonal.

    >>> class_cosines(np.eye(2), np.array([0, 1])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    Z, labels = np.asarray(Z, np.float64), np.asarray(labels)
    size = np.linalg.norm(Z, axis=1, keepdims=True)
    Z = Z / np.where(size > 0, size, 1)
    member = (labels[:, None] == np.unique(labels)[None, :]) / 1.0
    member /= member.sum(0)
    return member.T @ np.abs(Z @ Z.T) @ member

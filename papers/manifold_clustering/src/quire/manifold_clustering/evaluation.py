"""Networks judged: labels from the full Gamma, or part by part where there are many points, against the classes."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.metrics.clustering import nmi
from quire.manifold_clustering.config import Study
from quire.manifold_clustering.points import Points
from quire.manifold_clustering.rates import coding_rate, coding_rate_ds
from quire.manifold_clustering.spectral import (
    class_cosines,
    class_ranks,
    clustering_accuracy,
    kmeans_labels,
    num_components,
    numerical_rank,
    spectral_cluster,
)
from quire.manifold_clustering.training import Nets, memberships, outputs

Labeller = Callable[[np.ndarray, jax.Array], np.ndarray]


class Judged(NamedTuple):
    """Networks of all seeds without augmentation: numbers `[seeds]`, features `[seeds, n, d]`, the first part's Gammas."""

    acc: np.ndarray
    nmi: np.ndarray
    components: np.ndarray
    features: np.ndarray
    gammas: np.ndarray


def parts(n: int, size: int) -> list[slice]:
    """Slices of nearly equal length, none longer than `size`.

    >>> [(p.start, p.stop) for p in parts(5, 3)]
    [(0, 2), (2, 5)]
    """
    ends = np.linspace(0, n, -(-n // size) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def scores(labeller: Labeller, x: np.ndarray, points: Points, study: Study, key: jax.Array) -> tuple[float, float]:
    """Accuracy and NMI of labels for the rows of x, averaged over parts of at most `study.evaluated` points."""
    found = []
    for part in parts(len(x), study.evaluated):
        labels, truth = labeller(x[part], key), points.labels[part]
        found.append((clustering_accuracy(truth, labels), nmi(truth, labels)))
    acc, agreement = np.mean(found, axis=0)
    return float(acc), float(agreement)


def kmeans_scores(x: np.ndarray, points: Points, study: Study, key: jax.Array) -> tuple[float, float]:
    """Of k-means, on flattened rows."""
    return scores(lambda rows, key: kmeans_labels(rows, study.k, key), x.reshape(len(x), -1), points, study, key)


def neighbour_graph_labels(x: np.ndarray, k: int, key: jax.Array, neighbours: int = 10) -> np.ndarray:
    """Spectral clustering of raw points by the symmetric graph of nearest neighbours."""
    from sklearn.neighbors import kneighbors_graph

    graph = kneighbors_graph(x.reshape(len(x), -1), neighbours).toarray()
    return spectral_cluster(graph, k, key)


def judge(nets: Nets, points: Sequence[Points], study: Study, keys: jax.Array, *, eta: float | None = None) -> Judged:
    """Spectral clustering of `P(C C^T)` for every seed.

    Args:
        nets: trained.
        points: of every seed.
        study: eta, kernel, clusters.
        keys: for k-means.
        eta: weight of the entropy, in place of the study's.
    """
    features, heads = outputs(nets, np.stack([p.x for p in points]))
    eta, rows, first = study.eta if eta is None else eta, [], None
    for part in parts(features.shape[1], study.evaluated):
        gammas = np.asarray(memberships(jnp.asarray(heads[:, part]), eta, study.kernel))
        first = gammas if first is None else first
        for gamma, p, key in zip(gammas, points, keys, strict=True):
            labels, truth = spectral_cluster(gamma, study.k, key), p.labels[part]
            rows.append((clustering_accuracy(truth, labels), nmi(truth, labels), num_components(gamma)))
    assert first is not None
    means = np.mean(np.reshape(rows, (-1, len(points), 3)), axis=0)
    return Judged(*means.T, features, first)


def geometry(features: np.ndarray, points: Sequence[Points]) -> dict[str, np.ndarray]:
    """Numerical ranks of all features and, on the mean, of a class; mean absolute cosine between classes; `[seeds]` each."""
    found = {"rank": [], "class rank": [], "cosine": []}
    for z, p in zip(features, points, strict=True):
        cosines = class_cosines(z, p.labels)
        found["rank"].append(numerical_rank(z))
        found["class rank"].append(class_ranks(z, p.labels).mean())
        found["cosine"].append(cosines[~np.eye(len(cosines), dtype=bool)].mean())
    return {name: np.array(values, float) for name, values in found.items()}


def rates(judged: Judged, eps_squared: float) -> np.ndarray:
    """R and R_c of the points, `[seeds, 2]`, in nats; of the first part where there are several."""
    Z = judged.features[:, : judged.gammas.shape[1]]
    return np.stack([np.asarray(found) for found in _rates(Z, judged.gammas, np.float32(eps_squared))], axis=1)


@jax.jit
def _rates(Z, gammas, eps_squared):
    each = jax.vmap(lambda z, gamma: (coding_rate(z, eps_squared), coding_rate_ds(z, gamma, eps_squared)))
    return each(Z, gammas)

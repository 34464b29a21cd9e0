"""Motifs: the pair factor of a term as a weighted graph on neurons."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids
from quire.dynamic_connectome.affinity import pairs


def motif_matrix(f_a: Real[AnyArray, " pairs"], n: int, threshold: float = 1e-3) -> Float[np.ndarray, "n n"]:
    """Symmetric weights of the graph of one term; a zero is no edge.

    Args:
        f_a: a column of the pair factor, not negative.
        n: number of neurons.
        threshold: entries below this share of the largest one become 0.

    Raises:
        ValueError: if there is not one number for each pair, one is negative or not finite, or the threshold is not in [0, 1].

    >>> motif_matrix(np.array([2.0, 0.001, 4.0]), 3).tolist()
    [[0.0, 2.0, 0.0], [2.0, 0.0, 4.0], [0.0, 4.0, 0.0]]
    """
    first, second = pairs(n)
    f_a = np.asarray(f_a, float)
    if f_a.shape != first.shape:
        raise ValueError(f"f_a has shape {f_a.shape}; {n} neurons have {len(first)} pairs")
    if not (np.isfinite(f_a) & (f_a >= 0)).all():
        raise ValueError("f_a holds a number that is negative or not finite; a factor holds none")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must lie between 0 and 1")
    w = np.zeros((n, n))
    w[first, second] = np.where(f_a >= threshold * f_a.max(initial=0), f_a, 0)
    return w + w.T


def by_strength(w: Real[AnyArray, "n n"], labels: Int[AnyArray, " n"]) -> Int[np.ndarray, " n"]:
    """Communities numbered by the mean weight inside, the strongest 0; what has no community (-1) keeps none.

    >>> w = np.kron(np.diag([1.0, 3.0]), np.ones((2, 2)) - np.eye(2))
    >>> by_strength(w, np.array([0, 0, 1, 1])).tolist()
    [1, 1, 0, 0]
    """
    labels = np.asarray(labels)
    groups = [group for group in np.unique(labels) if group >= 0]
    strength = [_mean_inside(np.asarray(w)[np.ix_(labels == group, labels == group)]) for group in groups]
    found = np.full(len(labels), -1)
    for rank, place in enumerate(np.argsort(-np.array(strength), kind="stable")):
        found[labels == groups[place]] = rank
    return found


def _mean_inside(w: np.ndarray) -> float:
    return float(w.sum() / max(len(w) * (len(w) - 1), 1))


def silenced(w: Real[AnyArray, "n n"], neurons: Sequence[int] | Int[AnyArray, " _"]) -> Float[np.ndarray, "rest rest"]:
    """The graph without some neurons, as if they had been silenced.

    Raises:
        ValueError: for a neuron that there is not.

    >>> silenced(np.ones((3, 3)) - np.eye(3), [1]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    w = np.asarray(w)
    check_ids("neurons", np.asarray(neurons, int), len(w))
    rest = np.setdiff1d(np.arange(len(w)), np.asarray(neurons, int))
    return w[np.ix_(rest, rest)]


def top_pairs(f_a: Real[AnyArray, " pairs"], names: Sequence[str], count: int = 5) -> list[tuple[str, str]]:
    """Names of the pairs with the largest entries.

    >>> top_pairs(np.array([0.1, 0.7, 0.3]), ["AVA", "AVE", "AIB"], 2)
    [('AVA', 'AIB'), ('AVE', 'AIB')]
    """
    first, second = pairs(len(names))
    order = np.argsort(-np.asarray(f_a), kind="stable")[:count]
    return [(names[first[i]], names[second[i]]) for i in order]

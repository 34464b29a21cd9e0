"""What the pipeline is compared with: communities by modularity, and correlations over all time."""

from collections.abc import Sequence
from functools import reduce
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.random import generator
from quire.dynamic_connectome.affinity import pairs, rates, smoothed

Of = Literal["levels", "rates"]


def louvain(w: Real[AnyArray, "n n"], key: jax.Array) -> Int[np.ndarray, " n"]:
    """Communities by weighted modularity, the method of Louvain (Blondel et al. 2008), as networkx has it.

    Args:
        w: symmetric weights; a zero is no edge.
        key: of the order in which nodes are visited.

    Raises:
        ValueError: if the weights are not square, symmetric, finite and not negative.

    >>> w = np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)
    >>> labels = louvain(w, jax.random.key(0))
    >>> len(set(labels[:3].tolist())), len(set(labels.tolist()))
    (1, 2)
    """
    import networkx as nx

    w = np.asarray(w, float)
    if w.ndim != 2 or w.shape[0] != w.shape[1] or not np.isfinite(w).all() or (w < 0).any() or (w != w.T).any():
        raise ValueError(f"w has shape {w.shape}; it must be square, symmetric, finite and not negative")
    graph = nx.from_numpy_array(w)
    found = nx.community.louvain_communities(graph, weight="weight", seed=int(generator(key).integers(2**31)))
    labels = np.zeros(len(w), int)
    for index, members in enumerate(found):
        labels[list(members)] = index
    return labels


def static_correlation(
    traces: Sequence[Real[AnyArray, "n frames"]], of: Of = "rates", sigma: float = 2.0
) -> Float[np.ndarray, " pairs"]:
    """Correlation of every two neurons over all time, averaged over animals; negative ones become 0.

    Args:
        traces: of the same neurons in each animal.
        of: `levels`, or `rates` of change.
        sigma: of the Gaussian that smooths, in frames.

    Raises:
        ValueError: for no animal, animals with other shapes, or another `of`.

    >>> t = np.linspace(0, 6, 50)
    >>> print(static_correlation([np.stack([np.sin(t), 2 * np.sin(t), -np.sin(t)])], "levels", 0).round(3))
    [1. 0. 0.]
    """
    if of not in ("levels", "rates"):
        raise ValueError(f"of is {of!r}; it must be levels or rates")
    shapes = {np.shape(each) for each in traces}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"traces have shapes {sorted(shapes)}; all animals need the same, [neurons, frames]")

    def of_animal(each):
        x = smoothed(np.asarray(each), sigma)
        x = np.asarray(rates(x)) if of == "rates" else x
        x = x - x.mean(1, keepdims=True)
        size = np.linalg.norm(x, axis=1, keepdims=True)
        x = np.where(size > 0, x / np.where(size > 0, size, 1), 0)
        return x @ x.T

    total = reduce(np.add, map(of_animal, traces))
    return np.maximum(total / len(traces), 0)[pairs(len(total))]

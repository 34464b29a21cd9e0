"""Colour refinement: the 1-dimensional Weisfeiler-Leman test and the folklore 2-dimensional one, on several graphs at once."""

from collections.abc import Sequence

import numpy as np


def _relabelled(signatures: list[np.ndarray]) -> list[np.ndarray]:
    """Rows to integers, equal rows of any graph to equal integers."""
    _, labels = np.unique(np.concatenate(signatures), axis=0, return_inverse=True)
    return np.split(labels.reshape(-1), np.cumsum([len(s) for s in signatures])[:-1])


def _check(graphs: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    graphs = [np.asarray(a) for a in graphs]
    if not graphs:
        raise ValueError("graphs is empty; give at least one")
    for a in graphs:
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"a graph has shape {a.shape}; it needs an adjacency matrix [n, n]")
        if not np.isfinite(a).all():
            raise ValueError("a graph holds weights that are not finite; they cannot be told apart")
    if len({len(a) for a in graphs}) > 1:
        raise ValueError(f"graphs have {sorted({len(a) for a in graphs})} nodes; refine graphs of one size together")
    return graphs


def _until_stable(colors: list[np.ndarray], refine) -> np.ndarray:
    while colors[0].size:
        finer = refine(colors)
        if len(np.unique(np.concatenate(finer))) == len(np.unique(np.concatenate(colors))):
            return np.stack(colors)
        colors = finer
    return np.stack(colors)


def wl1(graphs: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Stable node colours of several graphs of one size, comparable between them.

    A colour is refined by the multiset of weights and colours of the neighbours.

    Args:
        graphs: adjacency matrices `[n, n]`; where a number is not 0, there is an edge of that weight.

    Returns:
        Integers `[graphs, n]`.

    Raises:
        ValueError: if there is no graph, a matrix is not square or finite, or the sizes differ.

    >>> wl1([np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])]).tolist()
    [[0, 1, 0]]
    """
    graphs = _check(graphs)
    n = len(graphs[0])
    weights = [w.reshape(n, n) for w in _relabelled([a.reshape(-1, 1) for a in graphs])]

    def refine(colors):
        count = max(c.max() for c in colors) + 1
        rows = []
        for a, w, c in zip(graphs, weights, colors, strict=True):
            neighbours = np.sort(np.where(a == 0, -1, w * count + c), axis=1)
            rows.append(np.column_stack([c, neighbours]))
        return _relabelled(rows)

    return _until_stable([np.zeros(n, int) for _ in graphs], refine)


def fwl2(graphs: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Stable pair colours by the folklore 2-dimensional test, as strong as 3-WL. Arguments and errors as `wl1`.

    Returns:
        Integers `[graphs, n, n]`.
    """
    graphs = _check(graphs)
    n = len(graphs[0])

    def refine(colors):
        count = max(c.max() for c in colors) + 1
        rows = []
        for c in colors:
            pair = c.reshape(n, n)
            triples = np.sort(pair[:, None, :] * count + pair.T[None, :, :], axis=-1)
            rows.append(np.column_stack([c, triples.reshape(n * n, n)]))
        return _relabelled(rows)

    start = _relabelled([np.column_stack([a.reshape(-1), np.eye(n, dtype=int).reshape(-1)]) for a in graphs])
    return _until_stable(start, refine).reshape(len(graphs), n, n)


def equal_share(colors: np.ndarray) -> float:
    """Share of pairs of graphs with the same multiset of colours.

    Raises:
        ValueError: for fewer than two graphs.
    """
    if len(colors) < 2:
        raise ValueError(f"colors holds {len(colors)} graph; a pair needs 2")
    histograms = np.sort(np.asarray(colors).reshape(len(colors), -1), axis=1)
    pairs = (histograms[:, None] == histograms[None]).all(-1)[np.triu_indices(len(colors), 1)]
    return float(pairs.mean())

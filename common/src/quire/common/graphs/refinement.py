"""Colour refinement: the 1-dimensional Weisfeiler-Leman test and the folklore 2-dimensional one, on several graphs at once."""

from collections.abc import Sequence

import numpy as np


def _relabelled(signatures: list[np.ndarray]) -> list[np.ndarray]:
    """Rows to integers, equal rows of any graph to equal integers."""
    _, labels = np.unique(np.concatenate(signatures), axis=0, return_inverse=True)
    return np.split(labels.reshape(-1), np.cumsum([len(s) for s in signatures])[:-1])


def _check(graphs: Sequence[np.ndarray] | np.ndarray) -> list[np.ndarray]:
    graphs = [np.asarray(a) for a in graphs]
    for a in graphs:
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"a graph has shape {a.shape}; it needs an adjacency matrix [n, n]")
    if len({len(a) for a in graphs}) > 1:
        raise ValueError(f"graphs have {sorted({len(a) for a in graphs})} nodes; refine graphs of one size together")
    return graphs


def _until_stable(colors: list[np.ndarray], refine) -> np.ndarray:
    while True:
        finer = refine(colors)
        if len(np.unique(np.concatenate(finer))) == len(np.unique(np.concatenate(colors))):
            return np.stack(colors)
        colors = finer


def wl1(graphs: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Stable node colours of several graphs of one size, comparable between them.

    Args:
        graphs: adjacency matrices `[n, n]`.

    Returns:
        Integers `[graphs, n]`.

    Raises:
        ValueError: if a matrix is not square or the sizes differ.

    >>> wl1([np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])]).tolist()
    [[0, 1, 0]]
    """
    graphs = _check(graphs)

    def refine(colors):
        count = max(c.max() for c in colors) + 1
        onehot = [np.eye(count, dtype=int)[c] for c in colors]
        return _relabelled([np.column_stack([c, a.astype(int) @ h]) for a, h, c in zip(graphs, onehot, colors, strict=True)])

    return _until_stable([np.zeros(len(a), int) for a in graphs], refine)


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

"""Graphs of nearest neighbours with heat-kernel weights, and the smoothest functions on them (Belkin and Niyogi 2003)."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy.sparse import csr_array, diags_array

from quire.common.checks import check_at_least

ROWS = 1024
"""Distances from so many samples are held at once."""
DENSE = 500
"""Up to so many samples the eigenvectors come from LAPACK, beyond from Lanczos's method."""


class HeatGraph(NamedTuple):
    """Symmetric weights `[n, n]`, sparse, without a diagonal; t, the width of the kernel."""

    weights: csr_array
    t: float


def heat_kernel_graph(x: Real[np.ndarray, "n d"], k: int = 5) -> HeatGraph:
    """Neighbours i, j have the weight `exp(-|x_i - x_j|^2 / (2 t^2))`, with t the mean of all distances.

    Two samples are neighbours if one is among the k + 1 nearest of the other, to which the other itself counts.

    Args:
        x: samples in rows.
        k: neighbours of each, 1 to n - 1.

    Raises:
        ValueError: for a k out of range, numbers that are not finite, or samples that are all equal.

    >>> graph = heat_kernel_graph(np.array([[0.0], [1.0], [3.0]]), 1)
    >>> round(graph.t, 3), graph.weights.toarray().round(2)[0].tolist()
    (1.333, [0.0, 0.75, 0.0])
    """
    from scipy.spatial.distance import cdist

    x = np.asarray(x, float)
    if x.ndim != 2 or not 1 <= k < len(x) or not np.isfinite(x).all():
        raise ValueError(f"x has shape {x.shape} and k is {k}; it needs finite numbers [n, d], and k from 1 to n - 1")
    total, near, squares = 0.0, [], []
    for begin in range(0, len(x), ROWS):
        distance = cdist(x[begin : begin + ROWS], x)
        total += distance.sum()
        near.append(np.argsort(distance, axis=1, kind="stable")[:, : k + 1])
        squares.append(np.take_along_axis(distance, near[-1], axis=1) ** 2)
    t = total / len(x) ** 2
    if not t > 0:
        raise ValueError(f"x has {len(x)} equal rows; a graph of neighbours needs rows that differ")
    columns, weights = np.concatenate(near).ravel(), np.exp(-np.concatenate(squares) / (2 * t**2)).ravel()
    rows = np.repeat(np.arange(len(x)), k + 1)
    apart = rows != columns
    one_way = csr_array((weights[apart], (rows[apart], columns[apart])), shape=(len(x), len(x)))
    return HeatGraph(csr_array(one_way.maximum(one_way.T)), float(t))


class Eigenmap(NamedTuple):
    """Eigenvalues by falling size, the first one 1; and the functions `[n, m]` on the nodes, without the constant one."""

    eigenvalues: Float[np.ndarray, " _"]
    responses: Float[np.ndarray, "n m"]


def laplacian_eigenmap(weights: csr_array, m: int) -> Eigenmap:
    """The m smoothest functions on a graph: `y = D^(-1/2) v` for the top eigenvectors v of `D^(-1/2) W D^(-1/2)`.

    The first, constant, is left out, and so are those of eigenvalues below 1e-6 in size. The entry of largest size of each
    function is positive.

    Args:
        weights: W, symmetric; every node has a neighbour.
        m: functions, 1 to n - 1.

    Raises:
        ValueError: for an m out of range, or a node without neighbours.

    Warns:
        If the graph falls into parts. Then the eigenvalue 1 has several functions, of which one is left out.

    >>> line = csr_array(np.diag([1.0, 1.0, 1.0], 1) + np.diag([1.0, 1.0, 1.0], -1))
    >>> np.abs(laplacian_eigenmap(line, 1).responses).ravel().round(2).tolist()
    [0.58, 0.29, 0.29, 0.58]
    """
    from scipy.sparse.csgraph import connected_components

    n = weights.shape[0]
    if not 1 <= check_at_least("m", m) < n:
        raise ValueError(f"m is {m}; a graph of {n} nodes has 1 to {n - 1} functions beside the constant one")
    degree = np.asarray(weights.sum(axis=1)).ravel()
    if not (degree > 0).all():
        raise ValueError(f"weights has {(~(degree > 0)).sum()} nodes without neighbours; every node needs one")
    if (parts := connected_components(weights, directed=False)[0]) > 1:
        warnings.warn(f"the graph of {n} nodes falls into {parts} parts; more neighbours would join them", stacklevel=2)
    root = diags_array(degree**-0.5)
    values, vectors = _top_eigenvectors(csr_array(root @ weights @ root), m + 1)
    kept = np.abs(values) >= 1e-6
    values, y = values[kept], (vectors[:, kept] / np.sqrt(degree)[:, None])[:, 1:]
    largest = np.take_along_axis(y, np.abs(y).argmax(axis=0)[None], axis=0)
    return Eigenmap(values, y * np.where(largest < 0, -1, 1))


def _top_eigenvectors(matrix: csr_array, count: int) -> tuple[np.ndarray, np.ndarray]:
    n = matrix.shape[0]
    if n <= DENSE or count >= n:
        from scipy.linalg import eigh

        values, vectors = eigh(matrix.toarray(), subset_by_index=[n - count, n - 1])
    else:
        from scipy.sparse.linalg import eigsh

        values, vectors = eigsh(matrix, k=count, which="LA", v0=np.ones(n))
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]

"""Definitions written out in NumPy, for small cases: what the fast forms are checked against."""

import numpy as np


def dense_coboundary(pairs: np.ndarray, maps: np.ndarray, num_nodes: int) -> np.ndarray:
    """`delta`, `[m d, n d]`, from maps `[2 m, d, d]`: block row e holds `-F_i` at node i and `F_j` at node j."""
    m, d = pairs.shape[1], maps.shape[-1]
    delta = np.zeros((m, d, num_nodes, d))
    for e, (i, j) in enumerate(pairs.T):
        delta[e, :, i] -= maps[e]
        delta[e, :, j] += maps[m + e]
    return delta.reshape(m * d, num_nodes * d)


def normalised(laplacian: np.ndarray, d: int) -> np.ndarray:
    """`(D + I)^(-1/2) L (D + I)^(-1/2)` with the block diagonal D of L."""
    blocks = np.zeros_like(laplacian)
    for start in range(0, len(laplacian), d):
        own = slice(start, start + d)
        values, vectors = np.linalg.eigh(laplacian[own, own] + np.eye(d))
        blocks[own, own] = vectors @ np.diag(values**-0.5) @ vectors.T
    return blocks @ laplacian @ blocks


def augmented_graph_laplacian(pairs: np.ndarray, num_nodes: int) -> np.ndarray:
    """`(D + I)^(-1/2) (D - A) (D + I)^(-1/2)` of the graph."""
    adjacency = np.zeros((num_nodes, num_nodes))
    adjacency[pairs[0], pairs[1]] = adjacency[pairs[1], pairs[0]] = 1
    degree = adjacency.sum(1)
    root = (degree + 1) ** -0.5
    return root[:, None] * (np.diag(degree) - adjacency) * root

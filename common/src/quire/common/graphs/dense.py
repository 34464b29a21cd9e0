"""Dense graphs: batches with masks, graph6 files, random graphs, and strongly regular graphs by their constructions."""

from collections.abc import Sequence
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def pad_graphs(graphs: Sequence[np.ndarray], size: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Graphs of different sizes in one batch.

    Args:
        graphs: channel matrices `[C, n_g, n_g]`.
        size: padded size; the largest graph by default.

    Returns:
        `[B, C, size, size]` in the dtype that NumPy promotes all of them to, a mask `[B, 1, size, size]` that is 1 on true pairs,
        and int32 sizes `[B]`.

    Raises:
        ValueError: if there is no graph, one is not square, channels differ, or `size` is too small.
    """
    graphs = [np.asarray(g) for g in graphs]
    if not graphs:
        raise ValueError("graphs is empty; give at least one")
    for g in graphs:
        if g.ndim != 3 or g.shape[1] != g.shape[2] or g.shape[0] != graphs[0].shape[0]:
            raise ValueError(f"a graph has shape {g.shape}; it needs [{graphs[0].shape[0]}, n, n] as the first has")
    sizes = np.array([g.shape[1] for g in graphs], np.int32)
    size = int(sizes.max()) if size is None else size
    if size < sizes.max():
        raise ValueError(f"size is {size}; the largest graph has {sizes.max()} nodes")
    dtype = np.result_type(*graphs)
    Z = np.zeros((len(graphs), graphs[0].shape[0], size, size), dtype)
    mask = np.zeros((len(graphs), 1, size, size), dtype)
    for z, m, g in zip(Z, mask, graphs, strict=True):
        z[:, : g.shape[1], : g.shape[1]] = g
        m[:, : g.shape[1], : g.shape[1]] = 1
    return Z, mask, sizes


def read_graph6(content: bytes) -> list[np.ndarray]:
    """Adjacency matrices of a graph6 file, one graph a line.

    Returns:
        uint8 matrices `[n, n]`.

    Raises:
        ValueError: for a byte outside the format, a graph beyond 258047 nodes, or a line of the wrong length.

    >>> read_graph6(b"Bw")[0].tolist()
    [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    graphs = []
    for number, line in enumerate(content.split(b"\n")):
        line = line.strip().removeprefix(b">>graph6<<")
        if not line:
            continue
        values = np.frombuffer(line, np.uint8).astype(int) - 63
        if values.min() < 0 or values.max() > 63:
            raise ValueError(f"line {number} of the graph6 content holds bytes outside 63..126")
        if values[0] < 63:
            n, body = int(values[0]), values[1:]
        elif len(values) > 4 and values[1] < 63:
            n, body = int(values[1] << 12 | values[2] << 6 | values[3]), values[4:]
        else:
            raise ValueError(f"line {number} of the graph6 content has a size that is cut short or beyond 258047 nodes")
        pairs = n * (n - 1) // 2
        if len(body) != -(-pairs // 6):
            raise ValueError(
                f"line {number} of the graph6 content has {len(body)} bytes for {n} nodes; it needs {-(-pairs // 6)}"
            )
        bits = (body[:, None] >> np.arange(5, -1, -1) & 1).reshape(-1)[:pairs].astype(np.uint8)
        A = np.zeros((n, n), np.uint8)
        columns, rows = np.tril_indices(n, -1)
        A[rows, columns] = A[columns, rows] = bits
        graphs.append(A)
    return graphs


def random_graphs(key: jax.Array, count: int, n: int, low: float = 0.3, high: float = 0.7) -> Float[Array, "count n n"]:
    """Erdos-Renyi graphs, each with its own edge probability, uniform in `[low, high]`.

    Raises:
        ValueError: if the probabilities are out of order or range, or a size is not positive.
    """
    if not 0 <= low <= high <= 1 or min(count, n) < 1:
        raise ValueError(f"count, n, low, high are {count}, {n}, {low}, {high}; sizes must be positive and 0 <= low <= high <= 1")
    first, second = jax.random.split(key)
    p = jax.random.uniform(first, (count, 1, 1), minval=low, maxval=high)
    upper = jnp.triu((jax.random.uniform(second, (count, n, n)) < p).astype(jnp.float32), 1)
    return upper + upper.swapaxes(1, 2)


def rook_4x4() -> np.ndarray:
    """The 4 x 4 rook graph, srg(16, 6, 2, 2): squares in one row or column."""
    cells = np.array([(i, j) for i in range(4) for j in range(4)])
    same = cells[:, None] == cells[None]
    return (same[..., 0] ^ same[..., 1]).astype(np.uint8)


def shrikhande() -> np.ndarray:
    """The Shrikhande graph, srg(16, 6, 2, 2): the torus Z4 x Z4 with steps +-(0,1), +-(1,0), +-(1,1)."""
    cells = np.array([(i, j) for i in range(4) for j in range(4)])
    step = (cells[:, None] - cells[None]) % 4
    steps = [(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)]
    return np.any([(step == s).all(-1) for s in steps], axis=0).astype(np.uint8)


def triangular_8_and_chang() -> list[np.ndarray]:
    """The four srg(28, 12, 6, 4): the triangular graph T(8) and the Chang graphs, T(8) switched at the edges of
    four disjoint pairs, an octagon, and a triangle with a pentagon."""
    pairs = list(combinations(range(8), 2))
    T8 = np.array([[len({*p, *q}) == 3 for q in pairs] for p in pairs]).astype(np.uint8)
    octagon = [(i, (i + 1) % 8) for i in range(8)]
    two_cycles = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 6), (6, 7), (7, 3)]
    graphs = [T8]
    for edges in ([(0, 1), (2, 3), (4, 5), (6, 7)], octagon, two_cycles):
        inside = np.isin(np.arange(28), [pairs.index((min(e), max(e))) for e in edges])
        graphs.append(T8 ^ (inside[:, None] != inside[None]).astype(np.uint8))
    return graphs

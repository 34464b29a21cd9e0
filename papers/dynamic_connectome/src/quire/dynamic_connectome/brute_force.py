"""The definitions, entry by entry in NumPy: what the compiled code is compared with."""

from collections.abc import Sequence
from itertools import combinations_with_replacement
from math import log

import numpy as np
from jaxtyping import Float, Int

from quire.dynamic_connectome.affinity import Kind


def reference_affinity(traces: Float[np.ndarray, "n frames"], dt: float, kind: Kind) -> Float[np.ndarray, "n n frames"]:
    """Affinities neuron by neuron, frame by frame."""
    g = np.gradient(traces, dt, axis=1)
    a = np.zeros((len(g), *g.shape))
    for i, j, t in np.ndindex(a.shape):
        if g[i, t] * g[j, t] > 0:
            sizes = abs(g[i, t]), abs(g[j, t])
            a[i, j, t] = np.sqrt(sizes[0] * sizes[1]) if kind == "geomean" else min(sizes)
    return a


def reference_hals(x: np.ndarray, factors: Sequence[np.ndarray], sweeps: int) -> list[np.ndarray]:
    """Column by column, with explicit unfoldings and Khatri-Rao products."""
    factors = [f.copy() for f in factors]
    for _ in range(sweeps):
        for mode, f in enumerate(factors):
            m, h = _product_and_gram(x, factors, mode)
            for r in range(f.shape[1]):
                f[:, r] = np.maximum(0, (m[:, r] - f @ h[:, r] + f[:, r] * h[r, r]) / max(h[r, r], 1e-12))
    return factors


def reference_mu(x: np.ndarray, factors: Sequence[np.ndarray], sweeps: int, mask: np.ndarray) -> list[np.ndarray]:
    """Masked multiplicative updates with explicit reconstructions."""
    factors = [f.copy() for f in factors]
    for _ in range(sweeps):
        for mode in range(len(factors)):
            now = np.einsum("tr,wr,pr->twp", *factors)
            above, below = (_product_and_gram(mask * y, factors, mode)[0] for y in (x, now))
            factors[mode] = factors[mode] * above / np.maximum(below, 1e-12)
    return factors


def _product_and_gram(x, factors, mode):
    a, b = (f for m, f in enumerate(factors) if m != mode)
    khatri_rao = np.stack([np.kron(a[:, r], b[:, r]) for r in range(a.shape[1])], axis=1)
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1) @ khatri_rao, (a.T @ a) * (b.T @ b)


def partitions(total: int, parts: int) -> int:
    """In how many sums of at most so many positive whole numbers a number can be written, by whole-number recursion."""
    table = [[1] * (parts + 1)] + [[0] * (parts + 1) for _ in range(total)]
    for n in range(1, total + 1):
        for m in range(1, parts + 1):
            table[n][m] = table[n][m - 1] + (table[n - m][m] if n >= m else 0)
    return table[total][parts]


def reference_length(w: Float[np.ndarray, "n n"], b: Int[np.ndarray, " n"], deg_corr: bool) -> dict[str, float]:
    """Terms of the description length, from lists of nodes and edges."""
    n, groups = len(w), sorted(set(b.tolist()))
    edges = [(i, j) for i in range(n) for j in range(i + 1, n) if w[i, j] > 0]
    inside = {pair: [] for pair in combinations_with_replacement(groups, 2)}
    for i, j in edges:
        first, second = sorted((int(b[i]), int(b[j])))
        inside[first, second].append(w[i, j])
    degree = [sum(bool(w[i, j] > 0) for j in range(n)) for i in range(n)]
    members = {r: [i for i in range(n) if b[i] == r] for r in groups}
    ends = {r: sum(degree[i] for i in members[r]) for r in groups}
    adjacency = -sum(ln_factorial(len(found)) + (len(found) * log(2) if r == s else 0) for (r, s), found in inside.items())
    degrees = 0.0
    if deg_corr:
        adjacency += sum(ln_factorial(e) for e in ends.values()) - sum(ln_factorial(k) for k in degree)
        for r, nodes in members.items():
            counts = [sum(degree[i] == k for i in nodes) for k in range(n)]
            degrees += log(partitions(ends[r], len(nodes))) + ln_factorial(len(nodes)) - sum(map(ln_factorial, counts))
    else:
        adjacency += sum(ends[r] * log(len(nodes)) for r, nodes in members.items())
    cells = len(groups) * (len(groups) + 1) // 2
    sizes = sum(ln_factorial(len(nodes)) for nodes in members.values())
    return {
        "adjacency": adjacency,
        "partition": ln_choose(n - 1, len(groups) - 1) + ln_factorial(n) - sizes + log(n),
        "edges": ln_choose(cells + len(edges) - 1, len(edges)),
        "degrees": degrees,
        "weights": sum(_exponential(len(found), sum(found)) for found in inside.values()),
        "weight_sums": _exponential(sum(bool(found) for found in inside.values()), sum(w[i, j] for i, j in edges)),
    }


def _exponential(count: int, total: float) -> float:
    return (count - 1) * log(total) - ln_factorial(count - 1) if count > 1 else 0.0


def ln_factorial(n: int) -> float:
    """`ln n!`, factor by factor."""
    return sum(log(k) for k in range(2, n + 1))


def ln_choose(n: int, k: int) -> float:
    """`ln C(n, k)`."""
    return ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)

"""The definitions, point by point and kernel by kernel in NumPy and float64, to compare the fast forms with."""

import math
from typing import Any

import numpy as np

from quire.common.fields.hash_grid import PRIMES, HashLevels

SCALARS = {
    "ivq": lambda q: 1 / (1 + q),
    "ivmq": lambda q: (1 + q) ** -0.5,
    "gauss": lambda q: math.exp(-q / 2),
    "sgauss2": lambda q: math.exp(-(q**2) / 4),
    "nsgauss2": lambda q: math.exp(-(q / 2)) ** 2,
    "markov": lambda q: math.exp(-math.sqrt(q)),
    "expsin": lambda q: math.exp(-math.sin(math.sqrt(q))),
    "mqd": lambda q: math.sqrt(1 + q),
    "qd": lambda q: 1 + q,
    "phs1": math.sqrt,
    "phs3": lambda q: q**1.5,
    "vep": lambda q: 1 - q,
    "ivd": lambda q: 1 / (math.sqrt(q) + 1e-10),
    "ivc": lambda q: 1 / (q**1.5 + 1e-30),
}


def response(kind: str, x: np.ndarray, center: np.ndarray, shape: np.ndarray) -> float:
    """One basis at one point `[d]`, its shape as a full matrix or a factor."""
    name, _ = kind.split("_")
    offset = [float(a - b) for a, b in zip(x, center, strict=True)]
    dim = range(len(offset))
    if name == "nlin":
        heights = [1 - abs(sum(shape[e][d] * offset[d] for d in dim)) for e in dim]
        return math.prod(min(max(h, 0.0), 1.0) for h in heights)
    return SCALARS[name](sum(offset[i] * shape[i][j] * offset[j] for i in dim for j in dim))


def full_shape(kind: str, shape: np.ndarray, dim: int) -> np.ndarray:
    """A number or a diagonal as a matrix."""
    return np.asarray(shape) if kind[-1] in "af" else np.diag(np.broadcast_to(shape, dim))


def grid_features(table: np.ndarray, point: np.ndarray, levels: HashLevels) -> list[float]:
    """Linear interpolation at one point of the unit cube, level by level, with Python's integers."""
    features: list[float] = []
    for scale, side, rows, start in zip(levels.scales, levels.sides, levels.entries, levels.offsets[:-1], strict=True):
        cell = [math.floor(c * scale) for c in point]
        rest = [c * scale - i for c, i in zip(point, cell, strict=True)]
        total = np.zeros(table.shape[1])
        for corner in range(2 ** len(cell)):
            bits = [corner >> axis & 1 for axis in range(len(cell))]
            node = [i + b for i, b in zip(cell, bits, strict=True)]
            weight = math.prod(f if b else 1 - f for f, b in zip(rest, bits, strict=True))
            if side ** len(cell) <= rows:
                row = sum(i * side**axis for axis, i in enumerate(node))
            else:
                row = 0
                for i, prime in zip(node, PRIMES, strict=False):
                    row ^= i * prime % 2**32
            total += weight * table[start + row % rows]
        features += total.tolist()
    return features


def field(weights: dict[str, Any], kind: str, k: int, levels: HashLevels, x: np.ndarray, cmax: np.ndarray) -> np.ndarray:
    """`f(x)` `[n, out]`: neighbours by sorting, sums one by one.

    `weights` holds `centers`, `shapes`, `rbf`, `grid`, `bias`, `nu`, `mu`, and `layers` as pairs of `[in, out]` and `[out]`.
    """
    out = []
    for point in np.asarray(x, float):
        order = sorted(range(len(weights["centers"])), key=lambda i: (sum((point - weights["centers"][i]) ** 2), i))[:k]
        dim = len(point)
        phi = [response(kind, point, weights["centers"][i], full_shape(kind, weights["shapes"][i], dim)) for i in order]
        total = sum(phi) + 1e-8
        rbf = [
            sum(weights["rbf"][i][c] * math.sin(p / total * nu) for i, p in zip(order, phi, strict=True))
            for c, nu in enumerate(weights["nu"])
        ]
        h = np.array(grid_features(weights["grid"], (point / cmax + 1) / 2, levels) + rbf) + weights["bias"]
        (w0, b0), (w1, b1), (w2, b2) = weights["layers"]
        h = h @ w0 + b0
        h = h + np.sin(h * weights["mu"])
        h = np.maximum(h @ w1 + b1, 0)
        out.append(h @ w2 + b2)
    return np.array(out)


def lloyd(
    points: np.ndarray, weights: np.ndarray, centers: np.ndarray, iters: int, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and covariances over alpha of weighted k-means, point by point."""
    centers = np.array(centers, float)

    def members() -> list[list[int]]:
        found: list[list[int]] = [[] for _ in centers]
        for i, point in enumerate(points):
            if weights[i] > 0:
                found[int(np.argmin([sum((point - c) ** 2) for c in centers]))].append(i)
        return found

    for _ in range(iters):
        for j, rows in enumerate(members()):
            if rows:
                centers[j] = sum(weights[i] * points[i] for i in rows) / sum(weights[i] for i in rows)
    covariances = [1e-10 * np.eye(points.shape[1])] * len(centers)
    for j, rows in enumerate(members()):
        if rows:
            outer = sum(weights[i] * np.outer(points[i] - centers[j], points[i] - centers[j]) for i in rows)
            covariances[j] = outer / sum(weights[i] for i in rows) / alpha
    return centers, np.array(covariances)

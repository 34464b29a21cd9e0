"""The definitions, point by point and grid by grid in NumPy and float64, to compare the fast forms with."""

import itertools
import math

import numpy as np


def weight(x: np.ndarray, center: np.ndarray, scale: float) -> float:
    """Of one grid at one point."""
    return max(0.0, 1 - max(abs(a - b) / scale for a, b in zip(x, center, strict=True)))


def interpolation(values: np.ndarray, u: np.ndarray) -> float:
    """Of one grid `[k, k, k]` at one place of `[-1, 1]^3`."""
    k = len(values)
    cells, fractions = [], []
    for c in u:
        position = (c + 1) / 2 * (k - 1)
        cells.append(min(max(math.floor(position), 0), k - 2))
        fractions.append(position - cells[-1])
    total = 0.0
    for corner in itertools.product((0, 1), repeat=3):
        share = math.prod(f if b else 1 - f for f, b in zip(fractions, corner, strict=True))
        total += share * values[tuple(c + b for c, b in zip(cells, corner, strict=True))]
    return total


def field(centers: np.ndarray, scales: np.ndarray, values: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values `[m]`, zero where no cube covers a point, and where one does."""
    found, covered = [], []
    for point in np.asarray(x, float):
        weights = [weight(point, c, float(s)) for c, s in zip(centers, scales, strict=True)]
        total = sum(weights)
        covered.append(total > 0)
        parts = [
            w * interpolation(v, (point - c) / s) for w, c, s, v in zip(weights, centers, scales, values, strict=True) if w > 0
        ]
        found.append(sum(parts) / total if total > 0 else 0.0)
    return np.array(found), np.array(covered)

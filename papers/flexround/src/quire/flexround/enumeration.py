"""The best rounding of a handful of weights, by trying all of them; NumPy, float64."""

from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

MOST = 4**10
"""Roundings that are tried at most."""


class Rounding(NamedTuple):
    """Codes `[n]`, and their error `d^T C d` with `d = s (codes - z) - w`."""

    codes: np.ndarray
    error: float


def rounding_error(w: np.ndarray, codes: np.ndarray, cov: np.ndarray, scale: float, zero: float) -> float:
    """`d^T C d` with `d = s (codes - z) - w`: the squared error of the output for inputs with second moments C.

    >>> round(rounding_error(np.array([0.2, 0.9]), np.array([0, 1]), np.eye(2), 1.0, 0.0), 6)
    0.05
    """
    d = scale * (np.asarray(codes, float) - zero) - np.asarray(w, float)
    return float(d @ cov @ d)


def best_rounding(w: np.ndarray, cov: Float[np.ndarray, "n n"], scale: float, zero: float, bits: int) -> Rounding:
    """The best of all `2^(bits n)` codes.

    Raises:
        ValueError: if they are too many to try.

    >>> best_rounding(np.array([0.4, 0.4]), np.array([[1.0, 0.9], [0.9, 1.0]]), 1.0, 0.0, 1).codes.tolist()
    [0.0, 1.0]
    """
    return _best(w, cov, scale, zero, [range(2**bits)] * len(w))


def best_neighbour(w: np.ndarray, cov: Float[np.ndarray, "n n"], scale: float, zero: float, bits: int) -> Rounding:
    """The best of rounding every weight down or up: what AdaRound could reach.

    Raises:
        ValueError: if they are too many to try.
    """
    down = np.floor(np.asarray(w, float) / scale) + zero
    choices = [sorted({float(np.clip(code, 0, 2**bits - 1)) for code in (d, d + 1)}) for d in down]
    return _best(w, cov, scale, zero, choices)


def nearest_rounding(w: np.ndarray, cov: Float[np.ndarray, "n n"], scale: float, zero: float, bits: int) -> Rounding:
    """Every weight to its nearest code."""
    codes = np.clip(np.round(np.asarray(w, float) / scale) + zero, 0, 2**bits - 1)
    return Rounding(codes, rounding_error(w, codes, cov, scale, zero))


def _best(w, cov, scale, zero, choices) -> Rounding:
    count = np.prod([len(choice) for choice in choices], dtype=float)
    if count > MOST:
        raise ValueError(f"w has {len(w)} weights with {count:.0f} roundings; {MOST} can be tried")
    codes = np.array(list(product(*choices)), float)
    d = scale * (codes - zero) - np.asarray(w, float)
    errors = np.einsum("ki,ij,kj->k", d, np.asarray(cov, float), d)
    best = int(errors.argmin())
    return Rounding(codes[best], float(errors[best]))

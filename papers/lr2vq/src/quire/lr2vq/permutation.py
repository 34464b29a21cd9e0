"""Permute, quantise, fine-tune (Martinez et al. 2021), the rival that reorders input channels before cutting rows; a short form.

Rows that vary together quantise well: of two orders the better one has the smaller determinant of the covariance of its rows.
The authors search by greedy assignment to buckets and then by random swaps; here it is swaps alone.
"""

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least
from quire.common.random import generator

FLOOR = 1e-9
"""Added to the covariance, relative to its mean variance: a determinant of fewer rows than numbers would be zero."""


def log_determinant(s: Float[np.ndarray, "n m"]) -> float:
    """Logarithm of the determinant of the covariance of rows.

    >>> rows = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> print(f"{abs(log_determinant(rows)):.3f}")
    0.000
    """
    covariance = np.cov(s, rowvar=False, bias=True).reshape(s.shape[1], s.shape[1])
    ridge = FLOOR * np.trace(covariance) / len(covariance) + np.finfo(float).tiny
    return float(np.linalg.slogdet(covariance + ridge * np.eye(len(covariance)))[1])


def channel_order(w: Float[np.ndarray, "out in"], m: int, key: jax.Array, *, swaps: int = 300) -> Int[np.ndarray, " in"]:
    """An order of the input channels with a smaller determinant, by accepting every random swap that lowers it.

    The network stays the same if the layer before puts out its channels in this order.

    Args:
        w: weights of a linear map.
        m: length of the rows, a divisor of `in`.
        key: for the swaps.
        swaps: tried.

    Raises:
        ValueError: if m does not divide `in`, or there are no weights that vary.

    >>> w = np.random.default_rng(0).normal(size=(16, 8))
    >>> order = channel_order(w, 4, jax.random.key(0))
    >>> log_determinant(w[:, order].reshape(-1, 4)) <= log_determinant(w.reshape(-1, 4))
    True
    """
    w = np.asarray(w, float)
    check_at_least("swaps", swaps, 0)
    if w.ndim != 2 or (check_at_least("m", m) and w.shape[1] % m) or not np.isfinite(w).all():
        raise ValueError(f"w has shape {w.shape} and m is {m}; it needs finite weights [out, in], and m must divide in")
    draw, order = generator(key), np.arange(w.shape[1])
    best = log_determinant(w.reshape(-1, m))
    for _ in range(swaps):
        i, j = draw.choice(len(order), 2, replace=False) if len(order) > 1 else (0, 0)
        trial = order.copy()
        trial[[i, j]] = order[[j, i]]
        found = log_determinant(w[:, trial].reshape(-1, m))
        if found < best:
            order, best = trial, found
    return order

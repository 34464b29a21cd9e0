"""Rank correlation."""

import numpy as np


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rho, ties at their mean rank; NaN where one side is constant or holds a NaN.

    Args:
        x, y: numbers `[n]`, n at least 2.

    Raises:
        ValueError: if lengths differ or are below 2.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0]))
    1.0
    """
    from scipy.stats import rankdata

    x, y = (z.astype(float) if z.dtype == bool else z for z in map(np.asarray, (x, y)))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"x and y have shapes {x.shape} and {y.shape}; they need one length of at least 2")
    if np.isnan(x).any() or np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(np.corrcoef(rankdata(x), rankdata(y))[0, 1], -1, 1))

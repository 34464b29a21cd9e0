"""Invariant causal prediction: subsets whose residuals look alike in all environments, tested on samples (Peters et al. 2016)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from quire.common.checks import check_finite
from quire.pac_invariance.subsets import check_subsets


class ICP(NamedTuple):
    """What the tests say.

    Attributes:
        p_values: of the hypothesis that a subset is invariant, corrected for the number of tests, `[s]`.
        accepted: subsets that are not rejected, `[s]`.
        causes: covariates that all accepted subsets have, `[d]`; none if none is accepted, or if the empty set is.
    """

    p_values: Float[np.ndarray, " s"]
    accepted: Bool[np.ndarray, " s"]
    causes: Bool[np.ndarray, " d"]


def icp(x: Real[np.ndarray, "e n d"], y: Real[np.ndarray, "e n"], subsets: Int[np.ndarray, "s q"], *, alpha: float = 0.05) -> ICP:
    """Test every subset, and the empty one: do residuals of pooled least squares have one mean and one variance?

    Each environment is compared with all others together, by Welch's t-test and by the F-test of variances; the smallest p-value
    counts, times the number of tests (Bonferroni).

    Args:
        x, y: samples of at least two environments, at least 2 each; an intercept is fitted.
        subsets: see `quire.pac_invariance.subsets.all_subsets`.
        alpha: level.

    Raises:
        ValueError: for fewer environments or samples, numbers that are not finite, or a level that is not between 0 and 1.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 3 or y.shape != x.shape[:2] or len(x) < 2 or x.shape[1] < 2:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}; they need [e, n, d] and [e, n], e and n at least 2")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    check_finite("x", x)
    check_finite("y", y)
    check_subsets(subsets, x.shape[2])
    x, y = x - x.mean((0, 1)), y - y.mean()
    p_values = np.array([_p_value(y - x[..., chosen] @ _least_squares(x[..., chosen], y)) for chosen in map(_members, subsets)])
    accepted = p_values > alpha
    member = np.array([np.isin(np.arange(x.shape[2]), chosen) for chosen in subsets])
    empty = _p_value(y) > alpha
    found = bool(accepted.any()) and not empty
    causes = np.all(member[accepted], axis=0) & np.full(x.shape[2], found)
    return ICP(p_values, accepted, causes)


def _members(subset: Int[np.ndarray, " q"]) -> Int[np.ndarray, " k"]:
    return subset[subset >= 0]


def _least_squares(x: Float[np.ndarray, "e n k"], y: Float[np.ndarray, "e n"]) -> Float[np.ndarray, " k"]:
    rows = x.reshape(-1, x.shape[-1])
    return np.linalg.pinv(rows.T @ rows, hermitian=True) @ (rows.T @ y.ravel())


def _p_value(residuals: Float[np.ndarray, "e n"]) -> float:
    """Of the smallest of all tests, corrected; from sums alone."""
    from scipy.special import fdtr, fdtrc, stdtr  # scipy.stats would take a second to import

    e, n = residuals.shape
    mean, var = residuals.mean(1), residuals.var(1, ddof=1)
    rest = n * (e - 1)
    rest_mean = (residuals.sum() - n * mean) / rest
    rest_var = ((residuals**2).sum() - (residuals**2).sum(1) - rest * rest_mean**2) / (rest - 1)
    tiny = np.finfo(float).tiny
    a, b = np.maximum(var / n, tiny), np.maximum(rest_var / rest, tiny)
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (rest - 1))
    by_mean = 2 * stdtr(freedom, -np.abs(mean - rest_mean) / np.sqrt(a + b))
    ratio = (a * n) / (b * rest)
    by_variance = 2 * np.minimum(fdtr(n - 1, rest - 1, ratio), fdtrc(n - 1, rest - 1, ratio))
    return float(min(1.0, 2 * e * min(by_mean.min(), by_variance.min())))

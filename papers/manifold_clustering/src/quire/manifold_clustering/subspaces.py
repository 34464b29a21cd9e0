"""Subspace clustering, the last step of rivals: every point as a combination of few others, and the graph of their weights."""

import numpy as np
from jaxtyping import Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_finite, check_positive


def ssc_omp(Z: Real[AnyArray, "n d"], k_max: int = 10, eps: float = 1e-6) -> Float[np.ndarray, "n n"]:
    """Affinities `|c_ij| + |c_ji|` by orthogonal matching pursuit: point i as a combination of at most k_max others.

    Args:
        Z: points in rows.
        k_max: how many others.
        eps: length of the residual at which a point is done.

    Raises:
        ValueError: for fewer than two points, numbers that are not finite, a k_max below 1 or an eps that is not positive.

    >>> ssc_omp(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]), 1).round(2)[0].tolist()
    [0.0, 2.5, 0.0, 0.0]
    """
    check_at_least("k_max", k_max)
    check_positive("eps", eps)
    Z = _checked(Z)
    n = len(Z)
    size = np.linalg.norm(Z, axis=1)
    directions = Z / np.where(size > 0, size, 1)[:, None]
    everyone, chosen = np.arange(n), np.empty((n, 0), int)
    weights, residual = np.zeros((n, n)), Z
    for _ in range(min(k_max, n - 1)):
        scores = np.abs(residual @ directions.T)
        scores[everyone, everyone] = -1
        np.put_along_axis(scores, chosen, -1, axis=1)
        chosen = np.concatenate([chosen, scores.argmax(1)[:, None]], axis=1)
        atoms = Z[chosen]  # [n, t, d]
        found = np.einsum("nd,ndt->nt", Z, np.linalg.pinv(atoms))
        unfinished = np.linalg.norm(residual, axis=1) > eps
        rows = everyone[unfinished]
        weights[rows[:, None], chosen[rows]] = found[rows]
        residual = np.where(unfinished[:, None], Z - np.einsum("nt,ntd->nd", found, atoms), residual)
        if not unfinished.any():
            break
    return np.abs(weights) + np.abs(weights).T


def ensc(Z: Real[AnyArray, "n d"], gamma: float = 10.0, tau: float = 0.9) -> Float[np.ndarray, "n n"]:
    """Affinities by the elastic net: c_i minimises `tau |c|_1 + (1 - tau)/2 |c|^2 + gamma/2 |z_i - Z^T c|^2` over the others.

    Args:
        Z: points in rows.
        gamma: weight of the residual.
        tau: share of the l1 norm, in (0, 1].

    Raises:
        ValueError: for fewer than two points, numbers that are not finite, or weights out of range.

    >>> ensc(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).round(2)[0].tolist()
    [0.0, 1.8, 0.0, 0.0]
    """
    from sklearn.linear_model import ElasticNet

    check_positive("gamma", gamma)
    if not 0 < tau <= 1:
        raise ValueError(f"tau is {tau}; it must lie in (0, 1]")
    Z = _checked(Z)
    n, d = Z.shape
    weights = np.zeros((n, n))
    # scikit-learn divides the residual by 2 d
    model = ElasticNet(alpha=1 / (gamma * d), l1_ratio=tau, fit_intercept=False, max_iter=10_000)
    for i in range(n):
        others = np.array(Z.T, order="F")
        others[:, i] = 0  # no point explains itself
        weights[i] = model.fit(others, Z[i]).coef_
    return np.abs(weights) + np.abs(weights).T


def _checked(Z):
    Z = np.array(Z, np.float64)
    if Z.ndim != 2 or len(Z) < 2 or not Z.shape[1]:
        raise ValueError(f"Z has shape {Z.shape}; points explain each other, which needs two of them, with features")
    check_finite("Z", Z)
    return Z

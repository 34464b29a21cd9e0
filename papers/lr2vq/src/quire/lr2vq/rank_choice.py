"""How many numbers a representation needs: what is lost to the rank against what is lost to clustering."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least
from quire.common.quant.codebooks import kmeans
from quire.common.quant.subvectors import to_subvectors
from quire.lr2vq.low_rank import low_rank_svd


def expected_clustering_error(rows: Real[Array | np.ndarray, "n d"], k: int) -> float:
    """`k^(-2/d)` times the total variance of the rows: the law of quantisation at high resolution.

    Raises:
        ValueError: for k below 1 or no row.

    >>> expected_clustering_error(np.array([[1.0, 1.0], [-1.0, -1.0]]), 4)
    0.5
    """
    check_at_least("k", k)
    check_at_least("number of rows", len(rows))
    rows = np.asarray(rows, float)
    return float(k ** (-2 / rows.shape[1]) * rows.var(axis=0).sum())


def estimate_dim(accuracy: Mapping[int, float], drop: Mapping[int, float], *, tolerance: float = 0.0) -> int:
    """The d of the best `accuracy - drop`; of those within the tolerance, the smallest.

    Args:
        accuracy: of low-rank networks, by d.
        drop: of the accuracy by clustering, or any estimate of it in the same units, by d.
        tolerance: how much a smaller d may lose.

    Raises:
        ValueError: if both have not the same d, or none.

    >>> estimate_dim({1: 0.5, 4: 0.9, 16: 0.95}, {1: 0.1, 4: 0.3, 16: 0.4})
    4
    """
    if not accuracy or set(accuracy) != set(drop):
        raise ValueError(f"accuracy has {sorted(accuracy)} and drop {sorted(drop)}; they need the same, at least one")
    score = {d: accuracy[d] - drop[d] for d in sorted(accuracy)}
    best = max(score.values())
    return next(d for d, value in score.items() if value >= best - tolerance)


def post_hoc_errors(
    w: Real[Array | np.ndarray, "..."], m: int, k: int, dims: tuple[int, ...], key: jax.Array
) -> dict[str, Float[np.ndarray, " dims"]]:
    """Errors of a trained weight by d: what the rank leaves out, what clustering adds, relative to its square.

    For weights that are given, their sum falls with d up to the luck of Lloyd: only training with low rank makes a small d pay.

    >>> found = post_hoc_errors(np.eye(4), 2, 2, (1, 2), jax.random.key(0))
    >>> found["low rank"].round(2).tolist()
    [0.5, 0.0]
    """
    s = to_subvectors(w, m)
    total = float((s**2).sum())
    low_rank, clustering = [], []
    for d in dims:
        factors = low_rank_svd(s, d)
        low_rank.append(float(((s - factors.rows @ factors.basis) ** 2).sum()) / total)
        clustering.append(float(kmeans(factors.rows, k, key=key).inertia) / total)
    return {"low rank": np.array(low_rank), "clustering": np.array(clustering)}

"""Representational similarity analysis: whether two representations find the same inputs alike."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_finite
from quire.common.metrics.rank_correlation import spearman

Metric = Literal["euclidean", "correlation"]


def rdm(rep: Real[AnyArray, "n d"], metric: Metric = "euclidean") -> Float[np.ndarray, "n n"]:
    """Dissimilarity matrix of inputs.

    Args:
        rep: representations, one input a row.
        metric: `"euclidean"` distance, or `"correlation"`: 1 minus Pearson's correlation of two rows over the units.

    Returns:
        Symmetric, zero on the diagonal; float64.

    Raises:
        ValueError: for fewer than two rows, an unknown metric, numbers that are not finite, or with `"correlation"` a row that
            is constant over the units.

    >>> rdm(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    from scipy.spatial.distance import squareform

    return squareform(_distances("rep", rep, metric))


def rsa(rep_a: Real[AnyArray, "n d"], rep_b: Real[AnyArray, "n e"], metric: Metric = "euclidean") -> float:
    """Spearman's correlation of the dissimilarities of all pairs of inputs in two representations.

    Args:
        rep_a, rep_b: representations of the same inputs, row by row.
        metric: see `rdm`.

    Returns:
        Between -1 and 1; NaN where all dissimilarities of one side are equal.

    Raises:
        ValueError: as `rdm`; if the numbers of rows differ, or are below 3.

    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> rsa(x, 2 * x)
    1.0
    """
    if len(rep_a) != len(rep_b) or len(rep_a) < 3:
        raise ValueError(f"rep_a has {len(rep_a)} rows and rep_b {len(rep_b)}; they need the same inputs, at least 3")
    return spearman(_distances("rep_a", rep_a, metric), _distances("rep_b", rep_b, metric))


def rsa_matrix(reps: Real[AnyArray, "models n d"], metric: Metric = "euclidean") -> Float[np.ndarray, "models models"]:
    """`rsa` of all pairs of models; dissimilarities of each are computed once.

    Raises:
        ValueError: as `rsa`.
    """
    from scipy.stats import rankdata

    if reps.ndim != 3 or reps.shape[1] < 3:
        raise ValueError(f"reps has shape {reps.shape}; it needs [models, n, d] with at least 3 inputs")
    ranks = np.stack([rankdata(_distances("reps", rep, metric)) for rep in np.asarray(reps)])
    return np.corrcoef(ranks).reshape(len(ranks), len(ranks))


def _distances(name: str, rep: AnyArray, metric: str) -> np.ndarray:
    """Of all pairs of rows, in order of the upper triangle."""
    from scipy.spatial.distance import pdist

    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}; it must be one of {', '.join(get_args(Metric))}")
    if rep.ndim != 2 or len(rep) < 2 or rep.shape[1] < 1:
        raise ValueError(f"{name} has shape {rep.shape}; it needs at least 2 rows and 1 unit")
    check_finite(name, rep)
    rows = np.asarray(at_least_float32(rep)[0], np.float64)
    if metric == "correlation" and (constant := np.flatnonzero(np.ptp(rows, axis=1) == 0)).size:
        raise ValueError(f"row {constant[0]} of {name} is constant over the units; it correlates with nothing")
    return pdist(rows, metric)  # ty: ignore[no-matching-overload]  # the metric is one of its names, as just seen

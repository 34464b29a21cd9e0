"""What principal components keep of each feature."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_positive
from quire.common.metrics.pca import PrincipalAxes, principal_axes


def components(rep: Real[AnyArray, "n d"], k: int | None = None) -> tuple[PrincipalAxes, Float[np.ndarray, " k"]]:
    """Principal axes of a representation, all by default, and the share of its variance along each.

    Raises:
        ValueError: as `principal_axes`; for a representation without variance.
    """
    (rep,) = (np.asarray(x) for x in at_least_float32(rep))
    axes = principal_axes(rep, min(rep.shape) if k is None else k)
    total = rep.var(0, ddof=1).sum()
    if not total > 0:
        raise ValueError("rep is constant; it has no principal axes")
    return axes, axes.variance / total


def pca_decode(
    rep_fit: Real[AnyArray, "n_fit d"],
    feat_fit: Real[AnyArray, "n_fit m"],
    rep_test: Real[AnyArray, "n_test d"],
    feat_test: Real[AnyArray, "n_test m"],
    ks: Sequence[int],
) -> Float[np.ndarray, "ks m"]:
    """R2 of each feature, decoded from the first k principal components by least squares with an intercept.

    Components and regression come from the rows to fit. The error on the test rows is divided by the variance of the feature
    there, about its mean there.

    Args:
        rep_fit, rep_test: representations, one example a row.
        feat_fit, feat_test: numbers; a feature of two classes as 0 and 1.
        ks: numbers of components.

    Returns:
        In the precision of the arrays, at least float32.

    Raises:
        ValueError: without a k, or for one out of range; for shapes that do not fit, or a feature that is constant on the test
            rows.

    >>> f = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 2)
    >>> pca_decode(f * np.array([3.0, 1.0]), f, f * np.array([3.0, 1.0]), f, [1, 2]).round(4).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    shapes = [x.shape for x in (rep_fit, feat_fit, rep_test, feat_test)]
    if any(len(s) != 2 for s in shapes) or shapes[0][1] != shapes[2][1] or shapes[1][1] != shapes[3][1]:
        raise ValueError(f"rep_fit, feat_fit, rep_test, feat_test have shapes {shapes}; each needs rows, with equal columns")
    if shapes[0][0] != shapes[1][0] or shapes[2][0] != shapes[3][0]:
        raise ValueError(f"rep_fit, feat_fit, rep_test, feat_test have shapes {shapes}; features need the rows of their rep")
    check_at_least("number of ks", len(ks))
    rep_fit, feat_fit, rep_test, feat_test = map(np.asarray, at_least_float32(rep_fit, feat_fit, rep_test, feat_test))
    axes = principal_axes(rep_fit, max(ks))
    z, z_test = axes.project(rep_fit), axes.project(rep_test)
    spread = np.sum((feat_test - feat_test.mean(0)) ** 2, axis=0)
    if not (spread > 0).all():
        raise ValueError(f"feature {int(np.argmin(spread > 0))} is constant on the test rows; its R2 has no meaning")
    mean = feat_fit.mean(0)  # coordinates along the axes have mean 0, so that the intercept is this
    found = []
    for k in ks:
        check_at_least("k", k)
        weights, *_ = np.linalg.lstsq(z[:, :k], feat_fit - mean)
        found.append(1 - np.sum((z_test[:, :k] @ weights + mean - feat_test) ** 2, axis=0) / spread)
    return np.stack(found)


def dense_units(shares: Real[AnyArray, "m d"], threshold: float = 0.1) -> Float[np.ndarray, " m"]:
    """Share of the units in which each feature explains more than `threshold` of the variance: how densely it is represented.

    Raises:
        ValueError: for a threshold that is not positive, or no unit.
    """
    check_positive("threshold", threshold)
    check_at_least("number of units", shares.shape[1])
    return (np.asarray(shares) > threshold).mean(1)

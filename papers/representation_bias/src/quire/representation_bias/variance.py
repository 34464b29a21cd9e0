"""How much of the variance of a representation each feature explains."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_ids, check_positive, is_concrete

Reduction = Literal["pooled", "ratio"]
Rows = Real[AnyArray, "n d"]


class _Fit(NamedTuple):
    """Regressions on one feature each, and what they are tested on: weights `[m, k, d]`, columns `[n, m, k]`, rows `[n, d]`."""

    weights: Array
    columns: Array
    rep: Array


def variance_explained(
    rep_fit: Real[AnyArray, "n_fit d"],
    feat_fit: Real[AnyArray, "n_fit m"],
    rep_test: Real[AnyArray, "n_test d"],
    feat_test: Real[AnyArray, "n_test m"],
    *,
    num_classes: int | None = None,
    denom: float | Array | None = None,
    reduction: Reduction = "pooled",
) -> Float[Array, " m"]:
    """Share of the variance of a representation that each feature explains by itself, on examples that were not fitted.

    With `W_f = argmin_W E_V |W f(I) - phi(I)|^2` on the examples V to fit,

        R2_f = 1 - E_T |W_f f - phi|^2 / E_T |phi|^2

    on the test examples T, both sides centred with the means of V. It may be negative, and is not clipped. The squares need no
    residual: the numerator is a quadratic form in `W_f`, whose matrices are one product `[m, n] [n, d]` each.

    Args:
        rep_fit, rep_test: representations, one example a row.
        feat_fit, feat_test: numbers, or with `num_classes` classes.
        num_classes: features are classes 0 to `num_classes - 1`, and predict what their one-hot vectors do: the mean of a class.
        denom: `E_T |phi|^2` of another representation to divide by: that of the trained network, for curves over training.
            Where it is given, the numerator is `E_T |phi|^2 - E_T |W_f f - phi|^2`, which grows with the representation.
        reduction: `"pooled"` is the above; `"ratio"` the mean of `1 - |W_f f - phi|^2 / |phi|^2` over test examples, those left
            out that lie at the mean of V.

    Returns:
        R2 of every feature, at least float32; 0 for a representation without variance.

    Raises:
        ValueError: for shapes that do not fit, at most as many rows to fit as features, a feature that is constant on them
            or a class out of range (of arrays that hold numbers), a `denom` that is not positive or goes with `"ratio"`, or
            an unknown reduction.

    >>> f = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 2)
    >>> phi = f * np.array([3.0, 1.0])
    >>> [f"{share:.2f}" for share in variance_explained(phi[:4], f[:4], phi[4:], f[4:])]
    ['0.90', '0.10']
    """
    if reduction not in ("pooled", "ratio") or (reduction == "ratio" and denom is not None):
        raise ValueError(f"reduction is {reduction!r} and denom {denom}; it must be 'pooled', or 'ratio' without denom")
    _check(rep_fit, feat_fit, rep_test, feat_test, num_classes)
    if denom is not None:
        check_positive("denom", denom)
    return _variance_explained(rep_fit, feat_fit, rep_test, feat_test, num_classes, denom, reduction)


def unit_variance_explained(
    rep_fit: Real[AnyArray, "n_fit d"],
    feat_fit: Real[AnyArray, "n_fit m"],
    rep_test: Real[AnyArray, "n_test d"],
    feat_test: Real[AnyArray, "n_test m"],
    *,
    num_classes: int | None = None,
) -> Float[Array, "m d"]:
    """`variance_explained` unit by unit; 0 for units that are constant.

    The pooled share of the whole representation is the mean of these, weighted by the variances of the units. Applied to
    coordinates along principal axes it says which features each of them holds.

    Args, Raises: as for `variance_explained`.
    """
    _check(rep_fit, feat_fit, rep_test, feat_test, num_classes)
    return _unit_variance_explained(rep_fit, feat_fit, rep_test, feat_test, num_classes)


def joint_variance_explained(
    rep_fit: Real[AnyArray, "n_fit d"],
    feat_fit: Real[AnyArray, "n_fit m"],
    rep_test: Real[AnyArray, "n_test d"],
    feat_test: Real[AnyArray, "n_test m"],
) -> float:
    """Share of the variance that all features explain together, by one regression; on the host.

    For independent features it is the sum of their shares, up to what held-out examples cost.

    Args, Raises: as for `variance_explained`.
    """
    _check(rep_fit, feat_fit, rep_test, feat_test, None)
    f, phi, g, psi = (np.asarray(x) for x in at_least_float32(feat_fit, rep_fit, feat_test, rep_test))
    weights, *_ = np.linalg.lstsq(f - f.mean(0), phi - phi.mean(0))
    g, psi = g - f.mean(0), psi - phi.mean(0)
    total = float(np.sum(psi**2))
    return 1 - float(np.sum((psi - g @ weights) ** 2)) / total if total else 0.0


def total_variance(rep_fit: Real[AnyArray, "n_fit d"], rep_test: Real[AnyArray, "n_test d"]) -> Float[Array, ""]:
    """`E_T |phi|^2`, centred with the mean of the examples to fit: what `variance_explained` divides by."""
    rep_fit, rep_test = at_least_float32(rep_fit, rep_test)
    return jnp.mean(jnp.sum((rep_test - rep_fit.mean(0, keepdims=True)) ** 2, axis=1))


@partial(jax.jit, static_argnums=(4, 6))
def _variance_explained(rep_fit, feat_fit, rep_test, feat_test, num_classes, denom, reduction):
    fit = _fitted(rep_fit, feat_fit, rep_test, feat_test, num_classes)
    if reduction == "ratio":
        return _mean_of_ratios(fit)
    explained = _explained_sums(fit).sum(1)
    if denom is not None:
        return explained / (len(fit.rep) * jnp.asarray(denom, explained.dtype))
    return _share(explained, jnp.sum(fit.rep**2)[None])


@partial(jax.jit, static_argnums=4)
def _unit_variance_explained(rep_fit, feat_fit, rep_test, feat_test, num_classes):
    fit = _fitted(rep_fit, feat_fit, rep_test, feat_test, num_classes)
    return _share(_explained_sums(fit), jnp.sum(fit.rep**2, axis=0)[None])


def _fitted(rep_fit, feat_fit, rep_test, feat_test, num_classes: int | None) -> _Fit:
    rep_fit, rep_test = at_least_float32(rep_fit, rep_test)
    mean = rep_fit.mean(0, keepdims=True)
    if num_classes is None:
        feat_fit, feat_test, rep_fit, rep_test = at_least_float32(feat_fit, feat_test, rep_fit, rep_test)
        centre = feat_fit.mean(0, keepdims=True)
        columns, test = ((x - centre)[:, :, None] for x in (feat_fit, feat_test))
    else:  # indicators are orthogonal and span the constant, so that class means solve the regression
        columns, test = (jax.nn.one_hot(x, num_classes, dtype=rep_fit.dtype) for x in (feat_fit, feat_test))
    size = jnp.sum(columns**2, axis=0)
    weights = _products(columns, rep_fit - mean) / jnp.where(size > 0, size, 1)[:, :, None]
    return _Fit(weights, test, rep_test - mean)


def _products(columns: Array, rep: Array) -> Array:
    """`[m, k, d]`, as one product of two matrices."""
    n, m, k = columns.shape
    return (columns.reshape(n, m * k).T @ rep).reshape(m, k, -1)


def _explained_sums(fit: _Fit) -> Array:
    """Sum over test examples of `|phi|^2 - |W f - phi|^2`, by feature and unit `[m, d]`."""
    size = jnp.sum(fit.columns**2, axis=0)[:, :, None]
    return jnp.sum(fit.weights * (2 * _products(fit.columns, fit.rep) - size * fit.weights), axis=1)


def _mean_of_ratios(fit: _Fit) -> Array:
    predicted = jnp.einsum("nmk,mkd->nmd", fit.columns, fit.weights)
    size = jnp.sum(fit.rep**2, axis=1)[:, None]
    error = jnp.sum((fit.rep[:, None] - predicted) ** 2, axis=2)
    counted = jnp.sum(size > 0)
    shares = jnp.where(size > 0, 1 - error / jnp.where(size > 0, size, 1), 0)
    return shares.sum(0) / jnp.maximum(counted, 1)


def _share(part: Array, whole: Array) -> Array:
    whole = jnp.broadcast_to(whole, part.shape)
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def _check(rep_fit, feat_fit, rep_test, feat_test, num_classes: int | None) -> None:
    shapes = [x.shape for x in (rep_fit, feat_fit, rep_test, feat_test)]
    (n, d), (rows, m), (n_test, d_test), (rows_test, m_test) = (s if len(s) == 2 else (-1, -1) for s in shapes)
    if (n, d, m) != (rows, d_test, m_test) or n_test != rows_test or -1 in (n, rows, n_test, rows_test):
        raise ValueError(
            f"rep_fit, feat_fit, rep_test, feat_test have shapes {shapes}; they need [n, d], [n, m] to fit, and the same to test"
        )
    check_at_least("number of test examples", n_test)
    if n <= m:
        raise ValueError(f"rep_fit has {n} rows for {m} features; a fit needs more rows than features")
    if num_classes is not None:
        check_at_least("num_classes", num_classes, 2)
        check_ids("feat_fit", feat_fit, num_classes)
        check_ids("feat_test", feat_test, num_classes)
    if is_concrete(feat_fit):
        values = np.asarray(feat_fit)
        if len(constant := np.flatnonzero((values == values[:1]).all(0))):
            raise ValueError(f"feature {constant[0]} is constant on the rows to fit; it can explain nothing")

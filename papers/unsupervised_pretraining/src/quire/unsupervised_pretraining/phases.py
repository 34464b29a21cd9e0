"""The framework: a latent-variable model by maximum likelihood on unlabelled data, then a head by least squares on labelled data.

Phase 1: `phi_hat = argmax sum_(i <= m) log p_phi(x_i, s_i)`.  Phase 2: `psi_hat = argmin sum_(j <= n) (g(x_j) - y_j)^2`,
where `g(x) = E[y | x]` is the head applied to the features `E[z | x]`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_finite, is_concrete


class LatentModel(Protocol):
    """What phase 1 returns: any pytree with features."""

    def features(self, x: Any) -> Array:
        """What the model says of the latent variable: `E[z | x]`, `[n, d]` to `[n, r]`."""
        ...


class TwoPhase(NamedTuple):
    """A fitted model and its head `[r]` or `[r, outputs]`."""

    model: Any
    head: AnyArray

    def predict(self, x: Real[AnyArray, "n d"]) -> Float[Array, "n *outputs"]:
        """`E[y | x]` under model and head."""
        return self.model.features(x) @ self.head


def two_phase(
    mle: Callable[[Any], LatentModel],
    unlabelled: Any,
    x: Real[AnyArray, "n d"],
    y: Real[AnyArray, "n *outputs"],
    *,
    ridge: float = 0.0,
) -> TwoPhase:
    """Pretrain on what has no labels, fit the head on what has.

    Args:
        mle: phase 1, `unlabelled -> model`: `partial(FactorModel.fit, r=3)`, for instance.
        unlabelled: whatever `mle` takes: inputs `[m, d]`, or pairs with their side information.
        x, y: labelled examples; several outputs are several columns of y.
        ridge: penalty of the head, see `erm_linear`.

    Raises:
        ValueError: as the two phases do.

    >>> from quire.unsupervised_pretraining import FactorModel
    >>> along = jnp.array([[3.0, 0.0], [-3.0, 0.0], [3.0, 0.0], [-3.0, 0.0]])
    >>> found = two_phase(lambda x: FactorModel.fit(x, 1), along, along[:2], jnp.array([1.0, -1.0]))
    >>> print(found.predict(jnp.array([[6.0, 5.0]])).round(3))  # the second coordinate has no factor behind it
    [2.]
    """
    model = mle(unlabelled)
    return TwoPhase(model, erm_linear(model.features(x), y, ridge=ridge))


def erm_linear(
    features: Real[AnyArray, "n r"], y: Real[AnyArray, "n *outputs"], *, ridge: float | Float[Array, ""] = 0.0
) -> Float[Array, "r *outputs"]:
    """The head w of least `|features w - y|^2 + ridge |w|^2`; the shortest of them where there are several.

    Rows of zeros, with a label of zero, change nothing: shorter data can be padded.

    Args:
        features, y: one example a row.
        ridge: penalty, not negative.

    Raises:
        ValueError: without an example, if the numbers of rows differ, for a negative ridge, or numbers that are not finite.

    >>> print(erm_linear(jnp.array([[1.0, 1.0], [2.0, 2.0]]), jnp.array([2.0, 4.0])).round(3))
    [1. 1.]
    """
    features, y = at_least_float32(features, y)
    if features.ndim != 2 or y.ndim not in (1, 2) or not len(y) or len(features) != len(y):
        raise ValueError(f"features and y have shapes {features.shape} and {y.shape}; they need as many rows, at least one")
    if is_concrete(ridge) and not ridge >= 0:
        raise ValueError(f"ridge is {ridge}; it must not be negative")
    check_finite("features", features)
    check_finite("y", y)
    left, values, right = jnp.linalg.svd(features, full_matrices=False)
    kept = values > max(features.shape) * jnp.finfo(values.dtype).eps * values.max(initial=0)
    # values^2 may underflow where a value is kept, hence the division in two steps
    inverse = jnp.where(kept, 1 / (jnp.where(kept, values, 1) + ridge / jnp.where(kept, values, 1)), 0)
    projected = left.T @ y
    return right.T @ (inverse.reshape(-1, *[1] * (y.ndim - 1)) * projected)


def erm_table(responsibilities: Real[AnyArray, "n k"], y: Real[AnyArray, "n *outputs"]) -> Float[Array, "k *outputs"]:
    """The table psi of least `sum_ik r_ik |y_i - psi_k|^2`: means of the labels, weighed by what belongs to an entry.

    The square is convex, so this bounds the squared error of `sum_k r_ik psi_k` from above; unlike its minimum the table stays
    within the range of the labels. An entry that nothing belongs to is the mean of all labels.

    Args:
        responsibilities: of every entry for every example, not negative; rows sum to one.
        y: labels; one-hot for classes.

    Raises:
        ValueError: without an example, if the numbers of rows differ, for negative responsibilities, or numbers not finite.

    >>> print(erm_table(jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), jnp.array([2.0, 4.0])))
    [2. 4. 3.]
    """
    r, y = at_least_float32(responsibilities, y)
    if r.ndim != 2 or y.ndim not in (1, 2) or not len(y) or len(r) != len(y):
        raise ValueError(f"responsibilities and y have shapes {r.shape} and {y.shape}; they need as many rows, at least one")
    check_finite("responsibilities", r)
    check_finite("y", y)
    if is_concrete(r) and (r < 0).any():
        raise ValueError(f"responsibilities go down to {r.min()}; they must not be negative")
    mass = r.sum(0).reshape(-1, *[1] * (y.ndim - 1))
    empty = mass <= jnp.finfo(mass.dtype).tiny
    return jnp.where(empty, y.mean(0, keepdims=True), r.T @ y / jnp.where(empty, 1, mass))


def excess_risk_linear(
    c: Real[AnyArray, "*batch d"], c_star: Real[AnyArray, "*batch d"], sigma: Real[AnyArray, "*batch d d"]
) -> Float[Array, "*batch"]:
    """`(c - c*)^T Sigma (c - c*)`: exactly what predicting `c^T x` costs more than the best linear predictor `c*^T x`.

    Args:
        c, c_star: coefficients.
        sigma: second moments of x.

    Raises:
        ValueError: if the sizes differ.

    >>> print(excess_risk_linear(jnp.array([1.0, 0.0]), jnp.zeros(2), 2 * jnp.eye(2)))
    2.0
    """
    c, c_star, sigma = at_least_float32(c, c_star, sigma)
    if c.shape != c_star.shape or sigma.shape != (*c.shape, c.shape[-1]):
        raise ValueError(f"c, c_star and sigma have shapes {c.shape}, {c_star.shape}, {sigma.shape}; they need d, d and d x d")
    off = c - c_star
    return jnp.einsum("...i,...ij,...j->...", off, sigma, off)

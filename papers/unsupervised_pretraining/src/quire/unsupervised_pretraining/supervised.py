"""What labels alone can do: ridge regression on x with a penalty by leave-one-out, and model and head trained end to end.

In the factor model the composition of model and head is every linear function of x (`c = B (I + B^T B)^-1 beta`, of any direction
and length), so empirical risk minimisation over it is least squares on x; with the composition bounded, it is ridge regression.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite
from quire.unsupervised_pretraining.descent import descend
from quire.unsupervised_pretraining.phases import TwoPhase

PENALTIES = (0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 1e4, 1e6)
"""Penalties that `ridge_loo` chooses among: from least squares to next to nothing learned."""


def ridge_path(
    x: Real[AnyArray, "n d"], y: Real[AnyArray, " n"], penalties: Real[AnyArray, " p"]
) -> tuple[Float[Array, "p d"], Float[Array, " p"]]:
    """Coefficients of least `|x c - y|^2 + penalty |c|^2`, and their leave-one-out errors, in closed form.

    An example that is left out is predicted with the error `(y - x c) / (1 - h)`, where h is its leverage. Rows of zeros with a
    label of zero change nothing.

    Args:
        x, y: one example a row.
        penalties: not negative; with 0 the shortest solution.

    Returns:
        Coefficients and sums of squared leave-one-out errors, which are infinite where an example is met only by itself.

    Raises:
        ValueError: without an example, for shapes that do not fit, or numbers that are not finite.
    """
    x, y, penalties = at_least_float32(x, y, penalties)
    if x.ndim != 2 or y.shape != x.shape[:1] or penalties.ndim != 1 or not len(y) or not len(penalties):
        raise ValueError(f"x, y and penalties have shapes {x.shape}, {y.shape}, {penalties.shape}; they need [n, d], [n] and [p]")
    check_finite("x", x)
    check_finite("y", y)
    values, vectors = jnp.linalg.eigh(x.T @ x)
    tiny = max(x.shape) * jnp.finfo(x.dtype).eps
    kept = values > tiny * values[-1:]
    turned = x @ vectors
    aligned = turned.T @ y

    def at(penalty):
        inverse = jnp.where(kept, 1 / jnp.where(kept, values + penalty, 1), 0)
        residual = y - turned @ (inverse * aligned)
        free = 1 - turned**2 @ inverse
        lost = free < jnp.sqrt(tiny)
        return vectors @ (inverse * aligned), jnp.sum(jnp.where(lost, jnp.inf, residual / jnp.where(lost, 1, free)) ** 2)

    return jax.vmap(at)(penalties)


def ridge_loo(x: Real[AnyArray, "n d"], y: Real[AnyArray, " n"]) -> Float[Array, " d"]:
    """Ridge regression with the one of `PENALTIES` that predicts best what is left out.

    Raises:
        ValueError: as `ridge_path`.

    >>> print(f"{float(ridge_loo(jnp.array([[1.0], [2.0], [3.0]]), jnp.array([2.0, 4.0, 6.0]))[0]):.3f}")
    2.000
    """
    coefficients, errors = ridge_path(x, y, jnp.asarray(PENALTIES))
    return coefficients[jnp.argmin(errors)]


def end_to_end(
    start: TwoPhase, x: Real[AnyArray, "n d"], y: Real[AnyArray, "n *outputs"], *, steps: int = 500, rate: float = 0.05
) -> TwoPhase:
    """Empirical risk minimisation over model and head together: mean squared error on labelled data, by gradient descent.

    Args:
        start: a model of the class, and a head.
        x, y: labelled examples.
        steps, rate: of the descent.

    Raises:
        ValueError: if the numbers of rows differ, there is none, or numbers are not finite.
    """
    x, y = at_least_float32(x, y)
    check_at_least("steps", steps)
    if not len(x) or len(x) != len(y):
        raise ValueError(f"x and y have shapes {x.shape} and {y.shape}; they need as many rows, at least one")
    check_finite("x", x)
    check_finite("y", y)
    return descend(squared_error, start, (x, y), rate, steps=steps)[0]


def squared_error(fitted: TwoPhase, data: tuple[Array, Array]) -> Float[Array, ""]:
    """Mean squared error of predictions."""
    x, y = data
    return jnp.mean((fitted.predict(x) - y) ** 2)

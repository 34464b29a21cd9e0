"""Why one episode has no reason to keep what is redundant: gradients of a head on further features, and nested objectives."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_positive, floating


def population_cross_entropy(
    px: Num[AnyArray, " points"], py: Num[AnyArray, "points classes"], logits: Num[AnyArray, "points classes"]
) -> Float[Array, ""]:
    """`E[-log p(y | x)]` over a population of finitely many points.

    Args:
        px: probabilities of the points.
        py: conditional probabilities of the classes at each.
        logits: of the model.

    Raises:
        ValueError: if the shapes do not fit.

    >>> print(population_cross_entropy(jnp.array([1.0]), jnp.array([[0.5, 0.5]]), jnp.zeros((1, 2))).round(4))
    0.6931
    """
    px, py, logits = _population(px, py, logits)
    return -jnp.sum(px[:, None] * py * jax.nn.log_softmax(logits))


def incremental_gradient(
    px: Num[AnyArray, " points"],
    py: Num[AnyArray, "points classes"],
    logits: Num[AnyArray, "points classes"],
    features: Num[AnyArray, "points dim"],
) -> Float[Array, "dim classes"]:
    """`E[phi_2 (p - y)^T]`: slope of the cross-entropy by the head of further features, which starts at zero.

    Where the model attains the Bayes conditional, `p = E[y | x]`, it is zero for *any* phi_2: nothing asks for it. On another
    population the same model is not Bayes, the slope is not zero, and phi_2 is of use.

    Args:
        px, py, logits: as for `population_cross_entropy`, the logits those of the model without phi_2.
        features: phi_2 at the points.

    Raises:
        ValueError: if the shapes do not fit.

    >>> half = jnp.array([[0.5, 0.5]])
    >>> incremental_gradient(jnp.array([1.0]), half, jnp.zeros((1, 2)), jnp.array([[7.0]])).tolist()
    [[0.0, 0.0]]
    """
    if features.ndim != 2 or len(features) != len(px):
        raise ValueError(f"features has shape {features.shape}; it needs [{len(px)}, dim]")
    px, py, logits = _population(px, py, logits)
    features, px = floating(features, px)
    return (features * px[:, None]).T @ (jax.nn.softmax(logits) - py)


def _population(px, py, logits):
    if px.ndim != 1 or py.ndim != 2 or py.shape != logits.shape or len(px) != len(py):
        raise ValueError(f"px, py and logits have shapes {px.shape}, {py.shape}, {logits.shape}; they need [n], [n, k], [n, k]")
    check_at_least("number of points", len(px))
    return floating(px, py, logits)


def ridge_objective(features: Num[AnyArray, "n dim"], targets: Num[AnyArray, "n k"], ridge: float | Array) -> Float[Array, ""]:
    """`min_W |X W - T|^2 + lambda |W|^2`, the best training objective of a linear readout.

    More features never raise it: `W` of zeros on the new ones is allowed, and costs nothing.

    Args:
        features: X.
        targets: T.
        ridge: lambda, positive.

    Raises:
        ValueError: for a ridge that is not positive, or shapes that do not fit.

    >>> print(ridge_objective(jnp.ones((2, 1)), jnp.ones((2, 1)), 2.0).round(4))
    1.0
    """
    check_positive("ridge", ridge)
    if features.ndim != 2 or targets.ndim != 2 or len(features) != len(targets):
        raise ValueError(f"features has shape {features.shape} and targets {targets.shape}; they need [n, dim] and [n, k]")
    check_at_least("number of examples", len(features))
    x, t = at_least_float32(features, targets)
    u, s, _ = jnp.linalg.svd(x, full_matrices=False)
    along = u.T @ t  # by singular values: a Gram matrix would square the condition
    rest = t - u @ along
    return jnp.sum(rest**2) + jnp.sum((ridge / (s**2 + ridge))[:, None] * along**2)

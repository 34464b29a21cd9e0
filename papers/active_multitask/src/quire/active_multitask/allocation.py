"""How many samples of every source, and what excess risk follows: sections on known relevance.

With the noise of n_t samples a source, the excess risk of a target `W nu = w` is, up to `sigma^2 k d`, the sum of `nu_t^2 / n_t`.
"""

from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.active_multitask.relevance import AnyReal, check_costs, check_heads
from quire.common.checks import at_least_float32, check_at_least, check_finite, is_concrete

Strategy = Literal["uniform", "l2", "l1"]
"""P-MTRL, L2-A-MTRL (Chen et al. 2022), L1-A-MTRL (this paper)."""
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


def shares(nu: Real[AnyReal, " tasks"], rule: Strategy, costs: Real[AnyReal, " tasks"] | None = None) -> Float[Array, " tasks"]:
    """Part of the samples, or with costs of the money, that each task gets: equal, as `nu_t^2`, or as `|nu_t|`.

    With costs the rule `l1` spends as `sqrt(c_t) |nu_t|`, which is the best split of a sum of money for this nu
    (Cauchy-Schwarz); the others do not look at costs when they count samples, and pay what it costs.

    Args:
        nu: relevance.
        rule: `"uniform"`, `"l2"` or `"l1"`.
        costs: price of a sample of each task.

    Returns:
        Numbers that sum to 1. A relevance of zero everywhere says nothing, and the parts are equal.

    Raises:
        ValueError: for another rule, no task, a cost that is not positive, or a relevance that is not finite.

    >>> print(shares(np.array([3.0, -1.0]), "l1"), shares(np.array([3.0, -1.0]), "l2"))
    [0.75 0.25] [0.9 0.1]
    """
    (nu,) = at_least_float32(nu)
    if rule not in STRATEGIES:
        raise ValueError(f"rule is {rule!r}; it must be one of {', '.join(STRATEGIES)}")
    if nu.ndim != 1 or not nu.size:
        raise ValueError(f"nu has shape {nu.shape}; it needs one number a task, at least one")
    check_finite("nu", nu)
    prices = jnp.asarray(check_costs(costs, nu.size), nu.dtype)
    largest = jnp.abs(nu).max()
    part = jnp.abs(nu) / jnp.where(largest > 0, largest, 1)  # squares of tiny numbers would vanish
    weights = {"uniform": prices, "l2": prices * part**2, "l1": jnp.sqrt(prices) * part}[rule]
    weights = jnp.where(largest > 0, weights, prices)
    return weights / weights.sum()


def allocate(
    nu: Real[AnyReal, " tasks"],
    N: float,
    rule: Strategy,
    n_min: int = 0,
    costs: Real[AnyReal, " tasks"] | None = None,
) -> Int[np.ndarray, " tasks"]:
    """Samples of every source: `shares` of N, rounded up, and no fewer than `n_min`.

    Args:
        nu: relevance.
        N: samples in all, or money if there are costs.
        rule: `"uniform"`, `"l2"` or `"l1"`.
        n_min: least number of samples of any task.
        costs: price of a sample of each task.

    Returns:
        Whole numbers. They sum to more than N by what floor and rounding add: reckon with them, not with N.

    Raises:
        ValueError: for a negative N or `n_min`, and as `shares` does.

    >>> allocate(np.array([3.0, -1.0, 0.0]), 10, "l1", n_min=2).tolist()
    [8, 3, 2]
    """
    check_at_least("n_min", n_min, 0)
    if not 0 <= N < np.inf:
        raise ValueError(f"N is {N}; it must be a number of samples, at least 0")
    exact = np.asarray(shares(nu, rule, costs), np.float64) * N / check_costs(costs, len(nu))
    # what rounding of the shares adds to a whole number is no sample
    return np.maximum(np.ceil(exact * (1 - 1e-6)).astype(np.int64), n_min)


def risk_bound(nu: Real[AnyReal, " tasks"], n: Real[AnyReal, " tasks"]) -> Float[Array, ""]:
    """`sum_t nu_t^2 / n_t`, in units of `sigma^2 k d`; infinite if a task has a part in nu and no sample.

    Raises:
        ValueError: if the shapes differ, or a count is negative.

    >>> risk_bound(np.array([0.5, -0.5, 0.0]), np.array([10, 10, 0])).item()
    0.05000000074505806
    """
    nu, n = at_least_float32(nu, n)
    if nu.ndim != 1 or nu.shape != n.shape:
        raise ValueError(f"nu has shape {nu.shape} and n {n.shape}; they need one number a task each")
    _check_counts(n)
    has_part, sampled = nu != 0, n > 0
    terms = jnp.where(has_part, jnp.where(sampled, nu**2 / jnp.where(sampled, n, 1), jnp.inf), 0)
    return terms.sum()


def best_bound(W: Real[AnyReal, "k tasks"], w: Real[AnyReal, " k"], n: Real[AnyReal, " tasks"]) -> Float[Array, ""]:
    """`min {risk_bound(nu, n) : W nu = w} = w^T (W diag(n) W^T)^+ w`: what a learner reaches that is free to choose nu.

    Args:
        W, w: heads.
        n: samples of the sources.

    Returns:
        The bound; infinite if the sampled sources do not reach w.

    Raises:
        ValueError: for shapes that do not fit, or a negative count.

    >>> round(best_bound(np.array([[1.0, 1.0]]), np.array([1.0]), np.array([10, 30])).item(), 6)
    0.025
    """
    W, w = check_heads(W, w)
    (n,) = at_least_float32(n)
    if n.shape != W.shape[1:]:
        raise ValueError(f"n has shape {n.shape}; it needs a count for each of the {W.shape[1]} tasks")
    _check_counts(n)
    A = W * jnp.sqrt(n.astype(W.dtype))[None]
    mu = jnp.linalg.pinv(A) @ w
    left = jnp.linalg.norm(A @ mu - w)
    reached = left <= jnp.sqrt(jnp.finfo(W.dtype).eps) * jnp.linalg.norm(w)
    return jnp.where(reached, mu @ mu, jnp.inf)


def money(n: Real[AnyReal, " tasks"], costs: Real[AnyReal, " tasks"], fixed: float = 0.0) -> float:
    """What samples cost: a price each, and a fixed one for every task that is sampled at all.

    >>> money(np.array([2, 0, 1]), np.array([1.0, 5.0, 3.0]), fixed=10.0)
    25.0
    """
    n = np.asarray(n, np.float64)
    _check_counts(n)
    return float(n @ check_costs(costs, len(n)) + fixed * (n > 0).sum())


def _check_counts(n: Any) -> None:
    if is_concrete(n) and not (np.asarray(n) >= 0).all():
        raise ValueError(f"n has a count of {np.asarray(n).min():g}; counts are at least 0")

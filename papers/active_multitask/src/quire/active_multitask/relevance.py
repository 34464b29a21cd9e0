"""Relevance of source tasks: a target head put together from source heads, `W nu = w`, by the shortest and the sparsest nu.

Both are unchanged when the representation changes its basis, `W -> R^-1 W` and `w -> R^-1 w`: they speak of tasks.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import at_least_float32, check_finite, is_concrete

AnyReal = Array | np.ndarray


def relevance_l2(W: Real[AnyReal, "k tasks"], w: Real[AnyReal, " k"]) -> Float[Array, " tasks"]:
    """`nu^2 = argmin ||nu||_2 s.t. W nu = w`, that is `W^+ w`: dense, every source that points along w has a part in it.

    Args:
        W: heads of the source tasks, a column each. Their lengths count and are not normalised away.
        w: head of the target.

    Returns:
        Coefficients of the tasks.

    Raises:
        ValueError: if w is no combination of the sources; under `jit`, where this cannot be seen, the least-squares fit.

    >>> print(relevance_l2(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([1.0, 0.0])).round(3))
    [0.5 0.5]
    """
    W, w = check_heads(W, w)
    nu = shortest_fit(W, w)
    if is_concrete(W, w):
        _check_reached(W, w, nu)
    return nu


@jax.jit
def shortest_fit(W: Float[Array, "k tasks"], w: Float[Array, " k"]) -> Float[Array, " tasks"]:
    """`W^+ w`: the shortest of the least-squares fits, for heads that are estimates, where nothing need fit exactly."""
    return jnp.linalg.pinv(W) @ w


def relevance_l1(
    W: Real[AnyReal, "k tasks"], w: Real[AnyReal, " k"], costs: Real[AnyReal, " tasks"] | None = None
) -> Float[Array, " tasks"]:
    """`nu^1 = argmin sum_t sqrt(c_t) |nu_t| s.t. W nu = w`: basis pursuit, a linear program, by SciPy's dual simplex in float64.

    A vertex of the program has at most k tasks that are not zero. It need not be the only minimum: compare norms.

    Args:
        W: heads of the source tasks, a column each.
        w: head of the target.
        costs: price c of one sample of each task; equal if left out.

    Returns:
        Coefficients of the tasks.

    Raises:
        ValueError: if w is no combination of the sources, a cost is not positive, or the numbers are traced by `jit`.

    >>> relevance_l1(np.array([[1.0, 0.5, 0.5]]), np.array([1.0])).tolist()
    [1.0, 0.0, 0.0]
    >>> relevance_l1(np.array([[1.0, 0.5, 0.5]]), np.array([1.0]), costs=np.array([9.0, 1.0, 4.0])).tolist()
    [0.0, 2.0, 0.0]
    """
    from scipy.optimize import linprog  # half a second to import

    W, w = check_heads(W, w)
    if not is_concrete(W, w, costs):
        raise ValueError("W and w are traced; relevance_l1 solves a linear program on the host and needs numbers")
    prices = np.sqrt(check_costs(costs, W.shape[1]))
    heads, target = np.asarray(W, np.float64), np.asarray(w, np.float64)
    # the solver's tolerances are absolute
    size, aim = np.abs(heads).max(initial=0) or 1.0, np.abs(target).max(initial=0) or 1.0
    price = np.tile(prices / prices.max(initial=1e-300), 2)
    found = linprog(price, A_eq=np.hstack([heads, -heads]) / size, b_eq=target / aim, method="highs-ds")
    if not found.success:
        raise ValueError(_unreachable(W))
    positive, negative = np.split(found.x, 2)
    return jnp.asarray((positive - negative) * (aim / size), W.dtype)


def check_heads(W: Any, w: Any) -> tuple[Array, Array]:
    """Source heads and a target head of one dtype, at least float32.

    Raises:
        ValueError: if the shapes do not fit, there is no source or no feature, or a number is not finite.
    """
    W, w = at_least_float32(W, w)
    if W.ndim != 2 or w.shape != W.shape[:1] or not W.size:
        raise ValueError(f"W has shape {W.shape} and w {w.shape}; they need heads [k, tasks] and [k], at least one of each")
    check_finite("W", W)
    check_finite("w", w)
    return W, w


def check_costs(costs: Any, tasks: int) -> np.ndarray:
    """Prices of a sample `[tasks]`, ones by default.

    Raises:
        ValueError: unless they are positive numbers, one for each task.
    """
    costs = np.ones(tasks) if costs is None else np.asarray(costs, np.float64)
    if costs.shape != (tasks,) or not (np.isfinite(costs) & (costs > 0)).all():
        raise ValueError(f"costs has shape {costs.shape} and runs from {costs.min(initial=np.inf):g}; it needs {tasks} positive")
    return costs


def _check_reached(W: Array, w: Array, nu: Array) -> None:
    heads, target, found = (np.asarray(x, np.float64) for x in (W, w, nu))
    left = np.linalg.norm(heads @ found - target)
    rounding = 100 * float(jnp.finfo(W.dtype).eps) * (np.linalg.norm(target) + np.linalg.norm(heads) * np.linalg.norm(found))
    if left > rounding:
        raise ValueError(_unreachable(W))


def _unreachable(W: Array) -> str:
    return (
        f"w is no combination of the {W.shape[1]} columns of W, whose rank is {np.linalg.matrix_rank(np.asarray(W))} of "
        f"{W.shape[0]}; use lasso, which allows for an error"
    )

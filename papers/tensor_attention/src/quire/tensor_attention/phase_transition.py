"""The phase transition in the bound on the entries: which degree, hence which rank, entries of size B ask for."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.tensor_attention.approximation import truncation_errors


class SignProblem(NamedTuple):
    """Queries `[n, d]`, keys and values of each memory: entries +-1 with random signs, values uniform in [-1, 1]."""

    q: Float[Array, "n d"]
    ks: list[Float[Array, "n d"]]
    vs: list[Float[Array, "n d"]]


def sign_problem(key: Key[Array, ""], order: int, n: int, dim: int) -> SignProblem:
    """A random problem of entries +-1; times `B`, they are as large as the bound allows.

    Raises:
        ValueError: if `order` is below 2, or another size below 1.
    """
    if order < 2:
        raise ValueError(f"order is {order}; it must be at least 2 (ordinary attention)")
    check_at_least("n", n)
    check_at_least("dim", dim)
    draw = generator(key)
    q, *ks = map(jnp.asarray, draw.choice([-1.0, 1.0], (order, n, dim)))
    return SignProblem(q, ks, [jnp.asarray(v) for v in draw.uniform(-1, 1, (order - 1, n, dim))])


def needed_degree(
    problem: SignProblem, bounds: Float[np.ndarray, " bounds"], *, error: float, max_degree: int
) -> Int[np.ndarray, " bounds"]:
    """Smallest even Taylor degree whose output errs by less than `error`, for entries +-B at each `B`.

    Scores of entries +-B are `B^order` times those of the signs, so all bounds run at once over one set of scores.

    Args:
        problem: entries +-1.
        bounds: values of `B`.
        error: allowed largest absolute error of the output.
        max_degree: highest degree tried.

    Returns:
        Degrees `[bounds]`; `max_degree + 2` (rounded up to even) where none suffices.

    Raises:
        ValueError: if `error` is not positive, `max_degree` is negative, or `bounds` is no vector.
    """
    bounds = np.asarray(bounds, float)  # powers of whole numbers would leave JAX's integers
    if bounds.ndim != 1:
        raise ValueError(f"bounds has shape {bounds.shape}; it needs a vector")
    if not error > 0:
        raise ValueError(f"error is {error}; it must be positive")
    check_at_least("max_degree", max_degree, 0)
    factors = jnp.asarray(bounds) ** (1 + len(problem.ks))
    errors = np.asarray(_errors_of_factors(problem, factors, max_degree))[:, ::2]
    good = errors < error
    return np.where(good.any(1), 2 * good.argmax(1), 2 * errors.shape[1])


@jax.jit(static_argnames="max_degree")
def _errors_of_factors(problem: SignProblem, factors: Float[Array, " bounds"], max_degree: int):
    return jax.lax.map(lambda factor: truncation_errors(*problem, max_degree, factor), factors)


def threshold(bounds: Sequence[float] | Float[np.ndarray, " bounds"], degrees: Int[np.ndarray, " bounds"], budget: int) -> float:
    """`B*`: the largest bound whose degree stays within the budget.

    Returns:
        `B*`, at most the end of the grid; NaN if no bound stays within it.

    Raises:
        ValueError: if there is not one degree for each bound.

    >>> threshold([1.0, 1.5, 2.0], np.array([6, 12, 30]), budget=20)
    1.5
    """
    bounds, degrees = np.asarray(bounds), np.asarray(degrees)
    if bounds.shape != degrees.shape:
        raise ValueError(f"bounds has shape {bounds.shape} and degrees {degrees.shape}; each bound has a degree")
    within = bounds[degrees <= budget]
    return float(within.max()) if within.size else float("nan")

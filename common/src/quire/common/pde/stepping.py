"""Time steps of fields that live in the weights of a network: one minimisation each, warm from the step before."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from quire.common.pde.minimise import Draw, Info, Solver, minimise
from quire.common.pde.normal_equations import DENSE, Equations
from quire.common.pde.objective import Params

State = Any
Step = Callable[[State, Int[Array, ""], jax.Array], tuple[State, Any]]
"""`(state, n, key) -> (state, info)`: from time n to n + 1, n = 0, 1, ..."""


def warm_starts(newest: Params, older: Params, *, extrapolate: bool = True) -> list[Params]:
    """Where a time step may start: `theta_n`, and `2 theta_n - theta_(n-1)`.

    Args:
        newest, older: the weights of the last two steps.
        extrapolate: whether to offer the second.
    """
    if not extrapolate:
        return [newest]
    return [newest, jax.tree.map(lambda new, old: 2 * new - old, newest, older)]


def advance(
    draw: Draw,
    starts: Sequence[Params],
    key: jax.Array,
    solvers: Sequence[Solver] | Solver,
    *,
    tolerance: Float[Array, ""] | float | None = None,
    equations: Equations = DENSE,
) -> tuple[Params, Info]:
    """Minimise the objective of a time step from the best of several starts, with a new state of every solver.

    Args:
        draw: `key -> Objective`; frozen networks of earlier steps are part of it.
        starts: candidates, from `warm_starts`.
        key: for the points.
        solvers, tolerance, equations: as for `minimise`.

    Returns:
        The weights of the new step, and how the minimisation went. Where the loss is not finite, the weights are NaN: those of
        the step before would look like a solution.
    """
    first, *others = starts
    params, info = minimise(draw, first, key, solvers, tolerance=tolerance, equations=equations, others=others)
    return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(info.loss), leaf, jnp.nan), params), info


def march(
    step: Step, state: State, key: jax.Array, steps: int, *, keep: Callable[[State], Any] = lambda state: state
) -> tuple[State, Any, Any]:
    """Take several time steps in one compiled loop.

    After a state that is not finite no further step is computed: the states, and what the steps report, are NaN (0 where they are
    integers, False where they are flags).

    Args:
        step: one time step.
        state: at time 0.
        key: for the points; each step gets its own.
        steps: how many.
        keep: what to store of every state.

    Returns:
        The last state; what was kept, with a leading axis `[steps + 1]`, the initial state first; what the steps reported,
        with a leading axis `[steps]`.

    Raises:
        ValueError: for fewer than one step.

    >>> march(lambda x, n, key: (2 * x, n), jnp.array(1.0), jax.random.key(0), 3)[1].tolist()
    [1.0, 2.0, 4.0, 8.0]
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")

    traced = jax.jit(step)  # once, for both branches

    def body(state, n):
        operands = state, n, jax.random.fold_in(key, n)
        state, info = jax.lax.cond(_is_finite(state), traced, partial(_no_step, traced), *operands)
        return state, (keep(state), info)

    last, (kept, infos) = jax.lax.scan(body, state, jnp.arange(steps))
    first = keep(state)
    return last, jax.tree.map(lambda one, rest: jnp.concatenate([jnp.asarray(one)[None], rest]), first, kept), infos


def _is_finite(state: State) -> Bool[Array, ""]:
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves] + [True]).all()


def _no_step(step: Step, *operands: Any) -> tuple[State, Any]:
    """Of the type that a step returns, all NaN."""

    def nothing(leaf):
        return jnp.full(leaf.shape, jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0, leaf.dtype)

    return jax.tree.map(nothing, jax.eval_shape(step, *operands))

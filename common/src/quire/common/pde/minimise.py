"""Inner solvers of a time step, each one compiled loop: Adam with fresh points, Levenberg-Marquardt on fixed ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int
from optax.contrib import reduce_on_plateau

from quire.common.pde.objective import Objective, Params, total_of

Draw = Callable[[jax.Array], Objective]
"""`key -> objective`: draws points, states what to minimise on them."""


@dataclass(frozen=True)
class Plateau:
    """Lower the learning rate by `factor` once the loss has not improved by the fraction 1e-4 for more than `patience` steps.

    Attributes:
        factor, patience: see above.
        min_learning_rate: where it ends.
        stop: the loop ends once the learning rate is at most this.
    """

    factor: float = 0.1
    patience: int = 500
    min_learning_rate: float = 1e-8
    stop: float = 1.1e-8

    def transform(self, learning_rate: float) -> optax.GradientTransformationExtraArgs:
        """As an optax transformation that scales updates; optax counts the step that exceeds the patience into it."""
        return reduce_on_plateau(
            self.factor, self.patience + 1, rtol=1e-4, atol=0.0, min_scale=self.min_learning_rate / learning_rate
        )


@dataclass(frozen=True)
class Adam:
    """Adam, new points in every step and moments that start from zero.

    Attributes:
        steps: at most so many.
        learning_rate: at the start.
        schedule: a `Plateau`, or None for a cosine to zero over `steps`.
        watch: name of the term that the plateau watches; the whole objective where there is none of that name.
    """

    steps: int = 20_000
    learning_rate: float = 1e-4
    schedule: Plateau | None = Plateau()
    watch: str = "main"

    def __post_init__(self):
        if self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(f"steps is {self.steps} and learning_rate {self.learning_rate}; both must be positive")


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Damped Gauss-Newton on one draw of points: `(J^T J + lam mean(diag J^T J) I) delta = -grad / 2`.

    A step is taken if the objective falls; then `lam <- max(lam / decrease, floor)`, else `lam <- lam * increase`, with the same
    `J^T J` again. The damping starts anew in every sub-problem: carried over, it falls so low that the next time step
    blows up. Residuals that must become small need float64; sums of energies are found as well in float32, with a floor of about
    1e-6.

    With `accelerate`, delta is followed by a step along the bend of the residuals,
    `(J^T J + ...) a = -J^T r_dd / 2` with `r_dd` their second derivative along delta; where `2 |a| > 0.75 |delta|` the
    quadratic model cannot be trusted and the step is refused. It costs one more pass over the points and one more
    solve with the same factor; on networks of sines it saves most of the steps.

    Attributes:
        steps: at most so many, rejected ones included.
        damping, floor, decrease, increase: lam at the start, its least value, its factors.
        tolerance: stop once the objective is below, if it is a sum of squares; energies have no such bound.
        accelerate: see above.

    References:
        Transtrum and Sethna, *Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares minimization*, 2012,
        arXiv 1201.5885.
    """

    steps: int = 20
    damping: float = 1e-3
    floor: float = 1e-9
    decrease: float = 3.0
    increase: float = 4.0
    tolerance: float = 0.0
    accelerate: bool = False

    def __post_init__(self):
        if self.steps < 1 or not self.damping > 0:
            raise ValueError(f"steps is {self.steps} and damping {self.damping}; both must be positive")

    def next_damping(self, lam: Float[Array, ""] | float, accepted: Array | bool) -> Float[Array, ""] | np.ndarray:
        """Damping of the step after one that was accepted or refused; traced or, for numbers of the host, by NumPy."""
        where, least = (jnp.where, jnp.maximum) if isinstance(lam, jax.Array) else (np.where, np.maximum)
        return where(accepted, least(lam / self.decrease, self.floor), lam * self.increase)


Solver = Adam | LevenbergMarquardt


class Info(NamedTuple):
    """How a minimisation went.

    Attributes:
        steps: taken, over all solvers.
        start: the objective before, on the points of the first solver.
        loss: the objective after, on the points of the last solver (Adam: on fresh points); NaN if it was ever not finite.
        terms: its parts by name (`main`, `boundary`, ...).
        learning_rate: reached by Adam at the end; 0 if it did not run.
        damping: reached by Levenberg-Marquardt at the end; 0 if it did not run.
        losses: the objective step by step `[sum of steps]`, the last one repeated after an early end.
        accepted: which steps were accepted `[sum of steps]`.
    """

    steps: Int[Array, ""]
    start: Float[Array, ""]
    loss: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    learning_rate: Float[Array, ""]
    damping: Float[Array, ""]
    losses: Float[Array, " steps"]
    accepted: Array

    @property
    def boundary(self) -> Float[Array, "*steps"]:
        """The part of the loss that is not `main`; of every step, in the report of several."""
        return total_of({name: value for name, value in self.terms.items() if name != "main"})


def minimise(
    draw: Draw,
    params: Params,
    key: jax.Array,
    solvers: Sequence[Solver] | Solver,
    *,
    tolerance: Float[Array, ""] | float | None = None,
) -> tuple[Params, Info]:
    """Minimise an objective from `params`, with one solver after the other. Traceable: call it under `jit`.

    A solver ends at once where the objective is not finite. The parameters are then the last with a finite one (those given, if
    there are none), and the loss reported is the one that is not finite, whatever the solvers after it find.

    Args:
        draw: `key -> Objective`, traced.
        params: where to start; their dtype is that of the computation.
        key: for the points.
        solvers: one or several.
        tolerance: in place of the one of every Levenberg-Marquardt solver; may be traced.

    Returns:
        Parameters and how it went.

    Raises:
        ValueError: without a solver.
    """
    solvers = [solvers] if isinstance(solvers, Solver) else list(solvers)
    if not solvers:
        raise ValueError("solvers is empty; give at least one")
    outcomes = []
    for number, solver in enumerate(solvers):
        own = jax.random.fold_in(key, number)
        if isinstance(solver, Adam):
            params, outcome = _adam(draw, params, own, solver)
        else:
            params, outcome = _levenberg_marquardt(
                draw, params, own, solver, solver.tolerance if tolerance is None else tolerance
            )
        outcomes.append(outcome)
    return params, _reported(outcomes)


class _Outcome(NamedTuple):
    """How one solver went, as in `Info`; None for what it has not. `broken`: the objective was not finite."""

    steps: Array
    terms: dict[str, Array]
    losses: Array
    accepted: Array
    broken: Array
    start: Array
    learning_rate: Array | None = None
    damping: Array | None = None


def _reported(outcomes: Sequence[_Outcome]) -> Info:
    """Several solvers one after the other."""
    first, last = outcomes[0], outcomes[-1]

    def reached(name):
        values = [getattr(one, name) for one in outcomes if getattr(one, name) is not None]
        return values[-1] if values else jnp.zeros_like(first.start)

    broken = jnp.stack([one.broken for one in outcomes]).any()
    return Info(
        jnp.stack([one.steps for one in outcomes]).sum(),
        first.start,
        jnp.where(broken, jnp.nan, total_of(last.terms)),
        last.terms,
        reached("learning_rate"),
        reached("damping"),
        jnp.concatenate([one.losses for one in outcomes]),
        jnp.concatenate([one.accepted for one in outcomes]),
    )


def first_draw(key: jax.Array) -> jax.Array:
    """The key with which `minimise` draws the points of its first solver."""
    return jax.random.fold_in(key, 0)


def minimise_best(draw: Draw, starts: Params, key: jax.Array, solvers: Sequence[Solver]) -> tuple[Params, Info]:
    """`minimise` from several starts: the first solver from each of them, the others from the best result.

    New networks of one width differ by orders of magnitude in how far they get; the loss after a few hundred steps tells which.

    Args:
        draw: as for `minimise`.
        starts: parameters with a leading axis, one entry a start.
        key: for the points.
        solvers: at least one.

    Returns:
        Parameters, and how the solvers after the first went (the first, if it is the only one).

    Raises:
        ValueError: without a solver.
    """
    if not solvers:
        raise ValueError("solvers is empty; give at least one")
    first_key, second_key = jax.random.split(key)
    found = jax.vmap(lambda start: minimise(draw, start, first_key, solvers[0]))(starts)
    losses = found[1].loss
    params, info = jax.tree.map(lambda leaf: leaf[jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf))], found)
    return minimise(draw, params, second_key, solvers[1:]) if len(solvers) > 1 else (params, info)


def lower_of(objective: Objective, candidates: Sequence[Params]) -> Params:
    """The candidate with the lowest objective: a choice of warm starts. A NaN is never the lowest."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *candidates)
    values = jax.vmap(objective)(stacked)
    best = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
    return jax.tree.map(lambda leaves: leaves[best], stacked)


Rate = Callable[[Any, Array], Array]
"""`(state of the optimiser, step) -> learning rate`."""


def _scheduled(solver: Adam, dtype: jnp.dtype) -> tuple[optax.GradientTransformationExtraArgs, Rate, float]:
    """The optimiser, its learning rate, and the rate at which it ends."""
    plateau = solver.schedule
    if plateau is None:
        cosine = optax.cosine_decay_schedule(solver.learning_rate, solver.steps)
        return optax.with_extra_args_support(optax.adam(cosine)), lambda _, step: jnp.asarray(cosine(step), dtype), -jnp.inf
    tx = optax.chain(optax.adam(solver.learning_rate), plateau.transform(solver.learning_rate))
    return optax.with_extra_args_support(tx), lambda state, _: solver.learning_rate * state[1].scale, plateau.stop


def _adam(draw: Draw, params: Params, key: jax.Array, solver: Adam) -> tuple[Params, _Outcome]:
    theta, unravel = ravel_pytree(params)  # one vector: an update is one kernel to compile instead of one for each parameter
    tx, rate_of, stop = _scheduled(solver, theta.dtype)

    def terms_at(theta, step):
        return draw(jax.random.fold_in(key, step)).terms(unravel(theta))

    def objective(theta, step):
        terms = terms_at(theta, step)
        total = total_of(terms)
        return total, terms.get(solver.watch, total)

    def going(carry):
        step, _, _, state, losses = carry
        within = (step < solver.steps) & jnp.isfinite(losses[jnp.maximum(step - 1, 0)])
        return within & (rate_of(state, step) > stop)

    def body(carry):
        step, theta, last, state, losses = carry
        (total, watched), grads = jax.value_and_grad(objective, has_aux=True)(theta, step)
        updates, state = tx.update(grads, state, theta, value=watched)
        finite = jnp.isfinite(total)
        moved = jnp.where(finite, theta + jnp.asarray(updates, theta.dtype), last)
        kept = jnp.where(finite, theta, last)
        return step + 1, moved, kept, state, losses.at[step].set(total)

    carry = (jnp.array(0), theta, theta, tx.init(theta), jnp.zeros(solver.steps, theta.dtype))
    count, theta, last, state, losses = jax.lax.while_loop(going, body, carry)
    broken = ~jnp.isfinite(losses[count - 1]) | ~jnp.isfinite(theta).all()
    theta = jnp.where(jnp.isfinite(theta).all(), theta, last)
    terms, done = terms_at(theta, count), jnp.arange(solver.steps) < count
    curve = jnp.where(done, losses, total_of(terms))
    return unravel(theta), _Outcome(count, terms, curve, done, broken, losses[0], learning_rate=rate_of(state, count))


def _levenberg_marquardt(
    draw: Draw, params: Params, key: jax.Array, solver: LevenbergMarquardt, tolerance: Array | float
) -> tuple[Params, _Outcome]:
    objective = draw(key)
    tolerance = -jnp.inf if objective.energies else tolerance
    theta, unravel = ravel_pytree(params)

    def going(carry):
        step, _, cost, *_ = carry
        return (step < solver.steps) & (cost > tolerance)

    def body(carry):
        step, theta, cost, terms, lam, moved, system, losses, accepted = carry
        system = jax.lax.cond(moved, lambda t: objective.normal_equations(unravel(t)), lambda _: system, theta)
        delta, trusted = _damped_step(objective, unravel, theta, system, lam, accelerate=solver.accelerate)
        trial_terms = objective.terms(unravel(theta + delta))
        trial_cost = total_of(trial_terms)
        better = trusted & (trial_cost < cost)  # false for the NaN of a matrix that is not positive definite
        theta, cost = jnp.where(better, theta + delta, theta), jnp.where(better, trial_cost, cost)
        terms = {name: jnp.where(better, new, terms[name]) for name, new in trial_terms.items()}
        losses, accepted = losses.at[step].set(cost), accepted.at[step].set(better)
        return step + 1, theta, cost, terms, solver.next_damping(lam, better), better, system, losses, accepted

    terms = objective.terms(params)
    start = total_of(terms)
    system = jnp.zeros((theta.size, theta.size), theta.dtype), jnp.zeros_like(theta)
    history = jnp.zeros(solver.steps, theta.dtype), jnp.zeros(solver.steps, bool)
    lam = jnp.asarray(solver.damping, theta.dtype)
    count, theta, cost, terms, lam, _, _, losses, accepted = jax.lax.while_loop(
        going, body, (jnp.array(0), theta, start, terms, lam, jnp.array(True), system, *history)
    )
    losses = jnp.where(jnp.arange(solver.steps) < count, losses, cost)
    return unravel(theta), _Outcome(count, terms, losses, accepted, ~jnp.isfinite(cost), start, damping=lam)


def _damped_step(
    objective: Objective, unravel: Callable, theta: Array, system: tuple[Array, Array], lam: Array, *, accelerate: bool
) -> tuple[Array, Array]:
    """The step of damped normal equations, bent where `accelerate` asks for it, and whether the bend can be trusted."""
    gram, slope = system
    factor = jax.scipy.linalg.cho_factor(gram + lam * jnp.mean(jnp.diagonal(gram)) * jnp.eye(theta.size, dtype=theta.dtype))
    delta = -jax.scipy.linalg.cho_solve(factor, slope)
    if not accelerate:
        return delta, jnp.array(True)
    bend = jax.scipy.linalg.cho_solve(factor, objective.curvature_slope(unravel(theta), unravel(delta))) / 2
    trusted = 2 * jnp.linalg.norm(bend) < 0.75 * jnp.linalg.norm(delta)
    return delta - jnp.where(trusted, bend, 0), trusted

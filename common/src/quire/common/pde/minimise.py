"""Inner solvers of a time step, each one compiled loop: Adam with fresh points, Levenberg-Marquardt on fixed ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int
from optax.contrib import reduce_on_plateau

from quire.common.pde.normal_equations import DENSE, Equations
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

    def __post_init__(self):
        if not 0 < self.factor < 1 or self.patience < 1:
            raise ValueError(f"factor is {self.factor} and patience {self.patience}; they must lie in (0, 1) and be at least 1")

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
        settled: stop once a step would change the objective by less than this fraction of it.
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
    settled: float = 0.0
    accelerate: bool = False

    def __post_init__(self):
        if self.steps < 1 or not self.damping > 0:
            raise ValueError(f"steps is {self.steps} and damping {self.damping}; both must be positive")
        if not (self.decrease >= 1 and self.increase > 1):
            raise ValueError(f"decrease is {self.decrease} and increase {self.increase}; they must be at least 1 and above 1")
        for name in ("floor", "tolerance", "settled"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0")

    def next_damping(self, lam: Float[Array, ""], accepted: Bool[Array, ""]) -> Float[Array, ""]:
        """Damping of the step after one that was accepted or refused."""
        return jnp.where(accepted, jnp.maximum(lam / self.decrease, self.floor), lam * self.increase)


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
    equations: Equations = DENSE,
    others: Sequence[Params] = (),
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
        equations: how Levenberg-Marquardt holds its normal equations; those of a mesh know which entries are zero.
        others: more places to start from; the one with the lowest objective on the first points is taken.

    Returns:
        Parameters and how it went.

    Raises:
        ValueError: without a solver.
    """
    solvers = [solvers] if isinstance(solvers, Solver) else list(solvers)
    params, outcomes = _in_turn(draw, [params, *others], key, _some(solvers), tolerance, equations)
    return params, _reported(outcomes)


def _some(solvers: Sequence[Solver]) -> Sequence[Solver]:
    if not solvers:
        raise ValueError("solvers is empty; give at least one")
    return solvers


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


def _in_turn(
    draw: Draw,
    starts: Sequence[Params],
    key: jax.Array,
    solvers: Sequence[Solver],
    tolerance: Array | float | None = None,
    equations: Equations = DENSE,
) -> tuple[Params, list[_Outcome]]:
    outcomes = []
    for number, solver in enumerate(solvers):
        own = jax.random.fold_in(key, number)
        if isinstance(solver, Adam):
            start = starts[0] if len(starts) == 1 else lower_of(draw(own), starts)
            found, outcome = _adam(draw, start, own, solver)
        else:
            below = solver.tolerance if tolerance is None else tolerance
            found, outcome = _levenberg_marquardt(draw, starts, own, solver, below, equations)
        starts = [found]
        outcomes.append(outcome)
    return starts[0], outcomes


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
        Parameters, and how the way to them went, from the start that was best after the first solver.

    Raises:
        ValueError: without a solver.
    """
    first_key, second_key = jax.random.split(key)
    first, *others = _some(solvers)

    def begin(start):
        params, outcomes = _in_turn(draw, [start], first_key, [first])
        return params, outcomes, _reported(outcomes).loss

    *found, losses = jax.vmap(begin)(starts)
    best = jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf))
    params, outcomes = jax.tree.map(lambda leaf: leaf[best], found)
    params, rest = _in_turn(draw, [params], second_key, others)
    return params, _reported([*outcomes, *rest])


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


class _Descent(NamedTuple):
    """Adam between two steps; `last`: the last parameters whose objective is finite."""

    step: Array
    theta: Array
    last: Array
    state: Any
    losses: Array
    terms: dict[str, Array]
    broken: Array
    over: Array
    done: Array


def _adam(draw: Draw, params: Params, key: jax.Array, solver: Adam) -> tuple[Params, _Outcome]:
    theta, unravel = ravel_pytree(params)  # one vector: an update is one kernel to compile instead of one for each parameter
    tx, rate_of, stop = _scheduled(solver, theta.dtype)

    def objective(theta, step):
        terms = draw(jax.random.fold_in(key, step)).terms(unravel(theta))
        return total_of(terms), terms

    def body(carry):
        """A step, or after the last one a look at where it led, lest the objective be compiled again for that."""
        (total, terms), grads = jax.value_and_grad(objective, has_aux=True)(carry.theta, carry.step)
        updates, state = tx.update(grads, carry.state, carry.theta, value=terms.get(solver.watch, total))
        finite, after = jnp.isfinite(total), carry.theta + jnp.asarray(updates, theta.dtype)
        sound = finite & jnp.isfinite(after).all()
        step = carry.step + 1
        over = (step >= solver.steps) | ~sound | (rate_of(state, step) <= stop)
        here = jnp.where(finite, carry.theta, carry.last)
        losses = carry.losses.at[carry.step].set(total)
        walked = _Descent(step, jnp.where(sound, after, here), here, state, losses, terms, ~sound, over, jnp.array(False))
        looked = carry._replace(terms=terms, done=jnp.array(True))
        return jax.tree.map(lambda look, walk: jnp.where(carry.over, look, walk), looked, walked)

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(objective, theta, 0)[1])
    no, losses = jnp.array(False), jnp.zeros(solver.steps, theta.dtype)
    descent = _Descent(jnp.array(0), theta, theta, tx.init(theta), losses, nothing, no, no, no)
    end = jax.lax.while_loop(lambda carry: ~carry.done, body, descent)
    done = jnp.arange(solver.steps) < end.step
    curve = jnp.where(done, end.losses, total_of(end.terms))
    rate = rate_of(end.state, end.step)
    return unravel(end.theta), _Outcome(end.step, end.terms, curve, done, end.broken, end.losses[0], learning_rate=rate)


LARGEST_DAMPING = 1e12
"""Beyond it nothing is left of a step."""


class _Walk(NamedTuple):
    """Levenberg-Marquardt between two steps; `moved`: the normal equations are those of other parameters."""

    step: Array
    theta: Array
    cost: Array
    terms: dict[str, Array]
    lam: Array
    moved: Array
    settled: Array
    system: Any
    start: Array
    losses: Array
    accepted: Array


def _levenberg_marquardt(
    draw: Draw,
    starts: Sequence[Params],
    key: jax.Array,
    solver: LevenbergMarquardt,
    tolerance: Array | float,
    equations: Equations,
) -> tuple[Params, _Outcome]:
    """One loop: its first passes, numbered below 0, try the starts, and so the objective is compiled once."""
    objective, count = draw(key), len(starts)
    tolerance = -jnp.inf if objective.energies else tolerance
    _, unravel = ravel_pytree(starts[0])
    candidates = jnp.stack([ravel_pytree(start)[0] for start in starts])

    def going(carry):
        unsolved = jnp.isfinite(carry.cost) & (carry.cost > tolerance) & (carry.lam <= LARGEST_DAMPING) & ~carry.settled
        return (carry.step < 0) | ((carry.step < solver.steps) & unsolved)

    def move(carry):
        def assembled(_):
            return equations.assemble(objective, unravel(carry.theta))

        system = jax.lax.cond(carry.moved, assembled, lambda system: system, carry.system)
        delta, trusted = _damped_step(objective, unravel, carry.theta, equations, system, carry.lam, accelerate=solver.accelerate)
        return carry.theta + delta, trusted, system

    def body(carry):
        step, cost, trying = carry.step, carry.cost, carry.step < 0
        trial, trusted, system = jax.lax.cond(
            trying, lambda carry: (candidates[count + step], jnp.array(True), carry.system), move, carry
        )
        trial_terms = objective.terms(unravel(trial))
        trial_cost = total_of(trial_terms)
        better = trusted & (trial_cost < cost)  # false for the NaN of a matrix that is not positive definite
        settled = ~trying & (jnp.abs(cost - trial_cost) < solver.settled * jnp.abs(cost))
        theta, cost = jnp.where(better, trial, carry.theta), jnp.where(better, trial_cost, cost)
        terms = {name: jnp.where(better, new, carry.terms[name]) for name, new in trial_terms.items()}
        lam = jnp.where(trying, carry.lam, solver.next_damping(carry.lam, better))
        start = jnp.where(trying, cost, carry.start)
        place = jnp.where(trying, solver.steps, step)  # beyond the end: nothing is written
        losses, accepted = (old.at[place].set(new, mode="drop") for old, new in ((carry.losses, cost), (carry.accepted, better)))
        return _Walk(step + 1, theta, cost, terms, lam, better | trying, settled, system, start, losses, accepted)

    end = jax.lax.while_loop(going, body, _walk(objective, starts, solver, equations))
    losses = jnp.where(jnp.arange(solver.steps) < end.step, end.losses, end.cost)
    broken = ~jnp.isfinite(end.cost)
    return unravel(end.theta), _Outcome(end.step, end.terms, losses, end.accepted, broken, end.start, damping=end.lam)


def _walk(objective: Objective, starts: Sequence[Params], solver: LevenbergMarquardt, equations: Equations) -> _Walk:
    """Before the first start is tried."""
    unknown = jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.inf, leaf.dtype), jax.eval_shape(objective.terms, starts[0]))
    far, (theta, _), no = total_of(unknown), ravel_pytree(starts[0]), jnp.array(False)
    lam, step = jnp.asarray(solver.damping, theta.dtype), jnp.array(-len(starts))
    history = jnp.zeros(solver.steps, far.dtype), jnp.zeros(solver.steps, bool)
    return _Walk(step, theta, far, unknown, lam, no, no, equations.zeros(theta), far, *history)


def _damped_step(
    objective: Objective, unravel: Callable, theta: Array, equations: Equations, system: Any, lam: Array, *, accelerate: bool
) -> tuple[Array, Array]:
    """The step of damped normal equations, bent where `accelerate` asks for it, and whether the bend can be trusted."""
    solve = equations.solver(system, lam)
    delta = -solve(system.slope)
    if not accelerate:
        return delta, jnp.array(True)
    bend = solve(objective.curvature_slope(unravel(theta), unravel(delta))) / 2
    trusted = 2 * jnp.linalg.norm(bend) < 0.75 * jnp.linalg.norm(delta)
    return delta - jnp.where(trusted, bend, 0), trusted

"""M2 to M5 on generated tasks: the error that a representation leaves to the target, measured and predicted."""

import jax
import jax.numpy as jnp
import numpy as np

from quire.active_multitask.active import linear_learner, run_amtrl
from quire.active_multitask.allocation import STRATEGIES, Strategy, allocate, best_bound
from quire.active_multitask.config import Linear, Preset
from quire.active_multitask.multitask import (
    Moments,
    first_moments,
    fit_mtrl,
    leading_subspace,
    ordinary_least_squares,
    representation_error,
)
from quire.active_multitask.relevance import relevance_l1, relevance_l2
from quire.active_multitask.tasks import Problem, draw_moments, one_strong_source, random_basis, relevant_sources
from quire.common.claims import shared
from quire.common.random import generator


def known_relevance(problem: Problem) -> dict[Strategy, np.ndarray]:
    """nu by strategy, from the true heads."""
    nu1, nu2 = (np.asarray(f(problem.heads, problem.target)) for f in (relevance_l1, relevance_l2))
    return {"uniform": nu2, "l2": nu2, "l1": nu1}


def pad_tasks(data: Moments, tasks: int) -> Moments:
    """Tasks without samples behind the others: problems of several sizes then share one program."""
    more = tasks - len(data.count)
    return Moments(*(np.pad(x, ((0, more),) + ((0, 0),) * (np.ndim(x) - 1)) for x in _parts(data)))


def known_errors(problem: Problem, budget: int, config: Linear, rng: np.random.Generator, tasks: int) -> np.ndarray:
    """Errors `[strategies]` with known relevance, and beside them what theory predicts: `sigma^2 (d - k) min sum nu_t^2 / n_t`.

    Args:
        problem: sources and target.
        budget: samples of the sources.
        config: sizes.
        rng: of the samples.
        tasks: to pad to.

    Returns:
        `[2, strategies]`, measured and predicted.
    """
    d, k = problem.basis.shape
    relevance, found = known_relevance(problem), []
    for strategy in STRATEGIES:
        n = allocate(relevance[strategy], budget, strategy)
        fit = fit_mtrl(pad_tasks(draw_moments(rng, problem.theta, n, config.sigma), tasks), k, rounds=config.rounds)
        bound = config.sigma**2 * (d - k) * float(best_bound(problem.heads, problem.target, n))
        found.append((float(representation_error(problem.target_theta, fit.basis)), bound))
    return np.array(found).T


def _averaged(problems, budget: int, config: Linear, rng: np.random.Generator, tasks: int) -> np.ndarray:
    return np.mean([known_errors(problem, budget, config, rng, tasks) for problem in problems], axis=0)


def _problems(config: Linear, tasks: int, overlap: float, rng: np.random.Generator) -> list[Problem]:
    return [relevant_sources(rng, d=config.d, k=config.k, tasks=tasks, overlap=overlap) for _ in range(config.trials)]


@shared
def known_study(preset: Preset, keys: jax.Array) -> dict:
    """Strategies that know the relevance.

    Returns:
        Arrays with a leading axis of seeds: `budgets [budgets, 2, strategies]`, and `sparse` and `spread [sizes, 2, strategies]`,
        where the sources that are not relevant say nothing, or something, about the directions of those that are.
    """
    config, found = preset.linear, {"budgets": [], "sparse": [], "spread": []}
    most = max(config.sizes)
    for key in keys:
        rng = generator(key)
        problems = _problems(config, config.tasks, 1.0, rng)
        found["budgets"].append([_averaged(problems, budget, config, rng, most) for budget in config.budgets])
        for name, overlap in (("sparse", 0.0), ("spread", 1.0)):
            sets = [_problems(config, tasks, overlap, rng) for tasks in config.sizes]
            found[name].append([_averaged(problems, config.budget, config, rng, most) for problems in sets])
    return {name: np.array(values) for name, values in found.items()}


@shared
def family_study(preset: Preset, keys: jax.Array) -> dict:
    """The lower-bound family: errors `[seeds, cs, 2, strategies]`, measured and predicted."""
    config, found = preset.linear, []
    for key in keys:
        rng, of_seed = generator(key), []
        for power in config.cs:
            heads, target = one_strong_source(config.family, config.family**-power)
            problems = [Problem(random_basis(rng, config.d, 1), heads, target) for _ in range(config.trials)]
            of_seed.append(_averaged(problems, config.budget, config, rng, config.family))
        found.append(of_seed)
    return {"errors": np.array(found)}


SAME_FLOOR, ORACLE, EPOCHS = "known nu, same floor", "known nu, no floor", "l1, three epochs"
RUNS = (*STRATEGIES, SAME_FLOOR, ORACLE, EPOCHS)


def estimated_errors(problem: Problem, config: Linear, seed: list[int]) -> dict[str, float]:
    """Errors where the relevance is estimated, by run, and whether the LASSO found the relevant sources."""
    found, d, tasks = {}, config.d, config.tasks
    nu1, n_min = relevance_l1(problem.heads, problem.target), 2 * d
    for name in RUNS:
        rng = np.random.default_rng(seed)  # the same target and warm start for all
        target = draw_moments(rng, problem.target_theta, config.n_target, config.sigma)
        sampler = lambda n, rng=rng: draw_moments(rng, problem.theta, n, config.sigma)  # noqa: E731
        if name.startswith("known"):
            floor = n_min if name == SAME_FLOOR else 0
            counts = floor + allocate(nu1, config.budget - floor * tasks, "l1")
            basis = fit_mtrl(sampler(counts), config.k, rounds=config.rounds).basis
        else:
            strategy, epochs = ("l1", 3) if name not in STRATEGIES else (name, 1)
            learner = linear_learner(config.k, config.rounds)
            run = run_amtrl(sampler, target, learner, config.budget, strategy, tasks=tasks, n_min=n_min, epochs=epochs)
            basis = run.estimate.model
            if name == "l1":
                chosen = np.asarray(run.nu) != 0
                found |= {"support": float(chosen[:2].all()), "size": float(chosen.sum())}
        found[name] = float(representation_error(problem.target_theta, basis))
    return found


@shared
def estimated_study(preset: Preset, keys: jax.Array) -> dict:
    """Means over the trials of `estimated_errors`, each `[seeds]`."""
    config, rows = preset.linear, []
    for key in keys:
        rng = generator(key)
        problems = _problems(config, config.tasks, 1.0, rng)
        trials = [estimated_errors(problem, config, rng.integers(0, 2**31, 4).tolist()) for problem in problems]
        rows.append({name: np.mean([trial[name] for trial in trials]) for name in trials[0]})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _parts(data: Moments) -> tuple:
    return data.gram, data.cross, data.square, data.count


def learning_curve(problem: Problem, data: Moments, k: int, rounds: int) -> dict[str, np.ndarray]:
    """Error of the representation for the target after every round of alternation, from two starts by moments.

    Args:
        problem: whose target is judged.
        data: of its sources.
        k: dimension.
        rounds: how many.
    """
    curves = {}
    for name, estimates in (("X'y / n", first_moments), ("least squares of every task", ordinary_least_squares)):
        basis = leading_subspace(estimates(data), k, data.count)
        curve = []
        for _ in range(rounds + 1):
            curve.append(float(representation_error(jnp.asarray(problem.target_theta, jnp.float32), basis)))
            basis = fit_mtrl(data, k, rounds=1, start=basis).basis
        curves[name] = np.array(curve)
    return curves

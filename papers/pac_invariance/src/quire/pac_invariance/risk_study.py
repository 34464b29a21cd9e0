"""P5: learners on samples from weak interventions, judged by their largest risk under strong ones."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import shared
from quire.pac_invariance.config import Preset, Risk
from quire.pac_invariance.icp import icp
from quire.pac_invariance.invariance import optimal_predictor, risk, worst_risk
from quire.pac_invariance.learners import erm, group_dro, irm_linear, irm_start
from quire.pac_invariance.moments import Moments, empirical, pooled
from quire.pac_invariance.problems import Problem, draw_moments, random_problems
from quire.pac_invariance.subsets import all_subsets, as_coefficients, search_subsets

INVARIANT, ERM, DRO, ICP, PARENTS, MEAN = "invariant subset", "ERM", "group DRO", "ICP", "true parents", "predicting zero"


def sampling_slack(num_covariates: int, num_samples: int) -> float:
    """`2 sqrt(d / n)`: two lengths of what sampling adds to a gradient of d entries, in units in which variances are 1."""
    return 2 * (num_covariates / num_samples) ** 0.5


def fit_all(moments: Moments, start: jax.Array, parents: jax.Array, config: Risk) -> dict[str, jax.Array]:
    """Coefficients `[d]` of every learner that works on moments."""
    d = moments.xy.shape[-1]
    subsets, together = all_subsets(d, d), pooled(moments)
    search = search_subsets(moments, subsets)
    best = search.best(config.eps + sampling_slack(d, config.num_samples))
    causal = Moments(together.xx * parents[:, None] * parents[None, :], together.xy * parents, together.yy)
    found = {
        INVARIANT: as_coefficients(search.w[best], jnp.asarray(subsets)[best], d),
        ERM: erm(moments),
        DRO: group_dro(moments),
        PARENTS: optimal_predictor(causal),
        MEAN: jnp.zeros_like(together.xy),
    }
    penalties = jnp.array(config.penalties, together.xy.dtype)
    learned = jax.vmap(lambda lam: irm_linear(moments, start, lam=lam, steps=config.steps).coefficients)(penalties)
    return found | {f"IRM, penalty {lam:g}": b for lam, b in zip(config.penalties, learned, strict=True)}


def icp_coefficients(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares on what ICP takes for causes, zero elsewhere; x and y as for `icp`."""
    causes, d = icp(x, y, all_subsets(x.shape[-1], x.shape[-1])).causes, x.shape[-1]
    found, rows = np.zeros(d), x.reshape(-1, d)
    found[causes] = np.linalg.pinv(rows[:, causes]) @ y.ravel()
    return found


@shared
def risk_study(preset: Preset, keys: jax.Array) -> dict[str, dict[str, np.ndarray]]:
    """Risks of all learners, `[seeds, models]`: the largest one over unseen strong interventions, the mean one in training."""
    config = preset.risk
    sizes = config.num_sems, config.num_nodes, config.in_degree, config.num_sites, config.train_strength
    problems = [problem for key in keys for problem in random_problems(key, *sizes)]
    with jax.enable_x64():
        train, by_icp = _train_moments(problems, config)
        parents = np.array([np.isin(problem.sem.covariates, problem.sem.parents).astype(float) for problem in problems])
        starts = np.stack([irm_start(problem.key, config.rank, parents.shape[1]) for problem in problems])
        found = jax.jit(jax.vmap(lambda *args: fit_all(*args, config)))(train, starts, parents)
        found = {name: np.asarray(b) for name, b in found.items()} | {ICP: by_icp}
        strong = [_stronger(problem, config.test_strength) for problem in problems]
        test = draw_moments(strong, 2, config.num_test)
        worst = {name: np.asarray(_worst(test, b)).reshape(len(keys), -1) for name, b in found.items()}
        weak = draw_moments(problems, 1, config.num_train)
        inside = {name: np.asarray(_mean(weak, b)).reshape(len(keys), -1) for name, b in found.items()}
    return {"worst": worst, "in distribution": inside}


def _train_moments(problems: list[Problem], config: Risk) -> tuple[Moments, np.ndarray]:
    """Moments of samples, and what ICP makes of the samples themselves."""
    moments, by_icp = [], []
    for problem in problems:
        sem = problem.sem
        drawn = problem.environments(0, config.num_train).sample(jax.random.fold_in(problem.key, 3), config.num_samples)
        moments.append(empirical(drawn, sem.target))
        by_icp.append(icp_coefficients(drawn[..., sem.covariates], drawn[..., sem.target]))
    return jax.tree.map(lambda *parts: jnp.stack(parts), *moments), np.stack(by_icp)


def _stronger(problem: Problem, strength: float) -> Problem:
    return problem._replace(family=replace(problem.family, edge_scale=strength, noise_scale=strength))


_worst = jax.jit(jax.vmap(worst_risk))
_mean = jax.jit(jax.vmap(lambda moments, b: risk(moments, b).mean()))

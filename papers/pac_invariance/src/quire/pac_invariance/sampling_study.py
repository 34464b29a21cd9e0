"""P9: gaps of samples against gaps of covariances, by the number of samples."""

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement
from quire.pac_invariance import figures
from quire.pac_invariance.config import Preset
from quire.pac_invariance.invariance import optimal_predictor
from quire.pac_invariance.moments import Moments, empirical, pooled
from quire.pac_invariance.problems import moments_of, random_problems
from quire.pac_invariance.subsets import all_subsets, of_subsets
from quire.pac_invariance.violation import subset_gaps

ENVIRONMENTS = 8
ONE_GAP = "one gap for all"


def gap_errors(preset: Preset, key: jax.Array) -> Measurement:
    """Mean error over models, environments and subsets, for predictors that are best for all environments together."""
    config = preset.bound
    sizes = preset.identity_sems, config.num_nodes, config.in_degree, config.num_sites, config.strength
    problems = random_problems(key, *sizes)
    sems = [problem.sem for problem in problems]
    drawn = [problem.environments(0, ENVIRONMENTS) for problem in problems]
    subsets = all_subsets(config.num_nodes - 1, config.num_nodes - 1)
    with jax.enable_x64():
        exact = moments_of(drawn, sems)
        w = _predictors(exact, subsets)
        truth = np.asarray(_gaps(exact, w, subsets))
        errors = []
        for n in preset.samples:
            keys = [jax.random.fold_in(problem.key, n) for problem in problems]
            seen = [empirical(each.sample(k, n), sem.target) for each, k, sem in zip(drawn, keys, sems, strict=True)]
            seen = jax.tree.map(lambda *parts: jnp.stack(parts), *seen)
            errors.append(float(np.abs(np.asarray(_gaps(seen, w, subsets)) - truth).mean()))
    return Measurement(
        errors[-1],
        f"{preset.identity_sems} models of {config.num_nodes} nodes, {ENVIRONMENTS} environments of {preset.samples[-1]} samples",
        baselines={ONE_GAP: float(np.abs(truth - truth.mean()).mean())},
        series={"error": (preset.samples, errors)},
        figure=figures.sampling(preset.samples, np.array(errors)),
    )


@jax.jit
def _predictors(moments: Moments, subsets: np.ndarray) -> jax.Array:
    return optimal_predictor(of_subsets(pooled(moments), subsets))


_gaps = jax.jit(jax.vmap(subset_gaps, in_axes=(0, 0, None)))

"""P6: how often does the worst representation break the promise, and how many interventions are enough?"""

import jax
import jax.numpy as jnp
import numpy as np

from quire.pac_invariance.bounds import pac_bound_finite
from quire.pac_invariance.config import Bound
from quire.pac_invariance.invariance import optimal_predictor
from quire.pac_invariance.moments import Moments, pooled
from quire.pac_invariance.problems import after, draw_moments, first, random_problems
from quire.pac_invariance.subsets import all_subsets, of_subsets
from quire.pac_invariance.violation import violation_curves

POPULATION = 400
"""Interventions that stand for the family where predictors are fixed beforehand."""


def bound_counts(config: Bound) -> tuple[int, ...]:
    """Powers of two up to the bound, and the bound."""
    last = pac_bound_finite(2 ** (config.num_nodes - 1) - 1, config.violation, config.delta)
    return (*(2**i for i in range(last.bit_length()) if 2**i < last), last)


def bound_study(key: jax.Array, config: Bound) -> dict[str, np.ndarray]:
    """Worst violation rates `[repetitions, counts]`, of predictors pooled over the training interventions, and of fixed ones.

    The class is all subsets of the covariates.
    """
    counts, r = bound_counts(config), config.repetitions
    with jax.enable_x64():
        sizes = config.num_sems, config.num_nodes, config.in_degree, config.num_sites, config.strength
        problems = random_problems(key, *sizes)
        train = draw_moments(problems, 0, r * counts[-1])
        train = jax.tree.map(lambda x: x.reshape(-1, counts[-1], *x.shape[2:]), train)
        drawn = draw_moments(problems, 1, POPULATION + config.num_test)
        test = jax.tree.map(lambda x: jnp.repeat(x, r, axis=0), after(drawn, POPULATION))
        subsets = all_subsets(config.num_nodes - 1, config.num_nodes - 1)
        w = jnp.repeat(_fixed(first(drawn, POPULATION), subsets), r, axis=0)
        found = {"pooled": violation_curves(train, test, subsets, counts, config.eps)}
        found["fixed"] = violation_curves(train, test, subsets, counts, config.eps, w)
    return {name: np.asarray(curve.worst) for name, curve in found.items()}


@jax.jit
def _fixed(population: Moments, subsets: np.ndarray) -> jax.Array:
    return optimal_predictor(of_subsets(pooled(population), subsets))


def interventions_needed(worst: np.ndarray, counts: tuple[int, ...], level: float, delta: float) -> float:
    """The smallest count after which at most a share delta of repetitions violates more than the level; infinite if none is."""
    enough = (worst > level).mean(0) <= delta
    return float(counts[int(np.argmax(enough))]) if enough.any() else float("inf")

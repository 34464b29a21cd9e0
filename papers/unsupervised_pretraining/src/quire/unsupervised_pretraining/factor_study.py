"""U2 to U4 and U7, U8: factor models, all methods on the same data."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.claims import shared
from quire.common.random import generator
from quire.unsupervised_pretraining.config import Likelihood, Preset
from quire.unsupervised_pretraining.distances import squared_hellinger_gaussian
from quire.unsupervised_pretraining.factor_model import FactorModel
from quire.unsupervised_pretraining.sweep import factor_problem, silent_coordinate, silent_factor, sweep

KINDS = ("smaller d", "larger d", "silent factor", "silent coordinate")
"""Problems of `factor_study`, in this order; the last two have the larger d."""


@shared
def factor_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Excess risks `[seeds, kinds, draws, ...]`, as `sweep` returns them."""
    config = preset.factors
    small, large = config.dims
    kinds = [
        partial(kind, d, config.r, config.noise)
        for kind, d in ((factor_problem, small), (factor_problem, large), (silent_factor, large), (silent_coordinate, large))
    ]
    found = [sweep(kinds, generator(key), ms=(config.m,), ns=config.ns, draws=config.draws) for key in keys]
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


@shared
def crossover_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Excess risks `[seeds, draws, ...]` over sizes of both samples, of factors that are weak."""
    config = preset.crossover
    kind = partial(factor_problem, config.d, config.r, config.noise, strength=config.strength)
    found = [sweep([kind], generator(key), ms=config.ms, ns=config.ns, draws=config.draws) for key in keys]
    return {name: np.stack([each[name][0] for each in found]) for name in found[0]}


def likelihood_study(config: Likelihood, key: jax.Array) -> dict[str, Float[np.ndarray, "draws ms"]]:
    """Squared Hellinger distance to the truth, of the factor model and of every covariance that the sample allows."""
    draw, truths, moments = generator(key), [], []
    for _ in range(config.draws):
        problem = factor_problem(config.d, config.r, 0.0, draw)
        x, _ = problem.draw(max(config.ms), draw)
        truths.append(problem.covariance)
        moments.append(np.stack([x[:m].T @ x[:m] / m for m in config.ms]))
    with jax.enable_x64():
        found = _distances(np.stack(truths), np.stack(moments), config.r)
        return {name: np.asarray(values) for name, values in found.items()}


@partial(jax.jit, static_argnames="r")
def _distances(truths: Float[Array, "draws d d"], moments: Float[Array, "draws ms d d"], r: int) -> dict[str, Array]:
    def of_sample(truth, s):
        return {
            "factor model": squared_hellinger_gaussian(truth, FactorModel.from_second_moments(s, r).covariance),
            "sample covariance": squared_hellinger_gaussian(truth, s),
            "standard normal": squared_hellinger_gaussian(truth, jnp.eye(len(s))),
        }

    return jax.lax.map(lambda one: jax.lax.map(partial(of_sample, one[0]), one[1]), (truths, moments))

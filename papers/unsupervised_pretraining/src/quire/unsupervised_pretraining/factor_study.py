"""U2 to U4 and U7, U8: factor models, all methods on the same data."""

from collections.abc import Callable
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
from quire.unsupervised_pretraining.sweeps import factor_problem, silent_coordinate, silent_factor, sweep


@shared
def factor_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Excess risks `[seeds, dims, draws, ...]` of informative problems, as `sweep` returns them."""
    config = preset.factors
    kinds = [partial(factor_problem, d, config.r, config.noise) for d in config.dims]
    return _over_seeds(lambda draw: sweep(kinds, draw, ms=(config.m,), ns=config.ns, draws=config.draws), keys)


@shared
def silent_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Excess risks `[seeds, kinds, draws, ...]` at the larger d and the first n: a silent factor, a silent coordinate."""
    config = preset.factors
    kinds = [partial(kind, config.dims[1], config.r, config.noise) for kind in (silent_factor, silent_coordinate)]
    return _over_seeds(lambda draw: sweep(kinds, draw, ms=(config.m,), ns=config.ns[:1], draws=config.draws), keys)


@shared
def crossover_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Excess risks `[seeds, draws, ...]` over sizes of both samples, of factors that are weak."""
    config = preset.crossover
    kind = partial(factor_problem, config.d, config.r, config.noise, strength=config.strength)
    found = _over_seeds(lambda draw: sweep([kind], draw, ms=config.ms, ns=config.ns, draws=config.draws), keys)
    return {name: risks[:, 0] for name, risks in found.items()}


def _over_seeds(of_seed: Callable[[np.random.Generator], dict[str, np.ndarray]], keys: jax.Array) -> dict[str, np.ndarray]:
    found = [of_seed(generator(key)) for key in keys]
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


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

"""Measurements of the identities: filter and smoother against dense regression, epochs against the definition; their costs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.bench import Case, measure
from quire.common.random import generator
from quire.funbat.brute_force import reference_epochs
from quire.funbat.cep import run_epochs
from quire.funbat.config import Reference, Regression
from quire.funbat.entries import entries_at
from quire.funbat.gaussian_process import chain_posterior, gp_posterior
from quire.funbat.model import Hyper, Kind, Model, State, initial_state

KERNELS = ((0.5, 0.7, 0.2), (1.5, 1.3, 0.3))
"""Smoothness, variance and lengthscale of C1's processes."""


def series(n: int, size: int, key: jax.Array, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random coordinates in (0, 3), observations, and covariances of their noise."""
    draw = generator(key)
    roots = draw.normal(size=(n, size, size))
    noise = roots @ roots.transpose(0, 2, 1) / size + 0.1 * np.eye(size)
    return tuple(x.astype(dtype) for x in (np.sort(draw.uniform(0, 3, n)), draw.normal(size=(n, size)), noise))


def regression_errors(config: Regression, key: jax.Array) -> dict[str, float]:
    """Largest differences between chain and dense posterior, at observed coordinates and three new ones, and of log densities.

    The new ones lie before the first coordinate, between two, and after the last.
    """
    t, y, noise = series(config.coordinates, config.size, key)
    new = np.array([t[0] - 0.1, (t[2] + t[3]) / 2, t[-1] + 0.1])
    grid = np.sort(np.concatenate([t, new]))
    observed = np.isin(grid, t)
    filled_y = np.zeros((len(grid), config.size))
    filled_noise = np.broadcast_to(np.eye(config.size), (len(grid), config.size, config.size)).copy()
    filled_y[observed], filled_noise[observed] = y, noise
    errors = {"scan": 0.0, "associative scan": 0.0}
    for nu, variance, lengthscale in KERNELS:
        dense = gp_posterior(t, y, noise, grid, nu=nu, variance=variance, lengthscale=lengthscale)
        for name, parallel in (("scan", False), ("associative scan", True)):
            found = chain_posterior(grid, filled_y, filled_noise, observed, variance, lengthscale, nu=nu, parallel=parallel)
            worst = max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(found, dense, strict=True))
            errors[name] = worst if np.isnan(worst) else max(errors[name], worst)
    return errors


def smoothing_times(config: Regression, key: jax.Array) -> dict[str, tuple[tuple[int, ...], list[float]]]:
    """Least seconds of a call by number of coordinates, compilation left out: `scan` and `dense`."""

    def fastest(n: int, function, *args) -> float:
        t, y, noise = series(n, 1, key, np.float32)
        return measure(Case(lambda *given: function(*given), (t, y, noise, *args)), n, repeats=config.repeats).fastest

    def chain(t, y, noise):
        return chain_posterior(t, y, noise, jnp.ones(t.shape, bool), 1.0, 0.3, nu=0.5)

    def dense(t, y, noise):
        return gp_posterior(t, y, noise, t, nu=0.5, variance=1.0, lengthscale=0.3)

    return {
        "scan": (config.scan, [fastest(n, chain) for n in config.scan]),
        "dense": (config.dense, [fastest(n, dense) for n in config.dense]),
    }


CASES: tuple[tuple[Kind, float], ...] = (("cp", 0.5), ("tucker", 1.5))


def epoch_errors(config: Reference, key: jax.Array) -> dict[str, float]:
    """Largest relative differences of posteriors and noise between `run_epochs` and `reference_epochs`, in float64."""
    draw = generator(key)
    coords = np.stack([draw.choice(np.sort(draw.uniform(size=d)), config.entries) for d in config.dims], axis=1)
    values = draw.normal(size=config.entries)
    modes = len(config.dims)
    hyper = Hyper(tuple(draw.uniform(0.2, 1, modes)), tuple(draw.uniform(0.5, 2, modes)), 0.3, 0.4, 0.5)
    errors = {}
    with jax.enable_x64():
        entries = entries_at(coords, values)
        for kind, nu in CASES:
            model = Model(config.rank, kind, nu)
            start = initial_state(entries, model, key)
            found = run_epochs(entries, start, hyper, config.epochs, model=model)
            expected = reference_epochs(entries, start, hyper, model, config.epochs)
            errors[f"{kind}, Matern {nu:g}"] = _largest_difference(found, expected)
    return errors


def _largest_difference(found: State, expected: State) -> float:
    parts = [(s.functions, s.core, s.noise_precision) for s in (found, expected)]
    pairs = zip(*map(jax.tree.leaves, parts), strict=True)
    return float(np.max([np.max(np.abs(a - b)) / np.max(np.abs(b)) for a, b in pairs]))

"""Measurements of the identities: filter and smoother against dense regression, epochs against the definition; their costs."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.random import generator
from quire.funbat.brute_force import reference_epochs
from quire.funbat.cep import run_epochs
from quire.funbat.config import Reference, Regression
from quire.funbat.entries import entries_at
from quire.funbat.gaussian_process import chain_posterior, gp_posterior
from quire.funbat.model import Hyper, Kind, Model, State, initial_state

KERNELS = ((0.5, 0.7, 0.2), (1.5, 1.3, 0.3))
"""Smoothness, variance and lengthscale of C1's processes."""


def series(n: int, size: int, key: jax.Array, dtype: Any = np.float64) -> tuple[np.ndarray, ...]:
    """Random coordinates in (0, 3), observations, and covariances of their noise."""
    draw = generator(key)
    roots = draw.normal(size=(n, size, size))
    noise = roots @ roots.transpose(0, 2, 1) / size + 0.1 * np.eye(size)
    return tuple(x.astype(dtype) for x in (np.sort(draw.uniform(0, 3, n)), draw.normal(size=(n, size)), noise))


def regression_errors(config: Regression, key: jax.Array) -> dict[str, float]:
    """Largest differences between chain and dense posterior, by scan for both kernels, by associative scan for the first.

    The associative scan takes a few of the coordinates: compiling it costs more the longer it is.
    """
    whole = series(config.coordinates, config.size, key)
    errors = {"scan": float(np.max([_regression_error(whole, *kernel) for kernel in KERNELS]))}
    if config.few:
        few = tuple(x[: config.few] for x in whole)
        errors["associative scan"] = _regression_error(few, *KERNELS[0], parallel=True)
    return errors


def _regression_error(
    data: tuple[np.ndarray, ...], nu: float, variance: float, lengthscale: float, *, parallel: bool = False
) -> float:
    """Of means, covariances and log density, at all coordinates and at new ones: before the first, between, after the last."""
    t, y, noise = data
    size = y.shape[1]
    grid = np.sort(np.concatenate([t, [t[0] - 0.1, (t[2] + t[3]) / 2, t[-1] + 0.1]]))
    observed = np.isin(grid, t)
    filled = np.zeros((len(grid), size)), np.broadcast_to(np.eye(size), (len(grid), size, size)).copy()
    filled[0][observed], filled[1][observed] = y, noise
    dense = gp_posterior(t, y, noise, grid, nu=nu, variance=variance, lengthscale=lengthscale)
    chain = chain_posterior(grid, *filled, observed, variance, lengthscale, nu=nu, parallel=parallel)
    return float(np.max([np.max(np.abs(np.asarray(a) - b)) for a, b in zip(chain, dense, strict=True)]))


def smoothing_times(config: Regression, key: jax.Array) -> dict[str, tuple[tuple[int, ...], list[float]]]:
    """Least seconds of a call by number of coordinates, compilation left out: `scan` and `dense`.

    In rounds of one call each, so that a machine that is busy for a while is so for all of them.
    """

    def chain(t, y, noise):
        return chain_posterior(t, y, noise, np.ones(t.shape, bool), 1.0, 0.3, nu=0.5)

    def dense(t, y, noise):
        return gp_posterior(t, y, noise, t, nu=0.5, variance=1.0, lengthscale=0.3)

    calls = [(posterior, n) for posterior, sizes in ((chain, config.scan), (dense, config.dense)) for n in sizes]
    data = {n: [jnp.asarray(x) for x in series(n, 1, key, np.float32)] for _, n in calls}
    rounds, begin = [], 0.0
    while len(rounds) <= config.repeats or time.perf_counter() - begin < config.seconds:
        rounds.append([_seconds(posterior, *data[n]) for posterior, n in calls])
        begin = begin or time.perf_counter()  # the first round compiles
    least = np.min(rounds[1:], axis=0).tolist()
    return {"scan": (config.scan, least[: len(config.scan)]), "dense": (config.dense, least[len(config.scan) :])}


def _seconds(function: Callable[..., Any], *args: Any) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - start


CASES: tuple[tuple[Kind, float, int], ...] = (("cp", 0.5, 2), ("tucker", 1.5, 3))
"""Kind, smoothness, modes of C3's tensors."""


def epoch_errors(config: Reference, key: jax.Array) -> dict[str, float]:
    """Largest relative differences of posteriors and noise between `run_epochs` and `reference_epochs`, in float64."""
    draw, errors = generator(key), {}
    for kind, nu, modes in CASES:
        places = [draw.choice(draw.uniform(size=size), config.entries) for size in config.dims[:modes]]
        hyper = Hyper(tuple(draw.uniform(0.2, 1, modes)), tuple(draw.uniform(0.5, 2, modes)), 0.3, 0.4, 0.5)
        with jax.enable_x64():
            entries = entries_at(np.stack(places, axis=1), draw.normal(size=config.entries))
            model = Model(config.rank, kind, nu)
            start = initial_state(entries, model, key)
            found = run_epochs(entries, start, hyper, config.epochs, model=model)
            expected = reference_epochs(entries, start, hyper, model, config.epochs)
            errors[f"{kind}, {modes} modes, Matern {nu:g}"] = _largest_difference(found, expected)
    return errors


def _largest_difference(found: State, expected: State) -> float:
    parts = [(s.functions, s.core, s.noise_precision) for s in (found, expected)]
    pairs = zip(*map(jax.tree.leaves, parts), strict=True)
    return float(np.max([np.max(np.abs(a - b)) / np.max(np.abs(b)) for a, b in pairs]))

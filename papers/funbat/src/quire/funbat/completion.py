"""Completions for all seeds at once: the method, the same without its processes, and what both are compared with."""

from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int

from quire.common.claims import shared
from quire.common.random import generator
from quire.common.tensors.cp import cp_als
from quire.common.tensors.multilinear import cp_score, tucker_score
from quire.common.train.finite import check_state
from quire.common.train.seeds import fold_keys, stack
from quire.funbat.baselines import additive_effects, process_over_coordinates
from quire.funbat.cep import run_epochs
from quire.funbat.config import Completion, Preset
from quire.funbat.discrete import tucker_als
from quire.funbat.entries import Entries, on_grid
from quire.funbat.model import Hyper, Model, State, initial_state
from quire.funbat.prediction import predictive
from quire.funbat.sources import Problem, open_problem


class Sample(NamedTuple):
    """Entries that the seeds learn from, and the units of their values.

    Attributes:
        entries: indices and standardised values have a leading seed axis; the coordinates are shared.
        shift, scale: `[seeds, 1]`; values are `shift + scale * standardised`.
    """

    entries: Entries
    shift: np.ndarray
    scale: np.ndarray


def draw_sample(problem: Problem, keys: jax.Array) -> Sample:
    """Every seed's own part of the training entries, with its own noise."""
    completion, train = problem.completion, problem.split.train
    chosen, values = [], []
    for key in keys:
        draw = generator(key)
        part = draw.permutation(len(train))[: completion.num_entries or None]
        chosen.append(train.indices[part])
        values.append(train.values[part] + completion.noise * train.values.std() * draw.standard_normal(len(part)))
    values = np.stack(values)
    shift = values.mean(1, keepdims=True) if completion.centre else np.zeros((len(keys), 1))
    scale = values.std(1, keepdims=True)
    each = [on_grid(i, y, problem.split.coordinates) for i, y in zip(chosen, (values - shift) / scale, strict=True)]
    entries = Entries(np.stack([e.indices for e in each]), np.stack([e.values for e in each]), each[0].coordinates)
    return Sample(entries, shift, scale)


def infer(sample: Sample, completion: Completion, keys: jax.Array, *, smooth: bool = True) -> State:
    """States of all seeds after all epochs, each from the best of its starts.

    Raises:
        TrainingDiverged: naming the seed, if a posterior is not finite.
    """
    entries, inference = sample.entries, completion.inference
    model, hyper = inference.model(smooth=smooth), inference.hyper(len(entries.coordinates))
    found = []
    for number in range(inference.starts):
        each = enumerate(fold_keys(keys, number))
        starts = [initial_state(of_seed(entries, i), model, key, variance=inference.initial_variance) for i, key in each]
        states = run_together(entries, stack(starts), hyper, inference.epochs, model=model)
        check_state(states._asdict(), 0, inference.epochs, of_seeds=True)
        found.append(states)
    stacked = stack(found)
    best = stacked.noise_precision.argmax(0)
    return jax.tree.map(lambda x: x[best, np.arange(len(keys))], stacked)


def of_seed(entries: Entries, seed: int) -> Entries:
    """One seed's entries."""
    return Entries(entries.indices[seed], entries.values[seed], entries.coordinates)


@partial(jax.jit, static_argnames="model")
def run_together(entries: Entries, states: State, hyper: Hyper, epochs: int | Int[Array, ""], *, model: Model) -> State:
    """`run_epochs` of seeds that share coordinates; where a seed has no entry, nothing is observed."""

    def run(indices, values, state):
        return run_epochs(Entries(indices, values, entries.coordinates), state, hyper, epochs, model=model)

    return jax.vmap(run)(entries.indices, entries.values, states)


@jax.jit
def predict_together(states: State, indices: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Means and variances `[seeds, entries]` of the same entries, standardised."""
    return jax.vmap(lambda s: predictive(s.functions, s.core, s.noise_precision, indices))(states)


def complete(completion: Completion, keys: jax.Array) -> dict[str, Any]:
    """Everything that the claims say about a completion.

    Returns:
        `states` of the method; `mean` and `std` `[seeds, test entries]` by arm in the units of the values, `std` for `FunBaT`,
        `discrete Bayes` and `mean`; `test` entries; the `problem`, names of the data and of what they stand for.
    """
    source = open_problem(completion)
    problem = source.value
    completion, test = problem.completion, problem.split.test
    sample = draw_sample(problem, keys)
    states = {"FunBaT": infer(sample, completion, keys)}
    states["discrete Bayes"] = infer(sample, completion, keys, smooth=False)
    mean, std = {}, {}
    for arm, state in states.items():
        m, v = predict_together(state, test.indices)
        mean[arm], std[arm] = sample.shift + sample.scale * np.asarray(m), sample.scale * np.sqrt(v)
    others = [_baselines(problem, sample, i, key) for i, key in enumerate(keys)]
    mean |= {arm: np.stack([other[arm] for other in others]) for arm in others[0]}
    std["mean"] = np.broadcast_to(sample.scale, mean["mean"].shape)
    count = sample.entries.values.shape[1]
    return {
        "states": states,
        "mean": mean,
        "std": std,
        "test": test,
        "problem": problem,
        "data": f"{problem.name}, {count} of them to learn from",
        "stand_in_for": source.stand_in_for,
    }


def _baselines(problem: Problem, sample: Sample, seed: int, key: jax.Array) -> dict[str, np.ndarray]:
    """Predictions of one seed: additive effects, alternating least squares, a process over all coordinates, the mean."""
    completion, inference = problem.completion, problem.completion.inference
    indices, y, coordinates = of_seed(sample.entries, seed)
    shift, scale, test = sample.shift[seed], sample.scale[seed], problem.split.test
    found = {"additive": additive_effects(indices, y.astype(float), test.indices)}
    decompose, score = (cp_als, cp_score) if inference.kind == "cp" else (tucker_als, tucker_score)
    fits = []
    for ridge, start in product(completion.ridges, range(inference.starts)):
        settings = problem.split.train.dims, inference.rank, ridge
        factors = decompose(indices, y, *settings, key=jax.random.fold_in(key, start))
        core, factors = ((), factors) if inference.kind == "cp" else ((factors[0],), factors[1])
        fits.append(np.asarray(score(*core, *(f[test.indices[:, m]] for m, f in enumerate(factors)))))
    goal = (test.values - shift) / scale
    found["ALS"] = min(fits, key=lambda fit: np.mean((fit - goal) ** 2))
    if completion.gp_entries:
        settings = {"nu": inference.nu, "lengthscale": inference.lengthscale, "most": completion.gp_entries}
        found["GP"] = process_over_coordinates(coordinates, indices, y, test.indices, **settings, key=key)
    found["mean"] = np.full(len(test), y.mean())
    return {arm: shift + scale * x for arm, x in found.items()}


def rmse(run: dict[str, Any]) -> dict[str, float]:
    """Root mean squared error of every arm on the test entries, of one seed."""
    return {arm: float(np.sqrt(np.mean((m - run["test"].values) ** 2))) for arm, m in run["mean"].items()}


@shared
def curve_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`complete` of the curves."""
    return complete(preset.curves, keys)


@shared
def temperature_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`complete` of the temperatures."""
    return complete(preset.temperatures, keys)

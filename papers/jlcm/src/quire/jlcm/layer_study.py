"""One linear layer, quantised by every rule: what the mapping gains by learning, and by which gradient."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from quire.common.quant.coordinate_descent import coordinate_descent
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import stack
from quire.jlcm.assignment import nearest_assignment
from quire.jlcm.joint_learning import Learning, Params, learn, learned_weights, relative_output_error, start_params

LAYER = "layer"

RULES = {
    "proximal": Learning("proximal"),
    "distance": Learning("distance"),
    "softmax": Learning("default"),
    "soft forward": Learning("default", forward="soft", one_hot=1.0),
}
"""By the names that tables show."""

SOFT_RATES = 1
"""How many of the largest rates the soft forward tries: the powers in its penalty cost more than all else here."""


@dataclass(frozen=True)
class LayerSizes:
    """A layer of random weights behind inputs whose covariance has the eigenvalues `exp(-i / decay)`.

    Attributes:
        dim: inputs and outputs.
        bits: of a code.
        decay: of the spectrum.
        calibration, test: inputs to learn from, of which a quarter chooses the rate, and fresh ones.
        steps, batch_size: of learning.
        rates: of the mapping, the same for every rule.

    Raises:
        ValueError: for sizes that are not positive, or fewer inputs to learn from than a batch.
    """

    dim: int = 48
    bits: int = 3
    decay: float = 8.0
    calibration: int = 512
    test: int = 512
    steps: int = 500
    batch_size: int = 64
    rates: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)

    def __post_init__(self):
        if min(self.dim, self.bits, self.decay, self.calibration, self.test, self.steps, self.batch_size, len(self.rates)) <= 0:
            raise ValueError(f"{self}: all numbers must be positive")
        if self.calibration * 3 // 4 < self.batch_size:
            raise ValueError(f"calibration is {self.calibration}; three quarters of it must hold a batch of {self.batch_size}")


class Problem(NamedTuple):
    """Weights `[dim, dim]`, inputs to learn from, to choose the rate by, and to judge by, `[n, dim]`, and rows of the batches."""

    w: np.ndarray
    x: np.ndarray
    held: np.ndarray
    test: np.ndarray
    batches: np.ndarray


class Outcome(NamedTuple):
    """Of one rule: relative output errors of every rate, held-out and test `[rates]`; the chosen one, its rate and losses."""

    held: np.ndarray
    tested: np.ndarray
    error: np.ndarray
    rate: np.ndarray
    losses: np.ndarray


def layer_problem(key: jax.Array, sizes: LayerSizes) -> Problem:
    """Normal weights of variance `1 / dim`, inputs in random directions."""
    rng, dim, learned = generator(key), sizes.dim, sizes.calibration * 3 // 4
    w = rng.standard_normal((dim, dim)) / np.sqrt(dim)
    directions = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    root = directions * np.exp(-np.arange(dim) / (2 * sizes.decay))
    x = (rng.standard_normal((sizes.calibration + sizes.test, dim)) @ root.T).astype(np.float32)
    batches = epoch_indices(key, learned, sizes.batch_size, sizes.steps)
    return Problem(w.astype(np.float32), x[:learned], x[learned : sizes.calibration], x[sizes.calibration :], batches)


def _layer(weights, x):
    return x @ weights[LAYER].T


def _errors(weights, problem: Problem):
    return tuple(relative_output_error(_layer(weights, x), x @ problem.w.T) for x in (problem.held, problem.test))


@partial(jax.jit, static_argnames="learning")
def _learned(problem: Problem, start: Params, rates, learning: Learning):
    """All seeds and rates, `[seeds, rates]`."""

    def one(problem, start, rate):
        rows = {LAYER: np.zeros(problem.w.shape[0], np.int32)}
        target = problem.x @ problem.w.T
        found = learn(_layer, start, rows, problem.x, target, problem.batches, rate, learning.codebook_rate, learning)
        return (*_errors(learned_weights(found.params, rows), problem), found.losses)

    return jax.vmap(jax.vmap(one, (None, None, 0)), (0, 0, None))(problem, start, rates)


@partial(jax.jit, static_argnames="sweeps")
def _descended(problem: Problem, codebooks, sweeps: int = 10):
    def one(problem, codebook):
        found = coordinate_descent(problem.w, problem.x.T @ problem.x, codebook, sweeps=sweeps)
        return _errors({LAYER: found.codebook[found.codes]}, problem)[1]

    return jax.vmap(one)(problem, codebooks)


def study_layer(sizes: LayerSizes, keys: list[jax.Array]) -> dict[str, Outcome | np.ndarray]:
    """Every rule, every rate, all seeds side by side; errors `[seeds]` of what does not learn by gradients.

    Returns:
        An `Outcome` of `[seeds, ...]` for every rule; `nearest`, `fixed mapping` (the codebook alone is learned) and `coordinate
        descent` as test errors.
    """
    each = [layer_problem(key, sizes) for key in keys]
    tensors = [nearest_assignment(problem.w, sizes.bits) for problem in each]
    start = stack([start_params({LAYER: p.w}, {LAYER: t})[0] for p, t in zip(each, tensors, strict=True)])
    problems = stack(each)
    found: dict[str, Outcome | np.ndarray] = {}
    for name, learning in RULES.items():
        tried = sizes.rates[-SOFT_RATES:] if learning.forward == "soft" else sizes.rates
        rates = np.array((0.0, *tried) if name == "proximal" else tried, np.float32)
        held, tested, losses = jax.device_get(_learned(problems, start, rates, learning))
        if name == "proximal":  # a rate of 0 learns the codebook alone
            found["fixed mapping"] = tested[:, 0]
            held, tested, losses, rates = held[:, 1:], tested[:, 1:], losses[:, 1:], rates[1:]
        best, seeds = held.argmin(1), np.arange(len(keys))
        found[name] = Outcome(held, tested, tested[seeds, best], rates[best], losses[seeds, best])
    quantised = [np.asarray(t.codebooks[0])[t.codes] for t in tensors]
    found["nearest"] = np.array(
        [np.sum((p.test @ (q - p.w).T) ** 2) / np.sum((p.test @ p.w.T) ** 2) for p, q in zip(each, quantised, strict=True)]
    )
    found["coordinate descent"] = np.asarray(_descended(problems, start["codebooks"][LAYER][:, 0]))
    return found

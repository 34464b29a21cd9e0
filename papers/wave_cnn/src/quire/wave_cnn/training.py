"""Training of the surrogates: one program for every seed, sample and rate of a kind of network."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.train.batches import epoch_indices
from quire.common.train.finite import check_losses, check_state
from quire.common.train.step import make_step, split_model
from quire.wave_cnn.waves import WaveData


class Scaled(NamedTuple):
    """Fields and inputs divided by the largest displacement of the training fields; the speed stays."""

    inputs: Float[AnyArray, "n times size size channels"]
    fields: Float[AnyArray, "n times size size"]
    scale: float


def scaled(data: WaveData, scale: float) -> Scaled:
    """Data as networks take them.

    Raises:
        ValueError: if the scale is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale is {scale}; it must be positive, the training fields move")
    channels = data.inputs.shape[-1]
    divide = np.where(np.arange(channels) < channels - 2, 1.0, scale).astype(data.inputs.dtype)
    return Scaled(data.inputs / divide, data.fields / data.fields.dtype.type(scale), float(scale))


class Run(NamedTuple):
    """What one training run needs: a key, the data, how many of its first fields are seen, and a rate."""

    key: jax.Array
    data: Scaled
    samples: int
    rate: float


class Trained(NamedTuple):
    """A trained network, its losses, and the seconds of a step, compilation left out."""

    model: nnx.Module
    losses: Float[np.ndarray, " steps"]
    seconds: float


def squared_error(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Array:
    """Mean squared error of scaled fields."""
    inputs, fields = batch
    return jnp.mean((model(inputs) - fields) ** 2)


class Trainer:
    """Adam on fields: compiled once for a kind of network, and run for every seed, number of samples and rate.

    Args:
        build: makes a network from its random keys.
        steps, batch_size: length.

    Raises:
        ValueError: if a length is not positive.
    """

    def __init__(self, build: Callable[[nnx.Rngs], nnx.Module], steps: int, batch_size: int):
        if min(steps, batch_size) < 1:
            raise ValueError(f"steps is {steps} and batch_size {batch_size}; both must be at least 1")
        self.build, self.steps, self.batch_size = build, steps, batch_size
        self.graph, self.fixed, weights = split_model(build(nnx.Rngs(0)))
        self._other = weights.other
        self._train, self._predict = None, jax.jit(self._apply)

    def __call__(self, run: Run) -> Trained:
        """Train one network.

        Raises:
            ValueError: if fewer fields are there than are to be seen.
            TrainingDiverged: if a loss or a parameter is not finite.
        """
        if run.samples > len(run.data.fields):  # rows beyond the last would be read as the last
            raise ValueError(f"samples is {run.samples}; the data have {len(run.data.fields)}")
        _, _, weights = split_model(self.build(nnx.Rngs(run.key)))
        indices = epoch_indices(run.key, run.samples, self.batch_size, self.steps)
        arguments = (weights, (run.data.inputs, run.data.fields), indices, np.float32(run.rate), run.key)
        if self._train is None:
            self._train = jax.jit(self._loop).lower(*arguments).compile()
        start = time.perf_counter()
        weights, losses = jax.block_until_ready(self._train(*arguments))
        seconds = (time.perf_counter() - start) / self.steps
        check_losses(np.asarray(losses))
        check_state({"params": weights.params}, 0, self.steps)
        return Trained(nnx.merge(self.graph, weights.params, self.fixed, weights.other), np.asarray(losses), seconds)

    def predict(self, model: nnx.Module, data: Scaled) -> Float[np.ndarray, "n times size size"]:
        """Fields of a network, in their own units.

        Raises:
            ValueError: without an input, or for as many as batches do not divide.
        """
        check_at_least("number of inputs", len(data.inputs))
        params = nnx.state(model, nnx.Param)
        batch = self.batch_size
        if rest := len(data.inputs) % batch:
            raise ValueError(f"data has {len(data.inputs)} inputs; batches of {batch} leave {rest}")
        parts = [self._predict(params, data.inputs[i : i + batch]) for i in range(0, len(data.inputs), batch)]
        return np.concatenate([np.asarray(part) for part in parts]) * np.float32(data.scale)

    def inference_seconds(self, model: nnx.Module, data: Scaled, repeats: int = 5) -> float:
        """Least seconds that a batch takes to forecast, compilation left out.

        Raises:
            ValueError: for less than one repeat.
        """
        check_at_least("repeats", repeats)
        params, batch = nnx.state(model, nnx.Param), data.inputs[: self.batch_size]
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            jax.block_until_ready(self._predict(params, batch))
            times.append(time.perf_counter() - start)
        return min(times[1:])

    def _apply(self, params, inputs):
        return nnx.merge(self.graph, params, self.fixed, self._other)(inputs)

    def _loop(self, weights, data, indices: Int[Array, "steps batch"], rate: float | Array, key):
        tx = optax.flatten(optax.adam(rate))
        step = make_step(self.graph, self.fixed, tx, squared_error)

        def body(carry, position):
            number, chosen = position
            batch = jax.tree.map(lambda a: a[chosen], data)
            weights, opt_state, loss = step(*carry, batch, key, number)
            return (weights, opt_state), loss

        start = (weights, tx.init(weights.params))
        (weights, _), losses = jax.lax.scan(body, start, (jnp.arange(self.steps), indices))
        return weights, losses


def relative_error(found: Float[AnyArray, "*_"], truth: Float[AnyArray, "*_"]) -> float:
    """`|found - truth| / |truth|` in the Euclidean norm of all numbers.

    Raises:
        ValueError: if shapes differ or the truth is zero.

    >>> relative_error(np.array([3.0, 0.0]), np.array([3.0, 4.0]))
    0.8
    """
    found, truth = np.asarray(found, float), np.asarray(truth, float)
    if found.shape != truth.shape or not np.any(truth):
        raise ValueError(f"found has shape {found.shape} and truth {truth.shape}; they need the same, and a truth that is not 0")
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def chosen_rate(
    trainer: Trainer, run: Run, rates: Sequence[float], held_out: Scaled
) -> tuple[float, dict[float, float], dict[float, Trained]]:
    """The rate whose network has the least error on held-out fields, the errors, and the networks, by rate.

    Raises:
        ValueError: without a rate.
    """
    if not rates:
        raise ValueError("rates is empty; at least one is needed")
    trained = {rate: trainer(run._replace(rate=rate)) for rate in rates}
    truth = held_out.fields * np.float32(held_out.scale)
    errors = {rate: relative_error(trainer.predict(one.model, held_out), truth) for rate, one in trained.items()}
    return min(errors, key=errors.__getitem__), errors, trained

"""Training of the autoencoder, and the codes of images."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.data.images import pixels
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.step import make_step, split_model
from quire.g_simclr.autoencoder import DenoisingAutoencoder
from quire.g_simclr.early_stopping import train_until_worse

POOL = 1024
"""Images for which noise is drawn, on the host; it is read again beside other images."""
CHUNK = 500
"""Images at a time where nothing is learned."""


def train_autoencoder(
    model: DenoisingAutoencoder,
    images: np.ndarray,
    *,
    key: jax.Array,
    epochs: int = 100,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 2,
    validation: float = 0.1,
) -> list[float]:
    """Train in place by Adam on the squared error, the input noisy and the target clean; leaves the model in evaluation mode.

    Args:
        model: the autoencoder.
        images: bytes `[n, h, w, c]`, or floats in `[0, 1]`; the last ones are for the validation.
        key: of order and noise.
        epochs: at most so many.
        batch_size, learning_rate: of Adam.
        patience: epochs without a better validation loss that end the training; the best weights are restored.
        validation: part of the images that is held out. The authors look at the test images instead.

    Returns:
        Validation loss after every epoch.

    Raises:
        ValueError: if no batch or no image for the validation is left.
        TrainingDiverged: if the validation loss is not finite.
    """
    held = int(validation * len(images))
    steps = (len(images) - held) // check_at_least("batch_size", batch_size)
    if held < 1 or steps < 1:
        raise ValueError(f"images has {len(images)} rows, validation is {validation}; that leaves {held} and {steps} batches")
    rows, chosen = images[: len(images) - held], images[len(images) - held :]
    model.train()
    graph, fixed, weights = split_model(model)
    noise = generator(key).standard_normal((min(POOL, steps * batch_size), *images.shape[1:]), dtype=np.float32)

    def epoch(state, number):
        order = epoch_indices(jax.random.fold_in(key, number), len(rows), batch_size, steps)
        return _epoch(graph, learning_rate, fixed, *state, rows, order, noise)

    def validate(state):
        nnx.update(model, *state[0].shown())
        model.eval()
        parts = in_chunks(partial(_errors, *nnx.split(model)), chosen)
        model.train()
        return parts.mean()

    start = weights, optax.adam(learning_rate).init(weights.params)
    best, losses = train_until_worse(epoch, validate, start, epochs=epochs, patience=patience)
    nnx.update(model, *best[0].shown())
    model.eval()
    return losses


@partial(jax.jit, static_argnames=("graph", "rate"))
def _epoch(graph, rate, fixed, weights, opt_state, images, order, noise):
    def loss(model, batch, key):
        x, draws = batch
        return jnp.mean((model(x, draws) - x) ** 2)

    step = make_step(graph, fixed, optax.adam(rate), loss)

    def body(carry, number):
        rows = (number * order.shape[1] + jnp.arange(order.shape[1])) % len(noise)
        batch = pixels(images[order[number]]), noise[rows]
        return step(*carry, batch, jax.random.key(0), number)[:2], None

    return jax.lax.scan(body, (weights, opt_state), jnp.arange(len(order)))[0]


@partial(jax.jit, static_argnames="graph")
def _errors(graph: nnx.GraphDef, state: Any, images: Array) -> Float[Array, " n"]:
    x = pixels(images)
    return jnp.mean((nnx.merge(graph, state)(x) - x) ** 2, axis=(1, 2, 3))


@partial(jax.jit, static_argnames="graph")
def _codes(graph: nnx.GraphDef, state: Any, images: Array) -> Float[Array, "n d"]:
    return nnx.merge(graph, state).encode(pixels(images))


def codes_of(model: DenoisingAutoencoder, images: np.ndarray) -> Float[np.ndarray, "n d"]:
    """Latent codes of bytes or floats `[n, h, w, c]`, some images at a time; the statistics are those of the training."""
    model.eval()
    return in_chunks(partial(_codes, *nnx.split(model)), images)


def in_chunks(function: Callable[[Any], Any], images: np.ndarray, axis: int = 0) -> np.ndarray:
    """What a function makes of images, so many at a time, in one shape: the last chunk is filled up.

    Args:
        function: of `CHUNK` images.
        images: `[n, ...]`, n at least 1.
        axis: of the images in the result.
    """
    count = -(-len(images) // CHUNK)
    filled = np.concatenate([images, np.repeat(images[:1], count * CHUNK - len(images), 0)])
    parts = [np.asarray(function(part)) for part in np.split(filled, count)]
    return np.concatenate(parts, axis).take(np.arange(len(images)), axis)

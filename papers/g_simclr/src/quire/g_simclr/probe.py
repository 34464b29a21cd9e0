"""Linear probes as the paper has them: a softmax layer on fixed features, by Adam, with early stopping."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import check_at_least, check_finite, check_ids
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.g_simclr.early_stopping import train_until_worse


class LinearProbe(NamedTuple):
    """A softmax layer on features as they come.

    Attributes:
        kernel: `[dim, classes]`.
        bias: `[classes]`.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def predict(self, features: Real[Array | np.ndarray, "n dim"]) -> Int[np.ndarray, " n"]:
        """The class of every row."""
        return (np.asarray(features, np.float32) @ self.kernel + self.bias).argmax(1)


def linear_probe(
    features: Real[Array | np.ndarray, "n dim"],
    labels: Int[Array | np.ndarray, " n"],
    *,
    num_classes: int,
    key: jax.Array,
    epochs: int = 100,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = 2,
    validation: float = 0.1,
) -> LinearProbe:
    """Fit a softmax layer by Adam on the cross-entropy.

    Features are standardised for the fit, so that one rate suits features of every scale; the layer starts at zero.

    Args:
        features: fixed, one row an example.
        labels: their classes.
        num_classes: number of classes.
        key: of the order, and of what is held out.
        epochs: at most so many.
        batch_size, learning_rate: of Adam.
        patience: epochs without a better validation loss that end the fit, the best layer being kept; None to learn from all
            examples for all epochs.
        validation: part of the examples that is held out for this.

    Raises:
        ValueError: for labels out of range or of another number, features that are not finite, or too few rows for a batch and
            a validation.

    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> probe = linear_probe(x, (x[:, 0] > 0).astype(int), num_classes=2, key=jax.random.key(0), learning_rate=0.1)
    >>> probe.predict(np.array([[-0.5], [0.5]])).tolist()
    [0, 1]
    """
    features, labels = np.asarray(features, np.float32), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"features has shape {features.shape} and labels {labels.shape}; they need [n, dim] and [n]")
    check_finite("features", features)
    check_ids("labels", labels, check_at_least("num_classes", num_classes))
    held = 0 if patience is None else int(validation * len(features))
    steps = (len(features) - held) // check_at_least("batch_size", batch_size)
    if steps < 1 or (patience is not None and held < 1):
        raise ValueError(f"features has {len(features)} rows; batch_size {batch_size} and validation {validation} need more")
    mean, spread = features.mean(0), features.std(0)
    scale = np.where(spread > 1e-6 * np.maximum(np.abs(mean), 1), 1 / np.maximum(spread, 1e-12), 0)
    mixed = generator(key).permutation(len(features))
    x, y = ((features - mean) * scale)[mixed], labels[mixed].astype(np.int32)
    zeros = jnp.zeros((features.shape[1], num_classes)), jnp.zeros(num_classes)

    def epoch(state, number):
        order = epoch_indices(jax.random.fold_in(key, number), len(x) - held, batch_size, steps)
        return _epoch(learning_rate, *state, x, y, order)

    def validate(state):
        return 0.0 if patience is None else _loss(state[0], x[-held:], y[-held:])

    start = zeros, optax.adam(learning_rate).init(zeros)
    if patience is None:
        for number in range(check_at_least("epochs", epochs)):
            start = epoch(start, number)
        kernel, bias = start[0]
    else:
        kernel, bias = train_until_worse(epoch, validate, start, epochs=epochs, patience=patience)[0][0]
    kernel = np.asarray(kernel) * scale[:, None]
    return LinearProbe(kernel, np.asarray(bias) - mean @ kernel)


@jax.jit
def _loss(layer: tuple[Array, Array], x: Array, y: Array) -> Float[Array, ""]:
    kernel, bias = layer
    return smoothed_cross_entropy(x @ kernel + bias[None], y)


@partial(jax.jit, static_argnames="rate")
def _epoch(rate, layer, opt_state, x, y, order):
    tx = optax.adam(rate)

    def step(carry, rows):
        layer, opt_state = carry
        updates, opt_state = tx.update(jax.grad(_loss)(layer, x[rows], y[rows]), opt_state, layer)
        return (optax.apply_updates(layer, updates), opt_state), None

    return jax.lax.scan(step, (layer, opt_state), order)[0]

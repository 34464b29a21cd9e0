"""Training and scoring several seeds of a model at once."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Integer

from quire.common.checks import check_at_least
from quire.common.data.images import pixels
from quire.common.layers.transformer import next_token_loss
from quire.common.train.batches import HostBatches, epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.seeds import Build, fit_seeds, fold_keys, over_seeds, stack
from quire.crate.config import Training
from quire.crate.language_model import random_windows
from quire.crate.sources import Images, Text

Trained = tuple[nnx.GraphDef, Any, jax.Array]
"""Graph, state with a leading seed axis, losses `[seeds, steps]`."""

MAX_RESIDENT_BYTES = 2**28
"""A text beyond this many bytes is streamed."""


def train_on_images(
    build: Build, loss: Callable, training: Training, data: Images, keys: jax.Array, *, side_by_side: bool = True
) -> Trained:
    """Train one model per key on shuffled epochs of a set of images.

    Args:
        build: makes a model.
        loss: `loss(model, (images, labels), key)`.
        training: optimiser and length.
        data: the images; all seeds in one compiled scan when they are in memory, one seed after the other from a stream.
        keys: one per seed.
        side_by_side: whether seeds in memory are trained by one batched program, which pays where a step is short of work.
    """
    if data.arrays is None:
        return _train_streamed(build, loss, training, lambda seed: data.stream(training.batch_size, seed), keys)

    sizes = len(data.arrays[1]), training.batch_size, training.steps
    indices = stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    return _train_resident(build, loss, training, data.arrays, indices, keys, side_by_side)


def train_on_text(build: Build, loss: Callable, training: Training, text: Text, window: int, keys: jax.Array) -> Trained:
    """Train one model per key on random windows of `window` bytes; `loss(model, windows, key)` gets uint8 `[batch, window]`.

    On a CPU one after the other: the scores and logits of one seed stay in its cache.
    """
    if text.train.nbytes > MAX_RESIDENT_BYTES:
        return _train_streamed(build, loss, training, lambda seed: _windows(text, training.batch_size, window, seed), keys)
    shape = (training.steps, training.batch_size)
    indices = stack([random_windows(key, len(text.train), window, shape) for key in fold_keys(keys, 1)])
    return _train_resident(build, loss, training, text.train, indices, keys, jax.default_backend() != "cpu")


def _train_resident(build, loss, training, arrays, indices, keys, side_by_side) -> Trained:
    data = jax.tree.map(lambda a: np.broadcast_to(a, (len(keys), *a.shape)), arrays)
    sizes = {"steps": training.steps, "keys": keys, "ema": training.ema, "one_by_one": not side_by_side}
    return fit_seeds(build, training.transformation(), loss, take_batch, (data, indices), **sizes)


def _train_streamed(build, loss, training, stream: Callable[[int], Iterator], keys) -> Trained:
    states, losses = [], []
    for seed, key in enumerate(keys):
        model, batches = build(nnx.Rngs(key)), stream(seed)
        history = fit(
            model,
            training.transformation(),
            loss,
            HostBatches(lambda _, batches=batches: next(batches)),
            steps=training.steps,
            key=key,
            ema=training.ema,
            chunk_steps=10,
        )
        graph, state = nnx.split(model)
        states.append(state)
        losses.append(history.losses)
    return graph, stack(states), jnp.asarray(stack(losses))


def _windows(text: Text, batch_size: int, window: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    while True:
        starts = rng.integers(0, len(text.train) - window + 1, (batch_size, 1))
        yield text.train[starts + np.arange(window)]


# --- Losses and scores ---


def classification_loss(label_smoothing: float, num_classes: int) -> Callable:
    """`loss(model, (images, labels), key)`: cross-entropy against smoothed labels.

    Raises:
        ValueError: if `label_smoothing` lies outside [0, 1].
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}; it must lie in [0, 1]")

    def loss(model, batch, key):
        images, labels = batch
        targets = optax.smooth_labels(jax.nn.one_hot(labels, num_classes), label_smoothing)
        return optax.softmax_cross_entropy(model(pixels(images)), targets).mean()

    return loss


def accuracy(graph: nnx.GraphDef, state: Any, data: Images, *, batch_size: int = 500) -> Float[np.ndarray, " seeds"]:
    """Fraction of right test images, per seed."""
    right = over_seeds(graph, lambda model, x, y: jnp.sum(model(pixels(x)).argmax(-1) == y))
    parts = [(np.asarray(right(state, images, labels)), len(labels)) for images, labels in data.test(batch_size)]
    return np.sum([counts for counts, _ in parts], axis=0) / sum(size for _, size in parts)


def majority_accuracy(data: Images) -> float:
    """Fraction of test images in the most frequent training class."""
    labels = np.concatenate([labels for _, labels in data.test(500)])
    return float(np.mean(labels == data.majority))


def next_byte_loss(model: nnx.Module, windows: Integer[Array, "batch window"], key: jax.Array | None) -> Float[Array, ""]:
    """Cross-entropy of every byte of a window but the first, in nats."""
    tokens = windows.astype(jnp.int32)
    return next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])


def bits_per_byte(graph: nnx.GraphDef, state: Any, windows: np.ndarray, *, batch_size: int = 100) -> Float[np.ndarray, " seeds"]:
    """Cross-entropy of test windows `[count, window]` in bits per byte, per seed.

    Raises:
        ValueError: without a window.
    """
    check_at_least("number of windows", len(windows))
    score = over_seeds(graph, lambda model, w: next_byte_loss(model, w, None))
    parts = [windows[start : start + batch_size] for start in range(0, len(windows), batch_size)]
    nats = [len(part) * np.asarray(score(state, part)) for part in parts]
    return np.sum(nats, axis=0) / len(windows) / np.log(2)

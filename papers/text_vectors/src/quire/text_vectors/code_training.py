"""Codes of one set of documents by every model and baseline, all seeds at once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.common.random import generator
from quire.common.train.adagrad import adagrad
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import Build, fit_seeds, fold_keys, over_seeds, stack
from quire.common.train.step import Model
from quire.text_vectors.autoencoder import CodeAutoencoder
from quire.text_vectors.config import Codes
from quire.text_vectors.paragraph_vectors import BinaryPV, PVWeights, count_loss


def fit_documents_of_seeds(
    build: Build[Model], tx: Any, loss: Any, arrays: tuple, config: Codes, keys: jax.Array, flags: Any
) -> Model:
    """One model a seed, its arrays `[seeds, ...]`, trained on shuffled batches of documents.

    Args:
        build: makes the model.
        tx: optimiser.
        loss: of `(model, rows of the arrays, flag)`.
        arrays: with a row for every document, the same for all seeds.
        config: batches and epochs.
        keys: of the seeds.
        flags: one a seed, which the loss may look at.
    """
    n = len(arrays[0])
    batch = min(config.batch_size, n)
    steps = config.epochs * n // batch
    order = [epoch_indices(key, n, batch, steps) for key in fold_keys(keys, 1)]
    data = stack([((arrays, rows), flag) for rows, flag in zip(order, flags, strict=True)])

    def batch_at(data, step):
        return take_batch(data[0], step), data[1]

    graph, state, _ = fit_seeds(build, tx, lambda model, batch, key: loss(model, *batch), batch_at, data, steps=steps, keys=keys)
    return nnx.merge(graph, state)


def paragraph_vectors(
    counts: np.ndarray, config: Codes, keys: jax.Array, *, binary: Sequence[bool] = (True,), real_dim: int | None = None
) -> list[PVWeights]:
    """Tables `[seeds, ...]` of PV-DBOW, or of Real-Binary PV, by the exact softmax of whole documents.

    Args:
        counts: words of the documents, `[n, V]`.
        config: sizes and rates.
        keys: of the seeds.
        binary: bits or real numbers; each makes models of its own, all trained by one program.
        real_dim: r of Real-Binary PV.
    """
    n, vocab = counts.shape
    words = counts.sum(0, dtype=np.int64)

    def build(rngs):
        return BinaryPV(n, vocab, config.bits, real_dim, word_counts=words, rngs=rngs)

    def loss(model, rows, flag):
        return config.loss_scale * count_loss(model.weights, *rows, binary=flag)

    tx = adagrad(config.learning_rate, start=config.accumulator)
    flags = np.repeat(np.array(binary), len(keys))
    every = jnp.tile(keys, len(binary))
    model = fit_documents_of_seeds(build, tx, loss, (np.arange(n), counts), config, every, flags)
    weights = jax.tree.map(np.asarray, model.weights)
    return [jax.tree.map(lambda x, i=i: x[i * len(keys) : (i + 1) * len(keys)], weights) for i in range(len(binary))]


def autoencoder_codes(counts: np.ndarray, features: np.ndarray, train: int, config: Codes, keys: jax.Array) -> np.ndarray:
    """Bits `[seeds, n, k]` of an autoencoder of word counts, trained on the first `train` documents.

    Args:
        counts: words of the documents.
        features: what the encoder sees, `[n, V]`.
        train: how many documents it learns from.
        config: sizes and rates.
        keys: of the seeds.
    """

    def build(rngs):
        return CodeAutoencoder(counts.shape[1], 2 * config.bits, config.bits, rngs=rngs)

    arrays = features[:train].astype(np.float32), counts[:train]
    config = replace(config, epochs=config.autoencoder_epochs)
    tx = optax.adam(config.autoencoder_rate)
    model = fit_documents_of_seeds(
        build, tx, lambda model, rows, flag: model.loss(*rows), arrays, config, keys, np.zeros(len(keys))
    )
    graph, state = nnx.split(model)
    return np.asarray(over_seeds(graph, lambda model, x: model.codes(x))(state, jnp.asarray(features, jnp.float32)))


def starts(keys: jax.Array, n: int, dim: int) -> np.ndarray:
    """Rows `[seeds, n, dim]` of deviation .1, which new documents begin with."""
    draws = [0.1 * generator(key).standard_normal((n, dim)) for key in fold_keys(keys, 2)]
    return np.stack(draws).astype(np.float32)

"""Codes of one set of documents by every model and baseline, all seeds at once."""

from collections.abc import Callable
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
from quire.common.train.seeds import fit_seeds, fold_keys, over_seeds, stack
from quire.text_vectors.autoencoder import CodeAutoencoder
from quire.text_vectors.config import Codes
from quire.text_vectors.paragraph_vectors import BinaryPV, PVWeights, count_loss


def fit_documents_of_seeds(
    build: Callable[[nnx.Rngs], nnx.Module], tx: Any, loss: Any, arrays: tuple, config: Codes, keys: jax.Array
) -> tuple[Any, Any]:
    """Graph and states of one model a seed, trained on shuffled batches of documents.

    Args:
        build: makes the model.
        tx: optimiser.
        loss: of `(model, rows of the arrays)`.
        arrays: with a row for every document, the same for all seeds.
        config: batches and epochs.
        keys: of the seeds.
    """
    n = len(arrays[0])
    batch = min(config.batch_size, n)
    steps = config.epochs * n // batch
    order = [epoch_indices(key, n, batch, steps) for key in fold_keys(keys, 1)]
    data = stack([(arrays, rows) for rows in order])
    graph, state, _ = fit_seeds(build, tx, lambda model, rows, key: loss(model, rows), take_batch, data, steps=steps, keys=keys)
    return graph, state


def paragraph_vectors(
    counts: np.ndarray, config: Codes, keys: jax.Array, *, binary: bool = True, real_dim: int | None = None
) -> PVWeights:
    """Tables `[seeds, ...]` of PV-DBOW, binary or real, or of Real-Binary PV, by the exact softmax of whole documents.

    Args:
        counts: words of the documents, `[n, V]`.
        config: sizes and rates.
        keys: of the seeds.
        binary: bits or real numbers.
        real_dim: r of Real-Binary PV.
    """
    n, vocab = counts.shape
    words = counts.sum(0, dtype=np.int64)

    def build(rngs):
        return BinaryPV(n, vocab, config.bits, real_dim, binary=binary, word_counts=words, rngs=rngs)

    def loss(model, rows):
        return config.loss_scale * count_loss(model.weights, rows[0], rows[1], binary=binary)

    tx = adagrad(config.learning_rate, start=config.accumulator)
    graph, state = fit_documents_of_seeds(build, tx, loss, (np.arange(n), counts), config, keys)
    return over_seeds(graph, lambda model: model.weights)(state)


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
    graph, state = fit_documents_of_seeds(build, tx, lambda model, rows: model.loss(*rows), arrays, config, keys)
    return np.asarray(over_seeds(graph, lambda model, x: model.codes(x))(state, jnp.asarray(features, jnp.float32)))


def starts(keys: jax.Array, n: int, dim: int) -> np.ndarray:
    """Rows `[seeds, n, dim]` of deviation .1, which new documents begin with."""
    draws = [0.1 * generator(key).standard_normal((n, dim)) for key in fold_keys(keys, 2)]
    return np.stack(draws).astype(np.float32)

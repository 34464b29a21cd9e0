"""A causal language model: trained, its blocks quantised at several widths, scored by its perplexity."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np
from flax import nnx

from quire.common.layers.transformer import next_token_loss
from quire.common.train.batches import HostBatches, epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.seeds import fold_keys, over_seeds, stack
from quire.flexround.blockwise import QuantizedModel, quantize_models
from quire.flexround.config import LanguageSizes
from quire.flexround.methods import MethodName
from quire.flexround.networks import Chain, decoder, drawn
from quire.flexround.sources import Text

FULL_PRECISION = (-1,)
"""The head keeps its weights, as the embedding does."""

RESIDENT_TOKENS = 2**24
"""A text of more tokens is read from its file, batch by batch."""

HOST_CHUNK = 100
"""Steps whose batches are then in memory at a time."""


def language_loss(model: Chain, windows: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Cross-entropy of every token of `windows [n, t + 1]` but the first, in nats."""
    return next_token_loss(model(windows[:, :-1]), windows[:, 1:])


def trained_model(sizes: LanguageSizes, text: Text, key: jax.Array) -> Chain:
    """A GPT, trained on windows of a text."""
    training, size = sizes.training, sizes.max_length + 1

    def build(rngs):
        return decoder(sizes.vocab_size, sizes.max_length, sizes.dim, sizes.depth, sizes.num_heads, rngs=rngs)

    model, (own,) = drawn(build, key), fold_keys(key[None], 1)
    chunk = training.steps  # one compiled loop, for all steps
    if len(text.train) <= RESIDENT_TOKENS:
        rows = np.asarray(text.train[: len(text.train) // size * size], np.int32).reshape(-1, size)
        batches, data = take_batch, (rows, epoch_indices(own, len(rows), training.batch_size, training.steps))
    else:
        batches = HostBatches(lambda step: text.windows(jax.random.fold_in(own, step), training.batch_size, size))
        data, chunk = None, HOST_CHUNK
    tx = training.transformation(flat=True)
    fit(model, tx, language_loss, batches, data, steps=training.steps, key=own, chunk_steps=chunk)
    return model


def perplexity(models: Sequence[Chain], windows: np.ndarray, *, batch_size: int = 250) -> np.ndarray:
    """`exp` of the mean cross-entropy of windows `[n, t + 1]`, for every model."""
    graphs, states = zip(*map(nnx.split, models), strict=True)
    loss, state, total = over_seeds(graphs[0], language_loss), stack(states), np.zeros(len(models))
    for start in range(0, len(windows), batch_size):
        part = windows[start : start + batch_size]
        total += len(part) * np.asarray(loss(state, part), float)
    return np.exp(total / len(windows))


def pair_perplexity(text: Text, windows: np.ndarray, vocab_size: int) -> float:
    """That of counts of pairs of tokens, each begun at one: the trivial model."""
    counts = np.ones((vocab_size, vocab_size))
    np.add.at(counts, (text.train[:-1], text.train[1:]), 1)
    probabilities = counts / counts.sum(1, keepdims=True)
    return float(np.exp(-np.log(probabilities[windows[:, :-1], windows[:, 1:]]).mean()))


def quantized_models(model: Chain, text: Text, sizes: LanguageSizes, method: MethodName, keys: jax.Array) -> list[QuantizedModel]:
    """One model, quantised for every width and, within it, every key, on sequences of the training text of its own."""
    inputs = [text.windows(key, sizes.calibration, sizes.max_length) for key in fold_keys(keys, 2)]
    widths = len(sizes.bits)
    return quantize_models(
        [model] * (widths * len(keys)),
        np.stack(inputs * widths),
        replace(sizes.scheme, method=method),
        keys=list(keys) * widths,
        full_precision=FULL_PRECISION,
        bits=np.repeat(sizes.bits, len(keys)).tolist(),
    )

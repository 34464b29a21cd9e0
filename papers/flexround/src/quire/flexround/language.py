"""A causal language model: trained, its blocks quantised at several widths, scored by its perplexity."""

from dataclasses import replace

import jax
import numpy as np

from quire.common.data.token_text import TokenText
from quire.common.metrics.perplexity import window_loss
from quire.common.train.batches import HostBatches, epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.seeds import fold_keys
from quire.flexround.blockwise import QuantizedModel, quantize_models
from quire.flexround.config import LanguageSizes
from quire.flexround.methods import MethodName
from quire.flexround.networks import Chain, decoder, drawn

FULL_PRECISION = (-1,)
"""The head keeps its weights, as the embedding does."""

RESIDENT_TOKENS = 2**24
"""A text of more tokens is read from its file, batch by batch."""

HOST_CHUNK = 100
"""Steps whose batches are then in memory at a time."""


def trained_model(sizes: LanguageSizes, text: TokenText, key: jax.Array) -> Chain:
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
    fit(model, tx, window_loss, batches, data, steps=training.steps, key=own, chunk_steps=chunk)
    return model


def quantized_models(
    model: Chain, text: TokenText, sizes: LanguageSizes, method: MethodName, keys: jax.Array
) -> list[QuantizedModel]:
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

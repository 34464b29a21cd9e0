"""A causal language model: trained on a text, its blocks compressed, scored by its perplexity."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from jaxtyping import Int

from quire.common.data.markov import markov_text
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.data.text import wikitext2
from quire.common.layers.transformer import TokenLM, next_token_loss, vit_block
from quire.common.random import generator
from quire.common.train.batches import HostBatches
from quire.common.train.fit import fit
from quire.common.train.seeds import over_seeds, stack
from quire.jlcm.compression import Compression, compress_model
from quire.jlcm.config import LanguageSizes
from quire.jlcm.joint_learning import Learning
from quire.jlcm.networks import drawn

CHUNK = 100
"""Steps whose batches are in memory at a time."""


@dataclass(frozen=True)
class Text:
    """Token ids to learn from and to judge by, and the name that tables show."""

    name: str
    train: Int[np.ndarray, " n"]
    test: Int[np.ndarray, " m"]


def open_text(sizes: LanguageSizes, key: jax.Array) -> Source[Text]:
    """The text of a preset: generated from the key, bytes of WikiText-2, or bytes of OpenWebText.

    Raises:
        DatasetUnavailable: if it is not on this machine and cannot be downloaded.
        ValueError: for another corpus.
    """
    openers = {"markov": lambda: _generated(sizes, key), "wikitext-2": _wikitext, "openwebtext": _openwebtext}
    if sizes.corpus not in openers:
        raise ValueError(f"corpus is {sizes.corpus!r}; it must be one of {', '.join(openers)}")
    return open_or(openers[sizes.corpus], stand_in_for="the corpora of Llama-7B")


def _generated(sizes: LanguageSizes, key: jax.Array) -> Text:
    letters = markov_text(key, sizes.letters, sizes.vocab_size).letters
    train, test = np.split(letters, [len(letters) * 5 // 6])
    return Text(f"order-2 Markov text, {len(train)} letters train / {len(test)} test", train, test)


def _wikitext() -> Text:
    train, test = (np.frombuffer(wikitext2(part).encode(), np.uint8) for part in ("valid", "test"))
    return Text(f"bytes of WikiText-2, {len(train)} (valid) train / {len(test)} test", train, test)


def _openwebtext() -> Text:
    train, test = (np.memmap(provided("openwebtext", f"{part}.txt"), np.uint8, "r") for part in ("train", "test"))
    return Text(f"bytes of OpenWebText, {len(train)} train", train, test)


def windows(ids: np.ndarray, key: jax.Array, count: int, size: int) -> Int[np.ndarray, "count size"]:
    """Windows from random places, int32.

    Raises:
        ValueError: if the text is shorter than a window.
    """
    if len(ids) < size:
        raise ValueError(f"size is {size}; the text has {len(ids)} tokens")
    starts = generator(key).integers(0, len(ids) - size + 1, (count, 1))
    return np.asarray(ids[starts + np.arange(size)], np.int32)


def build(sizes: LanguageSizes, rngs: nnx.Rngs) -> TokenLM:
    """The model of a preset: a small GPT."""
    block = vit_block(sizes.dim, sizes.num_heads, causal=True)
    options = {"vocab_size": sizes.vocab_size, "max_length": sizes.max_length, "dim": sizes.dim, "depth": sizes.depth}
    return TokenLM(**options, block=block, rngs=rngs)


def token_loss(model: TokenLM, tokens: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Cross-entropy of every token of `[n, t + 1]` but the first, in nats."""
    return next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])


def trained_model(sizes: LanguageSizes, text: Text, key: jax.Array) -> TokenLM:
    """A model trained on windows of a text."""
    model, recipe, own = drawn(lambda rngs: build(sizes, rngs), key), sizes.training, jax.random.fold_in(key, 1)

    def batch(step):
        return windows(text.train, jax.random.fold_in(own, step), recipe.batch_size, sizes.max_length + 1)

    chunk = min(CHUNK, recipe.steps)
    tx = recipe.transformation(flat=True)
    fit(model, tx, token_loss, HostBatches(batch), None, steps=recipe.steps, key=own, chunk_steps=chunk)
    return model


def perplexity(models: Sequence[nnx.Module], tokens: np.ndarray, *, batch_size: int = 60) -> np.ndarray:
    """`exp` of the mean cross-entropy of windows `[n, t + 1]`, for every model."""
    graphs, states = zip(*map(nnx.split, models), strict=True)
    loss, state = over_seeds(graphs[0], token_loss), stack(states)
    parts = [tokens[start : start + batch_size] for start in range(0, len(tokens), batch_size)]
    return np.exp(sum(len(part) * np.asarray(loss(state, part), float) for part in parts) / len(tokens))


def pair_perplexity(text: Text, tokens: np.ndarray, vocab_size: int) -> float:
    """That of counted pairs of tokens, each begun at one."""
    counts = np.ones((vocab_size, vocab_size))
    np.add.at(counts, (text.train[:-1], text.train[1:]), 1)
    shares = counts / counts.sum(1, keepdims=True)
    return float(np.exp(-np.log(shares[tokens[:, :-1], tokens[:, 1:]]).mean()))


def study(sizes: LanguageSizes, text: Text, key: jax.Array) -> dict[str, float]:
    """Perplexities of one model: as it is, and compressed by every method; and that of pairs."""
    model = trained_model(sizes, text, key)
    own = [jax.random.fold_in(key, number) for number in (2, 3, 4)]
    calib = windows(text.train, own[0], sizes.calibration, sizes.max_length)
    learning = Learning(steps=sizes.steps, batch_size=sizes.batch_size, rates=sizes.rates)
    ways = {
        "JLCM": Compression(sizes.bits, learning=learning),
        "k-means": Compression(sizes.bits, fit="none"),
        "RTN": Compression(sizes.bits, "uniform", fit="none"),
    }
    models = [model, *(compress_model(model, calib, how, key=own[1]).model for how in ways.values())]
    tokens = windows(text.test, own[2], sizes.windows, sizes.max_length + 1)
    found = dict(zip(("float32", *ways), perplexity(models, tokens).tolist(), strict=True))
    return found | {"pairs of tokens": pair_perplexity(text, tokens, sizes.vocab_size)}

"""Texts of the presets, and the windows that a training step reads."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int

from quire.coat.config import Preset
from quire.common.data.markov import markov_text
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.data.text import wikitext2
from quire.common.random import generator


@dataclass(frozen=True)
class Letters:
    """Token ids of a text, and its name as tables show it."""

    name: str
    ids: Int[np.ndarray, " n"]


def open_corpus(preset: Preset, key: jax.Array) -> Source[Letters]:
    """The text of a preset: generated from the key, bytes of WikiText-2, or bytes of OpenWebText.

    Raises:
        DatasetUnavailable: if it is not on this machine and cannot be downloaded.
        ValueError: for another corpus.
    """
    openers = {
        "markov": lambda: _generated(preset, key),
        "wikitext-2": lambda: _bytes("WikiText-2", np.frombuffer(wikitext2("valid").encode(), np.uint8)),
        "openwebtext": lambda: _bytes("OpenWebText", np.memmap(provided("openwebtext", "train.txt"), np.uint8, "r")),
    }
    if preset.corpus not in openers:
        raise ValueError(f"corpus is {preset.corpus!r}; it must be one of {', '.join(openers)}")
    return open_or(openers[preset.corpus], stand_in_for="the OLMo corpus")


def windows(preset: Preset, letters: Letters, key: jax.Array) -> Int[np.ndarray, "steps batch t"]:
    """Windows of one token more than a sequence has, for every step of training, from random places of the text.

    Raises:
        ValueError: if the text is shorter than a window.
    """
    size = preset.lm.max_length + 1
    if len(letters.ids) < size:
        raise ValueError(f"letters has {len(letters.ids)} tokens; a window needs {size}")
    shape = (preset.training.steps, preset.training.batch_size, 1)
    starts = generator(key).integers(0, len(letters.ids) - size + 1, shape)
    return np.asarray(letters.ids[starts + np.arange(size)], np.int32)


def bigram_loss(batches: Int[np.ndarray, "steps batch t"], last: int, vocab_size: int) -> float:
    """Cross-entropy, in nats, of the last steps' tokens under counts of pairs in all steps before, each begun at one.

    >>> round(bigram_loss(np.array([[[0, 1, 0, 1]], [[0, 1, 0, 1]]]), 1, 2), 3)
    0.327
    """
    seen, asked = batches[:-last], batches[-last:]
    counts = np.ones((vocab_size, vocab_size))
    np.add.at(counts, (seen[..., :-1], seen[..., 1:]), 1)
    probabilities = counts / counts.sum(1, keepdims=True)
    return float(-np.log(probabilities[asked[..., :-1], asked[..., 1:]]).mean())


def _generated(preset: Preset, key: jax.Array) -> Letters:
    count = preset.training.steps * preset.training.batch_size * (preset.lm.max_length + 1)
    text = markov_text(key, count, preset.lm.vocab_size, order=2, concentration=preset.markov_concentration)
    return Letters(f"order-2 Markov text, {preset.lm.vocab_size} letters, {count} drawn", text.letters)


def _bytes(name: str, ids: np.ndarray) -> Letters:
    return Letters(f"{name}, {len(ids)} bytes", ids)

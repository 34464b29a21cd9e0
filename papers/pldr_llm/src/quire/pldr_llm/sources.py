"""Texts of the presets as symbols, windows of them, and what counts of letters alone predict."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least
from quire.common.data.markov import markov_text
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.data.text import wikitext2
from quire.common.random import generator
from quire.pldr_llm.config import Preset

Ids = Int[np.ndarray, "_"]
OTHER = 1
"""Symbol of the bytes that are rare; 0 is padding."""
MARKOV_LETTERS, MARKOV_HELD_OUT = 200_000, 40_000


@dataclass(frozen=True)
class Letters:
    """Symbols for training and held out, the name of the text as tables show it, and a character for every symbol."""

    name: str
    train: Ids
    held_out: Ids
    alphabet: str = ""

    def read(self, ids: Ids) -> str:
        """Symbols as text; as numbers where there is no alphabet."""
        return "".join(self.alphabet[i] for i in ids) if self.alphabet else " ".join(map(str, ids))


def symbols(text: bytes, held_out: bytes, vocab_size: int) -> tuple[Ids, Ids, str]:
    """Bytes as ids from 1: the most frequent ones of `text` from 2 on, the others 1.

    Args:
        text: whose bytes are counted.
        held_out: written in the same symbols.
        vocab_size: symbols, padding and "other" included.

    Returns:
        Both texts, and the character of every symbol.

    Raises:
        ValueError: for fewer than three symbols.

    >>> train, held_out, alphabet = symbols(b"aab", b"abc", 4)
    >>> train.tolist(), held_out.tolist(), alphabet
    ([2, 2, 3], [2, 3, 1], '_?ab')
    """
    check_at_least("vocab_size", vocab_size, 3)
    counts = np.bincount(np.frombuffer(text, np.uint8), minlength=256)
    frequent = [byte for byte in np.argsort(-counts, kind="stable")[: vocab_size - 2] if counts[byte]]
    table = np.full(256, OTHER, np.int32)
    table[frequent] = 2 + np.arange(len(frequent))
    train, test = (table[np.frombuffer(x, np.uint8)] for x in (text, held_out))
    alphabet = "".join(map(chr, frequent))
    return train, test, "_?" + alphabet + "?" * (vocab_size - 2 - len(frequent))


def open_corpus(preset: Preset, key: jax.Array) -> Source[Letters]:
    """The text of a preset.

    Args:
        preset: names it.
        key: for generated text, where WikiText-2 is not on this machine and the preset lets it stand in.

    Raises:
        DatasetUnavailable: if the text is not on this machine and nothing may stand in.
        ValueError: for another corpus.
    """
    vocab_size = preset.lm.vocab_size
    openers: dict[str, tuple[Callable, Callable | None]] = {
        "wikitext-2": (lambda: _wikitext(vocab_size), None),
        "wikitext-2 or markov": (lambda: _wikitext(vocab_size), lambda: _generated(vocab_size, key)),
        "refinedweb": (_refinedweb, None),
    }
    if preset.corpus not in openers:
        raise ValueError(f"corpus is {preset.corpus!r}; it must be one of {', '.join(openers)}")
    stand_in_for = "" if preset.corpus == "refinedweb" else "RefinedWeb"
    return open_or(*openers[preset.corpus], stand_in_for=stand_in_for)


def windows(ids: Ids, shape: tuple[int, ...], length: int, key: jax.Array) -> Int[np.ndarray, "*shape t"]:
    """Windows of `length + 1` symbols from random places: what a sequence reads, and what comes next.

    Raises:
        ValueError: if the text is shorter than a window.
    """
    size = length + 1
    if len(ids) < size:
        raise ValueError(f"ids holds {len(ids)} symbols; a window needs {size}")
    starts = generator(key).integers(0, len(ids) - size + 1, (*shape, 1))
    return np.asarray(ids[starts + np.arange(size)], np.int32)


def counted_losses(train: Ids, asked: Int[np.ndarray, "n t"], vocab_size: int) -> dict[str, Float[np.floating, ""]]:
    """Cross-entropy, in nats, of all but the first symbols of windows, by counts of pairs and of single ones, begun at one.

    >>> losses = counted_losses(np.array([0, 1, 0, 1, 0]), np.array([[0, 1, 0]]), 2)
    >>> print(f"{losses['bigram']:.3f} {losses['unigram']:.3f}")
    0.288 0.703
    """
    pairs, single = np.ones((vocab_size, vocab_size)), np.ones(vocab_size)
    np.add.at(pairs, (train[:-1], train[1:]), 1)
    np.add.at(single, train, 1)
    pairs /= pairs.sum(1, keepdims=True)
    before, after = asked[:, :-1], asked[:, 1:]
    return {"bigram": -np.log(pairs[before, after]).mean(), "unigram": -np.log(single / single.sum())[after].mean()}


def _wikitext(vocab_size: int) -> Letters:
    train, held_out, alphabet = symbols(wikitext2("valid").encode(), wikitext2("test").encode(), vocab_size)
    name = f"WikiText-2, {len(train)} bytes of its validation text, {vocab_size} symbols"
    return Letters(name, train, held_out, alphabet)


def _generated(vocab_size: int, key: jax.Array) -> Letters:
    letters = 2 + markov_text(key, MARKOV_LETTERS + MARKOV_HELD_OUT, vocab_size - 2, concentration=0.05).letters
    name = f"order-2 Markov text, {vocab_size - 2} letters, {MARKOV_LETTERS} drawn"
    alphabet = "_?" + "".join(chr(ord("0") + i) for i in range(vocab_size - 2))
    return Letters(name, letters[:MARKOV_LETTERS], letters[MARKOV_LETTERS:], alphabet)


def _refinedweb() -> Letters:
    """Token ids as little-endian 16-bit numbers, one text after the other."""
    train, held_out = (np.memmap(provided("refinedweb", f"{part}.u16"), "<u2", "r") for part in ("train", "test"))
    return Letters(f"RefinedWeb, {len(train)} tokens", train, held_out)

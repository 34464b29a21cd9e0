"""Texts as token ids for small language models: generated letters, or the bytes of a published text, behind one interface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Int

from quire.common.checks import check_at_least
from quire.common.data.markov import markov_text
from quire.common.data.registry import provided
from quire.common.data.text import wikitext2
from quire.common.random import generator

Corpus = Literal["markov", "wikitext-2", "openwebtext"]


@dataclass(frozen=True)
class TokenText:
    """Token ids for training and for the test, and the name that tables show."""

    name: str
    train: Int[np.ndarray, " n"]
    test: Int[np.ndarray, " m"]

    def windows(self, key: jax.Array, count: int, size: int, *, test: bool = False) -> Int[np.ndarray, "count size"]:
        """Windows from random places, int32.

        Raises:
            ValueError: for a window without tokens, or a text shorter than a window.
        """
        check_at_least("count", count, 0)
        check_at_least("size", size)
        ids = self.test if test else self.train
        if len(ids) < size:
            raise ValueError(f"size is {size}; the text has {len(ids)} tokens")
        starts = generator(key).integers(0, len(ids) - size + 1, (count, 1))
        return np.asarray(ids[starts + np.arange(size)], np.int32)


def token_text(corpus: Corpus, key: jax.Array, *, vocab_size: int, letters: int) -> TokenText:
    """A text by its name: generated from the key, bytes of WikiText-2, or bytes of OpenWebText, which stay in their files.

    Args:
        corpus: its name.
        key: of a generated text.
        vocab_size: letters of the alphabet of a generated text; bytes have 256.
        letters: length of a generated text, of which a sixth is the test part.

    Raises:
        DatasetUnavailable: if it is not on this machine and cannot be downloaded.
        ValueError: for another corpus, or sizes from which no text can be generated.

    >>> token_text("markov", jax.random.key(0), vocab_size=5, letters=600).name
    'order-2 Markov text, 5 letters, 500 train / 100 test'
    """
    openers: dict[str, Callable[[], TokenText]] = {
        "markov": lambda: _generated(key, vocab_size, letters),
        "wikitext-2": _wikitext2,
        "openwebtext": _openwebtext,
    }
    if corpus not in openers:
        raise ValueError(f"corpus is {corpus!r}; it must be one of {', '.join(openers)}")
    return openers[corpus]()


def _generated(key: jax.Array, vocab_size: int, letters: int) -> TokenText:
    ids = markov_text(key, letters, vocab_size).letters
    train, test = np.split(ids, [len(ids) * 5 // 6])
    return TokenText(f"order-2 Markov text, {vocab_size} letters, {len(train)} train / {len(test)} test", train, test)


def _wikitext2() -> TokenText:
    train, test = (np.frombuffer(wikitext2(split).encode(), np.uint8) for split in ("valid", "test"))
    return TokenText(f"WikiText-2, {len(train)} bytes (valid) train / {len(test)} test", train, test)


def _openwebtext() -> TokenText:
    train, test = (np.memmap(provided("openwebtext", f"{split}.txt"), np.uint8, "r") for split in ("train", "test"))
    return TokenText(f"OpenWebText, {len(train)} bytes train", train, test)

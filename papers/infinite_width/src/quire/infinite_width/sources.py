"""Data of the presets: words, few-shot classes, and labelled images."""

import re
from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_npz, read_text
from quire.common.data.few_shot import FewShotData, by_class, omniglot_alphabets, omniglot_small, with_rotations
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.data.text import language_reference, wikitext2
from quire.common.text.windows import Vocabulary, vocabulary


@dataclass(frozen=True)
class Words:
    """A text as word indices, its last tenth held out, with the name that tables show."""

    name: str
    vocabulary: Vocabulary
    train: np.ndarray
    held_out: np.ndarray


def open_words(corpus: str, size: int, *, fallback: bool = False) -> Source[Words]:
    """The corpus called `corpus` with a vocabulary of the `size` most frequent words; all other words are dropped.

    Args:
        corpus: `"wikitext-2"` or `"text8"`.
        size: of the vocabulary.
        fallback: where the corpus is not on this machine, take the language reference that ships with Python.

    Raises:
        DatasetUnavailable: if it is missing and there is no fallback.
        ValueError: for another corpus.
    """
    openers = {"wikitext-2": _wikitext2, "text8": _text8}
    if corpus not in openers:
        raise ValueError(f"corpus is {corpus!r}; it must be one of {list(openers)}")
    return open_or(
        lambda: _words(*openers[corpus](), size),
        (lambda: _words(*_language_reference(), size)) if fallback else None,
        stand_in_for="" if corpus == "text8" else "text8",
        instead_of="text8",
    )


def _words(name: str, words: list[str], size: int) -> Words:
    known = vocabulary(words, size)
    cut = len(known.tokens) - len(known.tokens) // 10
    return Words(f"{name}, {len(known.tokens):,} words, {size} different", known, known.tokens[:cut], known.tokens[cut:])


def _wikitext2() -> tuple[str, list[str]]:
    words = [word for split in ("valid", "test") for word in wikitext2(split).split() if word != "<unk>"]
    return "WikiText-2 (valid and test)", words


def _text8() -> tuple[str, list[str]]:
    return "text8", read_text(provided("text8", "text8")).split()


def _language_reference() -> tuple[str, list[str]]:
    words = [w for part in language_reference() for w in re.findall(r"\w+|[^\w\s]", part.lower())]
    return "Python language reference (pydoc)", words


def open_few_shot(name: str) -> Source[FewShotData]:
    """The few-shot set called `name`.

    Args:
        name: `"omniglot"` (the small background sets) or `"omniglot-full"`.

    Raises:
        DatasetUnavailable: if it is missing.
        ValueError: for another name.
    """
    openers = {"omniglot": omniglot_small, "omniglot-full": _omniglot_full}
    if name not in openers:
        raise ValueError(f"name is {name!r}; it must be one of {list(openers)}")
    return open_or(openers[name], stand_in_for="" if name == "omniglot-full" else "Omniglot (1200 characters to train)")


def _omniglot_full() -> FewShotData:
    names = "images28", "character", "background"
    images, character, background = read_npz(provided("omniglot-full", "omniglot_full.npz"), *names).values()
    ink = 1 - images.astype(np.float32) / 255
    train, test = (by_class(ink[part], character[part]) for part in (background, ~background))
    half = test.shape[1] // 2
    groups = np.arange(len(test), dtype=np.int32)[None]
    return FewShotData("Omniglot", with_rotations(train), groups, test[:, :half], test[:, half : 2 * half])


@dataclass(frozen=True)
class Patterns:
    """Standardised inputs `[n, d]` with labels, and the name that tables show."""

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    num_classes: int


def open_patterns(pool: int) -> Source[Patterns]:
    """Characters of Omniglot labelled by alphabet: average-pooled, standardised pixel by pixel, scaled to length about one.

    Args:
        pool: side of the pooling window.

    Raises:
        DatasetUnavailable: if Omniglot is missing.
        ValueError: if the window does not divide the images.
    """
    return open_or(lambda: _patterns(pool))


def _patterns(pool: int) -> Patterns:
    images, labels = omniglot_alphabets()
    if pool < 1 or images.shape[1] % pool:
        raise ValueError(f"pool is {pool}; it must divide the {images.shape[1]} pixels of a side")
    side = images.shape[1] // pool
    flat = images.reshape(len(images), side, pool, side, pool).mean((2, 4)).reshape(len(images), -1)
    inputs = (flat - flat.mean(0)) / (flat.std(0) + 0.05) / flat.shape[1] ** 0.5
    name = f"Omniglot, {len(images)} drawings of {labels.max() + 1} alphabets, {side} x {side}"
    return Patterns(name, inputs.astype(np.float32), labels, int(labels.max()) + 1)

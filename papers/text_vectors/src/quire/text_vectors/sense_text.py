"""Text with words of known senses: two words under one name, in generated topics or in real text."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int

from quire.common.data.archives import read_text
from quire.common.data.registry import provided
from quire.common.data.text import wikitext2
from quire.common.random import generator
from quire.text_vectors.config import Senses

UNKNOWN = 0
"""Id of what is no word: the padding around documents, and rare words."""


@dataclass(frozen=True, eq=False)
class SenseText:
    """A text in which every occurrence of some words has a known origin.

    Attributes:
        name: as tables show it.
        tokens: int32, with paddings around documents.
        places: of the words in it.
        document: of each of these.
        written: the word that stood there before pairs became one.
        origin: 0 and 1 for the first and second word of a pair, -1 for other words.
        vocab: V, `UNKNOWN` included.
        words: ids by word, the words of pairs left out; empty for generated text.
    """

    name: str
    tokens: Int[np.ndarray, " length"]
    places: Int[np.ndarray, " n"]
    document: Int[np.ndarray, " n"]
    written: Int[np.ndarray, " n"]
    origin: Int[np.ndarray, " n"]
    vocab: int
    words: dict[str, int]

    def windows(self, window: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, "n C"]]:
        """Words and their contexts, `[n]` and `[n, 2 window]`; no window reaches beyond the padding of its document."""
        return self.tokens[self.places], self.tokens[self.places[:, None] + offsets(window)]


def offsets(window: int) -> Int[np.ndarray, " C"]:
    """Of the words around a place.

    >>> offsets(2).tolist()
    [-2, -1, 1, 2]
    """
    return np.array([*range(-window, 0), *range(1, window + 1)])


def open_text(config: Senses, key: jax.Array) -> SenseText:
    """The text of a preset; the key draws topics and pseudo-words.

    Raises:
        DatasetUnavailable: if the text is not on this machine.
        ValueError: for a text that there is not.
    """
    if config.text == "topics":
        return topic_text(config, key)
    readers = {
        "wikitext-2": lambda: wikitext2("valid") + wikitext2("test"),
        "text8": lambda: lines_of(read_text(provided("text8", "text8")), 1000),
    }
    if config.text not in readers:
        raise ValueError(f"text is {config.text!r}; it must be topics, {', '.join(readers)}")
    return real_text(readers[config.text](), config, key)


def lines_of(text: str, size: int) -> str:
    """A text without lines, cut after every `size` words.

    >>> lines_of("a b c", 2)
    'a b\\nc'
    """
    words = text.split()
    return "\n".join(" ".join(words[i : i + size]) for i in range(0, len(words), size))


def topic_text(config: Senses, key: jax.Array) -> SenseText:
    """Documents of one topic each with noise; pseudo-words of a frequent and a rarer word of two topics.

    Word `floor(m u^1.5)` of m of a topic, u uniform: the frequent ones are the first two, the rarer the sixth to twelfth. Word r
    of topic t has the id `1 + m t + r`.
    """
    draw = generator(key)
    size = (config.num_docs, config.doc_length)
    topic = np.where(
        draw.random(size) < config.noise, draw.integers(config.topics, size=size), draw.integers(config.topics, size=(size[0], 1))
    )
    ids = 1 + topic * config.topic_words + np.floor(config.topic_words * draw.random(size) ** 1.5).astype(int)
    frequent = draw.permutation([(t, r) for t in range(config.topics) for r in range(2)])[: config.pseudo_words]
    pairs, free = [], [(t, r) for t in range(config.topics) for r in range(5, 12)]
    for t, r in frequent.tolist():
        rarer = free.pop(draw.choice([i for i, (other, _) in enumerate(free) if other != t]))
        pairs.append((1 + t * config.topic_words + r, 1 + rarer[0] * config.topic_words + rarer[1]))
    name = f"{config.num_docs} generated documents of {config.topics} topics, {len(pairs)} pseudo-words"
    return merge_words(name, list(ids), pairs, 1 + config.topics * config.topic_words, config.window)


def topic_of(ids: Int[np.ndarray, "*shape"], config: Senses) -> Int[np.ndarray, "*shape"]:
    """Topic of words of a generated text."""
    return (ids - 1) // config.topic_words


def word_list(text: str) -> list[str]:
    """Lower-case words of two letters at least that are no stop words; numbers are one word, NUMBER.

    >>> word_list("The banks of 1929 and I")
    ['banks', 'NUMBER']
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    found = ("NUMBER" if w[0].isdigit() else w for w in re.findall(r"[a-z]{2,}|\d[\d.,]*", text.lower()))
    return [w for w in found if w not in ENGLISH_STOP_WORDS]


def real_text(text: str, config: Senses, key: jax.Array) -> SenseText:
    """Words of a text, line by line; pseudo-words of random pairs of ranks 150 to 900.

    Raises:
        ValueError: for a text of too few words.
    """
    lines = [word_list(line) for line in text.splitlines()]
    frequent = Counter(w for line in lines for w in line).most_common(config.vocab - 1)
    if len(frequent) < 900:
        raise ValueError(f"text has {len(frequent)} different words; pseudo-words need at least 900")
    index = {word: i + 1 for i, (word, _) in enumerate(frequent)}
    pairs = generator(key).permutation(np.arange(150, 900))[: 2 * config.pseudo_words].reshape(-1, 2).tolist()
    documents = [np.array([index.get(w, UNKNOWN) for w in line]) for line in lines if len(line) > 1]
    merged = {i for pair in pairs for i in pair}
    words = {word: i for word, i in index.items() if i not in merged}
    name = f"{config.text}, {len(index)} words, {len(pairs)} pseudo-words"
    return merge_words(name, documents, pairs, len(index) + 1, config.window, words)


def merge_words(
    name: str,
    documents: list[np.ndarray],
    pairs: Sequence[Sequence[int]],
    vocab: int,
    window: int,
    words: dict[str, int] | None = None,
) -> SenseText:
    """A text whose words `b` are written as `a`, for pairs `(a, b)`, with what they were kept as the origin.

    >>> text = merge_words("", [np.array([1, 2, 3])], [(1, 3)], 4, 1)
    >>> text.tokens.tolist(), text.origin.tolist(), text.written.tolist()
    ([0, 1, 2, 1, 0], [0, -1, 1], [1, 2, 3])
    """
    padding = np.full(window, UNKNOWN)
    flat = np.concatenate([padding, *(part for document in documents for part in (document, padding))])
    number = np.repeat(np.arange(len(documents)), [len(document) + window for document in documents])
    number = np.concatenate([np.zeros(window, int), number])
    places = np.flatnonzero(flat != UNKNOWN)
    becomes, origin = np.arange(vocab), np.full(vocab, -1)
    for a, b in pairs:
        becomes[b], origin[a], origin[b] = a, 0, 1
    written = flat[places]
    return SenseText(name, becomes[flat].astype(np.int32), places, number[places], written, origin[written], vocab, words or {})

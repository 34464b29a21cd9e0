"""News posts as counts of words, in classes; and posts of a domain that training has not seen, over the same words."""

import re
from collections import Counter
from dataclasses import dataclass

import jax
import numpy as np

from quire.common.data.labelled_texts import LabelledTexts, newsgroups
from quire.common.data.source import Source, open_or
from quire.common.random import generator
from quire.text_vectors.config import Codes


@dataclass(frozen=True, eq=False)
class Documents:
    """Counts of words, uint16 `[n, V]`, and classes `[n]`.

    Attributes:
        name: as tables show it.
        train, test: documents of the classes that are coded.
        other: test documents of other classes.
        words: of the vocabulary.
    """

    name: str
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    other: tuple[np.ndarray, np.ndarray]
    words: tuple[str, ...]


def open_documents(config: Codes, key: jax.Array) -> Source[Documents]:
    """News posts, or generated documents where they are not on this machine."""
    return open_or(lambda: news_documents(config), lambda: topic_documents(config, key), stand_in_for="20 Newsgroups, RCV1")


def news_documents(config: Codes) -> Documents:
    """20 Newsgroups: the preset's classes, and their neighbours in the alphabet.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
        ValueError: for more classes than there are.
    """
    posts = newsgroups()
    chosen = range(0, len(posts.classes) - 1, config.class_step)[: config.num_classes]
    if len(chosen) < config.num_classes:
        raise ValueError(f"num_classes is {config.num_classes}; every {config.class_step}-th class makes {len(chosen)}")
    ours, others = set(chosen), {i + 1 for i in chosen}
    texts = [phrases(text, config.ngrams) for text, label in zip(*posts.train, strict=True) if label in ours]
    ranked = [word for word, _ in Counter(word for text in texts for word in text).most_common(config.first_rank + config.vocab)]
    words = tuple(ranked[config.first_rank :])
    sides = [
        _counted(part, classes, words, config)
        for part, classes in ((posts.train, ours), (posts.test, ours), (posts.test, others))
    ]
    name = f"20 Newsgroups, {len(chosen)} classes ({len(sides[0][1])} / {len(sides[1][1])} posts), {len(words)} words"
    return Documents(name, *sides, words)


def phrases(text: str, ngrams: int = 1) -> list[str]:
    """Lower-case words of at least three letters, and up to `ngrams` of them in a row.

    >>> phrases("The old cat", 2)
    ['the', 'old', 'cat', 'the old', 'old cat']
    """
    words = re.findall(r"[a-z]{3,}", text.lower())
    return [" ".join(words[i : i + size]) for size in range(1, ngrams + 1) for i in range(len(words) - size + 1)]


def _counted(part: LabelledTexts, classes: set[int], words: tuple[str, ...], config: Codes) -> tuple[np.ndarray, np.ndarray]:
    index = {word: i for i, word in enumerate(words)}
    chosen = [i for i, label in enumerate(part.labels) if label in classes]
    counts = np.zeros((len(chosen), config.vocab), np.uint16)
    for row, i in enumerate(chosen):
        known = [index[word] for word in phrases(part.texts[i], config.ngrams) if word in index]
        np.add.at(counts[row], known[: config.max_tokens], 1)
    return counts, part.labels[chosen]


def topic_documents(config: Codes, key: jax.Array, per_class: tuple[int, int] = (250, 150), mixing: float = 0.6) -> Documents:
    """Documents of a topic model: a class is a law over words, mixed with one that all share.

    Args:
        config: sizes.
        key: of the draws.
        per_class: documents to train and to test.
        mixing: share of the words that all classes draw alike.
    """
    draw, classes = generator(key), 2 * config.num_classes
    shared = draw.dirichlet(np.full(config.vocab, 0.3))
    laws = mixing * shared + (1 - mixing) * draw.dirichlet(np.full(config.vocab, 0.05), classes)

    def side(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(first, first + config.num_classes, dtype=np.int32), count)
        return np.array([draw.multinomial(config.max_tokens, laws[label]) for label in labels]).astype(np.uint16), labels

    sides = side(0, per_class[0]), side(0, per_class[1]), side(config.num_classes, per_class[1])
    return Documents(f"{config.num_classes} generated topics", *sides, tuple(f"w{i}" for i in range(config.vocab)))

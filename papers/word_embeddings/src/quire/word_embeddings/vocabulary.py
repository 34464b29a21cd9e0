"""The words of a text: ids, counts, which of them are thinned out, which are drawn as negatives."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.text.windows import negative_cumulative

END = "</s>"
"""Word 0: the end of a sentence, and what stands in a window outside of it."""


@dataclass(frozen=True, eq=False)
class Vocab:
    """Words by falling count, after the end of the sentence.

    Attributes:
        words: word of every id.
        counts: occurrences of every word; of `</s>`, the sentences.

    >>> vocab = Vocab.build([["a", "b", "a"], ["b", "a", "c"]], min_count=2)
    >>> vocab.words, vocab.counts.tolist()
    (('</s>', 'a', 'b'), [2, 3, 2])
    >>> [x.tolist() for x in vocab.encode([["b", "c", "a"], ["c"]])]
    [[2, 1], [2, 0]]
    """

    words: tuple[str, ...]
    counts: Int[np.ndarray, " v"]

    @staticmethod
    def build(sentences: Iterable[Sequence[str]], min_count: int = 1) -> "Vocab":
        """Words that occur `min_count` times at least.

        Raises:
            ValueError: for a count below 1, no sentence, or no word that is frequent enough.
        """
        check_at_least("min_count", min_count)
        sentences = list(sentences)
        counted = Counter(word for sentence in sentences for word in sentence)
        known = [(word, count) for word, count in counted.most_common() if count >= min_count and word != END]
        if not known:
            raise ValueError(f"sentences has {len(counted)} different words; at least 1 must occur {min_count} times")
        words, counts = zip(*known, strict=True)
        return Vocab((END, *words), np.array([len(sentences), *counts]))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Id of every word."""
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, sentences: Iterable[Sequence[str]]) -> tuple[Int[np.ndarray, " tokens"], Int[np.ndarray, " sentences"]]:
        """Ids, int32, sentence after sentence, and the words of each; unknown words are left out.

        Raises:
            ValueError: without a sentence.
        """
        encoded = [[self.index[word] for word in sentence if word in self.index] for sentence in sentences]
        if not encoded:
            raise ValueError("sentences is empty; at least one is needed")
        ids = np.fromiter((i for sentence in encoded for i in sentence), np.int32)
        return ids, np.array([len(sentence) for sentence in encoded])


def noise_distribution(counts: Int[np.ndarray, " v"], power: float = 0.75) -> Float[np.ndarray, " v"]:
    """Probability of every word to be drawn as a negative, `count^0.75 / sum count^0.75`.

    Raises:
        ValueError: if a count is negative or not finite, or none is positive.

    >>> noise_distribution(np.array([16, 1])).round(4).tolist()
    [0.8889, 0.1111]
    """
    return np.diff(negative_cumulative(counts, power), prepend=0)


def draw_negatives(
    draw: np.random.Generator, counts: Int[np.ndarray, " v"], shape: tuple[int, ...], power: float = 0.75
) -> Int[np.ndarray, "*shape"]:
    """Words from the noise distribution, int32; a draw of the padding is replaced by a uniform one of the others.

    Args:
        draw: the source of randomness.
        counts: of two words at least.
        shape: of the draws.
        power: of the counts.

    Raises:
        ValueError: for fewer than two words; see `noise_distribution`.
    """
    check_at_least("number of words", len(counts), 2)
    cumulative = negative_cumulative(counts, power)
    drawn = np.minimum(np.searchsorted(cumulative, draw.random(shape), side="right"), len(counts) - 1)
    return np.where(drawn == 0, draw.integers(1, len(counts), shape), drawn).astype(np.int32)


def thinned(
    draw: np.random.Generator,
    ids: Int[np.ndarray, " tokens"],
    lengths: Int[np.ndarray, " sentences"],
    keep: Float[np.ndarray, " v"],
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " sentences"]]:
    """The text without some of its frequent words, before windows are cut.

    Args:
        draw: the source of randomness.
        ids, lengths: the text, as of `Vocab.encode`.
        keep: probability of every word to stay, see `quire.common.text.windows.keep_probability`.

    Returns:
        Ids and lengths of what stays.

    Raises:
        ValueError: for ids out of range or lengths that do not sum to the ids.
    """
    check_ids("ids", ids, len(keep))
    if lengths.sum() != len(ids):
        raise ValueError(f"lengths sum to {lengths.sum()}; the text has {len(ids)} words")
    kept = draw.random(len(ids)) < keep[ids]
    ends = np.concatenate([[0], np.cumsum(kept)])[np.concatenate([[0], np.cumsum(lengths)])]
    return ids[kept], np.diff(ends)

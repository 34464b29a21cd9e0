"""Sentences as token ids for an encoder: by whole words, or by word pieces of a published vocabulary."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from quire.common.checks import check_at_least
from quire.common.data.archives import read_text
from quire.common.errors import DatasetCorrupt

PADDING = 0
"""Id of the padding behind a sentence, in every tokenizer."""


def words_of(text: str) -> list[str]:
    """Runs of the letters a-z and digits of a text in lower case.

    >>> words_of("A man's 2 dogs.")
    ['a', 'man', 's', '2', 'dogs']
    """
    return re.findall("[a-z0-9]+", text.lower())


class WordTokenizer:
    """Ids of the most frequent words: 0 for padding, 1 for every other word, 2 in front of every sentence, then the words.

    Args:
        texts: where words are counted; of equally frequent ones those that come first are known.
        vocab_size: number of ids, the three special ones included.

    Raises:
        ValueError: if `vocab_size` is below 4.

    >>> tokenizer = WordTokenizer(["A dog.", "A cat!"], 5)
    >>> tokenizer(["the dog", "A"], 4).tolist(), tokenizer.words
    ([[2, 1, 4, 0], [2, 3, 0, 0]], ('a', 'dog'))
    """

    UNKNOWN, FIRST = 1, 2

    def __init__(self, texts: Iterable[str], vocab_size: int):
        check_at_least("vocab_size", vocab_size, 4)
        counts = Counter(word for text in texts for word in words_of(text))
        self.words = tuple(word for word, _ in counts.most_common(vocab_size - 3))
        self.vocab_size = vocab_size
        self._ids = {word: i for i, word in enumerate(self.words, 3)}

    def __call__(self, texts: Sequence[str], length: int) -> Int[np.ndarray, "n length"]:
        """Ids int32, longer sentences cut behind `length` ids.

        Raises:
            ValueError: for a length below 1.
        """
        return padded([[self.FIRST, *(self._ids.get(word, self.UNKNOWN) for word in words_of(text))] for text in texts], length)


class WordPieces:
    """The longest pieces that the vocabulary has, from left to right, as BERT without upper case takes them.

    Args:
        pieces: of the vocabulary in order; those inside a word begin with `##`.

    Raises:
        ValueError: if `[UNK]`, `[CLS]` or `[SEP]` is missing, or the first is not `[PAD]`.

    >>> tokenizer = WordPieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "run", "##ning", "!"])
    >>> tokenizer(["Running! x"], 8).tolist()
    [[2, 4, 5, 6, 1, 3, 0, 0]]

    References:
        Wu et al., *Google's Neural Machine Translation System*, 2016; Devlin et al. 2019.
    """

    LONGEST = 100
    """Letters of a word beyond which it is unknown."""

    def __init__(self, pieces: Sequence[str]):
        self._ids = {piece: i for i, piece in enumerate(pieces)}
        if missing := [name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if name not in self._ids]:
            raise ValueError(f"pieces lacks {', '.join(missing)}")
        if self._ids["[PAD]"] != PADDING:
            raise ValueError(f"pieces has [PAD] in place {self._ids['[PAD]']}; it must be the first")
        self.vocab_size = len(pieces)

    @classmethod
    def read(cls, path: Path) -> "WordPieces":
        """From a file `vocab.txt`, a piece a line.

        Raises:
            DatasetCorrupt: if it is no such file.
        """
        try:
            return cls(read_text(path).rstrip("\n").split("\n"))
        except ValueError as error:
            raise DatasetCorrupt(f"{path} is no vocabulary of word pieces: {error}") from None

    def __call__(self, texts: Sequence[str], length: int) -> Int[np.ndarray, "n length"]:
        """Ids int32 between `[CLS]` and `[SEP]`, longer sentences cut so that `[SEP]` stays.

        Raises:
            ValueError: for a length below 2.
        """
        check_at_least("length", length, 2)
        start, end = self._ids["[CLS]"], self._ids["[SEP]"]
        rows = [[i for word in basic_words(text) for i in self._pieces(word)] for text in texts]
        return padded([[start, *row[: length - 2], end] for row in rows], length)

    def _pieces(self, word: str) -> list[int]:
        found, start = [], 0
        while start < len(word):
            ends = (end for end in range(len(word), start, -1) if ("##" if start else "") + word[start:end] in self._ids)
            end = next(ends, None)
            if end is None or len(word) > self.LONGEST:
                return [self._ids["[UNK]"]]
            found.append(self._ids[("##" if start else "") + word[start:end]])
            start = end
        return found


Tokenizer = WordTokenizer | WordPieces
"""`tokenizer(texts, length) -> ids [n, length]`, padded with `PADDING`; `vocab_size` is the number of ids."""


def basic_words(text: str) -> list[str]:
    """Lower case without accents, cut at white space; every punctuation mark and every ideograph is a word of its own.

    >>> basic_words("Café-au-lait, s'il vous plaît")
    ['cafe', '-', 'au', '-', 'lait', ',', 's', "'", 'il', 'vous', 'plait']
    """
    letters = (c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    return "".join(_apart(c) for c in letters).split()


def _apart(c: str) -> str:
    if c.isspace():
        return " "
    kind = unicodedata.category(c)
    if kind.startswith("C") or c == "\ufffd":
        return ""
    mark = kind.startswith("P") or (c.isascii() and not c.isalnum())  # $, +, <, ... count as punctuation
    ideograph = "\u4e00" <= c <= "\u9fff" or "\u3400" <= c <= "\u4dbf" or "\uf900" <= c <= "\ufaff" or c >= "\U00020000"
    return f" {c} " if mark or ideograph else c


def padded(rows: Sequence[Sequence[int]], length: int) -> Int[np.ndarray, "n length"]:
    """Rows of ids as one int32 array, each cut at `length` and filled with `PADDING`.

    Raises:
        ValueError: for a length below 1.

    >>> padded([[5, 6, 7], [8]], 2).tolist()
    [[5, 6], [8, 0]]
    """
    check_at_least("length", length)
    ids = np.full((len(rows), length), PADDING, np.int32)
    for i, row in enumerate(rows):
        ids[i, : min(len(row), length)] = row[:length]
    return ids

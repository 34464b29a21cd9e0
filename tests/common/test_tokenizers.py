"""Tokenizers: ids, padding, cuts, word pieces."""

import numpy as np
import pytest

from quire.common.errors import DatasetCorrupt
from quire.common.text.tokenizers import PADDING, WordPieces, WordTokenizer, basic_words, padded, words_of

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "##a", "run", "!", "é", "e", "中"]


def test_words_are_runs_of_letters_and_digits():
    assert words_of("The U.S. won 3-2; naïve") == ["the", "u", "s", "won", "3", "2", "na", "ve"]


def test_word_ids():
    tokenizer = WordTokenizer(["b a b", "c a b"], 5)
    assert tokenizer.words == ("b", "a")
    np.testing.assert_array_equal(tokenizer(["A c b a", ""], 4), [[2, 4, 1, 3], [2, PADDING, PADDING, PADDING]])
    assert tokenizer([], 3).shape == (0, 3)
    for call, message in ((lambda: WordTokenizer(["a"], 3), "vocab_size is 3"), (lambda: tokenizer(["a"], 0), "length is 0")):
        with pytest.raises(ValueError, match=message):
            call()


def test_longest_pieces_come_first():
    tokenizer = WordPieces(PIECES)
    ids = {piece: i for i, piece in enumerate(PIECES)}
    rows = tokenizer(["Unaffable run!", "unaffed", "runrun" * 30, "é中"], 9)
    expected = [["un", "##aff", "##able", "run", "!"], ["[UNK]"], ["[UNK]"], ["e", "中"]]
    for row, pieces in zip(rows, expected, strict=True):
        whole = ["[CLS]", *pieces, "[SEP]"]
        assert row.tolist() == [ids[piece] for piece in whole] + [PADDING] * (9 - len(whole))
    np.testing.assert_array_equal(tokenizer(["run run run"], 3), [[2, ids["run"], 3]])
    with pytest.raises(ValueError, match="length is 1"):
        tokenizer(["run"], 1)


def test_words_before_pieces():
    assert basic_words("Ångström\tsays:\u200b $5\u00a0a中b\x00") == ["angstrom", "says", ":", "$", "5", "a", "中", "b"]


def test_vocabularies(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    assert WordPieces.read(tmp_path / "vocab.txt").vocab_size == len(PIECES)
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(DatasetCorrupt, match=r"lacks \[PAD\]"):
        WordPieces.read(tmp_path / "vocab.txt")
    with pytest.raises(ValueError, match="in place 1"):
        WordPieces(["x", *PIECES])


def test_padding():
    np.testing.assert_array_equal(padded([[1, 2, 3], []], 2), [[1, 2], [0, 0]])
    assert padded([[1]], 1).dtype == np.int32

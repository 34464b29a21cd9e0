"""Pairs of sentences and triplets: the formats they come in, and what damaged files give."""

import json

import numpy as np
import pytest

from quire.common.data.sentence_pairs import (
    _SLOTS,
    STS_YEARS,
    nli_triplets,
    read_nli,
    read_sick,
    read_sts,
    sts_benchmark,
    sts_suite,
    template_pairs,
)
from quire.common.errors import DatasetCorrupt, DatasetUnavailable


def test_lines_of_sts_benchmark():
    text = 'news\tMSRpar\t2012\t1\t0.5\tHe said "no.\tShe "said".\nforum\tx\t2013\t2\t5\tA\u2028b.\tC. \tsource\tother\n'
    for ending in ("\n", "\r\n"):
        pairs = read_sts(text.replace("\n", ending))
        assert pairs.first == ('He said "no.', "A\u2028b.") and pairs.second == ('She "said".', "C.")
        np.testing.assert_array_equal(pairs.scores, np.float32([0.5, 5]))
    bad = {
        "a\tb\tc\td\t1\tonly one\n": "score and two",
        "a\tb\tc\td\tx\ty\tz\n": "score and two",
        "a\tb\tc\td\t5.5\ty\tz\n": "0 to 5",
    }
    for line, message in bad.items():
        with pytest.raises(DatasetCorrupt, match=f"line 3 of sts.*{message}"):
            read_sts(text + line, source="sts")
    with pytest.raises(DatasetCorrupt, match="none"):
        read_sts("\n")
    with pytest.raises(DatasetCorrupt, match="0 to 5"):
        read_sts("a\tb\tc\td\tnan\ty\tz\n")


def test_sts_benchmark(quire_data):
    data = sts_benchmark()
    assert [len(part.scores) for part in (data.train, data.dev, data.test)] == [5749, 1500, 1379]
    assert data.train.first[0] == "A plane is taking off." and data.train.scores[0] == 5
    assert 2.5 < data.test.scores.mean() < 2.7
    assert all(text for part in (data.train, data.dev, data.test) for side in part[:2] for text in side)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_years_of_senteval(folder, monkeypatch):
    with pytest.raises(DatasetUnavailable, match="SentEval"):
        sts_suite()
    for year in STS_YEARS:
        part = folder / "senteval-sts" / f"{year}-en-test"
        part.mkdir(parents=True)
        (part / "STS.input.b.txt").write_text("c\td\n", encoding="utf-8")
        (part / "STS.gs.b.txt").write_text("3\n")
        (part / "STS.input.a.txt").write_text("a\tb\tmore\nunjudged\tpair\nlast\tone\n", encoding="utf-8")
        (part / "STS.gs.a.txt").write_text("1.5\n\n\n" if year == "STS12" else "1.5\n\n2\n")
    heading = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tjudgment\n"
    (folder / "senteval-sts" / "SICK_test_annotated.txt").write_text(heading + "6\tA dog.\tA cat.\t3.3\tNEUTRAL\n")
    monkeypatch.setattr("quire.common.data.sentence_pairs.sts_benchmark", lambda: template_pairs(sizes=(2, 2, 3)))
    suite = sts_suite()
    assert list(suite) == [*STS_YEARS, "STS-B", "SICK-R"]
    assert suite["STS12"].first == ("a", "c") and suite["STS12"].scores.tolist() == [1.5, 3]
    assert suite["STS13"].second == ("b", "one", "d") and len(suite["STS-B"].scores) == 3
    assert suite["SICK-R"].second == ("A cat.",)
    with pytest.raises(DatasetCorrupt, match="none"):
        read_sick(heading)


def test_triplets(folder):
    with pytest.raises(DatasetUnavailable, match="snli"):
        nli_triplets()
    rows = [
        ("p", "yes", "entailment"),
        ("q", "alone", "entailment"),
        ("p", "maybe", "neutral"),
        ("p", "no", "contradiction"),
        ("p", "later", "contradiction"),
        ("r", "?", "-"),
    ]
    lines = [json.dumps(dict(zip(("sentence1", "sentence2", "gold_label"), row, strict=True))) for row in rows]
    (folder / "all-nli").mkdir()
    (folder / "all-nli" / "snli_1.0_train.jsonl").write_text("\n".join(lines[:3]))
    (folder / "all-nli" / "multinli_1.0_train.jsonl").write_text("\n".join(lines[3:]) + "\n")
    assert nli_triplets() == (("p",), ("yes",), ("no",))
    for text, message in (("{}", "line 1 of nli"), ("[1]", "line 1 of nli"), ("no", "line 1 of nli"), (lines[1], "no premise")):
        with pytest.raises(DatasetCorrupt, match=message):
            read_nli(text, source="nli")


def test_generated_pairs():
    data, again, other = template_pairs(), template_pairs(), template_pairs(1)
    assert data.train.first == again.train.first != other.train.first
    assert set(data.train.scores.tolist()) == {0, 1, 2, 3, 4, 5}
    meaning = {word: (slot, i // 2) for slot, words in enumerate(_SLOTS) for i, word in enumerate(words)}
    for first, second, score in zip(*data.test, strict=True):
        one, other = ({meaning[word] for word in text.split() if word in meaning} for text in (first, second))
        assert len(one) == len(other) == 5 and len(one & other) == score

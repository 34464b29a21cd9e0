"""Collections for retrieval: the formats they come in, and what damaged files give."""

import numpy as np
import pytest

from quire.common.data import registry
from quire.common.data.retrieval_sets import colbert_tokens, cranfield, read_judgements, read_tagged
from quire.common.errors import DatasetCorrupt, DatasetUnavailable


def test_tagged_records_in_any_line_ending():
    text = ".I 1\n.T\na title\n.A\nsomebody\n.W\nfirst line\n .I is no record here\n.I 2\n.W\n"
    for ending in ("\n", "\r\n", "\r"):
        assert read_tagged(text.replace("\n", ending)) == ("first line\n .I is no record here", "")
    assert read_tagged(text, field="W")[0].startswith("first")
    assert read_tagged(".I 1\n.W\nthe first counts\n.W\nanother\n") == ("the first counts",)
    with pytest.raises(DatasetCorrupt, match=r"record 2 of cran has no field \.T"):
        read_tagged(text, field="T", source="cran")
    with pytest.raises(DatasetCorrupt, match="no record"):
        read_tagged("nothing here")


def test_judgements_count_from_zero():
    assert read_judgements("1 3 2\r\n2 1 -1\n", 2, 3).tolist() == [[0, 2, 2], [1, 0, -1]]
    assert read_judgements("", 2, 3).shape == (0, 3)
    for line, message in (
        ("1 2", "three whole numbers"),
        ("1 2 x", "three whole numbers"),
        ("0 1 1", "2 queries"),
        ("1 4 1", "3 doc"),
    ):
        with pytest.raises(DatasetCorrupt, match=f"line 2 of qrels .*{message}"):
            read_judgements(f"1 1 1\n{line}\n", 2, 3, source="qrels")


def test_cranfield(quire_data):
    texts = cranfield()
    assert (len(texts.documents), len(texts.queries), len(texts.judgements)) == (1400, 225, 1612)
    assert texts.documents[0].startswith("experimental investigation of the aerodynamics")
    assert texts.queries[2].startswith("what problems of heat conduction"), "queries count by place, not by their number"
    assert set(texts.judgements[:, 2].tolist()) == {1, 2, 3, 4}
    relevant = texts.relevant()
    assert 183 in relevant[0] and len(relevant) == 225 and min(map(len, relevant)) > 0
    assert [i for i, text in enumerate(texts.documents) if not text] == [470, 994]


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A folder for prepared token vectors, and what writes one side of a collection there."""
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path / "cache")

    def write(tokens, lengths):
        folder = tmp_path / "colbertv2-beir" / "scidocs"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "queries.tokens.npy", tokens)
        np.save(folder / "queries.lengths.npy", lengths)

    return write


def test_prepared_tokens(prepared):
    with pytest.raises(DatasetUnavailable, match=r"colbertv2-beir.*scidocs/queries\.tokens\.npy"):
        colbert_tokens("scidocs", "queries")
    prepared(np.ones((3, 2)), np.array([1, 2]))
    assert colbert_tokens("scidocs", "queries").lengths.tolist() == [1, 2]
    for tokens, lengths in ((np.ones((3, 2)), np.array([1, 1])), (np.ones(3), np.array([3])), (np.ones((3, 2)), np.array([3.0]))):
        prepared(tokens, lengths)
        with pytest.raises(DatasetCorrupt, match="colbertv2-beir/scidocs/queries holds"):
            colbert_tokens("scidocs", "queries")

"""Logs of clicks: MovieLens with its columns, Adult, displayed advertisements, generated clicks."""

import gzip
import zipfile

import numpy as np
import pytest

from quire.common.data import ratings, registry
from quire.common.data.adult import COLUMNS, adult, bucketed, open_adult
from quire.common.data.click_logs import ClickLog, click_log, generated_clicks
from quire.common.data.click_sets import open_clicks
from quire.common.data.display_ads import avazu, criteo
from quire.common.data.ratings import movielens_1m_clicks, movielens_100k_clicks
from quire.common.errors import DatasetCorrupt, DatasetUnavailable


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path)
    return tmp_path


def test_columns_are_counted():
    log = click_log("log", {"a": ["x", "z", "x"], "b": [9, 9, 7]}, [True, False, True])
    assert (log.features, log.sizes, log.tokens.tolist()) == (("a", "b"), (2, 2), [[0, 1], [1, 1], [0, 0]])
    assert log.values.tolist() == [[0, 3], [1, 3], [0, 2]]
    assert (log.tokens.dtype, log.values.dtype, log.label.dtype) == (np.int32, np.int32, np.float32)
    assert log.take(2).label.tolist() == [1, 0]


def test_generated_clicks_follow_their_model():
    log = generated_clicks((30, 50), 20_000, seed=3)
    assert isinstance(log, ClickLog)
    assert all(log.tokens[:, t].max() < size for t, size in enumerate(log.sizes))
    counts = np.sort(np.bincount(log.tokens[:, 1]))[::-1]
    assert counts[0] > 1.6 * counts[1] > 2.0 * counts[2]  # Zipf: 1, 1/2, 1/3
    rates = np.array([log.label[log.tokens[:, 0] == v].mean() for v in range(30) if (log.tokens[:, 0] == v).sum() > 200])
    assert rates.std() > 0.05
    np.testing.assert_array_equal(generated_clicks((30, 50), 20, seed=3).label, generated_clicks((30, 50), 20, seed=3).label)
    flat = generated_clicks((4,), 8000, zipf=0.0, scatter=0.0, pairs=0.0)
    assert abs(flat.label.mean() - 0.5) < 0.03
    assert np.bincount(flat.tokens[:, 0]).min() > 1800


def test_movielens(quire_data):
    log = movielens_100k_clicks()
    assert log.tokens.shape == (100_000, 8)
    assert log.sizes[:2] == (943, 1682)
    assert log.sizes[3] == 2
    assert log.sizes[7] == 24
    assert abs(log.label.mean() - 0.55375) < 1e-9
    first = log.tokens[0]  # user 196 of 49 years, a man and writer, rates film 242 with 3 at 15 h
    assert (first[0], first[1], log.label[0], first[7]) == (195, 241, 0, 15)


def test_movielens_1m(no_data, monkeypatch):
    path = no_data / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::10::5::7200\n2::11::2::3600\n1::11::4::0\n")
        archive.writestr("ml-1m/users.dat", "1::F::18::3::111\n2::M::25::3::222\n")
        archive.writestr("ml-1m/movies.dat", "10::Caf\xe9 (1995)::Drama|War\n11::B (1996)::Drama\n".encode("latin-1"))
    monkeypatch.setattr(ratings, "fetch", lambda dataset, name: path)
    log = movielens_1m_clicks()
    assert log.tokens.tolist() == [[0, 0, 0, 0, 0, 0, 1, 2], [1, 1, 1, 1, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0]]
    assert log.label.tolist() == [1, 0, 1]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ratings.dat", "1::10::5::7200\n")
        archive.writestr("users.dat", "2::M::25::3::222\n")
        archive.writestr("movies.dat", "10::A::Drama\n")
    with pytest.raises(DatasetCorrupt, match="lack: 1"):
        movielens_1m_clicks(path)


def test_adult(quire_data):
    log = adult()
    assert log.tokens.shape == (32_561, 14)
    assert log.features == COLUMNS
    assert log.sizes[1] == 9  # eight kinds of work, and unknown
    assert abs(log.label.mean() - 0.2408) < 1e-3
    assert max(log.sizes) <= 50
    assert open_adult().stand_in_for == ""


def test_adult_of_a_file(tmp_path):
    path = tmp_path / "adult.data.gz"
    row = "{age}, ?, 77516, Bachelors, 13, Never-married, Sales, Wife, White, Female, 0, 0, 40, Peru, {income}\n"
    path.write_bytes(gzip.compress((row.format(age=39, income="<=50K") + row.format(age=50, income=">50K.") + "\n").encode()))
    log = adult(path)
    assert (log.label.tolist(), log.sizes[0], log.sizes[1]) == ([0, 1], 2, 1)
    for text, message in (
        (row.format(age="old", income=">50K"), "a number"),
        ("1, 2\n", "15 columns"),
        (row.format(age=1, income="?"), "incomes"),
    ):
        path.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(DatasetCorrupt, match=message):
            adult(path)


def test_buckets():
    numbers = np.arange(1000.0)
    counts = np.bincount(bucketed(numbers, 10))
    assert counts.tolist() == [100] * 10
    assert bucketed(np.array([5.0, -1.0, 5.0]), 10).tolist() == [1, 0, 1]
    assert len(np.unique(bucketed(np.r_[np.zeros(900), numbers], 20))) < 20  # one value fills many quantiles


def test_advertisements(tmp_path):
    path = tmp_path / "train.txt"
    counts = ["1", "", "100", *["0"] * 10]
    path.write_text("\n".join("\t".join(["1", *counts, *["a"] * 25, last]) for last in ("b", "")) + "\n")
    log = criteo(5, path)
    assert log.tokens.shape == (2, 39)
    assert log.sizes[-1] == 2
    assert criteo(1, path).tokens.shape == (1, 39)
    path.write_text("id,click,hour,C1\n7,0,14102100,1005\n8,1,14102113,1002\n9,1,14102213,1002\n")
    log = avazu(10, path)
    assert (log.features, log.tokens.tolist(), log.label.tolist()) == (("hour", "C1"), [[0, 1], [1, 0], [1, 0]], [0, 1, 1])


def test_missing_sets_say_so(no_data):
    for load in (movielens_100k_clicks, movielens_1m_clicks, adult, lambda: criteo(3), lambda: avazu(3)):
        with pytest.raises(DatasetUnavailable):
            load()
    source = open_adult()
    assert source.stand_in_for == "Adult"
    assert source.value.tokens.shape == (32_561, 14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: click_log("log", {}, [1]), "0 features"),
        (lambda path: click_log("log", {"a": []}, []), "label has shape"),
        (lambda path: click_log("log", {"a": [1, 2]}, [1]), r"'a': \(2,\)"),
        (lambda path: click_log("log", {"a": [1]}, [2]), "label runs from 2"),
        (lambda path: generated_clicks((3, 0), 5), "all must be at least 1"),
        (lambda path: generated_clicks((3,), 5, zipf=-1.0), "zipf is -1.0, scatter"),
        (lambda path: bucketed(np.array([np.nan]), 3), "not finite"),
        (lambda path: bucketed(np.ones(2), 0), "buckets is 0"),
        (lambda path: criteo(0, path), "rows is 0"),
        (lambda path: adult(path, buckets=1), "buckets is 1"),
    ],
)
def test_wrong_arguments(call, message, tmp_path, as_installed):
    (tmp_path / "file").write_text("nothing")
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "file")


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (criteo, "1\t2\n"),
        (criteo, "2" + "\t" * 39 + "\n"),
        (criteo, "1\tx" + "\t" * 38 + "\n"),
        (avazu, ""),
        (avazu, "a,b\n"),
        (avazu, "id,click,hour\n"),
    ],
)
def test_damaged_logs(load, text, tmp_path):
    (tmp_path / "file").write_text(text)
    with pytest.raises(DatasetCorrupt):
        load(9, tmp_path / "file")


def test_categories_are_read_as_utf_8(tmp_path, monkeypatch):
    monkeypatch.setattr("io.text_encoding", lambda encoding, level=2: encoding or "ascii", raising=False)
    for name, opened in (("train.txt", open), ("train.txt.gz", gzip.open)):
        with opened(tmp_path / name, "wb") as file:
            file.write("\t".join(["1", *["5"] * 13, *["é"] * 26]).encode() + b"\n")
        assert set(criteo(1, tmp_path / name).sizes) == {1}


def test_clicks_by_name_and_what_stands_in(no_data):
    source = open_clicks("movielens-100k", "Criteo")
    assert "generated" in source.name and source.stand_in_for == "MovieLens 100K and Criteo"
    for name in ("movielens-1m", "criteo", "avazu"):
        with pytest.raises(DatasetUnavailable):
            open_clicks(name, "Criteo")
    with pytest.raises(ValueError, match="name is 'netflix'; it must be one of movielens-100k, movielens-1m"):
        open_clicks("netflix", "Criteo")

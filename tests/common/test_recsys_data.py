"""Interactions and graphs for link prediction: loaders, generators, splits."""

import numpy as np
import pytest

from quire.common.data import registry
from quire.common.data.link_sets import block_graph, cora_graph, link_graph, ogbl_ddi_graph, split_links, umls_graph
from quire.common.data.recsys import facebook_books, feedback, generated_feedback, movielens_1m, movielens_100k, split_feedback
from quire.common.errors import DatasetCorrupt, DatasetUnavailable


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path)
    return tmp_path


def test_movielens(quire_data):
    found = movielens_100k()
    assert len(found.user) == 82520
    split = split_feedback(found)
    assert (split.num_users, split.train.shape[1]) == (943, 66016)
    for part in (split.validation, split.test):
        assert part[0].max() < split.num_users
        assert part[1].max() < split.num_items


def test_facebook_books(quire_data):
    feedback = facebook_books()
    assert (len(feedback.user), feedback.user.max() + 1, feedback.item.max() + 1) == (17626, 1398, 2726)


def test_link_graphs(quire_data):
    umls, cora = umls_graph(), cora_graph()
    assert (umls.num_nodes, cora.num_nodes, cora.pairs.shape[1]) == (135, 2708, 5278)
    assert "135 nodes" in umls.name


def test_movielens_zip_members(no_data, monkeypatch):
    """The zip of the publisher, rows as both releases write them."""
    import zipfile

    from quire.common.data import recsys

    path = no_data / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::10::5::978\n1::11::2::978\n7::10::3::978\n")
    monkeypatch.setattr(recsys, "fetch", lambda dataset, name: path)
    feedback = movielens_1m()
    assert (feedback.user.tolist(), feedback.item.tolist()) == ([0, 1], [0, 0])


def test_missing_sets_say_so(no_data):
    for load in (
        movielens_100k,
        movielens_1m,
        facebook_books,
        umls_graph,
        cora_graph,
        ogbl_ddi_graph,
    ):
        with pytest.raises(DatasetUnavailable, match="is not here"):
            load()
    (no_data / "ogbl-ddi").mkdir()
    np.save(no_data / "ogbl-ddi" / "edges.npy", np.array([[0, 1], [1, 0], [2, 1]]))
    assert ogbl_ddi_graph().pairs.tolist() == [[0, 1], [1, 2]]


def test_generated_sets_are_fixed():
    first, second = generated_feedback(60, 80), generated_feedback(60, 80)
    np.testing.assert_array_equal(first.item, second.item)
    assert abs(len(first.user) / 4800 - 0.06) < 0.005
    popular = np.sort(np.bincount(first.item))[::-1]
    assert popular[:8].sum() > 0.3 * popular.sum()
    assert block_graph().pairs.shape == block_graph().pairs.shape


def test_splits_leave_nothing_unknown():
    feedback = generated_feedback(60, 80)
    split = split_feedback(feedback, seed=1)
    seen = [set(zip(*part.tolist(), strict=True)) for part in (split.train, split.validation, split.test)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    assert len(np.unique(split.train[0])) == split.num_users
    assert len(np.unique(split.train[1])) == split.num_items


def test_link_split():
    graph = block_graph(40)
    split = split_links(graph, num_non_edges=50)
    edges = {tuple(e) for e in graph.pairs.T.tolist()}
    parts = [{tuple(e) for e in part.T.tolist()} for part in (split.train, split.validation, split.test)]
    assert set.union(*parts) == edges
    assert sum(map(len, parts)) == len(edges)
    non = {tuple(e) for e in split.non_edges.T.tolist()}
    assert len(non) == 50
    assert not non & edges


def test_errors(as_installed):
    with pytest.raises(ValueError, match="density is 2"):
        generated_feedback(density=2)
    with pytest.raises(ValueError, match="fractions is"):
        split_feedback(generated_feedback(20, 30), fractions=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="empty part"):
        split_feedback(feedback("two", np.array([0, 1]), np.array([0, 1])))
    with pytest.raises(ValueError, match="this graph has"):
        split_links(block_graph(10), num_non_edges=100)
    with pytest.raises(ValueError, match="both are probabilities"):
        block_graph(inside=2)


def test_files_of_ones_own(tmp_path):
    """`u.data` and its relatives from any path; ratings below 3 do not count."""
    (tmp_path / "u.data").write_text("5\t10\t3\t978\n5\t11\t2\t978\n9\t10\t5\t979\n")
    found = movielens_100k(tmp_path / "u.data")
    assert (found.user.tolist(), found.item.tolist()) == ([0, 1], [0, 0])
    (tmp_path / "ratings.dat").write_text("1::10::5::978\n")
    assert movielens_1m(str(tmp_path / "ratings.dat")).user.tolist() == [0]
    (tmp_path / "books.tsv").write_text("3\t4\t1.0\n3\t2\t1.0\n")
    assert facebook_books(tmp_path / "books.tsv").item.tolist() == [0, 1]
    for content, message in (
        ("", "has no row"),
        ("1\t2\n", "no table of 3"),
        ("1\t2\tx\n", "no table of 3"),
        ("1\t2\t1\n", "at least 3"),
    ):
        (tmp_path / "u.data").write_text(content)
        with pytest.raises(DatasetCorrupt, match=message):
            movielens_100k(tmp_path / "u.data")


def test_interactions_and_edges_are_checked(as_installed):
    with pytest.raises(ValueError, match=r"user has shape \(2,\) and item \(1,\)"):
        feedback("two", np.array([0, 1]), np.array([0]))
    with pytest.raises(ValueError, match="at least one"):
        feedback("none", np.array([], int), np.array([], int))
    with pytest.raises(ValueError, match="integers or strings"):
        feedback("floats", np.array([0.5]), np.array([1]))
    mixed = feedback("mixed", np.array(["b", "a", "b"]), np.array([10, 9, 10]))
    assert (mixed.user.tolist(), mixed.item.tolist()) == ([0, 1], [0, 1]), "numbers keep their order beside strings"
    for edges, message in (
        (np.array([[0, 3]]), "num_nodes is 3"),
        (np.array([[0, -1]]), "num_nodes is 3"),
        (np.array([[0.5, 1]]), "must be integers"),
        (np.array([0, 1]), "must be integers"),
    ):
        with pytest.raises(ValueError, match=message):
            link_graph("three", edges, 3)
    with pytest.raises(ValueError, match="num_nodes is 1"):
        block_graph(1)
    with pytest.raises(ValueError, match="leave an empty part"):
        split_links(link_graph("path", np.array([[0, 1], [1, 2], [2, 3]]), 4), num_non_edges=1)
    with pytest.raises(ValueError, match="num_non_edges is -1"):
        split_links(block_graph(20), num_non_edges=-1)
    with pytest.raises(ValueError, match="fractions is"):
        split_links(block_graph(20), fractions=(0.5, float("nan"), 0.5), num_non_edges=1)


def test_exported_edges_are_checked(no_data):
    (no_data / "ogbl-ddi").mkdir()
    for array in (np.zeros((3, 3), int), np.array([[0, 4267]]), np.array([[0.0, 1.0]])):
        np.save(no_data / "ogbl-ddi" / "edges.npy", array)
        with pytest.raises(DatasetCorrupt, match=r"edges\.npy: edges"):
            ogbl_ddi_graph()

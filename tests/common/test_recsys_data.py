"""Interactions and graphs for link prediction: loaders, generators, splits."""

import numpy as np
import pytest

from quire.common import data
from quire.common.data import DatasetUnavailable, registry


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path)
    return tmp_path


def test_movielens(quire_data):
    feedback = data.movielens_100k()
    assert len(feedback.user) == 82520
    split = data.split_feedback(feedback)
    assert (split.num_users, split.train.shape[1]) == (943, 66016)
    for part in (split.validation, split.test):
        assert part[0].max() < split.num_users
        assert part[1].max() < split.num_items


def test_facebook_books(quire_data):
    feedback = data.facebook_books()
    assert (len(feedback.user), feedback.user.max() + 1, feedback.item.max() + 1) == (17626, 1398, 2726)


def test_link_graphs(quire_data):
    umls, cora = data.umls_graph(), data.cora_graph()
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
    feedback = data.movielens_1m()
    assert (feedback.user.tolist(), feedback.item.tolist()) == ([0, 1], [0, 0])


def test_missing_sets_say_so(no_data):
    for load in (
        data.movielens_100k,
        data.movielens_1m,
        data.facebook_books,
        data.umls_graph,
        data.cora_graph,
        data.ogbl_ddi_graph,
    ):
        with pytest.raises(DatasetUnavailable, match="is not here"):
            load()
    (no_data / "ogbl-ddi").mkdir()
    np.save(no_data / "ogbl-ddi" / "edges.npy", np.array([[0, 1], [1, 0], [2, 1]]))
    assert data.ogbl_ddi_graph().pairs.tolist() == [[0, 1], [1, 2]]


def test_generated_sets_are_fixed():
    first, second = data.generated_feedback(60, 80), data.generated_feedback(60, 80)
    np.testing.assert_array_equal(first.item, second.item)
    assert abs(len(first.user) / 4800 - 0.06) < 0.005
    popular = np.sort(np.bincount(first.item))[::-1]
    assert popular[:8].sum() > 0.3 * popular.sum()
    assert data.block_graph().pairs.shape == data.block_graph().pairs.shape


def test_splits_leave_nothing_unknown():
    feedback = data.generated_feedback(60, 80)
    split = data.split_feedback(feedback, seed=1)
    seen = [set(zip(*part.tolist(), strict=True)) for part in (split.train, split.validation, split.test)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    assert len(np.unique(split.train[0])) == split.num_users
    assert len(np.unique(split.train[1])) == split.num_items


def test_link_split():
    graph = data.block_graph(40)
    split = data.split_links(graph, num_non_edges=50)
    edges = {tuple(e) for e in graph.pairs.T.tolist()}
    parts = [{tuple(e) for e in part.T.tolist()} for part in (split.train, split.validation, split.test)]
    assert set.union(*parts) == edges
    assert sum(map(len, parts)) == len(edges)
    non = {tuple(e) for e in split.non_edges.T.tolist()}
    assert len(non) == 50
    assert not non & edges


def test_errors(as_installed):
    with pytest.raises(ValueError, match="density is 2"):
        data.generated_feedback(density=2)
    with pytest.raises(ValueError, match="fractions is"):
        data.split_feedback(data.generated_feedback(20, 30), fractions=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="empty part"):
        data.split_feedback(data.feedback("two", np.array([0, 1]), np.array([0, 1])))
    with pytest.raises(ValueError, match="this graph has"):
        data.split_links(data.block_graph(10), num_non_edges=100)
    with pytest.raises(ValueError, match="both are probabilities"):
        data.block_graph(inside=2)

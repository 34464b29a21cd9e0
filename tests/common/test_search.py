"""Exact search, probes, principal axes, rank correlation, nested prefixes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from quire.common.layers.nested import check_sizes, prefixes, truncate, unit_rows
from quire.common.metrics.pca import principal_axes
from quire.common.metrics.probe import knn_predict, ridge_probe
from quire.common.metrics.rank_correlation import spearman
from quire.common.retrieval.search import lift_euclidean, rerank, top_k_inner


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("block", [None, 1, 4, 7, 30])
def test_top_k_in_blocks_is_a_stable_sort(rng, block):
    queries, database = (jnp.asarray(rng.integers(-2, 3, (n, 3)), jnp.float32) for n in (5, 23))
    expected = np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :6]
    scores, index = top_k_inner(queries, database, 6, block)
    assert index.tolist() == expected.tolist()
    np.testing.assert_array_equal(scores, np.take_along_axis(queries @ database.T, expected, 1))


def test_infinite_scores_still_name_rows():
    with jax.debug_nans(False):
        _, index = top_k_inner(jnp.ones((1, 1)), jnp.full((5, 1), -jnp.inf), 5, 2)
    assert set(index[0].tolist()) <= set(range(5))


def test_top_k_refuses(as_installed):
    queries, database = jnp.ones((2, 3)), jnp.ones((4, 3))
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"k is {k}"):
            top_k_inner(queries, database, k)
    with pytest.raises(ValueError, match="dimension 2"):
        top_k_inner(queries, jnp.ones((4, 2)), 1)
    with pytest.raises(ValueError, match="block is 0"):
        top_k_inner(queries, database, 1, 0)


def test_no_queries_are_no_error():
    assert top_k_inner(jnp.zeros((0, 3)), jnp.ones((4, 3)), 2)[1].shape == (0, 2)


def test_rerank_of_everything_is_the_search(rng):
    queries, database = (jnp.asarray(rng.normal(size=(n, 3)), jnp.float32) for n in (4, 9))
    candidates = jnp.tile(jnp.arange(9)[None], (4, 1))
    assert rerank(queries, database, candidates, 5)[1].tolist() == top_k_inner(queries, database, 5)[1].tolist()


def test_lifted_vectors_are_ordered_by_distance(rng):
    queries, database = (jnp.asarray(rng.normal(size=(n, 3)), jnp.float32) for n in (4, 9))
    distances = ((np.asarray(queries)[:, None] - np.asarray(database)) ** 2).sum(-1)
    scores, index = top_k_inner(*lift_euclidean(queries, database), 9)
    assert index.tolist() == distances.argsort(1).tolist()
    assert index.tolist() != top_k_inner(queries, database, 9)[1].tolist()
    np.testing.assert_allclose((queries**2).sum(1)[:, None] - 2 * scores, np.sort(distances, 1), atol=1e-5)


def test_rerank_shows_a_candidate_that_does_not_exist():
    with jax.debug_nans(False):
        scores, _ = rerank(jnp.ones((1, 1)), jnp.ones((2, 1)), jnp.array([[0, 2]]), 1)
    assert jnp.isnan(scores).all()
    with pytest.raises(ValueError, match="k is 3"):
        rerank(jnp.ones((1, 1)), jnp.ones((2, 1)), jnp.array([[0, 1]]), 3)


def test_knn_is_the_vote_of_the_nearest(rng, as_installed):
    queries, database = (jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in (6, 30))
    labels = jnp.asarray(rng.integers(0, 3, 30))
    nearest = ((np.asarray(queries)[:, None] - np.asarray(database)) ** 2).sum(-1).argsort(1)[:, :5]
    votes = np.stack([np.bincount(np.asarray(labels)[row], minlength=3) for row in nearest])
    assert knn_predict(queries, database, labels, k=5, num_classes=3).tolist() == votes.argmax(1).tolist()
    with pytest.raises(ValueError, match="each of the 30 rows"):
        knn_predict(queries, database, labels[:2], num_classes=3)


def test_ridge_probe_separates_and_survives_constant_features(rng):
    labels = rng.integers(5, 8, 90)
    x = np.stack([labels == 5, labels == 6, np.full(90, 1e6)], 1) + rng.normal(size=(90, 3)) * [[0.1, 0.1, 0]]
    assert (ridge_probe(x[:60], labels[:60], x[60:]) == labels[60:]).all()
    with pytest.raises(ValueError, match="ridge is 0"):
        ridge_probe(x, labels, x, ridge=0)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        ridge_probe(x, labels, x)


def test_principal_axes_are_those_of_scikit_learn(rng):
    x = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5)) + 3
    ours, theirs = principal_axes(x, 3), PCA(3).fit(x)
    np.testing.assert_allclose(np.abs((ours.axes * theirs.components_).sum(1)), 1, rtol=1e-9)
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_, rtol=1e-9)
    assert (np.take_along_axis(ours.axes, np.abs(ours.axes).argmax(1)[:, None], 1) > 0).all()
    with pytest.raises(ValueError, match="k is 6"):
        principal_axes(x, 6)


def test_spearman(rng):
    x, y = rng.integers(0, 5, 50), rng.normal(size=50)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(np.array([False, True, False]), np.array([0, 2, 0])) == pytest.approx(1)
    assert np.isnan(spearman(np.ones(5), y[:5])) and np.isnan(spearman(np.array([1.0, np.nan]), y[:2]))
    with pytest.raises(ValueError, match="one length"):
        spearman(x, y[:3])


def test_prefixes_and_truncate(rng):
    z = jnp.asarray(rng.normal(size=(3, 6)), jnp.float32)
    assert [part.shape[1] for part in prefixes(z, (1, 4, 6))] == [1, 4, 6]
    np.testing.assert_allclose(jnp.linalg.norm(truncate(z, 4), axis=1), 1, rtol=1e-6)
    assert not truncate(jnp.zeros((1, 3)), 2).any()
    assert jnp.isfinite(jax.grad(lambda z: truncate(z, 2).sum())(jnp.zeros((1, 3)))).all()
    for scale in (1e-30, 1e30):
        np.testing.assert_allclose(unit_rows(scale * z), unit_rows(z), rtol=1e-5)
    assert not jax.jacobian(unit_rows)(jnp.zeros((1, 3))).any()
    with jax.debug_nans(False):
        assert jnp.isnan(unit_rows(z.at[0, 0].set(jnp.nan))[0]).all()
    for sizes in ((), (0, 2), (2, 2), (3, 2), (2, 7)):
        with pytest.raises(ValueError, match="sizes is"):
            check_sizes(sizes, 6)


def test_unit_rows_have_finite_derivatives_at_any_scale():
    z, direction = jnp.array([[3.0, -4.0]]), jnp.array([[1.0, 2.0]])
    derivative = jax.grad(lambda z: jnp.sum(unit_rows(z) * direction))
    for scale in (1e-30, 1e-15, 1e15):
        np.testing.assert_allclose(scale * derivative(scale * z), derivative(z), rtol=1e-5)


@pytest.mark.parametrize("block", [None, 3])
@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16"])
def test_searches_take_what_counts_as_numbers(rng, block, dtype, as_installed):
    queries, database = (rng.integers(0, 2 if dtype == "bool" else 255, (n, 3)).astype(dtype) for n in (2, 9))
    wide = queries.astype(np.float32), database.astype(np.float32)
    assert top_k_inner(queries, database, 4, block)[1].tolist() == top_k_inner(*wide, 4, block)[1].tolist()
    if dtype != "float16":  # whose squares end at 65504
        lifted = lift_euclidean(queries, database)
        assert top_k_inner(*lifted, 9)[1].tolist() == top_k_inner(*lift_euclidean(*wide), 9)[1].tolist()
    candidates = jnp.tile(jnp.arange(9)[None], (2, 1))
    assert rerank(queries, database, candidates, 3)[1].tolist() == rerank(*wide, candidates, 3)[1].tolist()


def test_knn_finds_itself_far_from_the_origin(rng):
    x = (1e4 + rng.normal(size=(20, 3))).astype(np.float32)
    assert knn_predict(x, x, np.arange(20), num_classes=20).tolist() == list(range(20))


def test_knn_refuses_what_has_no_class(as_installed):
    x, labels = np.eye(3, dtype=np.float32), np.array([0, 1, 1])
    for changed, message in (
        ({"labels": labels + 1}, "labels runs from 1 to 2"),
        ({"labels": labels[:1]}, "labels has shape"),
        ({"labels": labels / 1}, "ids are integers"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"queries": x * np.nan}, "queries has 9 numbers that are not finite"),
        ({"database": x + np.inf}, "database has 9"),
    ):
        with pytest.raises(ValueError, match=message):
            knn_predict(**{"queries": x, "database": x, "labels": labels, "num_classes": 2} | changed)
    with pytest.raises(ValueError, match="test have shapes"):
        ridge_probe(x, labels, x[0])


def test_principal_axes_of_bytes_booleans_and_half_precision(rng, as_installed):
    x = rng.integers(0, 2, (8, 3))
    expected = principal_axes(x.astype(float), 2)
    for dtype in (np.uint8, bool, np.float16):
        for centre in (True, False):
            found = principal_axes(x.astype(dtype), 2, centre=centre)
            np.testing.assert_allclose(found.variance, principal_axes(x.astype(float), 2, centre=centre).variance, rtol=1e-5)
    np.testing.assert_allclose(expected.mean, x.mean(0))

"""Average precision, retrieval by cosine, templates: against scikit-learn and loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from quire.common.retrieval.evaluate import average_precision, list_metrics, list_precision, retrieval_metrics, template_search
from quire.common.testing import assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def by_hand(hits, divisor):
    """Average precision by a loop over places."""
    found, total = 0, 0.0
    for place, hit in enumerate(hits, 1):
        found += hit
        total += hit * found / place
    return total / divisor


def test_average_precision_is_that_of_scikit_learn(rng):
    scores, relevant = rng.standard_normal((7, 20)), rng.random((7, 20)) < 0.3
    relevant[:, 3] = True
    expected = [average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)]
    with jax.enable_x64():
        np.testing.assert_allclose(average_precision(jnp.asarray(scores), jnp.asarray(relevant)), expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 4, 9])
def test_average_precision_of_the_first_places(rng, k):
    scores, relevant = rng.integers(0, 4, (5, 9)).astype(np.float32), rng.random((5, 9)) < 0.5
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(relevant, order, 1)
    for divisor, count in (("relevant", np.maximum(relevant.sum(1), 1)), ("k", np.full(5, k))):
        found = average_precision(jnp.asarray(scores), jnp.asarray(relevant), k, divisor=divisor)
        np.testing.assert_allclose(found, [by_hand(h, n) for h, n in zip(hits, count, strict=True)], rtol=1e-6)
    np.testing.assert_allclose(list_precision(jnp.asarray(hits)), [by_hand(h, k) for h in hits], rtol=1e-6)


def test_a_query_without_relevant_items_scores_zero_and_nan_stays():
    none = jnp.zeros((1, 3), bool)
    assert average_precision(jnp.ones((1, 3)), none).tolist() == [0]
    with jax.debug_nans(False):
        assert jnp.isnan(average_precision(jnp.array([[1.0, jnp.nan, 0.0]]), ~none)).all()
        broken = retrieval_metrics(jnp.full((1, 2), jnp.nan), jnp.array([0]), jnp.ones((2, 2)), jnp.array([0, 1]), (1,))
    assert np.isnan(list(broken.values())).all()


def test_list_metrics(rng):
    hits = rng.random((6, 4)) < 0.4
    found = list_metrics(jnp.asarray(hits))
    expected = {
        "mAP": np.mean([by_hand(h, 4) for h in hits]),
        "precision": hits.mean(),
        "hit_rate": hits.any(1).mean(),
        "top1": hits[:, 0].mean(),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-6), name


def test_retrieval_by_cosine_in_blocks_of_queries(rng):
    queries, gallery = (rng.standard_normal((n, 3)).astype(np.float32) for n in (7, 12))
    labels, gallery_labels = np.array([0, 1, 2, 0, 1, 2, 9]), np.arange(12) % 3  # class 9 is not in the gallery
    cosine = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (gallery / np.linalg.norm(gallery, axis=1)[:, None]).T
    hits = (labels[:, None] == gallery_labels[np.argsort(-cosine, axis=1)])[:6]
    expected = {"top1": hits[:, 0].mean(), "top4": hits[:, :4].any(1).mean(), "mAP": np.mean([by_hand(h, 4) for h in hits])}
    for block in (4, 256):
        found = retrieval_metrics(queries, labels, 5 * gallery, gallery_labels, (1, 4), block=block)
        assert found == pytest.approx(expected, abs=1e-6)
    assert np.isnan(retrieval_metrics(queries[6:], labels[6:], gallery, gallery_labels, (1,))["mAP"])


def test_templates_are_means_of_directions():
    gallery, labels = jnp.array([[10.0, 0.0], [0.0, 1.0], [-1.0, 0.1]]), np.array([5, 5, 2])
    queries = jnp.array([[1.0, 1.0], [0.1, 1.0], [-1.0, -0.2]])  # the mean of vectors would have class 5 near (1, 0.1)
    assert template_search(gallery, labels, queries).tolist() == [5, 5, 2]
    assert template_search(gallery, labels, queries, np.array([5, 2, 2])) == pytest.approx(2 / 3)
    uneven = jnp.array([[10.0, 0.0], [0.0, 1.0], [1.0, -0.2]])
    assert template_search(uneven, labels, jnp.array([[1.0, 0.5]])).tolist() == [5]
    assert template_search(uneven, labels, jnp.array([[1.0, 0.2]])).tolist() == [2]


def test_edges():
    relevant = jnp.array([[True, False, True, False], [False, True, True, False]])
    scores = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    assert_degenerate(average_precision, scores, relevant, axes=(0, 1), differentiable=False)
    assert_dtypes(lambda s: average_precision(s, relevant), scores)
    assert_degenerate(
        lambda q, g: list(retrieval_metrics(q, jnp.arange(len(q)), g, jnp.arange(len(g)), (1,)).values() if len(q) else [0.0]),
        scores,
        scores,
        jit=False,
        differentiable=False,
    )
    assert_jit_consistent(lambda s: average_precision(s, relevant, 3, divisor="k"), jnp.asarray(scores))
    assert_vmap_consistent(lambda s: average_precision(s, relevant), jnp.stack([scores, -scores]))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("k is 5", lambda: average_precision(jnp.ones((1, 4)), jnp.ones((1, 4), bool), 5)),
        ("divisor is 'n'", lambda: average_precision(jnp.ones((1, 4)), jnp.ones((1, 4), bool), divisor="n")),
        ("number of places is 0", lambda: list_precision(jnp.ones((2, 0)))),
        (r"num_relevant has shape \(3,\)", lambda: list_precision(jnp.ones((2, 4)), jnp.ones(3, int))),
        ("hits has shape", lambda: list_metrics(jnp.ones((0, 4)))),
        ("hits has shape", lambda: list_metrics(jnp.ones(4))),
        ("topk is", lambda: retrieval_metrics(jnp.ones((1, 2)), jnp.ones(1, int), jnp.ones((2, 2)), jnp.ones(2, int), (3,))),
        ("block is 0", lambda: retrieval_metrics(*(jnp.ones(s, int) for s in ((1, 2), 1, (1, 2), 1)), (1,), block=0)),
        ("gallery has dimension 3", lambda: retrieval_metrics(*(jnp.ones(s, int) for s in ((1, 2), 1, (1, 3), 1)), (1,))),
        ("query_labels has shape", lambda: retrieval_metrics(*(jnp.ones(s, int) for s in ((2, 2), 1, (1, 2), 1)), (1,))),
        ("gallery_labels has shape", lambda: template_search(jnp.ones((2, 2)), np.ones(3), jnp.ones((1, 2)))),
        ("gallery is 0", lambda: template_search(jnp.ones((0, 2)), np.ones(0), jnp.ones((1, 2)))),
        ("queries has numbers", lambda: template_search(jnp.ones((1, 2)), np.ones(1), np.full((1, 2), np.nan))),
    ],
)
def test_errors(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()

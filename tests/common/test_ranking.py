"""Ranking metrics, sampling and loss of Bayesian personalised ranking."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from quire.common.metrics.ranking import hits_at_k, ranked_hits, ranking_metrics, user_metrics
from quire.common.retrieval.bpr import bpr_loss, draw_bpr, embedding_penalty, interactions, sample_bpr, unseen_item
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients


def by_hand(scores, relevant, seen, k):
    """Metrics by loops over users."""
    rows = []
    for s, r, t in zip(np.asarray(scores, float), relevant, seen, strict=True):
        if not r.any():
            continue
        ranked = [i for i in np.argsort(-s, kind="stable") if not t[i]][:k]
        hits = [bool(r[i]) for i in ranked]
        gains = [h / np.log2(p + 2) for p, h in enumerate(hits)]
        best = sum(1 / np.log2(p + 2) for p in range(min(k, r.sum())))
        first = next((1 / (p + 1) for p, h in enumerate(hits) if h), 0.0)
        rows.append((sum(hits) / k, sum(hits) / r.sum(), sum(gains) / best, first))
    precision, recall, ndcg, mrr = np.mean(rows, axis=0)
    return {
        "precision": precision,
        "recall": recall,
        "ndcg": ndcg,
        "mrr": mrr,
        "f1": 2 * precision * recall / max(precision + recall, 1e-30),
    }


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), k=st.sampled_from([1, 3, 5]))
def test_metrics_by_hand(seed, k):
    rng = np.random.default_rng(seed)
    scores, label = rng.standard_normal((6, 12)).astype(np.float32), rng.integers(0, 3, (6, 12))
    label[0] = 0  # a user without test items
    relevant, seen = label == 1, (label == 2) & (rng.uniform(size=(6, 12)) < 0.5)
    if not relevant.any():
        return
    ours = ranking_metrics(jnp.asarray(scores), jnp.asarray(relevant), (k,), jnp.asarray(seen))
    for name, value in by_hand(scores, relevant, seen, k).items():
        assert abs(float(ours[f"{name}@{k}"]) - value) < 1e-5, name


def test_masking_by_zero_lets_seen_items_pass():
    scores, seen = jnp.array([[-1.0, -2.0, 5.0]]), jnp.array([[False, False, True]])
    relevant = jnp.array([[True, False, False]])
    assert ranked_hits(scores, relevant, 1, seen)[0, 0] == 1
    assert ranked_hits(scores, relevant, 1, seen, masking="zero")[0, 0] == 0
    assert ranked_hits(scores, seen, 3, seen).tolist() == [[0, 0, 0]], "a seen item is no hit"


# --- Conformance: every metric of scores. A new one adds one line. ---

RELEVANT = np.array([[True, False, False, True], [False, True, False, False]])
SCORES = np.array([[0.2, 1.5, -0.9, 1.1], [2.1, 0.4, 0.9, -1.4]], np.float32)
METRICS = {
    "ranking_metrics": (lambda scores, relevant: ranking_metrics(scores, relevant, (1, 2)), (SCORES, RELEVANT)),
    "hits_at_k": (lambda positive, negative: hits_at_k(positive, negative, 2), (SCORES[0], SCORES[1])),
    "bpr_loss": (bpr_loss, (SCORES[0], SCORES[1])),
    "embedding_penalty": (embedding_penalty, (SCORES, SCORES + 1)),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_at_the_edge(name):
    metric, inputs = METRICS[name]
    assert_degenerate(metric, *inputs)
    assert_dtypes(metric, *inputs)


@pytest.mark.parametrize("name", METRICS)
def test_a_score_that_is_no_number_gives_no_number(name, as_installed):
    metric, (scores, *rest) = METRICS[name]
    with jax.debug_nans(False):
        values = jax.tree.leaves(jax.jit(metric)(scores * np.where(np.arange(4) == 2, np.nan, 1), *rest))
    assert np.isnan(values).all()


def test_users_without_items_do_not_count(as_installed):
    with jax.debug_nans(False):
        scores = jnp.array([[3.0, 2.0], [jnp.nan, 1.0]])
        metrics = ranking_metrics(scores, jnp.array([[True, False], [False, False]]), (1,))
    assert set(map(float, metrics.values())) == {1.0}


def test_metric_errors(as_installed):
    scores, relevant = jnp.zeros((2, 3)), jnp.zeros((2, 3), bool)
    with pytest.raises(ValueError, match="k is 4; it must lie between 1 and the number of items, 3"):
        ranking_metrics(scores, relevant, (4,))
    with pytest.raises(ValueError, match="must have one shape"):
        ranked_hits(scores, relevant[:1], 1)
    with pytest.raises(ValueError, match="masking is 'none'"):
        ranked_hits(scores, relevant, 1, masking="none")
    with pytest.raises(ValueError, match=r"ks is \(3,\); each must lie between 1 and the places given, 2"):
        user_metrics(relevant[:, :2], jnp.ones(2), (3,))
    with pytest.raises(ValueError, match="num_relevant has shape \\(1,\\); it needs one number for each of 2 users"):
        user_metrics(jnp.zeros((2, 2)), jnp.ones(1), (1,))
    with pytest.raises(ValueError, match="relevant has dtype int32"):
        ranked_hits(scores, relevant.astype(int), 1)
    with pytest.raises(ValueError, match="k is 0"):
        hits_at_k(jnp.ones(1), jnp.ones(1), 0)


def test_hits_are_strict_and_few_negatives_are_a_hit():
    assert float(hits_at_k(jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0]), 1)) == 0.5
    assert float(hits_at_k(jnp.array([-9.0]), jnp.array([1.0]), 2)) == 1.0


def test_hits_of_whole_numbers(as_installed):
    assert float(hits_at_k(jnp.array([1, 2]), jnp.array([1, 0]), 1)) == 0.5


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    dense = rng.uniform(size=(9, 14)) < 0.4
    dense[:, 0], dense[:, 1] = True, False
    user, item = np.nonzero(dense)
    order = rng.permutation(len(user))
    return dense, interactions(user[order], item[order], 9, 14)


def test_unseen_items_are_numbered_without_gaps(data):
    dense, rows = data
    for user in range(9):
        missing = np.flatnonzero(~dense[user])
        ranks = jnp.arange(len(missing), dtype=jnp.int32)
        np.testing.assert_array_equal(unseen_item(rows, jnp.full_like(ranks, user), ranks), missing)


def test_samples_are_exact_and_uniform(data):
    dense, rows = data
    users, pos, neg = (np.asarray(a) for a in jax.jit(sample_bpr, static_argnums=2)(jax.random.key(0), rows, 20_000))
    assert dense[users, pos].all()
    assert not dense[users, neg].any()
    of_first = neg[users == 0]
    counts = np.bincount(of_first, minlength=14)[~dense[0]]
    assert counts.min() > 0.7 * counts.mean()
    few, _, _ = sample_bpr(jax.random.key(1), rows, 9)
    assert sorted(few.tolist()) == list(range(9))


def test_draws_of_the_host_are_exact_and_uniform(data):
    dense, rows = data
    users, pos, neg = draw_bpr(np.random.default_rng(0), rows, (20, 1000))
    assert all(x.shape == (20, 1000) and x.dtype == np.int32 for x in (users, pos, neg))
    assert dense[users, pos].all()
    assert not dense[users, neg].any()
    for place, items in ((~dense[0], neg), (dense[0], pos)):
        counts = np.bincount(items[users == 0], minlength=14)[place]
        assert counts.min() > 0.7 * counts.mean()
    few, _, _ = draw_bpr(np.random.default_rng(1), rows, (4, 9))
    assert (np.sort(few, axis=1) == np.arange(9)).all()
    assert len(np.unique(few, axis=0)) > 1


def test_small_integers_have_room_for_the_keys():
    rows = interactions(np.arange(30), np.arange(30), 30, 40)
    user, rank, expected = np.full(3, 29, np.uint8), np.array([0, 28, 29], np.uint8), [0, 28, 30]
    np.testing.assert_array_equal(unseen_item(rows, user, rank), expected)
    np.testing.assert_array_equal(jax.jit(lambda u, r: unseen_item(rows, u, r))(user, rank), expected)


def test_sampling_errors(data, as_installed):
    one = jnp.zeros(1, jnp.int32)
    with pytest.raises(ValueError, match="rank runs from 14 to 14"):
        unseen_item(data[1], one, one + 14)
    with pytest.raises(ValueError, match="user runs from 9 to 9"):
        unseen_item(data[1], one + 9, one)
    with pytest.raises(ValueError, match="batch_size is 0"):
        sample_bpr(jax.random.key(0), data[1], 0)
    for shape, name in (((0, 3), "batches"), ((3, 0), "batch_size")):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            draw_bpr(np.random.default_rng(0), data[1], shape)
    with pytest.raises(ValueError, match="rank has dtype float32; ids are integers"):
        unseen_item(data[1], one, one + 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0], [1, 1], 1, 3), "1 pairs of user and item are repeated"),
        (([0], [0], 2, 3), "1 users have no item, the first is 1"),
        (([0, 0], [0, 1], 1, 2), "user 0 has all 2 items"),
        (([0], [3], 1, 3), "item runs from 3 to 3"),
        (([0], [0], 2**16, 2**16), "keys of 32 bits need less than"),
        (([0, 1], [0], 2, 3), "user has shape \\(2,\\) and item \\(1,\\)"),
        (([0.5], [0], 1, 3), "user has dtype float64; ids are integers"),
        (([], [], 0, 3), "num_users is 0"),
    ],
)
def test_interaction_errors(as_installed, arguments, message):
    with pytest.raises(ValueError, match=message):
        interactions(*arguments)


def test_loss():
    a, b = jnp.array([1.0, -2.0]), jnp.array([0.5, 1.0])
    assert_close(bpr_loss(a, b), np.mean(np.log1p(np.exp(np.array([-0.5, 3.0])))), 1e-6)
    assert_gradients(bpr_loss, a, b)
    assert_close(embedding_penalty(jnp.ones((2, 3)), jnp.ones((2, 3))), 3.0, 1e-6)


def test_loss_errors(as_installed):
    with pytest.raises(ValueError, match="positive has shape \\(2,\\) and negative \\(1,\\)"):
        bpr_loss(jnp.ones(2), jnp.ones(1))
    with pytest.raises(ValueError, match=r"rows hold \[1, 2\] embeddings"):
        embedding_penalty(jnp.ones((2, 3)), jnp.ones((1, 3)))


def test_scores_are_lists(as_installed):
    with pytest.raises(ValueError, match="they need"):
        hits_at_k(jnp.ones((2, 3)), jnp.ones((2, 3)), 1)

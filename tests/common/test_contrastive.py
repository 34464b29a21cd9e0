"""Contrastive, pair-ranking and triplet losses: against sums by loops, where nothing is left to compare, and at the edge."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.losses.contrastive import hoc_loss, masked_logsumexp, multi_positive_nce, nt_xent
from quire.common.losses.pair_ranking import angle_loss, cosent_loss, in_batch_negative_loss
from quire.common.losses.triplet import triplet_cosine, triplet_sqeuclidean
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 5))
KIND = RNG.integers(0, 3, (4, 5))  # 0 neither, 1 positive, 2 negative
LABELS = np.array([0, 1, 0, 2, 1, 0], np.int32)


def unit(*shape):
    x = RNG.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("reduction", ["pairs", "rows"])
def test_positives_meet_only_negatives(reduction):
    rows = []
    for scores, kind in zip(LOGITS, KIND, strict=True):
        rest = np.exp(scores[kind == 2]).sum()
        rows.append([-np.log(np.exp(s) / (np.exp(s) + rest)) for s in scores[kind == 1]])
    expected = (
        np.mean([loss for row in rows for loss in row])
        if reduction == "pairs"
        else np.mean([sum(r) / (len(r) + 1e-6) for r in rows])
    )
    with jax.enable_x64():
        found = multi_positive_nce(jnp.asarray(LOGITS), jnp.asarray(KIND == 1), jnp.asarray(KIND == 2), reduction)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_nothing_to_compare_is_no_loss():
    none, every = jnp.zeros((4, 5), bool), jnp.ones((4, 5), bool)
    logits = jnp.asarray(LOGITS, jnp.float32)
    for positive, negative in ((none, every), (every, none)):
        loss, gradient = jax.value_and_grad(multi_positive_nce)(logits, positive, negative)
        assert loss == 0 and not gradient.any()
    assert np.isneginf(masked_logsumexp(logits, none)).all()


def test_huge_similarities_do_not_overflow():
    logits = jnp.array([[3e4, 0.0, -3e4]])
    masks = jnp.array([[False, True, False]]), jnp.array([[True, False, True]])
    np.testing.assert_allclose(multi_positive_nce(logits, *masks), 3e4, rtol=1e-6)
    np.testing.assert_allclose(masked_logsumexp(logits, masks[1]), [3e4], rtol=1e-6)


def test_two_views_by_loops():
    a, b = unit(3, 4), unit(3, 4)
    z = np.concatenate([a, b])
    scores = z @ z.T / 0.3
    losses = [-scores[i, (i + 3) % 6] + np.log(sum(np.exp(scores[i, j]) for j in range(6) if j != i)) for i in range(6)]
    with jax.enable_x64():
        np.testing.assert_allclose(nt_xent(jnp.asarray(2 * a), jnp.asarray(b), 0.3), np.mean(losses), rtol=1e-12)


@pytest.mark.parametrize("exact", [False, True])
def test_alignment_of_higher_order_by_loops(exact):
    new, old = unit(6, 4), unit(6, 4)
    scores = 10 * old @ new.T
    losses = []
    for n in range(6):
        others = [m for m in range(6) if LABELS[m] != LABELS[n]]
        total = sum(np.exp(scores[n, m]) for m in others) + (0 if exact else 6 - len(others))
        losses.append(-scores[n, n] + np.log(total))
    with jax.enable_x64():
        found = hoc_loss(jnp.asarray(new), jnp.asarray(old), jnp.asarray(LABELS), exact=exact)
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-12)


def test_ranking_of_pairs_by_loops():
    x, grades = RNG.normal(size=(8, 6)), np.array([0.1, 0.9, 0.1, 0.4])
    first, second = x[0::2], x[1::2]
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    z, w = first[:, :3] + 1j * first[:, 3:], second[:, :3] + 1j * second[:, 3:]
    sizes = np.linalg.norm(z, axis=1), np.linalg.norm(w, axis=1)
    ratio = (z * w.conj()).sum(1) / sizes[1] ** 2 * sizes[1] / sizes[0]
    values = {cosent_loss: 5 * cosines, angle_loss: 5 * np.abs(ratio.real + ratio.imag)}
    for loss, value in values.items():
        pairs = [(i, j) for i in range(4) for j in range(4) if grades[i] < grades[j]]
        assert len(pairs) == 5  # the tie is no pair
        with jax.enable_x64():
            found = loss(jnp.asarray(x), jnp.asarray(grades), 5.0)
        np.testing.assert_allclose(found, np.log(1 + sum(np.exp(value[i] - value[j]) for i, j in pairs)), rtol=1e-12)


def test_a_grade_that_is_nan_ranks_nothing():
    with jax.debug_nans(False):
        assert np.isnan(cosent_loss(jnp.asarray(unit(6, 4)), jnp.array([0.0, jnp.nan, 1.0])))
    assert np.isfinite(cosent_loss(jnp.asarray(unit(6, 4)), jnp.array([0, 2, 1])))


def test_partners_find_each_other():
    x, similar = unit(6, 4), np.array([True, False, True])
    scores = 20 * x @ x.T
    losses = [-scores[i, i ^ 1] + np.log(sum(np.exp(scores[i, j]) for j in range(6) if j != i)) for i in range(6)]
    with jax.enable_x64():
        found = in_batch_negative_loss(jnp.asarray(x), jnp.asarray(similar))
    np.testing.assert_allclose(found, np.mean(np.where(np.repeat(similar, 2), losses, 0)), rtol=1e-12)


def test_triplets_by_loops():
    a, p, n = unit(3, 5, 4)
    near = np.mean([max(0, x @ z - x @ y + 0.2) for x, y, z in zip(a, p, n, strict=True)])
    far = np.mean([max(0, ((x - y) ** 2).sum() - ((x - z) ** 2).sum() + 0.2) for x, y, z in zip(a, p, n, strict=True)])
    with jax.enable_x64():
        given = [jnp.asarray(v) for v in (a, p, n)]
        np.testing.assert_allclose(triplet_cosine(*given, 0.2), near, rtol=1e-12)
        np.testing.assert_allclose(triplet_sqeuclidean(*given, 0.2), far, rtol=1e-12)
        kept = [0, 3, 4]
        weights, some = jnp.asarray(np.isin(np.arange(len(a)), kept)), [x[jnp.asarray(kept)] for x in given]
        for loss in (triplet_cosine, triplet_sqeuclidean):
            np.testing.assert_allclose(loss(*given, 0.2, weights), loss(*some, 0.2), rtol=1e-12)
            assert loss(*given, 0.2, 0.0 * weights) == 0


GRADES = jnp.array([0.1, 0.9, 0.1])
LOSSES = {
    "nt_xent": (nt_xent, (3, 4), (3, 4)),
    "hoc": (partial(hoc_loss, labels=jnp.asarray(LABELS[:3])), (3, 4), (3, 4)),
    "cosent": (lambda x: cosent_loss(x, GRADES), (6, 4)),
    "angle": (lambda x: angle_loss(x, GRADES), (6, 4)),
    "in batch": (lambda x: in_batch_negative_loss(x, GRADES > 0.5), (6, 4)),
    "triplet": (triplet_sqeuclidean, (3, 4), (3, 4), (3, 4)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_at_the_edge(name):
    loss, *shapes = LOSSES[name]
    inputs = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    assert_gradients(loss, *inputs, tolerance=1e-4)
    if name != "angle":  # the angle of a zero vector is none
        assert_degenerate(loss, *inputs, axes=(1,), scales=(1e-3, 1e3))
    if name not in ("angle", "hoc"):
        assert_dtypes(loss, *inputs, dtypes=("bfloat16", "float16"), tolerance=1e-4)


def test_wrong_arguments(as_installed):
    two, pairs = jnp.ones((2, 4)), jnp.ones(2)
    for call, message in (
        (lambda: multi_positive_nce(two, two > 0, two > 0, "sum"), "reduction is 'sum'"),
        (lambda: multi_positive_nce(two, two[:1] > 0, two > 0), "need the same one"),
        (lambda: nt_xent(two, two, 0.0), "temperature is 0.0"),
        (lambda: nt_xent(two[:0], two[:0]), "n at least 1"),
        (lambda: cosent_loss(two, pairs), "two rows for every pair"),
        (lambda: angle_loss(jnp.ones((4, 3)), pairs), "dimension 3"),
        (lambda: triplet_cosine(two, two, two[:1]), "shapes"),
        (lambda: triplet_cosine(two, two, two, 0.2, jnp.ones(1)), "weights has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_nan_is_no_loss_of_zero():
    with jax.debug_nans(False):
        logits, positive = jnp.array([[1.0, jnp.nan], [1.0, 1.0]]), jnp.eye(2, dtype=bool)
        assert jnp.isnan(multi_positive_nce(logits, positive, ~positive))
        assert jnp.isnan(masked_logsumexp(logits, ~positive)[0])
        assert masked_logsumexp(logits, jnp.zeros((2, 2), bool)).tolist() == [-np.inf, -np.inf]


def test_views_and_labels_do_not_broadcast(as_installed):
    a = jnp.ones((3, 2))
    for call in (
        lambda: nt_xent(a, a[:1]),
        lambda: hoc_loss(a, a, jnp.array([0])),
        lambda: hoc_loss(a, a[:1], jnp.array([0, 1, 2])),
        lambda: hoc_loss(a[:0], a[:0], jnp.zeros(0, int)),
    ):
        with pytest.raises(ValueError, match=r"shape"):
            call()


def test_triplets_of_bytes_do_not_wrap_around(as_installed):
    a, p, n = (np.array([row], np.uint8) for row in ([0, 200], [255, 0], [1, 1]))
    assert triplet_sqeuclidean(a, p, n, 1.0) == 255**2 + 200**2 - 1 - 199**2 + 1
    assert triplet_cosine(a, p, n, 0.5) == 200.5

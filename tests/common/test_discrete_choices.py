"""Choices among many: relaxed draws, rounded bits, sampled softmax; tf-idf, annotated senses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.data.registry import is_local
from quire.common.data.sense_induction import read_senses, semeval2013
from quire.common.errors import DatasetCorrupt
from quire.common.layers.relaxed import binarise, gumbel_softmax, relaxed_one_hot
from quire.common.losses.sampled import (
    log_uniform_expected,
    log_uniform_probability,
    log_uniform_sample,
    sampled_softmax_loss,
)
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients, assert_vmap_consistent
from quire.common.text.tf_idf import tf_idf

KEY = jax.random.key(0)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- layers.relaxed ---


def test_bits_round_a_half_up_and_pass_the_slope():
    s = np.array([0, 0.25, np.nextafter(np.float32(0.5), np.float32(0)), 0.5, 0.75, 1], np.float32)
    np.testing.assert_array_equal(binarise(s), [0, 0, 0, 1, 1, 1])
    slope = jax.grad(lambda z: jnp.sum(binarise(jax.nn.sigmoid(z)) * jnp.arange(3.0)))(jnp.array([0.0, 2.0, -3.0]))
    sigmoid = 1 / (1 + np.exp(-np.array([0.0, 2.0, -3.0])))
    np.testing.assert_allclose(slope, [0, 1, 2] * sigmoid * (1 - sigmoid), rtol=1e-5)
    with jax.debug_nans(False):
        assert np.isnan(binarise(jnp.array([jnp.nan]))[0])
    assert_dtypes(binarise, np.abs(numbers(4)) / 4, dtypes=["float16", "bfloat16", "bool"])
    assert_degenerate(binarise, np.abs(numbers(4)) / 4, scales=(1e-30,))


def test_a_relaxed_draw_is_a_softmax_of_noisy_logits():
    logits, uniform = numbers(4, 3), np.random.default_rng(1).uniform(0.05, 0.95, (4, 3)).astype(np.float32)
    noisy = np.exp((logits - np.log(-np.log(uniform))) / 0.7)
    np.testing.assert_allclose(relaxed_one_hot(logits, uniform, 0.7), noisy / noisy.sum(1, keepdims=True), rtol=1e-4)
    assert_dtypes(lambda x: relaxed_one_hot(x, jnp.full((4, 3), 0.3, x.dtype), 0.7), logits, tolerance=1e-4)
    assert_gradients(lambda x: relaxed_one_hot(x, jnp.asarray(uniform, x.dtype), 0.7), logits)
    assert_vmap_consistent(lambda x, u: relaxed_one_hot(x, u, 0.5), logits, uniform)
    assert_degenerate(lambda x, u: relaxed_one_hot(x, u, 0.7), logits, uniform)  # U = 0 and U = 1 among them
    for temperature in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"temperature is {temperature}"):
            relaxed_one_hot(logits, uniform, temperature)


def test_sharp_draws_follow_the_softmax():
    logits = jnp.log(jnp.array([0.6, 0.3, 0.1]))
    drawn = gumbel_softmax(KEY, jnp.broadcast_to(logits, (4000, 3)), 0.05)
    np.testing.assert_allclose(np.bincount(np.argmax(drawn, 1)) / 4000, [0.6, 0.3, 0.1], atol=0.03)
    assert np.mean(np.max(drawn, 1) > 0.9) > 0.9
    uniform = jax.random.uniform(KEY, (4000, 3))
    np.testing.assert_array_equal(drawn, relaxed_one_hot(jnp.broadcast_to(logits, (4000, 3)), uniform, 0.05))


# --- losses.sampled: softmax over a few ---


def test_law_of_the_candidates():
    p = np.asarray(log_uniform_probability(np.arange(50), 50))
    np.testing.assert_allclose(np.sum(p), 1, rtol=1e-5)
    np.testing.assert_allclose(p[[0, 7]], np.log([2 / 1, 9 / 8]) / np.log(51), rtol=1e-5)
    np.testing.assert_allclose(log_uniform_expected(np.arange(50), 9, 50), 1 - (1 - p) ** 9, rtol=1e-4)
    draws = [log_uniform_sample(key, 50, 8) for key in jax.random.split(KEY, 1000)]
    assert all(len(set(ids.tolist())) == 8 <= tries for ids, tries in draws)
    tries = np.mean([tries for _, tries in draws])
    shares = np.bincount(np.concatenate([ids for ids, _ in draws]), minlength=50) / 1000
    assert np.abs(shares - log_uniform_expected(np.arange(50), jnp.asarray(tries), 50)).max() < 0.06
    assert sorted(log_uniform_sample(KEY, 3, 2)[0].tolist()) <= [0, 1, 2]


def test_sampled_softmax_of_all_classes_is_the_exact_one():
    """Many draws: every class is expected once, and the correction vanishes."""
    h, w, b, labels = numbers(3, 4), numbers(6, 4, seed=1), numbers(6, seed=2), np.array([0, 5, 2])
    logits = (h @ w.T + b).astype(float)
    exact = np.log(np.exp(logits).sum(1)) - logits[np.arange(3), labels]
    np.testing.assert_allclose(sampled_softmax_loss(h, w, b, labels, np.arange(6), 10_000), exact, rtol=1e-4)
    ids, tries = np.array([1, 5]), 4
    corrected = logits - np.log(1 - (1 - np.log1p(1 / np.arange(1.0, 7)) / np.log(7)) ** tries)
    for i, label in enumerate(labels):
        among = [label, *(c for c in ids if c != label)]
        expected = np.log(np.exp(corrected[i, among]).sum()) - corrected[i, label]
        np.testing.assert_allclose(sampled_softmax_loss(h, w, b, labels, ids, tries)[i], expected, rtol=1e-4)


def test_sampled_softmax_at_the_edges(as_installed):
    labels, ids = np.array([0, 5, 2], np.int32), np.array([1, 5], np.int32)
    h, w, b = numbers(3, 4), numbers(6, 4, seed=1), numbers(6, seed=2)
    assert_dtypes(lambda h, w, b: sampled_softmax_loss(h, w, b, labels, ids, 4), h, w, b, tolerance=1e-4)
    assert_degenerate(lambda h, w, b: sampled_softmax_loss(h, w, b, labels, ids, 4), h, w, b, axes=())
    for call, message in (
        (lambda: sampled_softmax_loss(h[:2], w, b, labels, ids, 4), "h, w, b have shapes"),
        (lambda: sampled_softmax_loss(h, w, b[:5], labels, ids, 4), "h, w, b have shapes"),
        (lambda: sampled_softmax_loss(h, w, b, labels + 1, ids, 4), "labels runs from 1 to 6"),
        (lambda: sampled_softmax_loss(h, w, b, labels, ids + 1, 4), "ids runs from 2 to 6"),
        (lambda: sampled_softmax_loss(h, w, b, labels, ids, 0), "tries is 0"),
        (lambda: log_uniform_sample(KEY, 5, 5), "count is 5"),
        (lambda: log_uniform_sample(KEY, 5, 0), "count is 0"),
        (lambda: log_uniform_probability(np.array([3]), 3), "ids runs from 3"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- text.tf_idf ---


def test_tf_idf_by_hand():
    counts = np.array([[3, 0, 1], [1, 0, 0], [0, 0, 5], [0, 0, 0]], np.uint8)
    idf = np.log(np.array([5 / 3, 5, 5 / 3])) + 1
    for sublinear in (False, True):
        tf = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1.0)), 0) if sublinear else counts
        expected = tf * idf
        expected[:3] /= np.linalg.norm(expected[:3], axis=1, keepdims=True)
        np.testing.assert_allclose(tf_idf(counts, sublinear=sublinear), expected)
    ratio = np.divide(*tf_idf(counts, 2)[0, [0, 2]])
    np.testing.assert_allclose(ratio, 3 * (np.log(3 / 3) + 1) / (np.log(3 / 2) + 1))
    for wrong, message in (
        (lambda: tf_idf(counts, 5), "train is 5"),
        (lambda: tf_idf(counts, 0), "train is 0"),
        (lambda: tf_idf(-numbers(2, 2)), "negative or not finite"),
        (lambda: tf_idf(np.array([[np.nan]])), "negative or not finite"),
        (lambda: tf_idf(np.zeros((0, 3))), "counts has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


# --- data.sense_induction ---


@pytest.mark.parametrize(
    ("contexts", "key", "message"),
    [
        ("a.n 2\nleft\tright\n", "a.n a.n.1 s\n", "instance 2 of a.n"),
        ("a.n 1\nleft right\n", "a.n a.n.1 s\n", "instance 1 of a.n is 'left right'"),
        ("a.n one\nleft\tright\n", "a.n a.n.1 s\n", "begins with 'a.n one'"),
        ("a.n 1\nleft\tright\n", "a.n a.n.2 s\n", "a.n.2"),
        ("a.n 1\nleft\tright\n", "a.n a.n.1\n", "line 1 of the key"),
        ("", "", "no context|begins with"),
    ],
)
def test_damaged_senses(contexts, key, message):
    with pytest.raises(DatasetCorrupt, match=message):
        read_senses(contexts, key)


@pytest.mark.skipif(not is_local("semeval2013-wsi"), reason="semeval2013-wsi is not here")
def test_semeval2013():
    instances = semeval2013()
    assert len(instances) == 4122
    assert len({x.lemma for x in instances}) == 50
    assert all(x.sense.startswith(x.lemma) for x in instances)
    assert sum(not (x.left or x.right) for x in instances) < 60


def test_every_logit_has_noise_of_its_own(as_installed):
    with pytest.raises(ValueError, match="a number of its own"):
        relaxed_one_hot(jnp.zeros((2, 3)), jnp.full(3, 0.5), 1.0)

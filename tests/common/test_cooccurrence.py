"""Generated text, co-occurrence counts, and the vectors made of them."""

import jax
import numpy as np
import pytest

from quire.common.data.markov import markov_text
from quire.common.text.cooccurrence import cooccurrence, ppmi, ppmi_svd


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_markov_text_follows_its_transitions():
    text = markov_text(jax.random.key(3), 20_000, 3)
    counts = np.zeros((3, 3, 3))
    np.add.at(counts, (text.letters[:-2], text.letters[1:-1], text.letters[2:]), 1)
    seen = counts.sum(-1)
    frequencies = counts / np.maximum(seen, 1)[..., None]
    assert np.abs(frequencies - text.transitions)[seen > 500].max() < 0.06
    assert (markov_text(jax.random.key(3), 20_000, 3).letters == text.letters).all()
    with pytest.raises(ValueError, match="n > order"):
        markov_text(jax.random.key(0), 2, 3)


@pytest.mark.parametrize("weighting", ["uniform", "harmonic"])
def test_cooccurrence_is_the_double_loop(rng, weighting, as_installed):
    ids, lengths = rng.integers(0, 5, 12), np.array([5, 0, 1, 6])
    expected = np.zeros((5, 5))
    for start, end in zip(np.cumsum(lengths) - lengths, np.cumsum(lengths), strict=True):
        for i in range(start, end):
            for j in range(max(start, i - 2), min(end, i + 3)):
                if i != j:
                    expected[ids[i], ids[j]] += 1 if weighting == "uniform" else 1 / abs(i - j)
    found = cooccurrence(ids, lengths, 2, vocab_size=5, weighting=weighting)
    np.testing.assert_allclose(found.toarray(), expected)
    for bad in ({"window": 0}, {"vocab_size": 4}, {"weighting": "linear"}, {"lengths": np.array([4])}):
        with pytest.raises(ValueError):
            cooccurrence(**{"ids": np.arange(5), "lengths": None, "window": 1, "vocab_size": 5} | bad)


def test_ppmi_and_its_vectors(rng):
    counts = rng.integers(0, 4, (6, 6))
    counts = counts + counts.T
    counts[5], counts[:, 5] = 0, 0
    joint = counts / counts.sum()
    with np.errstate(all="ignore"):
        expected = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0) / 2)
    expected = np.where(expected > 0, expected, 0)
    matrix = ppmi(counts, 2.0)
    np.testing.assert_allclose(matrix.toarray(), expected, atol=1e-12)
    vectors = ppmi_svd(counts, 2, jax.random.key(0), shift=2.0)
    left, singular, _ = np.linalg.svd(expected)
    best = (left[:, :2] * singular[:2]) @ left[:, :2].T
    np.testing.assert_allclose(vectors @ vectors.T, best, atol=1e-4)
    assert not vectors[5].any()
    with pytest.raises(ValueError, match="shift is 0"):
        ppmi(counts, 0)
    with pytest.raises(ValueError, match="dim is 7"):
        ppmi_svd(counts, 7, jax.random.key(0))


def test_words_are_whole_numbers(as_installed):
    with pytest.raises(ValueError, match="ids are integers"):
        cooccurrence(np.array([0.5, 1.2]), None, 1, vocab_size=3)

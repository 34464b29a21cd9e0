"""Texts as token ids, and the perplexity of language models on their windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.token_text import TokenText, token_text
from quire.common.metrics.perplexity import pair_perplexity, perplexity

KEY = jax.random.key(0)


class Pairs(nnx.Module):
    """A model that knows the table of the next token's logits."""

    def __init__(self, table):
        self.table = nnx.Param(jnp.asarray(table, jnp.float32))

    def __call__(self, tokens):
        return self.table[...][tokens]


def test_windows_are_parts_of_the_text_that_is_asked_for(as_installed):
    text = TokenText("counting", np.arange(100, dtype=np.uint8), np.arange(100, 120, dtype=np.uint8))
    for test, low, high in ((False, 0, 100), (True, 100, 120)):
        found = text.windows(KEY, 40, 5, test=test)
        assert found.dtype == np.int32 and found.shape == (40, 5)
        assert (np.diff(found, axis=1) == 1).all() and found.min() >= low and found.max() < high
    assert text.windows(KEY, 2, 20, test=True)[:, 0].tolist() == [100, 100]  # the only place
    with pytest.raises(ValueError, match="size is 21; the text has 20 tokens"):
        text.windows(KEY, 1, 21, test=True)


def test_generated_texts_are_those_of_their_key(as_installed):
    first, again, other = (token_text("markov", jax.random.key(seed), vocab_size=4, letters=60) for seed in (0, 0, 1))
    assert len(first.train) == 50 and len(first.test) == 10
    np.testing.assert_array_equal(first.train, again.train)
    assert (first.train != other.train).any()
    with pytest.raises(ValueError, match="corpus is 'novels'; it must be one of markov"):
        token_text("novels", KEY, vocab_size=4, letters=60)
    with pytest.raises(ValueError, match="n, vocab"):
        token_text("markov", KEY, vocab_size=1, letters=60)


def test_perplexity_is_the_mean_of_every_predicted_token():
    rng = np.random.default_rng(0)
    tables, windows = rng.standard_normal((2, 3, 3)), rng.integers(0, 3, (7, 5)).astype(np.int32)
    shares = np.exp(tables) / np.exp(tables).sum(-1, keepdims=True)
    expected = [np.exp(-np.log(share[windows[:, :-1], windows[:, 1:]]).mean()) for share in shares]
    models = [Pairs(table) for table in tables]
    for batch_size in (7, 3):  # a last batch of another size counts by its size
        np.testing.assert_allclose(perplexity(models, windows, batch_size=batch_size), expected, rtol=1e-6)


def test_counted_pairs_are_a_model_too():
    train, windows = np.array([0, 1, 2, 0, 1]), np.array([[0, 1, 2, 1]], np.int32)
    counts = np.ones((3, 3))
    for a, b in ((0, 1), (1, 2), (2, 0), (0, 1)):
        counts[a, b] += 1
    model = Pairs(np.log(counts))
    np.testing.assert_allclose(pair_perplexity(train, windows, 3), perplexity([model], windows)[0], rtol=1e-6)


def test_nothing_to_score_is_an_error(as_installed):
    model, windows = Pairs(np.zeros((2, 2))), np.zeros((3, 4), np.int32)
    for models, rows in (([], windows), ([model], windows[:0]), ([model], windows[:, :1]), ([model], windows[0])):
        with pytest.raises(ValueError, match="at least 1"):
            perplexity(models, rows)
    with pytest.raises(ValueError, match="batch_size is 0"):
        perplexity([model], windows, batch_size=0)
    for train, rows, name in ((np.array([0, 2]), windows, "train"), (np.array([0, 1]), windows - 1, "windows")):
        with pytest.raises(ValueError, match=name):
            pair_perplexity(train, rows, 2)
    with pytest.raises(ValueError, match=r"windows has shape \(3, 1\)"):
        pair_perplexity(windows[0], windows[:, :1], 2)


@pytest.mark.parametrize(("count", "size", "message"), [(2, 0, "size is 0"), (2, -3, "size is -3"), (-1, 3, "count is -1")])
def test_windows_have_tokens(count, size, message):
    with pytest.raises(ValueError, match=message):
        TokenText("t", np.arange(9), np.arange(9)).windows(jax.random.key(0), count, size)

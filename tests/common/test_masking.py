"""Whole-word masks, corruption, filtered logits, the cache of keys and values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.layers.attention import attention
from quire.common.layers.kv_cache import KVCache
from quire.common.text.masking import corrupt, whole_word_mask
from quire.common.text.sampling import filter_logits

WORDS = np.array([[-1, 0, 0, 1, 2, 2, 2, 3, -1, -1], [-1, 0, 1, 2, 3, 4, 5, 6, 7, -1]])
LENGTHS = np.array([9, 10])


@pytest.fixture(scope="module")
def masks():
    keys = jax.random.split(jax.random.key(0), 400)
    return np.asarray(jax.jit(jax.vmap(lambda k: whole_word_mask(k, jnp.asarray(WORDS), jnp.asarray(LENGTHS), 0.3)))(keys))


def test_masks_take_whole_words_up_to_the_rate(masks):
    assert not masks[:, WORDS < 0].any()
    for text in range(2):
        for word in range(WORDS[text].max() + 1):
            inside = masks[:, text, WORDS[text] == word]
            assert (inside.all(1) == inside.any(1)).all()
    assert masks[:, 1].sum(-1).tolist() == [3] * 400  # words of one token fill the number exactly
    counts = masks[:, 0].sum(-1)
    assert counts.max() == 3 and counts.min() >= 1  # round(0.3 * 9) tokens; words that would not fit are skipped


def test_every_word_has_its_chance(masks):
    share = masks[:, 1, 1:9].mean(0)
    assert share.min() > 0.25 and share.max() < 0.5  # 3 of 8
    assert masks[:, 0, 4].any() and masks[:, 0, 1].any()  # long words too


def test_at_least_one_token_where_a_word_of_one_is_there():
    few = whole_word_mask(jax.random.key(0), jnp.array([[-1, 0, 1, -1]]), jnp.array([4]), 0.0)
    assert few.sum() == 1
    assert not whole_word_mask(jax.random.key(0), jnp.full((1, 4), -1), jnp.array([4]), 0.9).any()


def test_corruption_replaces_in_the_published_shares():
    ids = jnp.arange(20_000) % 50
    chosen = jnp.arange(20_000) < 10_000
    out = np.asarray(corrupt(jax.random.key(0), ids, chosen, mask_id=99, vocab=100))
    assert (out[10_000:] == np.asarray(ids)[10_000:]).all()
    masked, kept = (out[:10_000] == 99).mean(), (out[:10_000] == np.asarray(ids)[:10_000]).mean()
    assert abs(masked - 0.8) < 0.02 and abs(kept - 0.1) < 0.02


def test_masks_refuse_what_does_not_fit():
    key, words, lengths = jax.random.key(0), jnp.asarray(WORDS), jnp.asarray(LENGTHS)
    for call in (
        lambda: whole_word_mask(key, words, lengths, 1.5),
        lambda: whole_word_mask(key, words, lengths[:1], 0.5),
        lambda: whole_word_mask(key, words + 10, lengths, 0.5),
        lambda: whole_word_mask(key, words[:, :0], lengths, 0.5),
        lambda: corrupt(key, words, words > 0, mask_id=3, vocab=10),
        lambda: corrupt(key, words + 1, words > 0, mask_id=10, vocab=10),
        lambda: corrupt(key, words + 1, words[0] > 0, mask_id=1, vocab=10),
    ):
        with pytest.raises(ValueError, match=r"rate|lengths|word_ids|tokens|ids|mask_id"):
            call()


def test_filters_come_in_the_order_temperature_nucleus_largest():
    logits = jnp.log(jnp.array([[0.4, 0.3, 0.2, 0.1]]))
    kept = lambda **settings: np.isfinite(filter_logits(logits, **settings))[0].tolist()  # noqa: E731
    assert kept(top_p=0.7001) == [True, True, True, False] and kept(top_p=0.69) == [True, True, False, False]
    assert kept(top_p=1e-6) == [True, False, False, False]  # the most likely token always stays
    # at temperature 1/2 the shares are 16, 9, 4, 1 of 30: two reach 0.8
    assert kept(temperature=0.5, top_p=0.8) == [True, True, False, False]
    assert kept(top_p=0.95, top_k=1) == [True, False, False, False]
    for bad in ({"temperature": 0.0}, {"temperature": 1.1}, {"top_p": 0.0}, {"top_k": -1}):
        with pytest.raises(ValueError, match=r"temperature|top_k"):
            filter_logits(logits, **bad)


def test_attention_with_a_cache_is_causal_attention():
    q, k, v = (jax.random.normal(key, (2, 3, 6, 4)) for key in jax.random.split(jax.random.key(0), 3))
    expected = attention(q, k, v, mask=jnp.tril(jnp.ones((6, 6), bool)))
    cache, found = KVCache.empty(2, 3, 8, 4), []
    for start, n in ((0, 3), (3, 1), (4, 2)):
        now = slice(start, start + n)
        cache = cache.append(k[:, :, now], v[:, :, now])
        found.append(attention(q[:, :, now], cache.keys, cache.values, mask=cache.mask(n)))
    np.testing.assert_allclose(jnp.concatenate(found, axis=2), expected, atol=1e-6)


def test_a_full_cache_takes_no_more():
    cache = KVCache.empty(1, 1, 2, 1).append(jnp.ones((1, 1, 2, 1)), jnp.ones((1, 1, 2, 1)))
    one = jnp.ones((1, 1, 1, 1))
    with pytest.raises(ValueError, match="2 of 2"):
        cache.append(one, one)
    with jax.debug_nans(False):
        assert jnp.isnan(jax.jit(lambda c: c.append(one, one).keys)(cache)).all()  # a traced length cannot raise
    for bad in (jnp.ones((2, 1, 1, 1)), jnp.ones((1, 1, 1, 2)), jnp.ones((1, 1, 1))):
        with pytest.raises(ValueError, match="keys have shape"):
            cache.append(bad, bad)
    with pytest.raises(ValueError, match="capacity"):
        KVCache.empty(1, 1, 0, 1)

"""Softmax over a few drawn words instead of all of them, with the correction for how they were drawn."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids

AnyArray = np.ndarray | Array


def log_uniform_probability(ids: Int[AnyArray, "*shape"], vocab: int) -> Float[AnyArray, "*shape"]:
    """`P(c) = (log(c + 2) - log(c + 1)) / log(V + 1)` of ids sorted by falling frequency.

    Raises:
        ValueError: for ids out of range.

    >>> print(log_uniform_probability(jnp.arange(3), 3).sum())
    1.0
    """
    check_at_least("vocab", vocab)
    check_ids("ids", ids, vocab)
    return jnp.log1p(1 / (ids + 1.0)) / np.log(vocab + 1)


def expected_count(ids: Int[AnyArray, "*shape"], tries: int | Array, vocab: int) -> Float[AnyArray, "*shape"]:
    """Chance `1 - (1 - P(c))^tries` that a word is among the candidates after so many draws."""
    return -jnp.expm1(tries * jnp.log1p(-log_uniform_probability(ids, vocab)))


def log_uniform_sample(generator: np.random.Generator, vocab: int, count: int) -> tuple[Int[AnyArray, " count"], int]:
    """Different words by the log-uniform law, and how many draws that took.

    Args:
        generator: of the draws.
        vocab: V.
        count: how many, below V.

    Raises:
        ValueError: for a count outside 1..V - 1.

    >>> ids, tries = log_uniform_sample(np.random.default_rng(0), 10, 4)
    >>> len(set(ids.tolist())), tries >= 4
    (4, True)
    """
    if not 1 <= count < vocab:
        raise ValueError(f"count is {count}; it must lie between 1 and {vocab - 1}, below the vocabulary")
    found: dict[int, None] = {}
    tries = 0
    while len(found) < count:
        draw = int(np.exp(generator.random() * np.log(vocab + 1))) - 1
        found.setdefault(min(draw, vocab - 1))
        tries += 1
    return np.array(list(found), np.int32), tries


def sampled_softmax_loss(
    h: Float[AnyArray, "B d"],
    out_w: Float[AnyArray, "V d"],
    out_b: Float[AnyArray, " V"],
    labels: Int[AnyArray, " B"],
    ids: Int[AnyArray, " k"],
    tries: int | Array,
) -> Float[AnyArray, " B"]:
    """`-log softmax` of the label among itself and the candidates, logits minus the logarithm of the expected count.

    Args:
        h: hidden vectors.
        out_w, out_b: of all words, by falling frequency.
        labels: true words; corrected like the candidates.
        ids: candidates, all different; those equal to a label do not count for it.
        tries: draws that the candidates took.

    Returns:
        Nats, one number an example.

    Raises:
        ValueError: for ids out of range or shapes that do not fit.

    References:
        Jean et al. 2015; TensorFlow's `sampled_softmax_loss`.
    """
    vocab = len(out_b)
    check_ids("labels", labels, vocab)
    if h.shape != (len(labels), out_w.shape[1]):
        raise ValueError(f"h has shape {h.shape}; it needs {(len(labels), out_w.shape[1])}, a row for every label")
    true = jnp.sum(h * out_w[labels], -1) + out_b[labels] - jnp.log(expected_count(labels, tries, vocab))
    drawn = h @ out_w[ids].T + (out_b[ids] - jnp.log(expected_count(ids, tries, vocab)))[None]
    drawn = jnp.where(ids[None] == labels[:, None], -jnp.inf, drawn)
    return jax.nn.logsumexp(jnp.concatenate([true[:, None], drawn], axis=1), axis=1) - true

"""Losses over a large set of classes that look at a few drawn ones only."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, check_positive, floating
from quire.common.random import generator


def negative_sampling_loss(
    positive: Real[AnyArray, "*batch"],
    negative: Real[AnyArray, "*batch k"],
    weight: Real[AnyArray, "*#batch k"] | float = 1.0,
    *,
    saturation: float | None = None,
) -> Float[Array, "*batch"]:
    """One binary classification for the true class and each drawn one, `-log sig(s) - sum_k w_k log sig(-s_k)`.

    Args:
        positive: score of the true class.
        negative: scores of the drawn classes.
        weight: of every drawn class, not negative: 0 for one that does not count, `K / k` where k of them are shared by a batch
            and stand for K. Shapes broadcast by their sizes of one.
        saturation: beyond this score the *derivative* by it is 0 or ±1, as word2vec's table of the sigmoid has it (6 there); the
            loss itself stays.

    Returns:
        The loss of every example, in nats.

    Raises:
        ValueError: if shapes do not fit, or the saturation is not positive.

    >>> loss = negative_sampling_loss(jnp.array(0.0), jnp.array([0.0, 0.0]), jnp.array([1.0, 0.5]))
    >>> print(f"{loss:.4f}")
    1.7329

    References:
        Mikolov et al. 2013, equation 4.
    """
    positive, negative, weight = floating(positive, negative, jnp.asarray(weight))
    if negative.ndim != positive.ndim + 1 or negative.shape[:-1] != positive.shape:
        raise ValueError(
            f"negative has shape {negative.shape}; it needs that of positive and one axis more, {positive.shape} + (k,)"
        )
    if weight.ndim not in (0, negative.ndim) or any(w not in (1, n) for w, n in zip(weight.shape, negative.shape, strict=False)):
        raise ValueError(f"weight has shape {weight.shape}; it needs none, or {negative.shape} with sizes of one")
    log_sigmoid = jax.nn.log_sigmoid
    if saturation is not None:
        log_sigmoid = partial(_saturated_log_sigmoid, check_positive("saturation", saturation))
    return -log_sigmoid(positive) - jnp.sum(weight * log_sigmoid(-negative), axis=-1)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _saturated_log_sigmoid(limit: float, score: Array) -> Array:
    return jax.nn.log_sigmoid(score)


@_saturated_log_sigmoid.defjvp
def _(limit, primals, tangents):
    (score,), (tangent,) = primals, tangents
    return jax.nn.log_sigmoid(score), saturated_slope(score, limit) * tangent


def saturated_slope(score: Real[Array, "*shape"], limit: float = 6.0) -> Float[Array, "*shape"]:
    """Derivative `1 - sig(s)` of `log sig(s)`, but 0 above the limit and 1 below minus the limit.

    >>> print(saturated_slope(jnp.array([-7.0, 0.0, 7.0])))
    [1.  0.5 0. ]
    """
    (score,) = floating(score)
    return jnp.where(score > limit, 0.0, jnp.where(score < -limit, 1.0, jax.nn.sigmoid(-score)))


# --- Softmax over a few classes ---


def log_uniform_probability(ids: Int[AnyArray, "*shape"], vocab: int) -> Float[Array, "*shape"]:
    """`P(c) = (log(c + 2) - log(c + 1)) / log(V + 1)`: Zipf's law for classes sorted by falling frequency.

    Raises:
        ValueError: for ids out of range, or a vocab below 1.

    >>> print(f"{log_uniform_probability(jnp.arange(3), 3).sum():.4f}")
    1.0000
    """
    check_at_least("vocab", vocab)
    check_ids("ids", ids, vocab)
    return jnp.log1p(1 / (jnp.asarray(ids) + 1.0)) / np.log(vocab + 1)


def log_uniform_expected(ids: Int[AnyArray, "*shape"], tries: int | Array, vocab: int) -> Float[Array, "*shape"]:
    """`E(c) = 1 - (1 - P(c))^tries`: how often a class is expected among candidates that are all different.

    Args:
        ids: classes c.
        tries: draws that the candidates took, those included that gave a class once more.
        vocab: V.

    Raises:
        ValueError: for ids out of range, or tries or a vocab below 1.

    >>> print(f"{log_uniform_expected(jnp.array(0), 2, 3):.4f}")
    0.7500
    """
    check_positive("tries", tries)
    return -jnp.expm1(tries * jnp.log1p(-log_uniform_probability(ids, vocab)))


def log_uniform_sample(key: jax.Array, vocab: int, count: int) -> tuple[Int[np.ndarray, " count"], int]:
    """Different classes by the law `log_uniform_probability`, drawn on the host until there are enough.

    Args:
        key: of the draws.
        vocab: V.
        count: how many, below V.

    Returns:
        The candidates, int32, and how many draws they took.

    Raises:
        ValueError: for a count outside 1..V - 1.

    >>> ids, tries = log_uniform_sample(jax.random.key(0), 10, 4)
    >>> len(set(ids.tolist())), tries >= 4
    (4, True)
    """
    if not 1 <= count < vocab:
        raise ValueError(f"count is {count}; it must lie between 1 and {vocab - 1}, below the vocabulary")
    draw, found, tries = generator(key), {}, 0
    while len(found) < count:
        c = int(np.exp(draw.random() * np.log(vocab + 1))) - 1
        found[min(c, vocab - 1)] = None
        tries += 1
    return np.array(list(found), np.int32), tries


def sampled_softmax_loss(
    h: Real[AnyArray, "B d"],
    w: Real[AnyArray, "V d"],
    b: Real[AnyArray, " V"],
    labels: Int[AnyArray, " B"],
    ids: Int[AnyArray, " k"],
    tries: int | Array,
) -> Float[Array, " B"]:
    """`-log softmax` of the label among itself and the candidates, each logit minus the logarithm of its expected count.

    Args:
        h: hidden vectors.
        w, b: weights of all classes, by falling frequency.
        labels: true classes; corrected like the candidates.
        ids: candidates, all different, from `log_uniform_sample`; one that is the label of an example does not count for it.
        tries: draws that the candidates took.

    Returns:
        Nats, one number an example.

    Raises:
        ValueError: for ids out of range or shapes that do not fit.

    >>> loss = sampled_softmax_loss(jnp.ones((1, 2)), jnp.zeros((5, 2)), jnp.zeros(5), jnp.array([0]), jnp.array([0, 4]), 3)
    >>> print(f"{loss[0]:.4f}")
    1.3338

    References:
        Jean et al. 2015; TensorFlow's `sampled_softmax_loss`.
    """
    h, w, b = floating(h, w, b)
    if h.shape != (len(labels), w.shape[1]) or b.shape != w.shape[:1]:
        raise ValueError(f"h, w, b have shapes {h.shape}, {w.shape}, {b.shape}; {len(labels)} labels need [B, d], [V, d] and [V]")
    check_ids("labels", labels, len(b))
    correction = [jnp.log(log_uniform_expected(c, tries, len(b))).astype(h.dtype) for c in (labels, ids)]
    true = jnp.sum(h * w[labels], axis=-1) + b[labels] - correction[0]
    drawn = h @ w[ids].T + (b[ids] - correction[1])[None]
    drawn = jnp.where(jnp.asarray(ids)[None] == jnp.asarray(labels)[:, None], -jnp.inf, drawn)
    return jax.nn.logsumexp(jnp.concatenate([true[:, None], drawn], axis=1), axis=1) - true

"""Disambiguated skip-gram: several vectors a word, and for each word a classifier of contexts that picks among them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.layers.relaxed import relaxed_one_hot
from quire.common.random import generator

ENTROPY_FLOOR = 1e-5
"""Added to probabilities under the logarithm of the entropy."""


class DSGWeights(NamedTuple):
    """Tables.

    Attributes:
        sense: vectors of the senses, `[V, S, d]`.
        out_w, out_b: of the prediction, `[V, d]` and `[V]`; contexts are means of `out_w`.
        ctx_w, ctx_b: classifier of contexts: a word's own, `[V, d, S]` and `[V, S]`, or one for all words, `[d, S]` and `[S]`.
    """

    sense: AnyArray
    out_w: AnyArray
    out_b: AnyArray
    ctx_w: AnyArray
    ctx_b: AnyArray


def context_vector(out_w: Float[AnyArray, "V d"], context: Int[AnyArray, "B C"]) -> Float[AnyArray, "B d"]:
    """Mean of the *output* vectors of the context words, through which no gradient passes."""
    check_ids("context", context, len(out_w))
    return jax.lax.stop_gradient(out_w[context].mean(1))


def sense_logits(weights: DSGWeights, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]) -> Float[AnyArray, "B S"]:
    """`l_s = c . ctx_w[w, :, s] + ctx_b[w, s]`.

    Args:
        weights: tables; with a shared classifier the word does not matter.
        center: the words.
        context: words around each.

    Raises:
        ValueError: for ids out of range, or a context of no word.
    """
    check_ids("center", center, len(weights.sense))
    check_at_least("number of context words", context.shape[1])
    c = context_vector(weights.out_w, context)
    if weights.ctx_w.ndim == 2:
        return c @ weights.ctx_w + weights.ctx_b[None]
    return jnp.einsum("bd,bds->bs", c, weights.ctx_w[center]) + weights.ctx_b[center]


def mixed_sense(weights: DSGWeights, center: Int[AnyArray, " B"], probs: Float[AnyArray, "B S"]) -> Float[AnyArray, "B d"]:
    """`h = sum_s p_s sense[w, s]`."""
    return jnp.einsum("bs,bsd->bd", probs, weights.sense[center])


def prediction_loss(
    out_w: Float[AnyArray, "V d"],
    out_b: Float[AnyArray, " V"],
    h: Float[AnyArray, "B d"],
    labels: Int[AnyArray, "B L"],
    unknown: int | None = None,
) -> Float[Array, ""]:
    """Mean of `-log softmax(out_w h + out_b)` over the labels of each position; labels `unknown` are none, 0 without a label."""
    check_ids("labels", labels, len(out_b))
    found = jax.nn.log_softmax(h @ out_w.T + out_b[None])
    counted = jnp.ones(labels.shape, found.dtype) if unknown is None else (labels != unknown).astype(found.dtype)
    return -jnp.sum(jnp.take_along_axis(found, labels, axis=1) * counted) / jnp.maximum(counted.sum(), 1)


def fine_loss(
    weights: DSGWeights,
    center: Int[AnyArray, " B"],
    context: Int[AnyArray, "B C"],
    labels: Int[AnyArray, "B L"],
    uniform: Float[AnyArray, "B S"],
    temperature: float | Array,
    unknown: int | None = None,
) -> Float[Array, ""]:
    """The second stage: senses by a relaxed draw, which serves all labels of a position."""
    probs = relaxed_one_hot(sense_logits(weights, center, context), uniform, temperature)
    return prediction_loss(weights.out_w, weights.out_b, mixed_sense(weights, center, probs), labels, unknown)


def mean_entropy(probs: Float[AnyArray, "B S"]) -> Float[Array, ""]:
    """`-sum_s p_s log(p_s + 1e-5)`, averaged, in nats; 0 of an empty batch.

    >>> print(f"{mean_entropy(jnp.array([[0.5, 0.5]])):.4f}")
    0.6931
    """
    return -jnp.sum(probs * jnp.log(probs + ENTROPY_FLOOR)) / max(1, len(probs))


def pretraining_loss(
    weights: DSGWeights,
    center: Int[AnyArray, " B"],
    context: Int[AnyArray, "B C"],
    labels: Int[AnyArray, "B L"],
    reward: float = 0.1,
    unknown: int | None = None,
) -> Float[Array, ""]:
    """The first stage, one classifier and no noise: the loss minus `reward` times the entropy, so that all senses are used."""
    probs = jax.nn.softmax(sense_logits(weights, center, context), axis=-1)
    return prediction_loss(
        weights.out_w, weights.out_b, mixed_sense(weights, center, probs), labels, unknown
    ) - reward * mean_entropy(probs)


def own_classifiers(weights: DSGWeights) -> DSGWeights:
    """The shared classifier copied to every word: what the second stage starts from.

    Raises:
        ValueError: if words have classifiers of their own.
    """
    if weights.ctx_w.ndim != 2:
        raise ValueError(f"ctx_w has shape {weights.ctx_w.shape}; one shared by all words is [d, S]")
    copies = len(weights.sense)
    return weights._replace(
        ctx_w=jnp.broadcast_to(weights.ctx_w[None], (copies, *weights.ctx_w.shape)),
        ctx_b=jnp.broadcast_to(weights.ctx_b[None], (copies, *weights.ctx_b.shape)),
    )


def initial_weights(vocab: int, dim: int, senses: int, key: jax.Array) -> DSGWeights:
    """`sense` uniform in `±1 / (2 d S)`, the classifier small, the rest 0; the classifier is shared.

    Raises:
        ValueError: for fewer than two senses, or sizes below 1.
    """
    for name, value, least in (("vocab", vocab, 2), ("dim", dim, 1), ("senses", senses, 2)):
        check_at_least(name, value, least)
    draw = generator(key)
    sense = (draw.random((vocab, senses, dim)) - 0.5) / (dim * senses)
    ctx_w = draw.standard_normal((dim, senses)) / dim**0.5
    zeros = jnp.zeros((vocab, dim)), jnp.zeros(vocab)
    return DSGWeights(jnp.asarray(sense, jnp.float32), *zeros, jnp.asarray(ctx_w, jnp.float32), jnp.zeros(senses))


class DisambiguatedSkipgram(nnx.Module):
    """Holder of the tables, for `fit`.

    Args:
        weights: where it starts.
        unknown: id of the word that pads contexts and is never a label.
    """

    def __init__(self, weights: DSGWeights, unknown: int | None = None):
        self.sense, self.out_w, self.out_b, self.ctx_w, self.ctx_b = (nnx.Param(jnp.asarray(x)) for x in weights)
        self.unknown = unknown

    @property
    def weights(self) -> DSGWeights:
        """The tables as arrays."""
        return DSGWeights(*(x[...] for x in (self.sense, self.out_w, self.out_b, self.ctx_w, self.ctx_b)))

    def sense_logits(self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]) -> Float[AnyArray, "B S"]:
        """`sense_logits` of this model."""
        return sense_logits(self.weights, center, context)

    def pretraining_loss(
        self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"], reward: float = 0.1
    ) -> Float[Array, ""]:
        """`pretraining_loss`; the context words are the labels."""
        return pretraining_loss(self.weights, center, context, context, reward, self.unknown)

    def loss(
        self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"], key: jax.Array, temperature: float | Array
    ) -> Float[Array, ""]:
        """`fine_loss`; the context words are the labels."""
        uniform = jax.random.uniform(key, (len(center), self.sense.shape[1]))
        return fine_loss(self.weights, center, context, context, uniform, temperature, self.unknown)

"""Paragraph vectors, real and binary: a document is the vector, or the bits, that predict its words best."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Real, UInt8

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating
from quire.common.layers.relaxed import binarise
from quire.common.random import generator


class PVWeights(NamedTuple):
    """Tables of a model.

    Attributes:
        docs: D, `[n, k]`, or `[n, r]` before a projection.
        out_w, out_b: W and b of the prediction, `[V, k + d]` and `[V]`.
        proj: P of Real-Binary PV, `[r, k]`.
        words: word vectors of PV-DM, `[V, d]`.
    """

    docs: AnyArray
    out_w: AnyArray
    out_b: AnyArray
    proj: AnyArray | None = None
    words: AnyArray | None = None


def in_one_dtype(weights: PVWeights) -> PVWeights:
    """The tables in the one floating dtype that JAX promotes them to."""
    tables, tree = jax.tree.flatten(weights)
    return jax.tree.unflatten(tree, floating(*tables))


def document_hidden(weights: PVWeights, doc: Int[AnyArray, " B"], *, binary: bool | Array = True) -> Float[Array, "B k"]:
    """What stands for a document in the prediction: `h = 1[sigmoid(D_i P) >= 1/2]`, or `D_i P` without `binary`; P may be absent.

    >>> weights = PVWeights(jnp.array([[2.0, -1.0]]), jnp.zeros((3, 2)), jnp.zeros(3))
    >>> print(document_hidden(weights, jnp.array([0])))
    [[1. 0.]]
    """
    check_ids("doc", doc, len(weights.docs))
    weights = in_one_dtype(weights)
    z = weights.docs[doc]
    z = z if weights.proj is None else z @ weights.proj
    return jnp.where(binary, binarise(jax.nn.sigmoid(z)), z)


def log_probabilities(
    weights: PVWeights, doc: Int[AnyArray, " B"], context: Int[AnyArray, "B C"] | None = None, *, binary: bool | Array = True
) -> Float[Array, "B V"]:
    """`log softmax(W h + b)`; for PV-DM, `h` is followed by the mean vector of the context words.

    Args:
        weights: tables.
        doc: documents.
        context: words around the one to predict; exactly when the weights have word vectors.
        binary: bits or real numbers.

    Raises:
        ValueError: for ids out of range, or a context where there is no table of words and the reverse.
    """
    if (context is None) != (weights.words is None):
        raise ValueError(f"context is {'absent' if context is None else 'given'}; it goes with a table of word vectors")
    weights = in_one_dtype(weights)
    h = document_hidden(weights, doc, binary=binary)
    if context is not None and weights.words is not None:
        check_ids("context", context, len(weights.words))
        h = jnp.concatenate([h, weights.words[context].mean(1)], axis=1)
    return jax.nn.log_softmax(h @ weights.out_w.T + weights.out_b[None])


def pair_loss(
    weights: PVWeights,
    doc: Int[AnyArray, " B"],
    word: Int[AnyArray, " B"],
    context: Int[AnyArray, "B C"] | None = None,
    *,
    binary: bool | Array = True,
) -> Float[Array, ""]:
    """Mean of `-log P(word | document, context)`, in nats; 0 of an empty batch.

    Raises:
        ValueError: as `log_probabilities`, and for words out of range.
    """
    check_ids("word", word, len(weights.out_b))
    found = log_probabilities(weights, doc, context, binary=binary)
    return -jnp.sum(jnp.take_along_axis(found, word[:, None], axis=1)) / max(1, len(word))


def count_loss(
    weights: PVWeights, doc: Int[AnyArray, " B"], counts: Real[AnyArray, "B V"], *, binary: bool | Array = True
) -> Float[Array, ""]:
    """`pair_loss` over all words of whole documents, by one product of matrices; 0 without a word.

    Args:
        weights: tables, without word vectors.
        doc: documents.
        counts: how often each of them has each word.
        binary: bits or real numbers.
    """
    found = log_probabilities(weights, doc, binary=binary)
    counts = jnp.asarray(counts, found.dtype)
    return -jnp.sum(found * counts) / jnp.maximum(counts.sum(), 1)


def document_codes(weights: PVWeights) -> UInt8[Array, "n k"]:
    """The bits of all documents.

    >>> document_codes(PVWeights(jnp.array([[2.0, -1.0]]), jnp.zeros((3, 2)), jnp.zeros(3))).tolist()
    [[1, 0]]
    """
    return document_hidden(weights, jnp.arange(len(weights.docs))).astype(jnp.uint8)


class BinaryPV(nnx.Module):
    """Holder of the tables, for `fit`.

    Args:
        n_docs, vocab: n and V.
        bits: k.
        real_dim: r of Real-Binary PV; none for the plain models.
        context_dim: d of PV-DM; 0 for PV-DBOW.
        binary: False for the real models that these are compared with.
        word_counts: of the vocabulary; b starts at the logarithms of their shares.
        rngs: of the start: D of deviation .1, W and word vectors of .1 and .01, P of `3 / sqrt(r)`.

    Raises:
        ValueError: for sizes below 1.
    """

    def __init__(
        self,
        n_docs: int,
        vocab: int,
        bits: int,
        real_dim: int | None = None,
        context_dim: int = 0,
        *,
        binary: bool = True,
        word_counts: np.ndarray | None = None,
        rngs: nnx.Rngs,
    ):
        for name, value in (
            ("n_docs", n_docs),
            ("vocab", vocab),
            ("bits", bits),
            ("real_dim", 1 if real_dim is None else real_dim),
        ):
            check_at_least(name, value)
        check_at_least("context_dim", context_dim, 0)
        draw, self.binary = generator(rngs.params()), binary

        def table(scale, *shape):
            return nnx.Param(jnp.asarray(scale * draw.standard_normal(shape), jnp.float32))

        self.docs = table(0.1, n_docs, real_dim or bits)
        self.out_w = table(0.01, vocab, bits + context_dim)
        start = np.zeros(vocab) if word_counts is None else np.log((word_counts + 1) / np.sum(word_counts + 1))
        self.out_b = nnx.Param(jnp.asarray(start, jnp.float32))
        self.proj = table(3 / real_dim**0.5, real_dim, bits) if real_dim else None
        self.words = table(0.1, vocab, context_dim) if context_dim else None

    @property
    def weights(self) -> PVWeights:
        """The tables as arrays."""
        optional = (None if table is None else table[...] for table in (self.proj, self.words))
        return PVWeights(self.docs[...], self.out_w[...], self.out_b[...], *optional)

    def loss(
        self, doc: Int[AnyArray, " B"], word: Int[AnyArray, " B"], context: Int[AnyArray, "B C"] | None = None
    ) -> Float[Array, ""]:
        """`pair_loss` of this model."""
        return pair_loss(self.weights, doc, word, context, binary=self.binary)

    def codes(self) -> UInt8[Array, "n k"]:
        """`document_codes` of this model."""
        return document_codes(self.weights)

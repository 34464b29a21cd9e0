"""What is searched by: a short dense vector from [CLS] and the largest entries of the pooled vocabulary logits.

References:
    Xiao et al., *RetroMAE v2*, 2022, section 3.3.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.retrieval.sparse import Entries, sparse_dense_dot, sparse_dot, top_entries
from quire.dupmae.bag_of_words import pooled_places
from quire.dupmae.model import DupMAE
from quire.dupmae.objective import UNASKED, read_out


class Representation(NamedTuple):
    """Texts to search, or to search for.

    Attributes:
        dense: `W^T h`, of the sentence vectors, `[n, d']`.
        words: the N largest pooled logits of each, others being 0.
    """

    dense: Float[Array, "*batch reduced"]
    words: Entries


def encode(
    model: DupMAE, tokens: Int[AnyArray, "batch t"], mask: Bool[AnyArray, "batch t"], *, chunk: int | None = None
) -> tuple[Float[Array, "batch dim"], Float[Array, "batch vocab"]]:
    """Sentence vectors, and vocabulary logits pooled over the tokens.

    Args:
        model: encoder and head.
        tokens: uncorrupted texts.
        mask: which tokens there are.
        chunk: places whose logits exist at a time; all by default.

    Raises:
        ValueError: for a text without a token behind the first, ids out of range, or a chunk below 1.
    """
    hidden = model.encoder(tokens, mask)
    unasked = jnp.full(mask.shape, UNASKED)
    _, pooled = read_out(model.head, model.words, hidden, unasked, pooled_places(mask), chunk=chunk)
    return hidden[:, 0], pooled


def represent(
    cls: Float[Array, "*batch dim"], pooled: Float[Array, "*batch vocab"], reduction: Float[Array, "dim reduced"], top_n: int
) -> Representation:
    """Reduced sentence vectors and the `top_n` largest pooled logits.

    Raises:
        ValueError: for a `top_n` that is not between 1 and the vocabulary, or a reduction that does not fit.
    """
    if reduction.shape[0] != cls.shape[-1]:
        raise ValueError(f"reduction has shape {reduction.shape}; it needs {cls.shape[-1]} rows")
    return Representation(cls @ reduction, top_entries(pooled, top_n))


def score(queries: Representation, passages: Representation, *, vocab: int | None = None) -> Float[Array, "q p"]:
    """`<c_q, c_p> + sum_v mu_q[v] mu_p[v]` over the words that both kept, for all pairs.

    Args:
        queries, passages: representations.
        vocab: number of words. With it the passages are spread out and every query gathers its N words from each: N additions
            a pair, `[p, vocab]` numbers. Without it kept words are compared with kept words: N^2 comparisons, no such array.

    Raises:
        ValueError: if an index is beyond `vocab`.

    >>> one = Representation(jnp.array([[2.0]]), Entries(jnp.array([[4, 1]]), jnp.array([[3.0, 1.0]])))
    >>> print(score(one, one), score(one, one, vocab=5))
    [[14.]] [[14.]]
    """
    dense = queries.dense @ passages.dense.T
    if vocab is not None:
        return dense + sparse_dense_dot(queries.words, passages.words.dense(vocab))
    asked, kept = (Entries(*(jnp.expand_dims(x, axis) for x in side.words)) for side, axis in ((queries, 1), (passages, 0)))
    return dense + sparse_dot(asked, kept)


def score_on_queries_words(
    queries: Representation, dense: Float[Array, "p reduced"], pooled: Float[Array, "p vocab"]
) -> Float[Array, "q p"]:
    """The same with passages that kept all their logits: the sum runs over the query's N words.

    Args:
        queries: representations.
        dense: reduced sentence vectors of the passages.
        pooled: their pooled logits.
    """
    return queries.dense @ dense.T + sparse_dense_dot(queries.words, pooled)


def concatenated(of: Representation, vocab: int) -> Float[Array, "*batch size"]:
    """One vector `[c ; mu]` of `d' + vocab` numbers a text, whose inner products are the scores: for any index of vectors.

    >>> print(concatenated(Representation(jnp.array([2.0]), Entries(jnp.array([1]), jnp.array([3.0]))), 3))
    [2. 0. 3. 0.]
    """
    return jnp.concatenate([of.dense, of.words.dense(vocab)], axis=-1)


class DupMAERetriever(nnx.Module):
    """A pre-trained model with the reduction of its sentence vectors; what is fine-tuned.

    Args:
        model: encoder and head.
        reduction: `W [dim, d']`; the paper has d' = 384.
        top_n: words that a text keeps; the paper has 384.

    Raises:
        ValueError: for sizes that do not fit.
    """

    def __init__(self, model: DupMAE, reduction: Float[Array, "dim reduced"], top_n: int = 384):
        dim, vocab = model.encoder.config.dim, model.encoder.config.vocab_size
        if reduction.ndim != 2 or reduction.shape[0] != dim:
            raise ValueError(f"reduction has shape {reduction.shape}; it needs [{dim}, d']")
        if check_at_least("top_n", top_n) > vocab:
            raise ValueError(f"top_n is {top_n}; there are {vocab} words")
        self.model, self.reduction, self.top_n = model, nnx.Param(reduction), top_n

    def encode(
        self, tokens: Int[AnyArray, "batch t"], mask: Bool[AnyArray, "batch t"], *, chunk: int | None = None
    ) -> Representation:
        """Representations of texts.

        Args, Raises: as for `encode`.
        """
        return represent(*encode(self.model, tokens, mask, chunk=chunk), self.reduction[...], self.top_n)

    def score(self, queries: Representation, passages: Representation) -> Float[Array, "q p"]:
        """Scores of all pairs, gathered."""
        return score(queries, passages, vocab=self.model.encoder.config.vocab_size)

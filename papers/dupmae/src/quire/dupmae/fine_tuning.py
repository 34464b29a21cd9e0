"""Contrastive fine-tuning: a query is to find its passage among those of the whole batch, and may learn from a cross-encoder."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive, floating
from quire.common.losses.classification import smoothed_cross_entropy
from quire.dupmae.retriever import DupMAERetriever


def _groups(scores: AnyArray) -> int:
    queries, passages = scores.shape
    if queries < 1 or passages % queries or passages == 0:
        raise ValueError(f"scores has shape {scores.shape}; it needs a group of passages for each query, at least one query")
    return passages // queries


def info_nce(scores: Real[AnyArray, "q p"], temperature: float = 1.0) -> Float[Array, ""]:
    """`-mean_i log softmax_j(s_ij / tau)` at each query's positive.

    Args:
        scores: of every query with the passages of all: group i, `[i p / q, (i + 1) p / q)`, begins with the positive of query
            i, its hard negatives follow.
        temperature: tau.

    Raises:
        ValueError: for passages that are no groups, or a temperature that is not positive.

    >>> print(f"{info_nce(jnp.array([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])):.4f}")
    0.3408
    """
    size = _groups(scores)
    (scores,) = floating(scores)
    return smoothed_cross_entropy(scores / check_positive("temperature", temperature), size * jnp.arange(len(scores)))


def distillation(scores: Real[AnyArray, "q p"], teacher: Real[AnyArray, "q group"]) -> Float[Array, ""]:
    """Mean `KL(softmax(teacher) || softmax(student))` over each query's own group.

    Args:
        scores: as for `info_nce`.
        teacher: a cross-encoder's scores of the group.

    Raises:
        ValueError: for passages that are no groups, or a teacher of another shape.
    """
    size, queries = _groups(scores), len(scores)
    if teacher.shape != (queries, size):
        raise ValueError(f"teacher has shape {teacher.shape}; scores of shape {scores.shape} need {(queries, size)}")
    scores, teacher = floating(scores, teacher)
    own = jnp.take_along_axis(scores, size * jnp.arange(queries)[:, None] + jnp.arange(size)[None], axis=1)
    log_t, log_s = jax.nn.log_softmax(teacher), jax.nn.log_softmax(own)
    return jnp.mean(jnp.sum(jnp.exp(log_t) * (log_t - log_s), axis=-1))


def contrastive_loss(
    retriever: DupMAERetriever,
    queries: Int[AnyArray, "q t"],
    query_mask: Bool[AnyArray, "q t"],
    passages: Int[AnyArray, "p s"],
    passage_mask: Bool[AnyArray, "p s"],
    *,
    teacher: Float[Array, "q group"] | None = None,
    temperature: float = 1.0,
) -> Float[Array, ""]:
    """`info_nce` of the retriever's scores, plus `distillation` where there is a teacher.

    Args:
        retriever: what is trained.
        queries, query_mask: tokens.
        passages, passage_mask: groups as for `info_nce`.
        teacher: scores of the groups.
        temperature: of `info_nce`.
    """
    scores = retriever.score(retriever.encode(queries, query_mask), retriever.encode(passages, passage_mask))
    loss = info_nce(scores, temperature)
    return loss if teacher is None else loss + distillation(scores, teacher)

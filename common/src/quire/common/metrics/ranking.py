"""Ranking metrics: precision, recall, F1, NDCG, reciprocal ranks, Hits@K, ranks among what is not known yet."""

from collections.abc import Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.checks import check_at_least, check_ids, floating, is_concrete

Masking = Literal["exclude", "zero"]


def ranked_hits(
    scores: Float[Array, "u i"],
    relevant: Bool[Array, "u i"],
    k: int,
    seen: Bool[Array, "u i"] | None = None,
    *,
    masking: Masking = "exclude",
) -> Float[Array, "u k"]:
    """1 where the items on the first k places of each user are relevant, 0 where not; ties go to the lower index.

    A user with a score that is not a number has no ranking: NaN on every place.

    Args:
        scores: of all items.
        relevant: test items.
        k: length of the list.
        seen: items to leave out of the ranking, those of the training set.
        masking: `"exclude"` gives seen items the score -inf and counts none of them as a hit. `"zero"` multiplies their scores
            by 0, as some published code does: a seen item then outranks every item with a negative score.

    Raises:
        ValueError: if k is larger than the number of items, shapes differ, items are not marked by booleans, or for another
            masking.
    """
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"k is {k}; it must lie between 1 and the number of items, {scores.shape[-1]}")
    relevant, seen = jnp.asarray(relevant), None if seen is None else jnp.asarray(seen)
    if relevant.dtype != bool or (seen is not None and seen.dtype != bool):
        raise ValueError(f"relevant has dtype {relevant.dtype}, seen {getattr(seen, 'dtype', None)}; both must be boolean")
    if relevant.shape != scores.shape or (seen is not None and seen.shape != scores.shape):
        raise ValueError(f"scores, relevant and seen must have one shape; scores has {scores.shape}, relevant {relevant.shape}")
    if masking not in ("exclude", "zero"):
        raise ValueError(f"masking is {masking!r}; it must be 'exclude' or 'zero'")
    (scores,) = floating(scores)
    if seen is not None:
        scores = jnp.where(seen, -jnp.inf if masking == "exclude" else 0, scores)
        relevant = relevant & ~seen if masking == "exclude" else relevant
    best = jax.lax.top_k(scores, k)[1]
    hits = jnp.take_along_axis(relevant, best, axis=-1).astype(jnp.result_type(float))
    return jnp.where(jnp.isnan(scores).any(-1, keepdims=True), jnp.nan, hits)


def user_metrics(hits: Float[Array, "u top"], num_relevant: Array, ks: Sequence[int]) -> dict[str, Float[Array, " u"]]:
    """Metrics of each user from the hits on the first places.

    `precision = hits / K`, `recall = hits / |test|`, `ndcg` with gain 1 and discount `1 / log2(rank + 1)` over the best
    possible with `min(K, |test|)` hits, `mrr = 1 / rank of the first hit`,
    `mrr_authors = sum of 1 / rank over hits / min(K, |test|)`.

    Args:
        hits: from `ranked_hits`, at least `max(ks)` places.
        num_relevant: int `[u]`; users without test items get 0 everywhere.
        ks: lengths K.

    Returns:
        `{"precision@K": [u], ...}` for every K.

    Raises:
        ValueError: if a K is beyond the places given, or `num_relevant` is not one number a user.
    """
    if num_relevant.shape != hits.shape[:1]:
        raise ValueError(f"num_relevant has shape {num_relevant.shape}; it needs one number for each of {hits.shape[0]} users")
    if not ks or not 1 <= min(ks) <= max(ks) <= hits.shape[-1]:
        raise ValueError(f"ks is {tuple(ks)}; each must lie between 1 and the places given, {hits.shape[-1]}")
    dtype = jnp.result_type(float)
    hits = hits.astype(dtype)
    rank = jnp.arange(1, hits.shape[-1] + 1, dtype=dtype)
    count = jnp.maximum(num_relevant, 1).astype(dtype)
    gains, reciprocal = hits / jnp.log2(rank + 1)[None], hits / rank[None]
    best = jnp.cumsum(1 / jnp.log2(rank + 1))
    metrics = {}
    for k in ks:
        found, possible = hits[:, :k].sum(-1), jnp.minimum(count, k)
        metrics[f"precision@{k}"] = found / k
        metrics[f"recall@{k}"] = found / count
        metrics[f"ndcg@{k}"] = gains[:, :k].sum(-1) / best[possible.astype(jnp.int32) - 1]
        metrics[f"mrr@{k}"] = reciprocal[:, :k].max(-1)
        metrics[f"mrr_authors@{k}"] = reciprocal[:, :k].sum(-1) / possible
    return metrics


def summarise(per_user: Mapping[str, Array], num_relevant: Array) -> dict[str, Float[Array, ""]]:
    """Means over the users with test items (0 without any), and `f1@K`, the harmonic mean of mean precision and mean recall."""
    counted = num_relevant > 0
    count = jnp.maximum(counted.sum(), 1).astype(jnp.result_type(float))
    mean = {name: jnp.sum(jnp.where(counted, values, 0)) / count for name, values in per_user.items()}
    for name in [name for name in mean if name.startswith("precision@")]:
        k = name.removeprefix("precision@")
        precision, recall = mean[name], mean[f"recall@{k}"]
        mean[f"f1@{k}"] = 2 * precision * recall / jnp.maximum(precision + recall, jnp.finfo(precision.dtype).tiny)
    return mean


def ranking_metrics(
    scores: Float[Array, "u i"],
    relevant: Bool[Array, "u i"],
    ks: Sequence[int],
    seen: Bool[Array, "u i"] | None = None,
    *,
    masking: Masking = "exclude",
) -> dict[str, Float[Array, ""]]:
    """`ranked_hits`, `user_metrics` and `summarise` in one: precision, recall, f1, ndcg, mrr and mrr_authors at every K.

    NaN as soon as a score of a user with test items is.

    >>> m = ranking_metrics(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[False, True, False]]), (1, 2))
    >>> float(m["recall@1"]), float(m["recall@2"]), float(m["precision@2"]), float(m["mrr@2"])
    (0.0, 1.0, 0.5, 0.5)
    """
    hits = ranked_hits(scores, relevant, max(ks), seen, masking=masking)
    num_relevant = jnp.asarray(relevant).sum(-1)
    return summarise(user_metrics(hits, num_relevant, ks), num_relevant)


def hits_at_k(positive: Float[Array, " p"], negative: Float[Array, " q"], k: int) -> Float[Array, ""]:
    """Share of positive scores strictly above the k-th largest negative score; 1 with fewer than k negatives.

    >>> float(hits_at_k(jnp.array([0.5, 2.0]), jnp.array([1.0, 0.0, -1.0]), 1))
    0.5

    NaN if a score is.

    Raises:
        ValueError: for k below 1, no positive score, or scores that are no lists.
    """
    check_at_least("k", k)
    if positive.ndim != 1 or negative.ndim != 1:
        raise ValueError(f"positive has shape {positive.shape} and negative {negative.shape}; they need [p] and [q]")
    check_at_least("number of positive scores", len(positive))
    positive, negative = floating(positive, negative)
    few = negative.shape[0] < k
    above = jnp.ones(positive.shape, bool) if few else positive > jax.lax.top_k(negative, k)[0][-1]
    broken = jnp.isnan(positive).any() | jnp.isnan(negative).any()
    return jnp.where(broken, jnp.nan, jnp.mean(above, dtype=positive.dtype))


def filtered_ranks(scores: Real[Array, "q n"], target: Int[Array, " _"], known: Array | None = None) -> Float[Array, " q"]:
    """Rank of the target of every query among the candidates that are not known to be right, from 1; ties share their mean rank.

    Args:
        scores: of all candidates.
        target: the candidate that is sought; it stays in, known or not.
        known: which candidates are right as well and therefore no rivals; none by default.

    Returns:
        `1 + rivals that score higher + rivals that score the same / 2`, at least in float32; NaN if a score of the query is.

    Raises:
        ValueError: if shapes do not fit, or a target is out of range.

    References:
        Bordes et al., *Translating embeddings for modeling multi-relational data*, 2013, section 4.2.

    >>> filtered_ranks(jnp.array([[3.0, 2.0, 2.0, 1.0]]), jnp.array([2]), jnp.array([[True, False, True, False]])).tolist()
    [1.5]
    """
    known = jnp.zeros(scores.shape, bool) if known is None else jnp.asarray(known)
    if scores.ndim != 2 or target.shape != scores.shape[:1] or known.shape != scores.shape or known.dtype != bool:
        raise ValueError(
            f"scores has shape {scores.shape}, target {target.shape}, known {known.shape} of {known.dtype}; "
            "they need [q, n], [q] and booleans [q, n]"
        )
    check_ids("target", target, scores.shape[1])
    (scores,) = floating(scores)
    own = jnp.take_along_axis(scores, target[:, None], axis=1)
    rival = ~known & (jnp.arange(scores.shape[1])[None] != target[:, None])
    rank = 1 + jnp.sum(rival & (scores > own), axis=1) + jnp.sum(rival & (scores == own), axis=1) / 2
    rank = jnp.where(jnp.isnan(scores).any(1), jnp.nan, rank)
    return rank.astype(jnp.promote_types(scores.dtype, jnp.float32))  # half precision does not count beyond 256


def mrr(ranks: Real[Array, " q"]) -> Float[Array, ""]:
    """Mean of `1 / rank`.

    Raises:
        ValueError: without a rank, or for one below 1 (of ranks that hold numbers).
    """
    (ranks,) = _checked_ranks(ranks)
    return jnp.mean(1 / ranks)


def hits(ranks: Real[Array, " q"], k: int) -> Float[Array, ""]:
    """Share of ranks up to k.

    Raises:
        ValueError: without a rank, for one below 1, or for k below 1.

    >>> float(hits(jnp.array([1.0, 2.5, 4.0, 3.0]), 3))
    0.75
    """
    check_at_least("k", k)
    (ranks,) = _checked_ranks(ranks)
    return jnp.where(jnp.isnan(ranks).any(), jnp.nan, jnp.mean(ranks <= k, dtype=ranks.dtype))


def _checked_ranks(ranks: Array) -> tuple[Array, ...]:
    check_at_least("number of ranks", len(ranks))
    if is_concrete(ranks) and (np.asarray(ranks) < 1).any():
        raise ValueError(f"ranks fall to {ranks.min()}; they count from 1")
    return floating(ranks)

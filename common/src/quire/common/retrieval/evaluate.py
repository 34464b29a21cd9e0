"""How good a retrieval is: average precision, hits among the first places, classes by templates."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.layers.nested import unit_rows
from quire.common.metrics.ranking import ranked_hits
from quire.common.retrieval.search import top_k_inner

Hits = Bool[Array, "q k"] | Real[Array, "q k"]
Divisor = Literal["relevant", "k"]


def average_precision(
    scores: Real[Array, "q n"], relevant: Bool[Array, "q n"], k: int | None = None, *, divisor: Divisor = "relevant"
) -> Float[Array, " q"]:
    """`AP = (1 / R) sum over the places j <= k with a relevant item of (relevant items up to j) / j`, for every query.

    Args:
        scores: of all items; ties go to the lower index.
        relevant: which items are.
        k: places that count; all by default.
        divisor: R is the number of all relevant items of the query, or k.

    Returns:
        A number in `[0, 1]` a query: 0 without relevant items, NaN where a score is.

    Raises:
        ValueError: for a k or a divisor that does not exist, or shapes that differ.

    >>> print(average_precision(jnp.array([[3.0, 2.0, 1.0]]), jnp.array([[True, False, True]])).round(4))
    [0.8333]
    """
    hits = ranked_hits(scores, relevant, scores.shape[-1] if k is None else k)
    return list_precision(hits, jnp.asarray(relevant).sum(-1) if _check_divisor(divisor) == "relevant" else None)


def list_precision(hits: Hits, num_relevant: Integer[Array, " q"] | None = None) -> Float[Array, " q"]:
    """Average precision of lists of k places, from what a search returned.

    Args:
        hits: 1 where the item on a place is relevant, else 0.
        num_relevant: of every query, by which the sum is divided; k where it is left out.

    Raises:
        ValueError: without a place, or if there is not one number for every query.

    >>> list_precision(jnp.array([[0, 1, 0, 1], [1, 1, 0, 0]])).tolist()
    [0.25, 0.5]
    """
    check_at_least("number of places", hits.shape[-1])
    if num_relevant is not None and num_relevant.shape != hits.shape[:1]:
        raise ValueError(f"num_relevant has shape {num_relevant.shape}; it needs one number for each of {hits.shape[0]} queries")
    (hits,) = floating(hits)
    precision = jnp.cumsum(hits, axis=-1) / jnp.arange(1, hits.shape[-1] + 1, dtype=hits.dtype)[None]
    total = jnp.sum(precision * hits, axis=-1)
    return total / (hits.shape[-1] if num_relevant is None else jnp.maximum(num_relevant, 1).astype(hits.dtype))


def list_metrics(hits: Hits) -> dict[str, Float[Array, ""]]:
    """Means over queries of what a list of k places is judged by.

    Args:
        hits: 1 where the item on a place is relevant, else 0.

    Returns:
        `mAP` (divided by k), `precision` (share of relevant items), `hit_rate` (at least one is), `top1` (the first is).

    Raises:
        ValueError: without a query or a place.

    >>> {name: round(float(x), 3) for name, x in list_metrics(jnp.array([[1, 0], [0, 1]])).items()}
    {'mAP': 0.375, 'precision': 0.5, 'hit_rate': 1.0, 'top1': 0.5}
    """
    if hits.ndim != 2 or 0 in hits.shape:
        raise ValueError(f"hits has shape {hits.shape}; it needs [queries, places], at least one of each")
    average = list_precision(hits)
    hits = hits.astype(average.dtype)
    return {"mAP": average.mean(), "precision": hits.mean(), "hit_rate": hits.max(-1).mean(), "top1": hits[:, 0].mean()}


def retrieval_metrics(
    queries: Float[AnyArray, "q dim"],
    query_labels: Integer[AnyArray, " q"],
    gallery: Float[AnyArray, "n dim"],
    gallery_labels: Integer[AnyArray, " n"],
    topk: Sequence[int] = (1, 5),
    *,
    block: int = 256,
) -> dict[str, float]:
    """Search of a gallery by cosine: how often an item of the query's class is among the first, and mean average precision.

    Args:
        queries, gallery: vectors of any length; a zero vector scores 0 with every other.
        query_labels, gallery_labels: their classes.
        topk: numbers of places.
        block: queries sorted at once, which bounds memory at `block * n` scores.

    Returns:
        `top1`, `top5`, ... and `mAP` (all relevant items count), means over the queries whose class is in the gallery; NaN if
        there is none, or a vector has a number that is not finite.

    Raises:
        ValueError: for places that the gallery does not have, a block below 1, or shapes that do not fit.

    >>> vectors, labels = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]), jnp.array([0, 1, 1])
    >>> retrieval_metrics(vectors[:2], labels[:2], vectors[1:], labels[1:], topk=(1,))
    {'top1': 1.0, 'mAP': 1.0}
    """
    _check_labels("query_labels", query_labels, queries)
    _check_labels("gallery_labels", gallery_labels, gallery)
    check_at_least("block", block)
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"gallery has dimension {gallery.shape[1]}; queries have {queries.shape[1]}")
    if not topk or not 1 <= min(topk) <= max(topk) <= len(gallery):
        raise ValueError(f"topk is {tuple(topk)}; each must lie between 1 and the {len(gallery)} items of the gallery")
    queries, gallery = (np.asarray(x) for x in floating(queries, gallery))
    labels, known = np.asarray(query_labels), np.isin(query_labels, gallery_labels)
    if not known.any():
        return {f"top{k}": float("nan") for k in topk} | {"mAP": float("nan")}
    queries, labels = queries[known], labels[known]
    parts = []
    for start in range(0, len(queries), block):
        rows = np.arange(start, start + block) % len(queries)  # the last block is filled up, so that all share one program
        part = _of_queries(queries[rows], labels[rows], gallery, jnp.asarray(gallery_labels), tuple(topk))
        parts.append(np.asarray(part)[:, : len(queries) - start])
    *tops, average = np.concatenate(parts, axis=1).mean(1, dtype=np.float64).tolist()
    return {f"top{k}": value for k, value in zip(topk, tops, strict=True)} | {"mAP": average}


@partial(jax.jit, static_argnames="topk")
def _of_queries(queries, labels, gallery, gallery_labels, topk):
    """Hits among the first places and average precision, `[len(topk) + 1, q]`."""
    relevant = labels[:, None] == gallery_labels[None]
    hits = ranked_hits(unit_rows(queries) @ unit_rows(gallery).T, relevant, len(gallery_labels))
    return jnp.stack([*(hits[:, :k].max(-1) for k in topk), list_precision(hits, relevant.sum(-1))])


def template_search(
    gallery: Float[AnyArray, "n dim"],
    gallery_labels: Integer[AnyArray, " n"],
    queries: Float[AnyArray, "q dim"],
    query_labels: Integer[AnyArray, " q"] | None = None,
) -> Integer[np.ndarray, " q"] | float:
    """Class of every query by its nearest template: the mean of a class's normalised vectors, normalised again.

    Args:
        gallery, gallery_labels: vectors that the templates are made of, and their classes, whatever numbers these are.
        queries: vectors to classify by cosine; the class that sorts first wins a tie.
        query_labels: their classes.

    Returns:
        Classes `[q]`; with `query_labels` the share of them that is right.

    Raises:
        ValueError: without a vector in the gallery (or, for a share, without a query), for numbers that are not finite, or for
            shapes that do not fit.

    >>> gallery, labels = jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]), np.array([7, 3, 3])
    >>> template_search(gallery, labels, jnp.array([[1.0, 0.2]])).tolist()
    [7]
    """
    _check_labels("gallery_labels", gallery_labels, gallery)
    check_at_least("number of vectors in the gallery", len(gallery))
    for name, vectors in (("gallery", gallery), ("queries", queries)):
        if not np.isfinite(np.asarray(vectors, np.float64)).all():
            raise ValueError(f"{name} has numbers that are not finite; they have no nearest template")
    classes, position = np.unique(np.asarray(gallery_labels), return_inverse=True)
    gallery, queries = floating(gallery, queries)
    members = jnp.asarray(position[None] == np.arange(len(classes))[:, None], gallery.dtype)
    _, nearest = top_k_inner(unit_rows(queries), unit_rows(members @ unit_rows(gallery)), 1)
    found = classes[np.asarray(nearest[:, 0])]
    if query_labels is None:
        return found
    _check_labels("query_labels", query_labels, queries)
    check_at_least("number of queries", len(queries))
    return float(np.mean(found == np.asarray(query_labels)))


def _check_labels(name: str, labels: Integer[AnyArray, " n"], vectors: AnyArray) -> None:
    if labels.shape != (len(vectors),):
        raise ValueError(f"{name} has shape {labels.shape}; it needs one class for each of the {len(vectors)} vectors")


def _check_divisor(divisor: str) -> str:
    if divisor not in ("relevant", "k"):
        raise ValueError(f"divisor is {divisor!r}; it must be 'relevant' or 'k'")
    return divisor

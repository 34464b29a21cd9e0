"""How well codes find documents of the same class: average precision with ties, NDCG, precision and recall by radius."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Bool, Float, Integer, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.metrics.ranking import ranked_hits, user_metrics
from quire.common.retrieval.hamming import hamming, pack_rows
from quire.common.text.evaluation import normalised

Relevant = Bool[AnyArray, "q n"]


def code_distances(queries: Integer[AnyArray, "q k"], codes: Integer[AnyArray, "n k"]) -> Integer[AnyArray, "q n"]:
    """Hamming distances of unpacked bits, by way of packed ones; k need not be a multiple of 8.

    Raises:
        ValueError: if widths differ.

    >>> code_distances(np.array([[1, 0, 1]], np.uint8), np.array([[1, 1, 0], [1, 0, 1]], np.uint8)).tolist()
    [[2, 0]]
    """
    if queries.shape[1] != codes.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} bits and codes {codes.shape[1]}; they need as many")
    return np.asarray(_packed_distances(queries, codes))


@jax.jit
def _packed_distances(queries, codes):
    return hamming(pack_rows(queries), pack_rows(codes))


def tie_averaged_precision(distances: Integer[AnyArray, "q n"], relevant: Relevant) -> Float[AnyArray, " q"]:
    """Average precision of a ranking by integer distance, in expectation over the orders of equal distances.

    In a group of t items, r of them relevant, after N items with R relevant ones, the i-th place adds
    `r/t (R + 1 + (i - 1) (r - 1) / (t - 1)) / (N + i)`.

    Args:
        distances: not negative.
        relevant: which items are.

    Returns:
        Divided by the number of relevant items; 0 where there is none.

    Raises:
        ValueError: for shapes that differ, distances that are no integers from 0, or no item.

    >>> tie_averaged_precision(np.array([[3, 3]]), np.array([[True, False]])).tolist()
    [0.75]

    References:
        McSherry and Najork, *Computing information retrieval performance measures efficiently
        in the presence of tied scores*, 2008.
    """
    distances, relevant = np.asarray(distances), np.asarray(relevant, bool)
    if distances.shape != relevant.shape or distances.ndim != 2 or not distances.shape[1]:
        raise ValueError(f"distances have shape {distances.shape}, relevant {relevant.shape}; they need one [q, n], n at least 1")
    if not np.issubdtype(distances.dtype, np.integer) or (distances < 0).any():
        raise ValueError(f"distances have dtype {distances.dtype}; they need integers from 0")
    levels = int(distances.max(initial=0)) + 1
    slot = (distances + levels * np.arange(len(distances))[:, None]).ravel()
    size, good = (
        np.bincount(slot, weight, minlength=len(distances) * levels).reshape(-1, levels) for weight in (None, relevant.ravel())
    )
    before, good_before = (np.cumsum(x, axis=1) - x for x in (size, good))
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, distances.shape[1] + 1))])
    reciprocals = harmonic[before + size] - harmonic[before]  # sum over the places of a group of 1 / place
    later = size - (before + 1) * reciprocals  # and of (i - 1) / place
    pairs = (good_before + 1) * reciprocals + (good - 1) / np.maximum(size - 1, 1) * later
    gain = good / np.maximum(size, 1) * pairs
    return gain.sum(1) / np.maximum(relevant.sum(1), 1)


def ndcg(scores: Real[AnyArray, "q n"], relevant: Relevant, k: int = 10) -> Float[AnyArray, " q"]:
    """NDCG@k with gain 1 and discount `1 / log2(rank + 1)`; ties go to the lower index.

    Raises:
        ValueError: for a k that the items do not allow.
    """
    check_at_least("k", k)
    return np.asarray(_ndcg(*floating(scores), np.asarray(relevant), k))


@partial(jax.jit, static_argnames="k")
def _ndcg(scores, relevant, k):
    return user_metrics(ranked_hits(scores, relevant, k), relevant.sum(-1), (k,))[f"ndcg@{k}"]


def reranked(
    distances: Integer[AnyArray, "q n"], queries: Float[AnyArray, "q r"], database: Float[AnyArray, "n r"], shortlist: int
) -> Float[AnyArray, "q n"]:
    """Scores that rank the nearest codes by the cosine of real vectors, and all others after them by distance.

    Args:
        distances: between codes.
        queries, database: real vectors.
        shortlist: how many of the nearest codes, in stable order, are ranked anew.

    Raises:
        ValueError: for a short list that is not between 1 and n.
    """
    if not 1 <= shortlist <= distances.shape[1]:
        raise ValueError(f"shortlist is {shortlist}; it must lie between 1 and the {distances.shape[1]} documents")
    distances, similar = np.asarray(distances), np.asarray(cosines(queries, database))
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :shortlist]
    scores = -1.0 - distances.astype(float)
    np.put_along_axis(scores, nearest, np.take_along_axis(1 + similar, nearest, axis=1), axis=1)
    return scores


def cosines(queries: Float[AnyArray, "q r"], database: Float[AnyArray, "n r"]) -> Float[np.ndarray, "q n"]:
    """Cosine of every pair; a zero vector has 0 with every other."""
    return normalised(queries) @ normalised(database).T


def precision_recall(
    distances: Integer[AnyArray, "q n"], relevant: Relevant
) -> tuple[Float[AnyArray, " radii"], Float[AnyArray, " radii"]]:
    """Precision and recall of what lies within each radius 0, 1, ..., over all queries together.

    Raises:
        ValueError: for shapes that differ.

    >>> precision_recall(np.array([[0, 1]]), np.array([[False, True]]))
    (array([0. , 0.5]), array([0., 1.]))
    """
    distances, relevant = np.asarray(distances), np.asarray(relevant, bool)
    if distances.shape != relevant.shape:
        raise ValueError(f"distances have shape {distances.shape}, relevant {relevant.shape}; they need one")
    levels = int(distances.max(initial=0)) + 1
    found = np.cumsum(np.bincount(distances.ravel(), minlength=levels))
    good = np.cumsum(np.bincount(distances.ravel(), relevant.ravel(), minlength=levels))
    return good / np.maximum(found, 1), good / max(1, int(relevant.sum()))

"""How good the spaces are: retrieval, held-out triplets, and whether they are entangled."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from quire.common.checks import check_at_least
from quire.common.layers.nested import unit_rows
from quire.common.metrics.probe import knn_predict
from quire.common.retrieval.evaluate import average_precision
from quire.conditional_cross_attention.triplets import MISSING, Triplets

Rows = Float[np.ndarray | Array, "_ dim"]
Spaces = Float[np.ndarray | Array, "_ attributes dim"]
"""Embeddings under every attribute."""
AnySpaces = Float[np.ndarray | Array, "_ spaces dim"]
"""Embeddings in several spaces."""
Labels = Integer[np.ndarray | Array, " _"]
Table = Integer[np.ndarray | Array, "_ attributes"]


_unit_rows = jax.jit(unit_rows)


def retrieval_map(
    queries: Rows,
    query_labels: Labels,
    candidates: Rows,
    candidate_labels: Labels,
    k: int | None = None,
    *,
    own: Labels | None = None,
    block: int = 256,
) -> float:
    """Mean average precision: candidates ranked by their cosine with a query, relevant where they share its value.

    `AP = (1 / R) sum over the places j <= k with a relevant candidate of (relevant ones up to j) / j`, R being the number of all
    relevant candidates. Ties go to the lower index.

    Args:
        queries, candidates: embeddings under the attribute, of any length.
        query_labels, candidate_labels: values of the attribute, -1 where one is missing: such images are left out.
        k: places that count; all by default.
        own: where each query stands among the candidates, -1 where it does not; it does not find itself.
        block: queries ranked at once, which bounds memory.

    Returns:
        The mean over the queries with a relevant candidate; NaN without any, or for embeddings that are not finite.

    Raises:
        ValueError: for a k that there is not, or shapes that do not fit.

    >>> z, y = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.3]]), np.array([0, 0, 1, 1])
    >>> print(f"{retrieval_map(z, y, z, y, own=np.arange(4)):.4f}")
    0.8333
    """
    check_at_least("block", block)
    own = np.full(len(queries), -1) if own is None else np.asarray(own)
    for name, values, rows in (
        ("query_labels", query_labels, queries),
        ("candidate_labels", candidate_labels, candidates),
        ("own", own, queries),
    ):
        if values.shape != (len(rows),):
            raise ValueError(f"{name} has shape {values.shape}; it needs one number for each of {len(rows)} embeddings")
    if queries.shape[1] != candidates.shape[1] or not len(candidates):
        raise ValueError(f"candidates have shape {candidates.shape}; they need rows of the {queries.shape[1]} numbers of queries")
    kept = np.flatnonzero(np.asarray(query_labels) != MISSING)
    parts = []
    for start in range(0, len(kept), block):
        rows = kept[np.arange(start, start + block) % len(kept)]  # the last block is filled up, so that all share one program
        of_rows = (np.asarray(x)[rows] for x in (queries, query_labels, own))
        found = _precisions(*of_rows, jax.device_put(candidates), jax.device_put(candidate_labels), k)
        parts.append(np.asarray(found)[:, : len(kept) - start])
    precision, counted = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return float(precision[counted > 0].mean(dtype=np.float64)) if counted.any() else float("nan")


@partial(jax.jit, static_argnames="k")
def _precisions(queries, labels, own, candidates, candidate_labels, k):
    """Average precision of every query, and whether it has a relevant candidate, `[2, q]`."""
    scores = unit_rows(queries) @ unit_rows(candidates).T
    itself = own[:, None] == jnp.arange(len(candidates))[None]
    away = itself | (candidate_labels == MISSING)[None]
    relevant = (labels[:, None] == candidate_labels[None]) & ~away
    found = average_precision(jnp.where(away, -jnp.inf, scores), relevant, k)
    return jnp.stack([found, relevant.any(1).astype(found.dtype)])


def spaces_map(queries: Spaces, query_labels: Table, candidates: Spaces, candidate_labels: Table) -> Float[np.ndarray, " a"]:
    """`retrieval_map` of every attribute in its own space."""

    def of_attribute(a):
        return retrieval_map(queries[:, a], query_labels[:, a], candidates[:, a], candidate_labels[:, a])

    return np.array([of_attribute(a) for a in range(query_labels.shape[1])])


def triplet_accuracy(anchor: Rows, positive: Rows, negative: Rows) -> float:
    """Share of triplets whose anchor has a strictly larger cosine with its positive than with its negative.

    Args:
        anchor, positive, negative: a triplet a row, all three under one attribute.

    Returns:
        NaN if an embedding is not finite.

    Raises:
        ValueError: if shapes differ, or there are no rows.

    >>> triplet_accuracy(np.eye(2), np.eye(2), np.array([[0.0, 1.0], [0.0, 2.0]]))
    0.5
    """
    shapes = {np.shape(x) for x in (anchor, positive, negative)}
    if len(shapes) > 1 or not len(anchor):
        raise ValueError(f"anchor, positive and negative have shapes {sorted(shapes)}; they need the same one, with rows")
    a, p, n = (np.asarray(_unit_rows(jnp.asarray(x, float))) for x in (anchor, positive, negative))
    near, far = (a * p).sum(1), (a * n).sum(1)
    return float("nan") if np.isnan(near + far).any() else float(np.mean(near > far))


def spaces_triplet_accuracy(spaces: Spaces, triplets: Triplets) -> float:
    """`triplet_accuracy` of triplets of rows, each in the space of its attribute."""
    rows = (np.asarray(spaces)[index, triplets.attribute] for index in triplets[:3])
    return triplet_accuracy(*rows)


def space_probe(
    queries: AnySpaces, query_labels: Table, candidates: AnySpaces, candidate_labels: Table, k: int = 10
) -> Float[np.ndarray, "spaces attributes"]:
    """What the space of one attribute tells of another: accuracy of the k nearest candidates, corrected for chance.

    Entry `(a, b)` is `(acc - chance) / (1 - chance)` for the values of b in the space of a, chance being the share of the value
    that is most frequent. Spaces are disentangled where the diagonal is high and the rest near 0.

    Args:
        queries, candidates: embeddings in every space, of any length.
        query_labels, candidate_labels: -1 where one is missing: such images are left out.
        k: how many vote.

    Raises:
        ValueError: for a k that there is not, or an attribute that no query or no candidate has.

    >>> z = np.repeat(np.array([[1.0, 0.0], [0.0, 1.0]]), 2, axis=0)
    >>> y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> space_probe(np.stack([z, z], 1), y, np.stack([z, z], 1), y, k=1).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    spaces = range(queries.shape[1])
    # of any attribute, so that one program serves all
    classes = 1 + int(max(np.max(y, initial=0) for y in (query_labels, candidate_labels)))
    matrix = np.empty((len(spaces), query_labels.shape[1]))
    for b in range(query_labels.shape[1]):
        asked, known = (np.flatnonzero(np.asarray(y)[:, b] != MISSING) for y in (query_labels, candidate_labels))
        if not len(asked) or not len(known):
            raise ValueError(f"attribute {b} has {len(asked)} queries and {len(known)} candidates; both need at least one")
        truth, labels = np.asarray(query_labels)[asked, b], np.asarray(candidate_labels)[known, b]
        chance = float(np.mean(truth == np.bincount(labels).argmax()))
        for a in spaces:
            z, database = (np.asarray(x)[rows, a] for x, rows in ((queries, asked), (candidates, known)))
            found = np.asarray(_voted(z, database, labels, k, classes))
            matrix[a, b] = (np.mean(found == truth) - chance) / (1 - chance) if chance < 1 else np.nan
    return matrix


@partial(jax.jit, static_argnames=("k", "classes"))
def _voted(queries, candidates, labels, k, classes):
    return knn_predict(unit_rows(queries), unit_rows(candidates), labels, k=k, num_classes=classes)


def disentanglement(matrix: Float[np.ndarray, "attributes attributes"]) -> float:
    """Mean of the diagonal of a `space_probe` minus the mean of the rest; exactly 0 where all spaces are one.

    Raises:
        ValueError: for fewer than two attributes.

    >>> disentanglement(np.array([[0.9, 0.1], [0.3, 0.5]])).__round__(6)
    0.5
    """
    size = check_at_least("number of attributes", len(matrix), 2)
    return float(np.trace(matrix) / size - (matrix.sum() - np.trace(matrix)) / (size * (size - 1)))


def condition_cosine(spaces: Spaces) -> Float[np.ndarray, "attributes attributes"]:
    """Mean cosine between the embeddings of one image under two conditions, for all pairs of them.

    Raises:
        ValueError: without an image.

    >>> condition_cosine(np.array([[[1.0, 0.0], [0.0, 2.0]]])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_at_least("number of images", len(spaces))
    unit = np.asarray(_unit_rows(jax.device_put(spaces)))
    return np.einsum("nad,nbd->ab", unit, unit) / len(unit)

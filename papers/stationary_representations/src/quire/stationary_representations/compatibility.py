"""Compatibility, measured: search with new queries in old galleries, its averages, and the two inequalities pair by pair.

References:
    Section 5 (AC, AA); Shen et al., *Towards Backward-Compatible Representation Learning*, 2020 (the inequalities).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from quire.common.arrays import AnyArray
from quire.common.retrieval.evaluate import template_search


def search_accuracy(
    gallery: Float[AnyArray, "n dim"],
    gallery_labels: Integer[AnyArray, " n"],
    queries: Float[AnyArray, "q dim"],
    query_labels: Integer[AnyArray, " q"],
) -> float:
    """1:N search accuracy: share of queries whose class has the nearest template, the normalised mean of normalised features.

    Labels may be any integers; the authors' code takes their places among the sorted ones for them.

    Raises:
        ValueError: see `quire.common.retrieval.evaluate.template_search`.

    >>> gallery, queries = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.1], [1.0, 2.0], [1.0, 0.0]])
    >>> print(f"{search_accuracy(gallery, np.array([7, 3]), queries, np.array([7, 3, 3])):.3f}")
    0.667
    """
    return float(template_search(gallery, gallery_labels, queries, query_labels))


def compatibility_matrix(
    queries: Sequence[Float[AnyArray, "q dim"]],
    galleries: Sequence[Float[AnyArray, "n dim"]],
    query_labels: Integer[AnyArray, " q"],
    gallery_labels: Integer[AnyArray, " n"],
) -> Float[np.ndarray, "models models"]:
    """`M[t, k]`, k <= t: search accuracy with queries by model t in a gallery by model k; 0 above the diagonal.

    Args:
        queries, galleries: features of the same images by every model, oldest first, all of one dimension.
        query_labels, gallery_labels: their classes.

    Raises:
        ValueError: without a model, or as `search_accuracy`.

    >>> old, new = np.eye(2), -np.eye(2)
    >>> compatibility_matrix([old, new], [old, new], np.arange(2), np.arange(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if not len(queries) or len(queries) != len(galleries):
        raise ValueError(
            f"queries come from {len(queries)} models and galleries from {len(galleries)}; it needs as many, and one"
        )
    matrix = np.zeros((len(queries), len(queries)))
    for t, k in zip(*np.tril_indices(len(queries)), strict=True):
        matrix[t, k] = search_accuracy(galleries[k], gallery_labels, queries[t], query_labels)
    return matrix


def violations(matrix: Float[AnyArray, "models models"]) -> Bool[np.ndarray, "models models"]:
    """Where the empirical criterion fails: `M[i, j] <= M[j, j]` for i > j, a tie included; False elsewhere.

    Raises:
        ValueError: for fewer than two models, no square, or a number at or below the diagonal that is not finite.

    >>> violations(np.array([[0.5, 0.0], [0.5, 0.7]])).tolist()
    [[False, False], [True, False]]
    """
    matrix = _checked(matrix, least=2)
    return np.tril(matrix <= np.diagonal(matrix)[None], -1)


def average_compatibility(matrix: Float[AnyArray, "models models"]) -> float:
    """`AC = 2 / (T (T - 1)) #{i > j: M[i, j] > M[j, j]}`: the share of pairs in which new queries do better than the old model.

    Raises:
        ValueError: as `violations`.

    >>> average_compatibility(np.array([[0.5, 0.0, 0.0], [0.6, 0.7, 0.0], [0.4, 0.8, 0.8]])).__round__(3)
    0.667
    """
    failed = violations(matrix)
    count = len(failed)
    return 1 - 2 * int(failed.sum()) / (count * (count - 1))


def average_accuracy(matrix: Float[AnyArray, "models models"], *, skip_zeros: bool = True) -> float:
    """AA: mean of the entries on and below the diagonal, in percent.

    Args:
        matrix: shares, or percentages where an entry exceeds 1. (The authors look at the largest of the last row: a model that is
            right every time is taken for percentages there.)
        skip_zeros: take exact zeros for missing, as the authors do; a search that always fails would lower the mean.

    Returns:
        Percent; 0 where all entries are.

    Raises:
        ValueError: without a model, for no square, or a number that is not finite.

    >>> matrix = np.array([[0.5, 0.0], [0.0, 1.0]])
    >>> average_accuracy(matrix), average_accuracy(matrix, skip_zeros=False)
    (75.0, 50.0)
    """
    matrix = _checked(matrix, least=1)
    entries = matrix[np.tril_indices(len(matrix))]
    counted = entries[entries != 0] if skip_zeros else entries
    return float((100 if entries.max() <= 1 else 1) * counted.mean()) if counted.size else 0.0


def curves(matrix: Float[AnyArray, "models models"]) -> dict[str, Float[np.ndarray, " models"]]:
    """What was known after every task: AC (NaN after the first), AA in percent, and the newest model's own search accuracy.

    Raises:
        ValueError: as `average_accuracy`.

    >>> {name: x.tolist() for name, x in curves(np.array([[0.5, 0.0], [0.6, 0.7]])).items()}
    {'AC': [nan, 1.0], 'AA': [50.0, 60.0], 'own': [0.5, 0.7]}
    """
    matrix = _checked(matrix, least=1)
    parts = [matrix[:t, :t] for t in range(1, len(matrix) + 1)]
    return {
        "AC": np.array([np.nan, *(average_compatibility(part) for part in parts[1:])]),
        "AA": np.array([average_accuracy(part) for part in parts]),
        "own": np.diagonal(matrix).copy(),
    }


def within_segments(count: int, replace_at: Sequence[int]) -> Bool[np.ndarray, "models models"]:
    """Pairs of different models i > j between which no model was replaced.

    Args:
        count: T.
        replace_at: tasks, from 0, before which the model was replaced.

    >>> within_segments(3, [2]).tolist()
    [[False, False, False], [True, False, False], [False, False, False]]
    """
    segment = np.sum(np.arange(count)[:, None] >= np.asarray(list(replace_at), int)[None], axis=1)
    return np.tril(segment[:, None] == segment[None], -1)


# --- The definition, pair by pair ---


class Inequalities(NamedTuple):
    """How far two models satisfy the definition of compatibility.

    Attributes:
        same: share of pairs of one class for which `d(new_i, old_j) <= d(old_i, old_j)`.
        different: share of pairs of two classes for which `d(new_i, old_j) >= d(old_i, old_j)`.
        violation: by how much the worst pair fails; 0 where all hold.
    """

    same: float
    different: float
    violation: float

    @property
    def smaller(self) -> float:
        """The smaller share. Spaces that have nothing in common satisfy one inequality nearly always, and the other never."""
        return min(self.same, self.different)


def inequalities(
    new_queries: Float[AnyArray, "q dim"],
    old_queries: Float[AnyArray, "q dim"],
    old_gallery: Float[AnyArray, "n dim"],
    query_labels: Integer[AnyArray, " q"],
    gallery_labels: Integer[AnyArray, " n"],
    *,
    tolerance: float = 1e-9,
) -> Inequalities:
    """The two inequalities for all pairs of a query and a gallery image, by the cosine distance, in float64.

    Args:
        new_queries, old_queries: features of the same queries by both models, of any length.
        old_gallery: of the gallery, by the old model.
        query_labels, gallery_labels: their classes.
        tolerance: differences of distances up to this count as equal.

    Raises:
        ValueError: for shapes that do not fit, numbers that are not finite, or if there is no pair of one class or of two.

    >>> old, labels = np.eye(3), np.array([0, 1, 2])
    >>> inequalities(5 * old, old, old, labels, labels)
    Inequalities(same=1.0, different=1.0, violation=0.0)
    >>> inequalities(-old, old, old, labels, labels).same
    0.0
    """
    shift = distances(new_queries, old_gallery) - distances(old_queries, old_gallery)
    if shift.shape != (len(query_labels), len(gallery_labels)) or len(new_queries) != len(old_queries):
        raise ValueError(f"there are {shift.shape} pairs of features, {len(query_labels)} and {len(gallery_labels)} labels")
    same = np.asarray(query_labels)[:, None] == np.asarray(gallery_labels)[None]
    if same.all() or not same.any():
        raise ValueError(
            f"query_labels and gallery_labels make {int(same.sum())} pairs of one class in {same.size}; it needs both"
        )
    excess = np.where(same, shift, -shift)
    holds = excess <= tolerance
    return Inequalities(float(holds[same].mean()), float(holds[~same].mean()), max(0.0, float(excess.max())))


def distances(a: Float[AnyArray, "q dim"], b: Float[AnyArray, "n dim"]) -> Float[np.ndarray, "q n"]:
    """Cosine distances `1 - <a_i, b_j> / |a_i| |b_j|` in float64; 1 from a zero vector.

    Raises:
        ValueError: for dimensions that differ or numbers that are not finite.
    """
    unit = []
    for x in (np.asarray(a, np.float64), np.asarray(b, np.float64)):
        if x.ndim != 2 or not np.isfinite(x).all() or x.shape[1] != np.shape(b)[1]:
            raise ValueError(f"features have shapes {np.shape(a)} and {np.shape(b)}; they must be [n, dim] and finite")
        largest = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
        x = x / np.where(largest == 0, 1, largest)
        unit.append(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 0.5))  # at least 1 but for zeros
    return 1 - unit[0] @ unit[1].T


def _checked(matrix: Float[AnyArray, "models models"], least: int) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < least:
        raise ValueError(f"matrix has shape {matrix.shape}; it must be [T, T] for at least {least} models")
    if not np.isfinite(np.tril(matrix)).all():
        raise ValueError("matrix has a number that is not finite at or below its diagonal")
    return matrix

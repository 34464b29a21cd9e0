"""New cells: drawn by the importance of their entities, and in all the ways that this is compared with."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int, Real

from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.common.tensors.sparse import SparseTensor, sample_cells
from quire.dain.entity_importance import Sign, entity_importance, unsigned


class NewCells(NamedTuple):
    """Cells to train on besides the observed ones.

    Attributes:
        indices: `[n, modes]`.
        values: `[n]`, or None where the trained model is to predict them.
    """

    indices: Int[np.ndarray, "n modes"]
    values: Real[np.ndarray, " n"] | None = None


def by_importance(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array, mode: Sign = "abs") -> NewCells:
    """DAIN: every index drawn for itself, from the importances of the entities of its mode."""
    return NewCells(np.asarray(sample_cells(entity_importance(train.indices, scores, train.dims, mode), n, key)))


def by_positive_importance(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """DAIN with the harmful cells left out, instead of counted as important."""
    return by_importance(train, scores, n, key, "positive")


def with_random_values(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """DAIN's cells, with values of random training cells instead of predictions."""
    drawn = generator(jax.random.fold_in(key, 1)).integers(0, len(train), n)
    return NewCells(by_importance(train, scores, n, key).indices, train.values[drawn])


def uniform(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """Every cell of the tensor alike."""
    return NewCells(np.asarray(sample_cells([np.ones(size) for size in train.dims], n, key)))


def by_frequency(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """Entities drawn in proportion to their training cells."""
    return by_importance(train, np.ones(len(train)), n, key)


def duplicates(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """Training cells once more: as many steps an epoch, and nothing new."""
    return _repeated(train, np.ones(len(train)), n, key)


def weighted_duplicates(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """Training cells once more, in proportion to their own importance."""
    return _repeated(train, np.asarray(unsigned(scores), float), n, key)


def _repeated(train, weights, n, key):
    cells = generator(key).choice(len(train), n, p=weights / weights.sum())
    return NewCells(train.indices[cells], train.values[cells])


def entity_replacement(train: SparseTensor, scores: np.ndarray, n: int, key: jax.Array) -> NewCells:
    """Training cells with the entity of one random mode replaced by a random one."""
    draw = generator(key)
    indices = train.indices[draw.integers(0, len(train), n)]
    mode = draw.integers(0, len(train.dims), n)
    indices[np.arange(n), mode] = draw.integers(0, np.array(train.dims)[mode])
    return NewCells(indices)


Draw = Callable[[SparseTensor, np.ndarray, int, jax.Array], NewCells]
"""`draw(train, scores, n, key)`; the scores are those of the training cells."""

DRAWS: dict[str, Draw] = {
    "DAIN": by_importance,
    "duplicates": duplicates,
    "uniform cells": uniform,
    "frequency": by_frequency,
    "random values": with_random_values,
    "positive influence": by_positive_importance,
    "weighted duplicates": weighted_duplicates,
    "entity replacement": entity_replacement,
}
"""Ways to draw new cells, by the names that tables show."""


def count_new(train: SparseTensor, ratio: float) -> int:
    """How many cells `ratio` adds.

    Raises:
        ValueError: if the ratio is negative or no number.
    """
    if not 0 <= ratio < float("inf"):
        raise ValueError(f"ratio is {ratio}; it must be at least 0, and finite")
    return round(ratio * len(train))


def draw_cells(kind: str, train: SparseTensor, scores: np.ndarray, ratio: float, key: jax.Array) -> NewCells:
    """New cells of a kind, in proportion to the training cells.

    Args:
        kind: a name in `DRAWS`.
        train: observed cells.
        scores: their importances.
        ratio: new cells for each training cell; 0.5 in the authors' code.
        key: of the draws.

    Raises:
        ValueError: for an unknown kind, a negative ratio, no training cell, or scores that do not fit.

    >>> train = SparseTensor(np.array([[0, 1], [2, 1]]), np.array([5.0, 1.0]), (3, 2))
    >>> draw_cells("DAIN", train, np.array([0.0, -2.0]), 1.5, jax.random.key(0)).indices.tolist()
    [[2, 1], [2, 1], [2, 1]]
    """
    if kind not in DRAWS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(DRAWS)}")
    check_at_least("number of training cells", len(train))
    if np.shape(scores) != (len(train),):
        raise ValueError(f"scores have shape {np.shape(scores)}; {len(train)} training cells need {(len(train),)}")
    return DRAWS[kind](train, scores, count_new(train, ratio), key)


def unseen(indices: Int[np.ndarray, "n modes"], observed: Int[np.ndarray, "cells modes"], dims: Sequence[int]) -> np.ndarray:
    """Which of the new cells are neither observed nor a repetition of an earlier one.

    Args:
        indices, observed: cells.
        dims: sizes of the modes.

    Returns:
        bool `[n]`.

    Raises:
        ValueError: if indices are out of range.

    >>> unseen(np.array([[0, 1], [1, 1], [0, 1], [1, 0]]), np.array([[1, 0]]), (2, 2)).tolist()
    [True, True, False, False]
    """
    numbers = [np.ravel_multi_index(tuple(np.asarray(cells, np.int64).T), tuple(dims)) for cells in (indices, observed)]
    first = np.zeros(len(indices), bool)
    first[np.unique(numbers[0], return_index=True)[1]] = True
    return first & ~np.isin(numbers[0], numbers[1])


def enlarged(train: SparseTensor, new: NewCells, predict: Callable[[np.ndarray], np.ndarray]) -> SparseTensor:
    """The observed cells and the new ones, with predicted values where they have none."""
    values = predict(new.indices) if new.values is None else new.values
    return SparseTensor(np.concatenate([train.indices, new.indices]), np.concatenate([train.values, values]), train.dims)

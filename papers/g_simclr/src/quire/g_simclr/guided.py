"""Guided batches: every row of a batch comes from another cluster, as long as the clusters last."""

from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.random import generator

Tail = Literal["keep", "drop", "resample"]
Labels = Int[Array | np.ndarray, " n"]
Order = Int[Array | np.ndarray, "*order"]


@jax.jit
def occurrence_rank(labels: Labels) -> Int[Array, " n"]:
    """`1 +` the number of earlier rows with the same label, by one stable sort.

    >>> occurrence_rank(jnp.array([7, 3, 7, 7, 3])).tolist()
    [1, 1, 2, 3, 2]
    """
    labels = jnp.asarray(labels)
    order = jnp.argsort(labels, stable=True)
    ordered, place = labels[order], jnp.arange(len(labels))
    first = jnp.concatenate([jnp.ones(min(len(labels), 1), bool), ordered[1:] != ordered[:-1]])
    start = jax.lax.cummax(jnp.where(first, place, 0))
    return jnp.zeros(len(labels), place.dtype).at[order].set(place - start + 1)


def guided_order(
    labels: Labels, batch_size: int, tail: Tail = "keep", *, key: jax.Array | None = None, allow_collisions: bool = False
) -> Int[np.ndarray, " rows"]:
    """Rows sorted by their rank in their cluster, then by cluster; consecutive batches of it hold every cluster once.

    With as many clusters as a batch has rows, the first `m` batches are without collisions, `m` the size of the smallest
    cluster. Behind them the authors' order goes on with what is left, whose batches come from ever fewer clusters.

    Args:
        labels: pseudo label of every row; a cluster is a value that occurs.
        batch_size: rows of a batch.
        tail: `"keep"` all rows, as the authors do; `"drop"` those behind the first m of every cluster; `"resample"`: every
            cluster gives as many rows as if all were equally large, in random order, those of small clusters several times.
        key: of the draws, for `"resample"`.
        allow_collisions: let there be fewer clusters than a batch has rows.

    Raises:
        ValueError: without rows, for labels that are no integers, another tail, a missing key, a batch size below 1 or above the
            number of rows, or fewer clusters than rows of a batch.

    References:
        The authors sort by rank with a sort that is not stable; here rows of one rank are in the order of their labels.

    >>> guided_order(np.array([0, 0, 1, 0, 1]), 2).tolist(), guided_order(np.array([0, 0, 1, 0, 1]), 2, "drop").tolist()
    ([0, 2, 1, 4, 3], [0, 2, 1, 4])
    """
    _check_order(labels, batch_size, tail, key)
    _, labels, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if len(sizes) < batch_size and not allow_collisions:
        raise ValueError(
            f"labels has {len(sizes)} clusters and batch_size is {batch_size}; fewer clusters than rows make rows of one cluster "
            "meet in every batch, unless allow_collisions is True"
        )
    if tail == "resample":
        assert key is not None  # checked above
        return _resampled(labels, -(-len(labels) // len(sizes)), len(sizes), generator(key))
    rank = np.asarray(occurrence_rank(labels))
    order = np.lexsort((labels, rank))
    return order if tail == "keep" else order[: sizes.min() * len(sizes)]


def _check_order(labels: Labels, batch_size: int, tail: str, key: jax.Array | None) -> None:
    if tail not in get_args(Tail):
        raise ValueError(f"tail is {tail!r}; it must be one of {', '.join(get_args(Tail))}")
    if labels.ndim != 1 or not 1 <= check_at_least("batch_size", batch_size) <= len(labels):
        raise ValueError(f"labels has shape {labels.shape}; it needs [n], n at least the batch_size, {batch_size}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels has dtype {labels.dtype}; labels are integers")
    if tail == "resample" and key is None:
        raise ValueError("key is None; the tail 'resample' draws rows")


def _resampled(labels: np.ndarray, rounds: int, clusters: int, draw: np.random.Generator) -> np.ndarray:
    """One random row of every cluster a round; a cluster is shuffled anew when all of its rows have been drawn."""
    columns = []
    for cluster in range(clusters):
        rows = np.flatnonzero(labels == cluster)
        shuffles = [draw.permutation(rows) for _ in range(-(-rounds // len(rows)))]
        columns.append(np.concatenate(shuffles)[:rounds])
    return np.stack(columns, 1).ravel()


@dataclass(frozen=True)
class GuidedBatches:
    """Batches of a guided order, epoch after epoch; the last rows of an epoch, too few for a batch, are left out.

    Attributes:
        labels, batch_size, tail, key: see `guided_order`. The order is the same in every epoch, but for `"resample"`.

    >>> GuidedBatches(np.array([0, 0, 1, 0, 1]), 2).indices(3).tolist()
    [[0, 2], [1, 4], [0, 2]]
    """

    labels: np.ndarray
    batch_size: int
    tail: Tail = "keep"
    key: jax.Array | None = None

    def epoch(self, number: int = 0) -> Int[np.ndarray, "batches batch_size"]:
        """The batches of one epoch."""
        key = None if self.key is None else jax.random.fold_in(self.key, number)
        return as_batches(guided_order(self.labels, self.batch_size, self.tail, key=key), self.batch_size)

    def indices(self, steps: int) -> Int[np.ndarray, "steps batch_size"]:
        """The batches of so many steps, int32."""
        return cycled(self.epoch, check_at_least("steps", steps))


def cycled(epoch, steps: int) -> Int[np.ndarray, "steps batch_size"]:
    """Batches of epoch 0, 1, ..., as many as there are steps."""
    parts = [epoch(0)]
    while sum(map(len, parts)) < steps:
        parts.append(epoch(len(parts)))
    return np.concatenate(parts)[:steps].astype(np.int32)


def as_batches(order: Order, batch_size: int) -> Int[np.ndarray, "batches batch_size"]:
    """Consecutive rows of an order as batches, the remainder dropped.

    Raises:
        ValueError: for a batch size below 1.
    """
    order = np.asarray(order).ravel()
    count = len(order) // check_at_least("batch_size", batch_size)
    return order[: count * batch_size].reshape(count, batch_size)


def collisions(order: Order, labels: Labels, batch_size: int) -> Int[np.ndarray, " batches"]:
    """How many rows of every batch repeat a label: the rows less the distinct labels.

    Args:
        order: rows, one batch after the other.
        labels: of all rows.
        batch_size: rows of a batch.

    Raises:
        ValueError: for a batch size below 1, or rows that there are not.

    >>> collisions(np.array([0, 1, 2, 3]), np.array([5, 5, 5, 6]), 2).tolist()
    [1, 0]
    """
    found = np.sort(_labels_of(order, labels, batch_size), 1)
    return (found[:, 1:] == found[:, :-1]).sum(1)


def collision_rate(order: Order, labels: Labels, batch_size: int) -> Float[np.ndarray, " batches"]:
    """The part of the pairs of rows of every batch that have one label: with true classes, how many negatives are false.

    Args, Raises: as `collisions`; a batch needs two rows.

    >>> collision_rate(np.array([0, 1, 2, 3, 4, 5]), np.array([1, 1, 2, 3, 4, 5]), 3).round(3).tolist()
    [0.333, 0.0]
    """
    found = _labels_of(order, labels, check_at_least("batch_size", batch_size, 2))
    same = (found[:, :, None] == found[:, None]).sum((1, 2)) - batch_size
    return same / (batch_size * (batch_size - 1))


def _labels_of(order: Order, labels: Labels, batch_size: int) -> np.ndarray:
    check_ids("order", order, len(labels))
    return np.asarray(labels)[as_batches(order, batch_size)]

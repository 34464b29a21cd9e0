"""Which examples a step sees: drawn beforehand, picked inside the compiled loop, or fetched from the host."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from quire.common.checks import check_ids
from quire.common.random import generator

Batch = Any
BatchAt = Callable[[Any, jax.Array], Batch]
"""`batch_at(data, step) -> batch`, traced: picks the batch of a step out of arrays that live on the device."""


@dataclass(frozen=True)
class HostBatches:
    """Batches that come from the host, one `get(step)` at a time, for data that does not fit a device."""

    get: Callable[[int], Batch]


def epoch_indices(key: jax.Array, num_examples: int, batch_size: int, steps: int) -> np.ndarray:
    """Example indices of every step, each epoch a fresh shuffle that visits every example once.

    Drawn on the host: JAX compiles a shuffle anew for every size.

    Args:
        key: for the shuffles, a single one.
        num_examples: size of the data set.
        batch_size: examples a step; batches may straddle two epochs.
        steps: number of steps.

    Returns:
        int32 `[steps, batch_size]`.

    Raises:
        ValueError: if a size is not positive.

    >>> epoch_indices(jax.random.key(0), num_examples=3, batch_size=2, steps=3).tolist()
    [[2, 0], [1, 2], [1, 0]]
    """
    if min(num_examples, batch_size, steps) < 1:
        raise ValueError(f"num_examples, batch_size and steps are {num_examples}, {batch_size}, {steps}; all must be at least 1")
    draw = generator(key)
    epochs = -(-steps * batch_size // num_examples)
    shuffled = np.concatenate([draw.permutation(num_examples) for _ in range(epochs)])
    return shuffled[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


def take_batch(data: tuple[Any, jax.Array | np.ndarray], step: jax.Array | int) -> Batch:
    """`BatchAt` for `data = (arrays, indices)`: the rows `indices[step]` of every array."""
    arrays, indices = data
    return jax.tree.map(lambda a: a[indices[step]], arrays)


def stacked_batch(data: Any, step: jax.Array | int) -> Batch:
    """`BatchAt` for data that are drawn for every step beforehand, `[steps, batch, ...]`."""
    return jax.tree.map(lambda a: a[step], data)


def check_batches(batch_at: Any, data: Any, steps: int, *, seeds: int | None = None) -> None:
    """`take_batch` and `stacked_batch` find a batch for every step, of rows that exist; JAX would take the last one instead.

    Args:
        batch_at: how batches are picked; other functions are not looked into.
        data: what they are picked from.
        steps: how many are needed.
        seeds: length of a leading axis of all arrays, where every seed has its own.

    Raises:
        ValueError: for too few steps, rows out of range, or another number of seeds.

    >>> check_batches(take_batch, (np.zeros((5, 2)), np.zeros((3, 2), int)), 4)
    Traceback (most recent call last):
    ValueError: data has batches for 3 steps; steps is 4
    """
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if seeds is not None and not lengths <= {(seeds,)}:
        raise ValueError(f"data has leading axes {sorted(lengths)}; every array needs a row for each of {seeds} seeds")
    if batch_at not in (take_batch, stacked_batch):
        return
    axis = 0 if seeds is None else 1
    arrays, planned = data if batch_at is take_batch else ((), data)
    for leaf in jax.tree.leaves(planned):
        if leaf.shape[axis] < steps:
            raise ValueError(f"data has batches for {leaf.shape[axis]} steps; steps is {steps}")
    for leaf in jax.tree.leaves(arrays):
        check_ids("indices", planned, leaf.shape[axis])

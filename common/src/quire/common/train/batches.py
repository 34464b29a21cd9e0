"""Which examples a step sees: drawn beforehand, picked inside the compiled loop, or fetched from the host."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

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

"""Many training runs as one program: seeds, tasks and rates side by side, and the choice of a rate by validation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from quire.atlas.learning import Learned
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import stack

Run = dict[str, Any]
"""What tells one run from the others: pytrees of arrays and numbers by name."""


def over_runs(run: Callable[[Run, Any], Any], runs: Sequence[Run], constants: Any, at_once: int) -> Any:
    """`run(one, constants)` for all of them, so many side by side, in one compiled program.

    Args:
        run: traceable.
        runs: at least one, all with the same names.
        constants: pytree that all of them see.
        at_once: how many side by side.

    Returns:
        Results with a leading axis of runs, as NumPy arrays.

    >>> over_runs(lambda run, c: run["a"] * c, [{"a": 1.0}, {"a": 2.0}], 3.0, 8).tolist()
    [3.0, 6.0]
    """
    stacked = jax.tree.map(lambda x: x.astype(np.float32) if x.dtype == np.float64 else x, stack(runs))
    program = jax.jit(lambda r, c: jax.lax.map(lambda one: run(one, c), r, batch_size=min(at_once, len(runs))))
    return jax.device_get(program(stacked, constants))


def at(tree: Any, *index: Any) -> Any:
    """The entry of every array of a pytree at the same index."""
    return jax.tree.map(lambda x: x[index], tree)


def shaped(tree: Any, *shape: int) -> Any:
    """The axis of runs of every array, as several axes."""
    return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), tree)


def chosen(found: tuple[Learned, Any], *shape: int) -> dict[str, Any]:
    """Of every group of runs the one with the best validation score.

    Args:
        found: what was learned, and a pytree of test numbers, with a leading axis of runs.
        shape: of the runs; the last axis is that of the learning rates.

    Returns:
        `value` and `test`, without the axis of rates, `rate`, the place in it, and `score`.
    """
    learned, test = shaped(found, *shape)
    score = learned.scores.max(axis=-1)
    best = score.argmax(axis=-1)

    def pick(x):
        where = best.reshape(*best.shape, *[1] * (x.ndim - best.ndim))
        return np.take_along_axis(x, where, axis=best.ndim).squeeze(best.ndim)

    return {"value": jax.tree.map(pick, learned.value), "test": jax.tree.map(pick, test), "rate": best, "score": pick(score)}


def random_indices(key: jax.Array, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Uniform int32 indices below `count`, from the host."""
    return generator(key).integers(0, count, shape, dtype=np.int32)


def epochs_of(keys: Sequence[jax.Array], count: int, batch_size: int, steps: int) -> np.ndarray:
    """Indices `[keys, steps, batch]`, each row of steps going through all examples before it meets one again."""
    return np.stack([np.asarray(epoch_indices(key, count, batch_size, steps)) for key in keys])

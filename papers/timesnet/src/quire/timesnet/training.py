"""Training of all tasks: several runs in one compiled program, one run after the other; predictions in fixed batches."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.train.batches import BatchAt
from quire.common.train.seeds import Build, fit_seeds, stack
from quire.common.train.selection import early_stopping
from quire.common.train.step import Loss
from quire.timesnet.config import Training

Runs = tuple[nnx.GraphDef, Any]
"""Graph of a model and its states, with a leading axis of runs."""

Validate = Callable[[nnx.GraphDef, Any, int], np.ndarray]
"""`(graph, states [epochs, ...], run) -> losses [epochs]` on validation data."""


def train(
    build: Build,
    loss: Loss,
    batch_at: BatchAt,
    data: Any,
    training: Training,
    keys: jax.Array,
    validate: Validate | None = None,
) -> Runs:
    """Train one model per key.

    Periods are found in a batch, and a batch of runs would turn the slices that they choose into gathers: runs are trained one
    after the other.

    Args:
        build: makes a model from its `nnx.Rngs`.
        loss, batch_at, data: as for `fit_seeds`; arrays of `data` have a leading axis of runs.
        training: how.
        keys: one per run.
        validate: needed when the training has several epochs; their validation losses decide which state is kept.

    Raises:
        ValueError: if there are several epochs and nothing to choose by.
        TrainingDiverged: as for `fit_seeds`.
    """
    if training.epochs > 1 and validate is None:
        raise ValueError(f"training has {training.epochs} epochs; early stopping needs validate")
    graph, states, _ = fit_seeds(
        build,
        training.transformation(flat=True),
        loss,
        batch_at,
        data,
        steps=training.steps,
        keys=keys,
        snapshots=training.epochs,
        one_by_one=True,
    )
    if validate is None or training.epochs == 1:
        return graph, states
    states = jax.device_get(states)
    runs = [jax.tree.map(lambda x, run=run: x[run], states) for run in range(len(keys))]
    kept = [early_stopping(validate(graph, epochs, run), training.patience) for run, epochs in enumerate(runs)]
    best = [jax.tree.map(lambda x, epoch=epoch: x[epoch], run) for run, epoch in zip(runs, kept, strict=True)]
    return graph, stack(best)


def predict(runs: Runs, inputs: Sequence[np.ndarray], batch_size: int, *, own: bool = False) -> Float[np.ndarray, "runs n ..."]:
    """Outputs of every run, the examples taken `batch_size` at a time in their order (the last batch may be smaller).

    What TimesNet makes of an example depends on the batch, so batches are part of the protocol.

    Args:
        runs: from `train`.
        inputs: arguments of the model, `[n, ...]` for all runs alike, or `[runs, n, ...]`.
        batch_size: examples in a batch.
        own: whether every run has inputs of its own.

    Raises:
        ValueError: for a batch size below 1, without an example, or inputs of different numbers of them.
    """
    check_at_least("batch_size", batch_size)
    counts = [x.shape[1 if own else 0] for x in inputs]
    if len(set(counts)) != 1:
        raise ValueError(f"inputs hold {counts} examples; they need one number")
    count = check_at_least("number of examples", counts[0])
    graph, states = runs[0], jax.device_get(runs[1])
    whole = count // batch_size * batch_size
    of_runs = []
    for run in range(jax.tree.leaves(states)[0].shape[0]):
        state = jax.tree.map(lambda x, run=run: x[run], states)
        parts = []
        for first, last, size in ((0, whole, batch_size), (whole, count, count - whole)):
            if first < last:
                chunk = [(x[run] if own else x)[first:last] for x in inputs]
                batches = tuple(x.reshape(-1, size, *x.shape[1:]) for x in chunk)
                parts.append(np.concatenate(np.asarray(_apply(graph, state, batches))))
        of_runs.append(np.concatenate(parts))
    return np.stack(of_runs)


@partial(jax.jit, static_argnums=0)
def _apply(graph: nnx.GraphDef, state: Any, batches: tuple[Array, ...]) -> Array:
    return jax.lax.map(lambda batch: nnx.merge(graph, state)(*batch), batches)

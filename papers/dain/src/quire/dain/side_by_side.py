"""Networks that are trained side by side, one for each set of cells: the seeds and arms of a comparison in one program."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.tensors.sparse import SparseTensor
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys, initial_states, stack
from quire.common.train.selection import early_stopping
from quire.dain.cell_importance import streamed_importance
from quire.dain.completion import squared_error
from quire.dain.config import Training

Split = tuple[SparseTensor, SparseTensor, SparseTensor]
"""Training, validation and test cells."""


class Runs(NamedTuple):
    """Networks that were trained side by side.

    Attributes:
        graph: of the network.
        states: weights after every epoch, `[runs, epochs, ...]`.
        validation: mean squared error after every epoch.
        best: epoch of every run that early stopping keeps.
        test: predictions of that epoch's network.
    """

    graph: nnx.GraphDef
    states: Any
    validation: Float[np.ndarray, "runs epochs"]
    best: np.ndarray
    test: Float[np.ndarray, "runs cells"]

    def best_states(self) -> Any:
        """Weights of the kept epoch of every run, `[runs, 1, ...]`."""
        return jax.tree.map(lambda x: np.stack([x[run, epoch : epoch + 1] for run, epoch in enumerate(self.best)]), self.states)


def train_side_by_side(
    build: Callable[[nnx.Rngs], nnx.Module],
    trains: Sequence[SparseTensor],
    splits: Sequence[Split],
    training: Training,
    keys: Any,
) -> Runs:
    """Train one network for each set of cells, all by one compiled loop.

    Args:
        build: makes the network.
        trains: cells to learn from, as many in each.
        splits: whose validation and test cells each run is judged by.
        training: of all.
        keys: of the initial weights and of the order of cells; runs with the same key start alike and see the same places.
    """
    batch_size, per_epoch = training.batches(len(trains[0]))
    steps = training.epochs * per_epoch
    order = np.stack([epoch_indices(key, len(trains[0]), batch_size, steps) for key in fold_keys(keys, 1)])
    cells = stack([(train.indices, train.values.astype(np.float32)) for train in trains])

    def batch_at(data, step):
        (indices, values), order = data
        return indices[order[step]], values[order[step]]

    graph, states, _ = fit_seeds(
        build,
        training.transformation(),
        squared_error,
        batch_at,
        (cells, order),
        steps=steps,
        keys=keys,
        snapshots=training.epochs,
    )
    if training.epochs == 1:
        states = jax.tree.map(lambda x: x[:, None], states)
    return _judged(graph, jax.tree.map(np.asarray, states), splits, training.patience)


def _judged(graph: nnx.GraphDef, states: Any, splits: Sequence[Split], patience: int) -> Runs:
    """Validation losses of all epochs, and the test cells by the one that early stopping keeps."""
    held = np.stack([np.concatenate([validation.indices, test.indices]) for _, validation, test in splits])
    predicted, count = np.asarray(predict_all(graph, states, held)), len(splits[0][1])
    values = np.stack([validation.values for _, validation, _ in splits])
    losses = np.mean((predicted[:, :, :count] - values[:, None]) ** 2, axis=2)
    best = np.array([early_stopping(each, patience) for each in losses])
    return Runs(graph, states, losses, best, predicted[np.arange(len(best)), best, count:])


@partial(jax.jit, static_argnums=0)
def predict_all(graph: nnx.GraphDef, states: Any, indices: Any) -> Float[jax.Array, "runs epochs cells"]:
    """Values of cells `[runs, cells, modes]` by the networks of every epoch."""

    def one_run(states, indices):
        return jax.lax.map(lambda state: nnx.merge(graph, state)(indices)[0], states)

    return jax.vmap(one_run)(states, indices)


def importances(
    build: Callable[[nnx.Rngs], nnx.Module], runs: Runs, splits: Sequence[Split], keys: Any, *, all_epochs: bool = False
) -> Float[np.ndarray, "runs cells"]:
    """`I(x)` of the training cells of every run: gradients at the start of each epoch, up to the kept one (or of all)."""
    _, first = initial_states(build, keys)
    starts = jax.tree.map(lambda a, b: np.concatenate([np.asarray(a)[:, None], b[:, :-1]], axis=1), first, runs.states)
    epochs = runs.validation.shape[1]
    kept = np.ones((len(runs.best), epochs)) if all_epochs else np.arange(epochs)[None] <= runs.best[:, None]
    cells = [stack([(part.indices, part.values.astype(np.float32)) for part in of]) for of in list(zip(*splits, strict=True))[:2]]
    return np.asarray(_importances(runs.graph, starts, kept.astype(np.float32), *cells))


@partial(jax.jit, static_argnums=0)
def _importances(graph, states, weights, train, validation):
    return jax.vmap(partial(streamed_importance, graph))(states, weights, train, validation)

"""Training a model on observed cells with early stopping, and recording the influence of the cells on the way."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.metrics.influence import last_layer_gradients, tracin
from quire.common.tensors.sparse import SparseTensor
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.selection import early_stopping
from quire.dain.cell_importance import BLOCK, Cells, epoch_influence, validation_direction
from quire.dain.config import Training

Record = Literal["epoch", "batch"]
"""When gradients are recorded: those of all cells at the start of an epoch, or, as by the authors, those of training cells in the
forward pass before the update of their batch."""


class Completion(NamedTuple):
    """What training saw.

    Attributes:
        losses: mean squared error of the validation cells after every epoch.
        best: epoch, from 0, whose model was kept.
        importance: `I(x)` of every training cell, over the epochs 0 to `best`; None if nothing was recorded.
    """

    losses: Float[np.ndarray, " epochs"]
    best: int
    importance: Float[np.ndarray, " cells"] | None


def squared_error(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> jax.Array:
    """Mean of `(y - v)^2` over a batch of indices and values."""
    indices, values = batch
    return jnp.mean((model(indices)[0] - values) ** 2)


class Recorder(nnx.Module):
    """A model that adds up the influence of the cells that it is trained on, batch by batch.

    Args:
        model: to train.
        cells: number of training cells.
        width: of the last hidden activations.
    """

    def __init__(self, model: nnx.Module, cells: int, width: int):
        self.model = model
        self.scores, self.direction = nnx.Variable(jnp.zeros(cells)), nnx.Variable(jnp.zeros(width))


def recorded_error(recorder: Recorder, batch: Any, key: jax.Array) -> jax.Array:
    """`squared_error` of a batch; its influence is noted, and at the start of an epoch the direction of the validation cells."""
    (indices, values), cells, starts, validation = batch
    state = jax.lax.stop_gradient(nnx.state(recorder.model))
    frozen = nnx.merge(nnx.graphdef(recorder.model), state)
    direction = recorder.direction[...]
    direction = jax.lax.cond(starts, lambda: validation_direction(frozen, validation), lambda: direction)
    predicted, hidden = recorder.model(indices)
    residual = predicted - values
    influence = tracin(last_layer_gradients(jax.lax.stop_gradient(residual), jax.lax.stop_gradient(hidden)), direction)
    recorder.direction.set_value(direction)
    recorder.scores.set_value(recorder.scores[...].at[cells].add(influence))
    return jnp.mean(residual**2)


@jax.jit(static_argnums=0)
def _predict(graph, state, blocks):
    return jax.lax.map(lambda indices: nnx.merge(graph, state)(indices)[0], blocks).reshape(-1)


def predict(model: nnx.Module, indices: np.ndarray, block: int = BLOCK) -> Float[np.ndarray, " cells"]:
    """Values of cells by a model, a block at a time."""
    count = len(indices)
    block = min(check_at_least("block", block), max(count, 1))
    blocks = np.pad(indices, ((0, -count % block), (0, 0))).reshape(-1, block, indices.shape[1])
    return np.asarray(_predict(*nnx.split(model), blocks))[:count]


class _Stop(Exception):
    """No better epoch came for as long as patience lasts."""


@jax.jit(static_argnums=0)
def _influence(graph, state, train, validation):
    return epoch_influence(nnx.merge(graph, state), train, validation)


def fit_completion(
    model: nnx.Module,
    train: SparseTensor,
    validation: SparseTensor,
    training: Training,
    *,
    key: jax.Array,
    record: Record | None = "epoch",
) -> Completion:
    """Train a model in place; it ends with the weights of its best epoch.

    Args:
        model: indices to values and last hidden activations.
        train: cells to learn from.
        validation: cells that decide about the best epoch, and whose loss the influence is on.
        training: epochs, batch size, learning rate, patience. An epoch is as many batches as hold all training cells; the last
            one is filled up from the next shuffle.
        key: of the order of the cells.
        record: when influence is recorded; None for not at all.

    Raises:
        ValueError: for another `record`.
        TrainingDiverged: if a loss or weight ceases to be finite.
    """
    if record not in ("epoch", "batch", None):
        raise ValueError(f"record is {record!r}; it must be 'epoch', 'batch' or None")
    cells, others = ((jnp.asarray(t.indices), jnp.asarray(t.values, float)) for t in (train, validation))
    watch = _Watch(cells, validation, others, training.patience, record)
    watch.note(model)
    with suppress(_Stop):
        _train(model, record, training, cells, others, key, watch)
    nnx.update(model, watch.state)
    return Completion(np.array(watch.losses), watch.best, watch.importance)


@dataclass
class _Watch:
    """Called with the model after every epoch: keeps the best weights and the importances up to them, and ends the run."""

    cells: Cells
    validation: SparseTensor
    others: Cells
    patience: int
    record: Record | None
    losses: list[float] = field(default_factory=list)
    running: Any = 0.0
    best: int = 0
    state: Any = None
    importance: Any = None

    def note(self, model: nnx.Module) -> None:
        """Add the influence at the start of an epoch."""
        if self.record == "epoch":
            self.running = self.running + np.asarray(_influence(*nnx.split(model), self.cells, self.others))

    def __call__(self, trained: nnx.Module) -> dict[str, float]:
        model = trained.model if isinstance(trained, Recorder) else trained
        self.losses.append(float(np.mean((predict(model, self.validation.indices) - self.validation.values) ** 2)))
        epoch = len(self.losses) - 1
        self.best = early_stopping(np.array(self.losses), self.patience)
        if self.best == epoch:
            scores = {"epoch": self.running, "batch": getattr(trained, "scores", None), None: None}[self.record]
            self.state, self.importance = nnx.state(model), None if scores is None else np.asarray(scores[...])
        elif epoch - self.best >= self.patience:
            raise _Stop
        self.note(model)
        return {"validation": self.losses[-1]}


def _train(model, record, training, cells, others, key, evaluate):
    batch_size, per_epoch = training.batches(len(cells[0]))
    order = epoch_indices(key, len(cells[0]), batch_size, training.epochs * per_epoch)
    data, loss, batch_at = (cells, order), squared_error, take_batch
    if record == "batch":
        width = jax.eval_shape(model, cells[0][:1])[1].shape[1]
        model, loss, data = Recorder(model, len(cells[0]), width), recorded_error, (*data, others)

        def batch_at(data, step):
            cells, order, others = data
            return take_batch((cells, order), step), order[step], step % per_epoch == 0, others

    fit(
        model,
        training.transformation(),
        loss,
        batch_at,
        data,
        steps=len(order),
        key=key,
        chunk_steps=per_epoch,
        evaluate=evaluate,
    )

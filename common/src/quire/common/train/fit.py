"""`fit`: one training loop, compiled as a scan over chunks of steps.

A model is split once into its graph and its state; the scan carries the state as a plain pytree. What a step computes depends
only on the state, the data, the key and the step number, and chunks end at multiples of `chunk_steps`, so a run that was
killed and resumed replays exactly the programs of an unbroken one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.progress import Progress

from quire.common.train.batches import BatchAt, HostBatches, check_batches
from quire.common.train.checkpoint import Checkpoints
from quire.common.train.finite import check_losses, check_state, infinite_leaves
from quire.common.train.keys import with_keys, without_keys
from quire.common.train.step import Loss, Model, Weights, make_step, split_model

Partition = Callable[[tuple, jax.Array], PartitionSpec]


@dataclass
class History:
    """What `fit` saw: `losses[step]` from `first_step` on, and `(step, metrics)` of every evaluation."""

    losses: np.ndarray
    first_step: int = 0
    evaluations: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)


def fit(
    model: Model,
    tx: optax.GradientTransformation,
    loss: Loss[Model],
    batches: BatchAt | HostBatches,
    data: Any = None,
    *,
    steps: int,
    key: jax.Array,
    ema: float = 0.0,
    chunk_steps: int = 100,
    evaluate: Callable[[Model], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | Path | str | None = None,
    mesh: Mesh | None = None,
    partition: Partition | None = None,
    progress: Progress | None = None,
) -> History:
    """Train `model` in place.

    Arrays that the caller took from the model, or shares with it, stay valid; so does the model when a run fails: it holds the
    state at the end of the last chunk that was finite throughout.

    Args:
        model: any nnx module. Every `nnx.Param` of a real or complex type is trained; every other variable (running statistics,
            keys and counts of dropout, one's own) is carried from step to step. Call `model.train()` beforehand; what the loss
            changes in it besides variables is forgotten after the step.
        tx: optimiser.
        loss: `loss(model, batch, key) -> scalar`.
        batches: `batch_at(data, step)` inside the compiled loop, or `HostBatches`.
        data: pytree of arrays for `batch_at`; passed to the compiled loop, not baked into it.
        steps: total number of steps, those before a resume included.
        key: randomness of the loss; step s uses `fold_in(key, s)`.
        ema: decay of an exponential moving average of the parameters, 0 for none. With it the model holds the average at every
            evaluation and afterwards, beside the other variables of the last step. After n steps the decay is at most
            `(1 + n) / (10 + n)`, so that the start is forgotten.
        chunk_steps: steps per compiled call. Evaluation, checkpoint and the check for NaN come at the end of each.
        evaluate: `model -> metrics`, called after every chunk.
        checkpoints: where to save after every chunk, and to resume from when something is there.
        mesh: devices to train on, with an axis `data` along which batches are split; the model is replicated unless `partition`
            says otherwise. Every process of a multi-process run calls `fit` with the same arguments.
        partition: `(path, parameter) -> PartitionSpec` for sharded parameters.
        progress: rich display to report to.

    Returns:
        Losses and evaluations.

    Raises:
        ValueError: for `steps` or `chunk_steps` below 1, steps that a checkpoint has passed or `take_batch` has no batches for,
            an `ema` outside `[0, 1)`, or a loss that makes variables.
        TrainingDiverged: at the end of the first chunk with a loss, parameter, other variable or state of the optimiser that is
            not finite, naming it and the steps. Nothing of that chunk is saved. Infinities that a variable other than a parameter
            had from the start (a mask) are let pass.
        CheckpointError: if there are checkpoints and none of them can be read.
    """
    if steps < 1 or chunk_steps < 1:
        raise ValueError(f"steps is {steps} and chunk_steps {chunk_steps}; both must be at least 1")
    check_batches(batches, data, steps)
    if isinstance(checkpoints, (str, Path)):
        checkpoints = Checkpoints(checkpoints)
    graph, fixed, weights = split_model(model, ema)
    infinite = infinite_leaves({"other": weights.other})
    weights, opt_state, data = _placed(weights, tx, data, mesh, partition)
    first = 0
    if checkpoints is not None and (found := checkpoints.restore_latest((weights, opt_state))) is not None:
        first, (weights, opt_state) = found
        if first > steps:
            raise ValueError(f"steps is {steps}; the newest checkpoint is that of step {first}, so it must be as many")
        nnx.update(model, *weights.shown())
    run_chunk = _compiled_chunk(make_step(graph, fixed, tx, loss, ema), batches, mesh)
    history, losses = History(np.zeros(0, np.float32), first), []
    task = progress.add_task("training", total=steps, completed=first) if progress else None
    for start in range(first, steps, chunk_steps):
        numbers = np.arange(start, min(start + chunk_steps, steps), dtype=np.int32)
        stop = start + len(numbers)
        chunk = _from_host(batches, numbers, mesh) if isinstance(batches, HostBatches) else data
        weights, opt_state, values = run_chunk(weights, opt_state, chunk, key, numbers)
        losses.append(np.asarray(values))
        check_losses(losses[-1], start)
        watched = {"params": weights.params, "other": weights.other, "optimiser": opt_state}
        check_state(watched, start, stop, infinite=infinite)
        nnx.update(model, *weights.shown())
        if evaluate is not None:
            history.evaluations.append((stop, evaluate(model)))
        if checkpoints is not None:
            checkpoints.save(stop, (weights, opt_state))
        if progress:
            # ty: ignore[invalid-argument-type]  # a display has a task
            progress.update(task, completed=stop, description=f"training, loss {values[-1]:.4g}")
    history.losses = np.concatenate(losses) if losses else history.losses
    return history


def _placed(weights: Weights, tx: optax.GradientTransformation, data: Any, mesh: Mesh | None, partition: Partition | None):
    """Weights, state of the optimiser and data where they belong; the optimiser's state shares no memory with the weights."""
    if mesh is not None:
        replicated = NamedSharding(mesh, PartitionSpec())
        spec = partition or (lambda path, leaf: PartitionSpec())

        def place(params):
            return jax.tree.map_with_path(lambda path, x: jax.device_put(x, NamedSharding(mesh, spec(path, x))), params)

        rest = (weights.other, data)
        other, data = with_keys(rest, jax.device_put(without_keys(rest), replicated))
        weights = Weights(place(weights.params), other, place(weights.average))
    else:
        # what comes out of a chunk is bound to its device; were the start not, the second chunk would be compiled anew
        weights = jax.tree.map(lambda x: jax.device_put(x, x.sharding), weights)
        data = jax.device_put(data)  # once, not with every chunk

    def own(x):  # scalars of the optimiser's state are born on one device
        sharding = x.sharding if mesh is None or isinstance(x.sharding, NamedSharding) else replicated
        return jax.device_put(x, sharding, may_alias=False)

    return weights, jax.tree.map(own, tx.init(weights.params)), data


def _compiled_chunk(step, batches, mesh):
    """`(weights, opt_state, data, key, step numbers) -> (weights, opt_state, losses)`, a scan over one chunk.

    The state of the optimiser is donated. The weights are not: the model holds those of the chunk before until a chunk is found
    to be finite.
    """
    from_host = isinstance(batches, HostBatches)

    def run_chunk(weights, opt_state, data, key, numbers):
        def body(carry, position):
            index, number = position
            batch = jax.tree.map(lambda a: a[index], data) if from_host else batches(data, number)
            if mesh is not None:
                split = NamedSharding(mesh, PartitionSpec("data"))
                batch = jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, split), batch)
            weights, opt_state, value = step(*carry, batch, jax.random.fold_in(key, number), number)
            return (weights, opt_state), value

        positions = jnp.arange(numbers.size, dtype=jnp.int32), numbers
        (weights, opt_state), losses = jax.lax.scan(body, (weights, opt_state), positions)
        return weights, opt_state, losses

    return jax.jit(run_chunk, donate_argnums=1)


def _from_host(batches: HostBatches, numbers: np.ndarray, mesh: Mesh | None) -> Any:
    """The batches of a chunk `[steps, batch, ...]`, on the devices of a mesh split along the batch."""
    chunk = jax.tree.map(lambda *leaves: np.stack(leaves), *[batches.get(number) for number in numbers.tolist()])
    if mesh is None:
        return chunk
    sharding = NamedSharding(mesh, PartitionSpec(None, "data"))
    return jax.tree.map(lambda a: jax.make_array_from_callback(a.shape, sharding, lambda index: a[index]), chunk)

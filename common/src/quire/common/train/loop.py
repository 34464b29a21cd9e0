"""`fit`: one training loop, compiled as a scan over chunks of steps.

A model is split once into its graph and its state; the scan carries the state as a plain pytree. What a step computes depends
only on the state, the data, the key and the step number, and chunks end at multiples of `chunk_steps`, so a run that was
killed and resumed replays exactly the programs of an unbroken one.
"""

from collections.abc import Callable, Mapping, Sequence
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

from quire.common.errors import QuireError
from quire.common.train.checkpoint import Checkpoints

Batch = Any
Loss = Callable[[nnx.Module, Batch, jax.Array], jax.Array]
"""`loss(model, batch, key) -> scalar`; the key is for dropout, masking and the like."""

BatchAt = Callable[[Any, jax.Array], Batch]
"""`batch_at(data, step) -> batch`, traced: picks the batch of a step out of arrays that live on the device."""


class TrainingDiverged(QuireError):
    """The loss or a parameter stopped being finite. `step` is the first step (from 0) whose loss was not."""

    def __init__(self, step: int, value: float):
        super().__init__(f"the loss became {value} at step {step}; lower the learning rate, clip gradients or check the inputs")
        self.step = step


@dataclass(frozen=True)
class HostBatches:
    """Batches that come from the host, one `get(step)` at a time, for data that does not fit a device."""

    get: Callable[[int], Batch]


@dataclass
class History:
    """What `fit` saw: `losses[step]` from `first_step` on, and `(step, metrics)` of every evaluation."""

    losses: np.ndarray
    first_step: int = 0
    evaluations: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)


def epoch_indices(key: jax.Array, num_examples: int, batch_size: int, steps: int) -> jax.Array:
    """Example indices of every step, each epoch a fresh shuffle that visits every example once.

    Args:
        key: for the shuffles.
        num_examples: size of the data set.
        batch_size: examples a step; batches may straddle two epochs.
        steps: number of steps.

    Returns:
        int32 `[steps, batch_size]`.

    Raises:
        ValueError: if a size is not positive.
    """
    if min(num_examples, batch_size, steps) < 1:
        raise ValueError(f"num_examples, batch_size and steps are {num_examples}, {batch_size}, {steps}; all must be at least 1")
    epochs = -(-steps * batch_size // num_examples)
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, num_examples))(jax.random.split(key, epochs))
    return shuffled.reshape(-1)[: steps * batch_size].reshape(steps, batch_size).astype(jnp.int32)


def take_batch(data: tuple[Any, jax.Array], step: jax.Array | int) -> Batch:
    """`BatchAt` for `data = (arrays, indices)`: the rows `indices[step]` of every array."""
    arrays, indices = data
    return jax.tree.map(lambda a: a[indices[step]], arrays)


def stacked_batch(data: Any, step: jax.Array | int) -> Batch:
    """`BatchAt` for data that are drawn for every step beforehand, `[steps, batch, ...]`."""
    return jax.tree.map(lambda a: a[step], data)


def warmup_cosine(peak: float, steps: int, *, warmup: float = 0.05) -> optax.Schedule:
    """Linear warm-up from 0 over the fraction `warmup` of `steps`, then a cosine to 0."""
    return optax.warmup_cosine_decay_schedule(0.0, peak, max(1, round(warmup * steps)), steps, 0.0)


def make_step(graph: nnx.GraphDef, rest: Any, tx: optax.GradientTransformation, loss: Loss):
    """One optimiser step on split state: `(params, opt_state), batch, key -> (params, opt_state), loss`."""

    def step(state, batch, key):
        params, opt_state = state

        def objective(params):
            return loss(nnx.merge(graph, params, rest), batch, key)

        value, grads = jax.value_and_grad(objective)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), value

    return step


def fit(
    model: nnx.Module,
    tx: optax.GradientTransformation,
    loss: Loss,
    batches: BatchAt | HostBatches,
    data: Any = None,
    *,
    steps: int,
    key: jax.Array,
    chunk_steps: int = 100,
    evaluate: Callable[[nnx.Module], Mapping[str, float]] | None = None,
    checkpoints: Checkpoints | Path | str | None = None,
    mesh: Mesh | None = None,
    partition: Callable[[tuple, jax.Array], PartitionSpec] | None = None,
    progress: Progress | None = None,
) -> History:
    """Train `model` in place.

    Args:
        model: any nnx module whose trained variables are `nnx.Param`; other state stays as it is.
        tx: optimiser.
        loss: `loss(model, batch, key) -> scalar`.
        batches: `batch_at(data, step)` inside the compiled loop, or `HostBatches`.
        data: pytree of arrays for `batch_at`; passed to the compiled loop, not baked into it.
        steps: total number of steps, those before a resume included.
        key: randomness of the loss; step s uses `fold_in(key, s)`.
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
        ValueError: for `steps` or `chunk_steps` below 1.
        TrainingDiverged: at the first chunk with a loss that is not finite, naming the step. Nothing of that chunk is saved.
        CheckpointError: if there are checkpoints and none of them can be read.
    """
    if steps < 1 or chunk_steps < 1:
        raise ValueError(f"steps is {steps} and chunk_steps {chunk_steps}; both must be at least 1")
    if isinstance(checkpoints, (str, Path)):
        checkpoints = Checkpoints(checkpoints)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    if mesh is not None:
        replicated = NamedSharding(mesh, PartitionSpec())
        spec = partition or (lambda path, leaf: PartitionSpec())
        params = jax.tree.map_with_path(lambda path, x: jax.device_put(x, NamedSharding(mesh, spec(path, x))), params)
        rest, data = jax.device_put((rest, data), replicated)
    state = (params, tx.init(params))
    if mesh is not None:  # scalars of the optimiser's state are born on one device
        state = jax.tree.map(lambda x: x if isinstance(x.sharding, NamedSharding) else jax.device_put(x, replicated), state)
    first = 0
    if checkpoints is not None and (found := checkpoints.restore_latest(state)) is not None:
        first, state = found
    run_chunk = _compiled_chunk(make_step(graph, rest, tx, loss), batches, mesh)
    history = History(np.zeros(0, np.float32), first)
    losses = []
    task = progress.add_task("training", total=steps, completed=first) if progress else None
    for start in range(first, steps, chunk_steps):
        count = min(chunk_steps, steps - start)
        if isinstance(batches, HostBatches):
            chunk_data = jax.tree.map(lambda *leaves: np.stack(leaves), *[batches.get(s) for s in range(start, start + count)])
            chunk_data = _shard_batches(chunk_data, mesh)
        else:
            chunk_data = data
        state, values = run_chunk(state, chunk_data, key, jnp.arange(start, start + count))
        values = np.asarray(values)
        if not np.isfinite(values).all():
            bad = int(np.argmin(np.isfinite(values)))
            raise TrainingDiverged(start + bad, float(values[bad]))
        losses.append(values)
        nnx.update(model, state[0])
        if evaluate is not None:
            history.evaluations.append((start + count, evaluate(model)))
        if checkpoints is not None:
            checkpoints.save(start + count, state)
        if progress:
            progress.update(task, completed=start + count, description=f"training, loss {values[-1]:.4g}")
    nnx.update(model, state[0])
    history.losses = np.concatenate(losses) if losses else history.losses
    return history


def _compiled_chunk(step, batches, mesh):
    """`(state, data, key, step numbers) -> (state, losses)`, a scan over one chunk."""
    from_host = isinstance(batches, HostBatches)

    def run_chunk(state, data, key, numbers):
        def body(state, position):
            index, number = position
            batch = jax.tree.map(lambda a: a[index], data) if from_host else batches(data, number)
            if mesh is not None:
                split = NamedSharding(mesh, PartitionSpec("data"))
                batch = jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, split), batch)
            return step(state, batch, jax.random.fold_in(key, number))

        return jax.lax.scan(body, state, (jnp.arange(numbers.size), numbers))

    return jax.jit(run_chunk, donate_argnums=0)


def _shard_batches(chunk, mesh: Mesh | None):
    """Put a chunk of host batches `[steps, batch, ...]` on the devices, split along the batch."""
    if mesh is None:
        return chunk
    sharding = NamedSharding(mesh, PartitionSpec(None, "data"))
    return jax.tree.map(lambda a: jax.make_array_from_callback(a.shape, sharding, lambda index: a[index]), chunk)


def move_average(average: Any, params: Any, step: jax.Array | int, decay: float) -> Any:
    """One step of an exponential moving average of parameters, the decay limited to `(1 + step) / (10 + step)` at the start.

    >>> print(move_average(jnp.array(0.0), jnp.array(1.0), 0, 0.99))
    0.9
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda a, p: (decay * a + (1 - decay) * p).astype(p.dtype), average, params)


def fit_seeds(
    build: Callable[[nnx.Rngs], nnx.Module],
    tx: optax.GradientTransformation,
    loss: Loss,
    batch_at: BatchAt,
    data: Any,
    *,
    steps: int,
    keys: jax.Array,
    snapshots: int = 1,
    ema: float = 0.0,
    one_by_one: bool = False,
) -> tuple[nnx.GraphDef, Any, jax.Array]:
    """Train one model per key by one compiled loop: the seeds of a claim.

    Args:
        build: makes a model from its `nnx.Rngs`.
        tx, loss, batch_at: as for `fit`.
        data: pytree whose arrays have a leading seed axis (each seed its own batches); `jax.vmap` strips it.
        steps: number of steps.
        keys: one key per seed; each seeds the model and the loss.
        snapshots: how many equally spaced states to keep, the last one included; must divide `steps`.
        ema: decay of an exponential moving average of the parameters, which is what is kept then; 0 for none. After n steps the
            decay is at most `(1 + n) / (10 + n)`, so that the start is forgotten.
        one_by_one: train the seeds one after the other, by the same program, rather than side by side: for models that fill the
            machine already, or whose slices would become gathers under `vmap`.

    Returns:
        Graph of the model, its state with leading axes `[seeds, snapshots]` (`[seeds]` for one snapshot), and losses
        `[seeds, steps]`. `nnx.merge(graph, state)` of one seed's slice is a model.

    Raises:
        ValueError: if `snapshots` does not divide `steps`, or `ema` lies outside `[0, 1)`.
        TrainingDiverged: if a loss is not finite.
    """
    if steps < 1 or snapshots < 1 or steps % snapshots:
        raise ValueError(f"steps is {steps} and snapshots {snapshots}; snapshots must divide steps")
    if not 0 <= ema < 1:
        raise ValueError(f"ema is {ema}; a decay lies in [0, 1)")
    # Built outside the compiled loop: inside it, compiling the initialisers takes longer than training a small model.
    graph, params, rest = zip(*[nnx.split(build(nnx.Rngs(key)), nnx.Param, ...) for key in keys], strict=True)
    graph = graph[0]

    def train(key, params, rest, data):
        step = make_step(graph, rest, tx, loss)

        def body(carry, number):
            state, average = carry
            state, value = step(state, batch_at(data, number), jax.random.fold_in(key, number))
            return (state, move_average(average, state[0], number, ema) if ema else None), value

        def period(carry, numbers):
            carry, losses = jax.lax.scan(body, carry, numbers)
            return carry, (carry[1] if ema else carry[0][0], losses)

        numbers = jnp.arange(steps).reshape(snapshots, -1)
        _, (params, losses) = jax.lax.scan(period, ((params, tx.init(params)), params if ema else None), numbers)
        rest = jax.tree.map(lambda x: jnp.broadcast_to(x, (snapshots, *x.shape)), rest)
        state = nnx.merge_state(params, rest)
        return (jax.tree.map(lambda x: x[0], state) if snapshots == 1 else state), losses.reshape(-1)

    if one_by_one:
        compiled = jax.jit(train)
        of_seed = [jax.tree.map(lambda x, i=i: x[i], data) for i in range(len(keys))]
        state, losses = jax.device_put(_stack([compiled(*seed) for seed in zip(keys, params, rest, of_seed, strict=True)]))
    else:
        state, losses = jax.jit(jax.vmap(train))(keys, _stack(params), _stack(rest), data)
    finite = np.isfinite(np.asarray(losses))
    if not finite.all():
        seed, step = np.argwhere(~finite)[0]
        raise TrainingDiverged(int(step), float(losses[seed, step]))
    return graph, state, losses


def _stack(trees: Sequence[Any]) -> Any:
    """One tree with a leading axis, made on the host: on a device, every shape would be a program to compile."""

    def stack(*leaves):
        is_key = jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key)
        return jnp.stack(leaves) if is_key else np.stack(leaves)

    return jax.tree.map(stack, *trees)

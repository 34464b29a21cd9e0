"""Several seeds of a model at once: training, states with a leading seed axis, functions over them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from quire.common.train.batches import BatchAt, check_batches
from quire.common.train.finite import check_losses, check_state, infinite_leaves
from quire.common.train.keys import with_keys, without_keys
from quire.common.train.step import Loss, Model, make_step, split_model

Build = Callable[[nnx.Rngs], Model]
"""Makes a model from its random keys."""


def fit_seeds(
    build: Build[Model],
    tx: optax.GradientTransformation,
    loss: Loss[Model],
    batch_at: BatchAt,
    data: Any,
    *,
    steps: int,
    keys: jax.Array,
    snapshots: int = 1,
    ema: float = 0.0,
    one_by_one: bool = False,
) -> tuple[nnx.GraphDef[Model], Any, jax.Array]:
    """Train one model per key by one compiled loop: the seeds of a claim.

    Args:
        build: makes a model from its `nnx.Rngs`.
        tx, loss, batch_at, ema: as for `fit`; with `ema` it is the averages that are returned.
        data: pytree whose arrays have a leading seed axis (each seed its own batches); `jax.vmap` strips it.
        steps: number of steps.
        keys: one key per seed; each seeds the model and the loss.
        snapshots: how many equally spaced states to keep, the last one included; must divide `steps`.
        one_by_one: train the seeds one after the other, by the same program, rather than side by side: for models that fill the
            machine already, or whose slices would become gathers under `vmap`.

    Returns:
        Graph of the model, its state with leading axes `[seeds, snapshots]` (`[seeds]` for one snapshot), and losses
        `[seeds, steps]`. `nnx.merge(graph, state)` of one seed's slice is a model.

    Raises:
        ValueError: without a key, if `snapshots` does not divide `steps`, `ema` lies outside `[0, 1)`, the data are not those of
            so many seeds and steps, the loss makes variables, or `build` makes NumPy arrays that differ between seeds.
        TrainingDiverged: naming the seed, if a loss, or at a snapshot a parameter, another variable or the state of the
            optimiser, is not finite.
    """
    if steps < 1 or snapshots < 1 or steps % snapshots:
        raise ValueError(f"steps is {steps} and snapshots {snapshots}; snapshots must divide steps")
    if not np.ndim(keys) or not len(keys):
        raise ValueError(f"keys has shape {np.shape(keys)}; there must be one key a seed, at least one")
    check_batches(batch_at, data, steps, seeds=len(keys))
    # Built outside the compiled loop: inside it, compiling the initialisers takes longer than training a small model.
    graphs, fixed, weights = zip(*[split_model(build(nnx.Rngs(key)), ema) for key in keys], strict=True)
    numbers = np.arange(steps, dtype=np.int32).reshape(snapshots, -1)

    step = make_step(graphs[0], _same(fixed), tx, loss, ema)

    def train(key, weights, data):

        def body(carry, number):
            weights, opt_state, value = step(*carry, batch_at(data, number), jax.random.fold_in(key, number), number)
            return (weights, opt_state), value

        def period(carry, numbers):
            (weights, opt_state), losses = jax.lax.scan(body, carry, numbers)
            return (weights, opt_state), (weights.shown(), losses)

        (_, opt_state), (shown, losses) = jax.lax.scan(period, (weights, tx.init(weights.params)), numbers)
        return (jax.tree.map(lambda x: x[0], shown) if snapshots == 1 else shown), opt_state, losses.reshape(-1)

    if one_by_one:
        compiled = jax.jit(train)
        of_seed = [jax.tree.map(lambda x, i=i: x[i], data) for i in range(len(keys))]
        found = jax.device_put(stack([compiled(*seed) for seed in zip(keys, weights, of_seed, strict=True)]))
    else:
        found = jax.jit(jax.vmap(train))(keys, stack(weights), data)
    (params, other), opt_state, losses = found
    check_losses(np.asarray(losses))
    watched = {"params": params, "other": other, "optimiser": opt_state}
    check_state(watched, 0, steps, infinite=infinite_leaves({"other": weights[0].other}), of_seeds=True)
    lead = (len(keys),) if snapshots == 1 else (len(keys), snapshots)
    rest = jax.tree.map(lambda x: np.broadcast_to(x, (*lead, *x.shape)), fixed[0])
    return graphs[0], nnx.merge_state(params, other, rest), losses


def _same(fixed: Sequence[nnx.State]) -> nnx.State:
    """What is closed over must serve every seed."""
    for other in fixed[1:]:
        if not jax.tree.all(jax.tree.map(np.array_equal, fixed[0], other)):
            raise ValueError("build makes a NumPy array that differs between seeds; keep it as an nnx.Variable")
    return fixed[0]


def stack(trees: Sequence[Any]) -> Any:
    """One tree with a leading axis, made on the host: on a device, every shape would be a program to compile.

    Args:
        trees: of the same structure and shapes, one per seed, say.

    Returns:
        The tree of NumPy arrays; random keys stay keys.

    Raises:
        ValueError: without a tree, or for trees that differ in structure or shapes.

    >>> stack([{"w": 1.0}, {"w": 2.0}])
    {'w': array([1., 2.])}
    """
    if not trees:
        raise ValueError("trees is empty; at least one is needed")

    def join(*leaves):
        return with_keys(leaves[0], np.stack([without_keys(x) for x in leaves]))

    return jax.tree.map(join, *trees)


def fold_keys(keys: jax.Array, number: int) -> list[jax.Array]:
    """`fold_in(key, number)` of every key: independent keys of the same seeds, for data beside weights, say.

    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> bool(fold_keys(keys, 1)[1] == jax.random.fold_in(keys[1], 1))
    True
    """
    return list(jax.vmap(jax.random.fold_in, (0, None))(keys, number))


def initial_states(build: Build[Model], keys: jax.Array) -> tuple[nnx.GraphDef[Model], Any]:
    """Graph and states `[seeds, ...]` of the models that `fit_seeds` starts from."""
    graphs, states = zip(*[nnx.split(build(nnx.Rngs(key))) for key in keys], strict=True)
    return graphs[0], stack(states)


def over_seeds(graph: nnx.GraphDef, function: Callable[..., Any], *, one_by_one: bool = False) -> Callable[..., Any]:
    """A function of a model, for every seed of a state in one compiled call.

    Args:
        graph: of the models.
        function: `function(model, *args)`.
        one_by_one: one seed after the other rather than side by side, as for `fit_seeds`.

    Returns:
        `(state, *args) -> [seeds, ...]`.
    """

    def call(state, *args):
        def one(state):
            return function(nnx.merge(graph, state), *args)

        return jax.lax.map(one, state) if one_by_one else jax.vmap(one)(state)

    return jax.jit(call)

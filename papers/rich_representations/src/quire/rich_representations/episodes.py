"""Training episodes: the same network many times with other seeds, side by side in one compiled loop.

Every episode has initial weights and an order of the data of its own. Rates and weight decays are arrays, so that a grid of
them, snapshots along the way and all seeds of a claim share one program.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.batches import epoch_indices
from quire.common.train.finite import check_losses, check_state
from quire.common.train.seeds import stack
from quire.common.train.step import make_step, split_model
from quire.rich_representations.config import Descent

Objective = Callable[[Any, Any, Any], Array]
"""`objective(model, batch, unused) -> scalar`: the loss of a batch, as all training loops of `common` take it."""


class Models(NamedTuple):
    """Models of one architecture, a leading axis on all variables.

    Attributes:
        graph: of the modules.
        state: all variables, `[models, ...]`.
    """

    graph: nnx.GraphDef
    state: Any

    @property
    def size(self) -> int:
        """How many there are on the first axis."""
        return len(jax.tree.leaves(self.state)[0])

    def take(self, index: Any) -> "Models":
        """Some of them, by anything that indexes the leading axes."""
        return Models(self.graph, jax.tree.map(lambda leaf: leaf[index], self.state))

    def flat(self, axes: int) -> "Models":
        """The first axes as one."""
        return Models(self.graph, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[axes:]), self.state))

    def stacked(self) -> Any:
        """A module whose variables keep the leading axis."""
        return nnx.merge(self.graph, self.state)

    def one(self, index: int) -> Any:
        """A single model."""
        return self.take(index).stacked()


def stack_models(models: Sequence[nnx.Module]) -> Models:
    """Models side by side.

    Raises:
        ValueError: without a model, or if they differ in structure or shapes.
    """
    check_at_least("number of models", len(models))
    graphs, states = zip(*map(nnx.split, models), strict=True)
    return Models(graphs[0], jax.tree.map(np.asarray, stack(states)))


def cross_entropy(model: Callable[[Array], Array], batch: tuple[Array, Array], unused: Any = None) -> Float[Array, ""]:
    """Mean cross-entropy of `(inputs, labels)`."""
    inputs, labels = batch
    return smoothed_cross_entropy(model(inputs), labels)


def train_episodes(
    models: Models,
    data: Any,
    batches: Int[np.ndarray, "models steps batch"],
    descent: Descent,
    *,
    own: Any = None,
    objective: Objective = cross_entropy,
    snapshots: int = 1,
) -> Models:
    """Train models of one architecture side by side by SGD with momentum, each at every rate and weight decay of a grid.

    Args:
        models: where they start.
        data: pytree of arrays `[examples, ...]` that all models see.
        batches: examples of every step, for each model: episodes differ by them as well as by their weights.
        descent: length, rates, decays, schedule.
        own: pytree of arrays `[models, examples, ...]`, one slice a model; a batch is then `(*data, *own)`.
        objective: loss of a batch.
        snapshots: how many equally spaced states to keep, the last one included.

    Returns:
        The trained models `[models, grid, snapshots, ...]`, the grid as `descent.grid` lists it.

    Raises:
        ValueError: if `batches` are not those of so many models and steps, or name examples that there are not, or `snapshots`
            does not divide the steps.
        TrainingDiverged: naming the episode, if a loss or a variable is not finite.
    """
    steps = descent.steps
    if batches.ndim != 3 or batches.shape[:2] != (models.size, steps):
        raise ValueError(f"batches has shape {batches.shape}; it needs [{models.size}, {steps}, batch]")
    check_at_least("snapshots", snapshots)
    if steps % snapshots:
        raise ValueError(f"snapshots is {snapshots}; it must divide the {steps} steps")
    for leaf in jax.tree.leaves(data):
        check_ids("batches", batches, len(leaf))
    for leaf in jax.tree.leaves(own):
        check_ids("batches", batches, leaf.shape[1])
    periods = np.moveaxis(np.asarray(batches), 1, 0).reshape(snapshots, -1, *batches.shape[::2]).transpose(2, 0, 1, 3)
    rates, decays = np.asarray(descent.grid, np.float32).T
    state, losses = _train(
        models.graph, objective, descent.optimiser, models.state, data, own, periods, rates, decays, descent.factors()
    )
    check_losses(np.asarray(losses).reshape(models.size * len(rates), -1))
    check_state(state, 0, steps, of_seeds=True)
    return Models(models.graph, state)


@partial(jax.jit, static_argnames=("graph", "objective", "optimiser"))
def _train(graph, objective, optimiser, state, data, own, periods, rates, decays, factors):
    def episode(state, own, periods, rate, decay):
        kept, fixed, weights = split_model(nnx.merge(graph, state))
        tx = _sgd(rate, decay, factors, *optimiser)
        step = make_step(kept, fixed, tx, objective)

        def body(carry, inputs):
            number, index = inputs
            batch = jax.tree.map(lambda leaf: leaf[index], (*data, *(own or ())))
            weights, moments, loss = step(*carry, batch, None, number)
            return (weights, moments), loss

        def period(carry, inputs):
            carry, losses = jax.lax.scan(body, carry, inputs)
            return carry, (nnx.merge_state(*carry[0].shown()), losses)

        numbers = jnp.arange(periods.shape[0] * periods.shape[1]).reshape(periods.shape[:2])
        _, found = jax.lax.scan(period, (weights, tx.init(weights.params)), (numbers, periods))
        return found

    grid = jax.vmap(episode, in_axes=(None, None, None, 0, 0))
    return jax.vmap(grid, in_axes=(0, 0, 0, None, None))(state, own, periods, rates, decays)


def _sgd(rate, decay, factors, momentum, nesterov):
    return optax.chain(
        optax.add_decayed_weights(decay, _no_norms),
        optax.trace(momentum, nesterov),
        optax.scale_by_schedule(lambda count: -rate * factors[count]),
    )


def _no_norms(params):
    """Scales and shifts of normalisers are spared the weight decay."""
    return jax.tree.map_with_path(lambda path, _: not {"scale", "shift"} & {str(getattr(k, "key", k)) for k in path}, params)


def episode_batches(
    keys: Sequence[jax.Array], pools: Int[np.ndarray, "models n"], batch_size: int, steps: int
) -> Int[np.ndarray, "models steps batch"]:
    """Batches for every model, each in the order of its own key, from its own pool of examples.

    A pool that is smaller than a batch is seen whole in every step.

    Raises:
        ValueError: if keys and pools are not equally many.
    """
    if pools.ndim != 2 or len(keys) != len(pools):
        raise ValueError(f"pools has shape {pools.shape} for {len(keys)} keys; it needs [{len(keys)}, examples]")
    size = min(batch_size, pools.shape[1])
    return np.stack([pool[epoch_indices(key, len(pool), size, steps)] for key, pool in zip(keys, pools, strict=True)])


@partial(jax.jit, static_argnames=("graph", "function"))
def _each(graph, function, state, x):
    def one(state, x):
        model = nnx.merge(graph, state)
        model.eval()
        return function(model, x)

    return jax.vmap(one, in_axes=(0, None))(state, x)


def _outputs(model, x):
    return model(x)


def _trunk_outputs(model, x):
    return model.trunk(x)


def logits_of(models: Models, x: np.ndarray, *, block: int = 2048) -> Float[np.ndarray, "models examples classes"]:
    """Outputs of all models in evaluation, block by block of the inputs."""
    return _in_blocks(models, _outputs, x, block)


def features_of(models: Models, x: np.ndarray, *, block: int = 2048) -> Float[np.ndarray, "models examples features"]:
    """Features of all trunks in evaluation: extracted once, then kept by whoever probes them."""
    return _in_blocks(models, _trunk_outputs, x, block)


def _in_blocks(models, function, x, block):
    check_at_least("number of examples", len(x))
    parts = [_each(models.graph, function, models.state, x[i : i + block]) for i in range(0, len(x), block)]
    return np.concatenate([np.asarray(part) for part in parts], axis=1)


def accuracy(
    logits: Float[np.ndarray, "*models examples classes"],
    labels: Int[np.ndarray, " examples"],
    index: Int[np.ndarray, "*models q"],
) -> Float[np.ndarray, "*models"]:
    """Share of right answers of every model on its examples.

    Raises:
        ValueError: for logits that are not finite: a NaN would count as the first class.

    >>> accuracy(np.array([[[0.0, 1.0], [1.0, 0.0]]]), np.array([1, 1]), np.array([[0, 1]])).tolist()
    [0.5]
    """
    if not np.isfinite(logits).all():
        raise ValueError("logits has numbers that are not finite; accuracies need finite ones")
    right = logits.argmax(-1) == labels
    return np.take_along_axis(right, index, axis=-1).mean(-1)

"""Networks that learn several features at once: one compiled program for all seeds and all conditions of one shape."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.train.finite import check_losses, check_state
from quire.common.train.seeds import stack
from quire.common.train.shared_program import cosine_rates
from quire.representation_bias.networks import Outputs, class_logits, initial_state
from quire.representation_bias.variance import total_variance, variance_explained

MOMENTUM, ADAM = optax.trace(0.9), optax.scale_by_adam()


class Problem(NamedTuple):
    """What a family of networks learns; functions that are traced.

    Attributes:
        draw: `(key, data, step) -> batch`, which all conditions of a seed see.
        loss: `(model, batch, task, step) -> scalar`.
        answer: `(model, inputs, task) -> (outputs, labels, predicted)`, without noise, to measure with.
    """

    draw: Callable[..., Any]
    loss: Callable[..., Array]
    answer: Callable[..., tuple[Outputs, AnyArray, Array]]


class Run(NamedTuple):
    """A condition as arrays: conditions that differ in nothing else share a program.

    Attributes:
        task: what the loss needs: features, weights, ...
        rate: learning rate of every step.
        adam: 1 for Adam, 0 for SGD with momentum 0.9.
        decay: weight decay, decoupled.
        moves: 1 for every parameter that is trained, 0 for one that stays, shaped like the parameters.
    """

    task: Any
    rate: Any
    adam: Any
    decay: Any
    moves: Any


class Trained(NamedTuple):
    """Trained networks.

    Attributes:
        graph: of the networks.
        states: parameters, leading axes `[seeds, conditions, snapshots + 1]`; the first is before training.
        losses: `[seeds, conditions, steps]`.
    """

    graph: nnx.GraphDef
    states: Any
    losses: Float[np.ndarray, "seeds conditions steps"]

    def at(self, seed: int, condition: int, snapshot: int = -1) -> Any:
        """One network."""
        return nnx.merge(self.graph, jax.tree.map(lambda x: x[seed, condition, snapshot], self.states))


class Scores(NamedTuple):
    """What networks know and represent, leading axes `[seeds, conditions, snapshots + 1]`.

    Attributes:
        accuracy: of every feature.
        explained: variance `E|phi|^2 - E|W f - phi|^2` that each feature explains, layer by layer.
        total: variance of the layers.
    """

    accuracy: Float[np.ndarray, "*lead m"]
    explained: Float[np.ndarray, "*lead layers m"]
    total: Float[np.ndarray, "*lead layers"]

    def shares(self) -> Float[np.ndarray, "seeds conditions layers m"]:
        """R2 of every feature in the trained networks."""
        return self.explained[:, :, -1] / self.total[:, :, -1, :, None]

    def curves(self) -> Float[np.ndarray, "seeds conditions times m"]:
        """Explained variance of the last layer over training, in units of its variance at the end, so that growth shows."""
        return self.explained[:, :, :, -1] / self.total[:, :, -1:, -1, None]

    def untrained(self) -> Float[np.ndarray, "seeds conditions layers m"]:
        """R2 of every feature before training."""
        return self.explained[:, :, 0] / self.total[:, :, 0, :, None]


def train_multi_feature(
    keys: Sequence[jax.Array],
    build: Callable[[nnx.Rngs], Any],
    problem: Problem,
    runs: Sequence[Run],
    *,
    steps: int,
    snapshots: int = 1,
    data: Any = None,
    start: Callable[[nnx.State, int], nnx.State] = lambda state, condition: state,
) -> Trained:
    """Train one network per seed and condition. Conditions of a seed start from the same weights and see the same inputs.

    Args:
        keys: one per seed, for weights and batches.
        build: makes a network from its `nnx.Rngs`.
        problem: what is learned.
        runs: the conditions, of one structure.
        steps: gradient steps.
        snapshots: equally spaced states to keep, besides the first; must divide `steps`.
        data: for `problem.draw`, arrays with a leading seed axis.
        start: changes the initial weights for a condition.

    Raises:
        ValueError: without a seed or condition, or if `snapshots` does not divide `steps`.
        TrainingDiverged: if a loss or a parameter is not finite.
    """
    check_at_least("number of seeds", len(keys))
    check_at_least("number of runs", len(runs))
    if steps < 1 or snapshots < 1 or steps % snapshots:
        raise ValueError(f"steps is {steps} and snapshots {snapshots}; snapshots must divide steps")
    graph, _ = initial_state(build, keys[0])
    first = stack([stack([start(state, c) for c in range(len(runs))]) for state in (initial_state(build, k)[1] for k in keys)])
    shown, losses = _train(graph, problem, first, stack(runs), _step_keys(jnp.stack(list(keys)), steps), data, steps, snapshots)
    losses = np.moveaxis(np.asarray(losses), 3, 1).reshape(len(keys), len(runs), steps)
    check_losses(losses.reshape(-1, steps))
    check_state(shown, 0, steps)
    states = jax.tree.map(lambda a, b: np.concatenate([a[:, :, None], np.moveaxis(np.asarray(b), 1, 2)], axis=2), first, shown)
    return Trained(graph, states, losses)


@partial(jax.jit, static_argnums=1)
def _step_keys(keys, steps):
    """`[seeds, steps]`, outside of the program that trains, to whose compilation another generator would add."""
    return jax.vmap(lambda key: jax.random.split(key, steps))(keys)


@partial(jax.jit, static_argnums=(0, 1, 6, 7))
def _train(graph, problem, params, runs, keys, data, steps, snapshots):
    """Snapshots `[seeds, snapshots, conditions, ...]` and losses `[seeds, snapshots, steps / snapshots, conditions]`.

    The parameters of a network are one vector here: optimisers are then a few operations, rather than a few for every layer.
    """
    unravel = ravel_pytree(jax.tree.map(lambda x: x[0, 0], params))[1]
    flat = lambda tree: ravel_pytree(tree)[0]  # noqa: E731
    runs = runs._replace(moves=jax.vmap(flat)(runs.moves))

    def update(vector, moments, run, batch, number):
        loss = lambda vector: problem.loss(nnx.merge(graph, unravel(vector)), batch, run.task, number)  # noqa: E731
        value, slope = jax.value_and_grad(loss)(vector)
        direction, moments = _blended(slope, moments, run.adam)
        return vector - run.rate[number] * run.moves * (direction + run.decay * vector), moments, value

    def of_seed(keys, vectors, data):
        def step(carry, inputs):
            number, key = inputs
            batch = problem.draw(key, data, number)
            vectors, moments, value = jax.vmap(update, (0, 0, 0, None, None))(*carry, runs, batch, number)
            return (vectors, moments), value

        def period(carry, inputs):
            carry, values = jax.lax.scan(step, carry, inputs)
            return carry, (carry[0], values)

        moments = jax.vmap(lambda vector: (MOMENTUM.init(vector), ADAM.init(vector)))(vectors)
        inputs = jnp.arange(steps).reshape(snapshots, -1), keys.reshape(snapshots, -1)
        shown, values = jax.lax.scan(period, (vectors, moments), inputs)[1]
        return jax.vmap(jax.vmap(unravel))(shown), values

    return jax.vmap(of_seed)(keys, jax.vmap(jax.vmap(flat))(params), data)


def _blended(slope, moments, adam):
    """The direction of SGD with momentum or that of Adam, whichever `adam` says: so both are one program."""
    by_momentum, first = MOMENTUM.update(slope, moments[0])
    by_adam, second = ADAM.update(slope, moments[1])
    return (1 - adam) * by_momentum + adam * by_adam, (first, second)


def scores(trained: Trained, problem: Problem, tasks: Any, fit: Any, test: Any, num_classes: int = 2) -> Scores:
    """Measure all networks at all snapshots.

    Args:
        trained: the networks.
        problem: whose `answer` reads them.
        tasks: of the conditions, stacked.
        fit, test: inputs on which regressions are fitted and tested, the same for all networks.
        num_classes: of the feature that has most.
    """
    both = jax.tree.map(lambda a, b: np.concatenate([a, b]), fit, test)  # one pass through the network, for the compiler's sake
    rows = len(jax.tree.leaves(fit)[0])
    found = _scores(trained.graph, problem.answer, num_classes, rows, trained.states, tasks, both)
    return Scores(*(np.asarray(x) for x in found))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _scores(graph, answer, num_classes, rows, states, tasks, inputs):
    def one(state, task):
        outputs, labels, predicted = answer(nnx.merge(graph, state), inputs, task)
        f, g = labels[:rows], labels[rows:]
        pairs = [(rep[:rows], rep[rows:]) for rep in outputs.hidden]
        explained = [variance_explained(a, f, b, g, num_classes=num_classes, denom=1.0) for a, b in pairs]
        return jnp.mean(predicted[rows:] == g, axis=0), jnp.stack(explained), jnp.stack([total_variance(*p) for p in pairs])

    def of_condition(states, task):
        return jax.lax.map(lambda state: one(state, task), states)

    return jax.vmap(jax.vmap(of_condition), (0, None))(states, tasks)


def most_likely(outputs: Outputs, classes: Int[AnyArray, " m"]) -> Int[Array, "n m"]:
    """Class of highest score."""
    return class_logits(outputs.logits, classes).argmax(-1)


def last_layer(trained: Trained, inputs: Any, conditions: Sequence[int], snapshot: int = -1) -> Float[np.ndarray, "seeds k n d"]:
    """Last representations of inputs by the networks of some conditions at one snapshot.

    Args:
        trained: networks that take inputs alone.
        inputs: the same for all networks.
        conditions: which, by number.
        snapshot: 0 before training, -1 at the end.
    """
    states = jax.tree.map(lambda x: x[:, list(conditions), snapshot], trained.states)
    return np.asarray(_last_layer(trained.graph, states, inputs))


@partial(jax.jit, static_argnums=0)
def _last_layer(graph, states, inputs):
    one = lambda state: nnx.merge(graph, state)(inputs).hidden[-1]  # noqa: E731
    return jax.vmap(jax.vmap(one))(states)


def adam_run(build: Callable[[nnx.Rngs], Any], task: Any, rate: float, steps: int) -> Run:
    """A run of Adam in which all parameters are trained, with a rate that falls as a cosine."""
    ones = jax.tree.map(np.ones_like, initial_state(build, jax.random.key(0))[1])
    return Run(task, cosine_rates(rate, steps)[:, 0], np.float32(1), np.float32(0), ones)

"""Training as an auto-decoder: a code per shape beside the networks. Section 3.3."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from quire.common.random import generator
from quire.common.train.auto_decoder import CodeTable, within
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, stack
from quire.naisr.baselines import BlackBox, OneDeformation, shape_loss
from quire.naisr.config import Training
from quire.naisr.loss import PAPER_WEIGHTS, LossWeights, ShapeBatch, naisr_loss
from quire.naisr.model import NAISR
from quire.naisr.starman import Samples

Model = NAISR | BlackBox | OneDeformation
LONGEST_CODE = 1.0


class AutoDecoder(nnx.Module):
    """A model of shapes and the codes of those that it learns from."""

    def __init__(self, model: Model, n_shapes: int, *, rngs: nnx.Rngs):
        self.model = model
        self.codes = CodeTable(n_shapes, model.latent, LONGEST_CODE, rngs=rngs)


class Task(NamedTuple):
    """What one run learns from.

    Attributes:
        samples: of every shape, `[n, Q, ...]`.
        c: covariates `[n, N]`; zeros for a model that must do without.
        ids: shapes of every step `[steps, B]`.
        rows: their points `[steps, B, P]`.
        weights: of the loss.
    """

    samples: Samples
    c: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    weights: LossWeights


class Step(NamedTuple):
    """What a step sees."""

    samples: Samples
    c: Array
    ids: Array
    epoch: Array
    weights: LossWeights


def make_task(samples: Samples, c: np.ndarray, training: Training, key: jax.Array, weights: LossWeights = PAPER_WEIGHTS) -> Task:
    """A task whose batches are drawn beforehand: half of a shape's points on the outline, a quarter uniform, a quarter near."""
    steps, batch, half = training.steps, training.batch_size, training.points // 2
    if training.points < 4 or training.points % 2:
        raise ValueError(f"points is {training.points}; it must be even, at least 4")
    pool, draw = samples.points.shape[1] // 4, generator(key)
    parts = [(0, 2 * pool, half), (2 * pool, 3 * pool, half // 2), (3 * pool, 4 * pool, half - half // 2)]
    rows = [draw.integers(low, high, (steps, batch, count), np.int32) for low, high, count in parts]
    ids = epoch_indices(key, len(c), batch, steps)
    numbers = LossWeights(*map(np.float32, weights))
    return Task(samples, np.asarray(c, np.float32), ids, np.concatenate(rows, axis=-1), numbers)


def pick(task: Task, step: Array | int) -> Step:
    """The shapes and points of a step, and how many passes over the shapes are behind it."""
    ids, rows = task.ids[step], task.rows[step]
    samples = Samples(*(x[ids[:, None], rows] for x in task.samples))
    epoch = step * ids.shape[0] // task.c.shape[0]
    return Step(samples, task.c[ids], ids, epoch, task.weights)


def full_loss(decoder: AutoDecoder, step: Step, key: jax.Array) -> Array:
    """`naisr_loss` of a batch, with noise for zero."""
    batch = _with_codes(decoder, step)
    return naisr_loss(decoder.model, batch, step.epoch, step.weights, key).total


def plain_loss(decoder: AutoDecoder, step: Step, key: jax.Array) -> Array:
    """`shape_loss` of a batch."""
    return shape_loss(decoder.model, _with_codes(decoder, step), step.epoch, step.weights)


def _with_codes(decoder: AutoDecoder, step: Step) -> ShapeBatch:
    points, sdf, normals, c = map(jnp.asarray, (*step.samples, step.c))
    return ShapeBatch(points, sdf, normals, c, decoder.codes(step.ids))


def optimiser(training: Training) -> optax.GradientTransformation:
    """Adam with one rate for networks and one for codes, which stay within their bound."""
    ratio = training.code_rate / training.learning_rate

    def scale(path, update):
        return -update * (ratio if "codes" in jax.tree_util.keystr(path) else 1.0)

    return optax.chain(
        optax.flatten(optax.scale_by_adam()),
        optax.stateless(lambda updates, params: jax.tree.map_with_path(scale, updates)),
        optax.scale_by_schedule(training.rate()),
        within(LONGEST_CODE),
    )


class Trained(NamedTuple):
    """Runs of one kind of model.

    Attributes:
        graph: of the auto-decoder.
        state: `[runs, ...]`.
        losses: `[runs, steps]`.
    """

    graph: nnx.GraphDef
    state: Any
    losses: Array


def train(
    build: Callable[[nnx.Rngs], Model],
    loss: Callable[[AutoDecoder, Step, jax.Array], Array],
    tasks: Sequence[Task],
    keys: Sequence[jax.Array] | jax.Array,
    training: Training,
) -> Trained:
    """One run for every task, all by one program.

    Args:
        build: makes the model.
        loss: `full_loss` or `plain_loss`.
        tasks: of one shape.
        keys: one a run; equal keys start from equal weights and codes.
        training: length and rates.
    """
    n_shapes = len(tasks[0].c)
    graph, state, losses = fit_seeds(
        lambda rngs: AutoDecoder(build(rngs), n_shapes, rngs=rngs),
        optimiser(training),
        loss,
        pick,
        stack(tasks),
        steps=training.steps,
        keys=jnp.stack(list(keys)),
    )
    return Trained(graph, state, losses)

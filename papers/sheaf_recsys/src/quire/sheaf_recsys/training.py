"""Training: runs of a model, each with its own seed, learning rate, penalty and length, by one compiled program."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from quire.common.checks import check_at_least, check_ids, check_positive
from quire.common.graphs.edges import Graph, bipartite, undirected
from quire.common.random import generator
from quire.common.retrieval.bpr import Interactions, bpr_loss, draw_bpr, embedding_penalty, interactions, unseen_item
from quire.common.train.seeds import Build, stack
from quire.common.train.shared_program import Run, start, train_chunk
from quire.sheaf_recsys.models import Encoder

Objective = Literal["bpr", "bce"]
Nodes = tuple[np.ndarray | Array, np.ndarray | Array, np.ndarray | Array]
"""Nodes that ask, a positive and a negative node for each."""

CHUNK_STEPS = 20
"""Steps a compiled call; runs of all lengths share the program."""
ADAM = optax.scale_by_adam()


@dataclass(frozen=True)
class Task:
    """What a model learns from: a graph and the pairs to rank above others.

    Attributes:
        graph: training edges, along which features travel.
        seen: for every node that asks, what may not be drawn as a negative.
        pairs: positives `[2, m]` to draw from uniformly, or None to draw a user first and one of its items then.
        offset: node of item 0: the number of users, or 0 for links.
    """

    graph: Graph
    seen: Interactions
    pairs: np.ndarray | None
    offset: int

    def sample(self, draw: np.random.Generator, shape: tuple[int, int]) -> Nodes:
        """Batches of nodes, int32 of this shape, drawn on the host."""
        if self.pairs is None:
            asking, positive, negative = draw_bpr(draw, self.seen, shape)
            return asking, positive + np.int32(self.offset), negative + np.int32(self.offset)
        edge, side = draw.integers(0, self.pairs.shape[1], shape), draw.integers(0, 2, shape)
        asking, positive = self.pairs[side, edge], self.pairs[1 - side, edge]
        starts = np.asarray(self.seen.starts)
        rank = draw.integers(0, self.seen.num_items - (starts[asking + 1] - starts[asking]))
        return asking, positive, unseen_item(self.seen, asking, rank)


def recommendation_task(user: np.ndarray, item: np.ndarray, num_users: int, num_items: int) -> Task:
    """Learn from interactions: a user uniformly, one of its items, one that it has not seen.

    Raises:
        ValueError: see `bipartite` and `interactions`.
    """
    return Task(bipartite(user, item, num_users, num_items), interactions(user, item, num_users, num_items), None, num_users)


def link_task(pairs: np.ndarray, num_nodes: int) -> Task:
    """Learn from edges: an edge uniformly, in either direction, and a node that is neither the first end nor its neighbour.

    Raises:
        ValueError: see `undirected` and `interactions`.
    """
    graph = undirected(pairs, num_nodes)
    nodes, (i, j) = np.arange(num_nodes), np.asarray(pairs)
    seen = interactions(np.concatenate([i, j, nodes]), np.concatenate([j, i, nodes]), num_nodes, num_nodes)
    return Task(graph, seen, np.asarray(pairs, np.int32), 0)


@dataclass(frozen=True)
class Setting:
    """Learning rate and weight of the embedding penalty.

    Raises:
        ValueError: for a rate that is not positive or a negative penalty.
    """

    learning_rate: float
    penalty: float

    def __post_init__(self):
        check_positive("learning_rate", self.learning_rate)
        if not self.penalty >= 0:
            raise ValueError(f"penalty is {self.penalty}; it must not be negative")


def batch_loss(
    model: Encoder,
    graph: Graph,
    batch: Nodes,
    key: jax.Array,
    penalty: Array | float,
    objective: Objective = "bpr",
) -> Array:
    """BPR, or cross-entropy of positives and negatives, plus `penalty` times the norms of the embeddings in the batch.

    Args:
        model: encoder of the nodes.
        graph: along whose edges features travel.
        batch: nodes that ask, positives, negatives.
        key: of dropout.
        penalty: lambda.
        objective: `"bpr"` or `"bce"`.

    Raises:
        ValueError: for another objective, no node, parts of different lengths, or a node that is not in the graph.
    """
    _check_objective(objective)
    sizes = {len(part) for part in batch}
    if len(sizes) != 1:
        raise ValueError(f"batch has parts of {sorted(sizes)} nodes; all three need the same number")
    for name, part in zip(("asking", "positive", "negative"), batch, strict=True):
        check_ids(name, part, graph.num_nodes)
    nodes = jnp.concatenate(batch)  # one gather, and one scatter of its derivative
    asking, positive, negative = jnp.split(model(graph, key)[nodes], 3)
    above, below = model.score(asking, positive), model.score(asking, negative)
    apart = jnp.mean(jax.nn.softplus(-above)) + jnp.mean(jax.nn.softplus(below)) if objective == "bce" else bpr_loss(above, below)
    return apart + penalty * embedding_penalty(*jnp.split(model.embedding[...][nodes], 3))


def _check_objective(objective: str) -> None:
    if objective not in get_args(Objective):
        raise ValueError(f"objective is {objective!r}; it must be 'bpr' or 'bce'")


def _of_chunks(objective: Objective) -> Callable[[Encoder, Any, Any], Array]:
    """`batch_loss` as `train_chunk` calls it: keys are numbers in the batch, graph and penalty are constants of the run."""

    def loss(model, batch, constants):
        *nodes, key = batch
        graph, penalty = constants
        return batch_loss(model, graph, tuple(nodes), jax.random.wrap_key_data(key), penalty, objective)

    return loss


LOSSES = {objective: _of_chunks(objective) for objective in get_args(Objective)}
"""One function each, so that runs share their program."""


def train(
    build: Build,
    task: Task,
    settings: list[Setting],
    keys: list[jax.Array],
    steps: list[int],
    *,
    batch_size: int,
    objective: Objective = "bpr",
) -> tuple[nnx.GraphDef, Any, np.ndarray]:
    """Train one model per entry of the lists with Adam, one after the other: the sums over edges fill the machine already.

    Args:
        build: makes a model from its `nnx.Rngs`.
        task: what to learn from.
        settings, keys, steps: of each run.
        batch_size: positives a step.
        objective: `"bpr"` or `"bce"`.

    Returns:
        Graph of the model, its parameters with a leading axis of runs, losses `[runs, max(steps)]`, zero after the end of a run.

    Raises:
        ValueError: if the lists differ in length, a number of steps or the batch size is below 1, the objective is unknown, or
            the model has another number of nodes than the graph.
        TrainingDiverged: naming the steps, if a loss, a parameter or a moment is not finite.
    """
    if not len(settings) == len(keys) == len(steps) or min(steps, default=0) < 1:
        raise ValueError(f"settings, keys and steps have {len(settings)}, {len(keys)}, {len(steps)} entries; steps are {steps}")
    check_at_least("batch_size", batch_size)
    _check_objective(objective)
    runs, losses = [], np.zeros((len(steps), max(steps)), np.float32)
    for row, setting, key, length in zip(losses, settings, keys, steps, strict=True):
        run, row[:length] = _train_one(build, task, setting, key, length, batch_size, objective)
        runs.append(run)
    return runs[0].graph, stack([run.params for run in runs]), losses


def _train_one(build, task: Task, setting: Setting, key: jax.Array, steps: int, batch_size: int, objective: Objective):
    """The run after its steps, and their losses."""
    run, draw, losses = start(build(nnx.Rngs(key)), ADAM), generator(key), []
    _check_nodes(run, task)
    constants = task.graph, np.float32(setting.penalty)
    for first in range(0, steps, CHUNK_STEPS):
        count = min(CHUNK_STEPS, steps - first)
        numbers = draw.integers(0, 2**32, (CHUNK_STEPS, *jax.random.key_data(key).shape), np.uint32)
        drawn = (*task.sample(draw, (CHUNK_STEPS, batch_size)), numbers)  # whole chunks: runs of all lengths start alike
        batches = tuple(part[:count] for part in drawn)
        rates = np.full((count, 1), setting.learning_rate)
        run, course = train_chunk(run, LOSSES[objective], batches, rates, constants, optimiser=ADAM, first_step=first)
        losses.append(course.losses)
    return run, np.concatenate(losses)


def _check_nodes(run: Run, task: Task) -> None:
    """JAX would read the last row in place of one that is missing."""
    rows = run.model.embedding[...].shape[0]
    if rows != task.graph.num_nodes:
        raise ValueError(f"build makes a model of {rows} nodes; the graph of the task has {task.graph.num_nodes}")


@partial(jax.jit, static_argnums=0)
def encode(skeleton: nnx.GraphDef, params: Any, graph: Graph) -> Array:
    """Vectors of the nodes for every run, `[runs, n, dim]`."""
    return jax.lax.map(lambda p: nnx.merge(skeleton, p)(graph), params)

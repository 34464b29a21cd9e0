"""Training: several runs of a model, each with its own seed, learning rate, penalty and length, in one compiled program."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from quire.common.checks import check_at_least
from quire.common.graphs.edges import Graph, bipartite, undirected
from quire.common.retrieval.bpr import Interactions, bpr_loss, embedding_penalty, interactions, sample_bpr, unseen_item
from quire.common.train.finite import check_losses, check_state
from quire.common.train.seeds import Build, initial_states, stack
from quire.sheaf_recsys.models import Encoder

Objective = Literal["bpr", "bce"]

CHUNK_STEPS = 100
"""Steps whose batches are drawn at once."""


@partial(jax.tree_util.register_dataclass, data_fields=["graph", "seen", "pairs"], meta_fields=["offset"])
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
    pairs: Array | None
    offset: int

    def sample(self, key: jax.Array, batch_size: int) -> tuple[Array, Array, Array]:
        """Nodes that ask, a positive and a negative node for each."""
        if self.pairs is None:
            asking, positive, negative = sample_bpr(key, self.seen, batch_size)
            return asking, positive + self.offset, negative + self.offset
        pick, turn, draw = jax.random.split(key, 3)
        edge = jax.random.randint(pick, (batch_size,), 0, self.pairs.shape[1], jnp.int32)
        side = jax.random.bernoulli(turn, 0.5, (batch_size,)).astype(jnp.int32)
        asking, positive = self.pairs[side, edge], self.pairs[1 - side, edge]
        degree = self.seen.starts[asking + 1] - self.seen.starts[asking]
        rank = jax.random.randint(draw, (batch_size,), 0, self.seen.num_items - degree, jnp.int32)
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
    return Task(graph, seen, graph.pairs, 0)


@dataclass(frozen=True)
class Setting:
    """Learning rate and weight of the embedding penalty."""

    learning_rate: float
    penalty: float


def batch_loss(
    model: Encoder,
    graph: Graph,
    batch: tuple[Array, Array, Array],
    key: jax.Array,
    penalty: Array | float,
    objective: Objective = "bpr",
) -> Array:
    """BPR, or cross-entropy of positives and negatives, plus `penalty` times the norms of the embeddings in the batch.

    Args:
        model: encoder of the nodes.
        graph: along whose edges features travel.
        batch: nodes that ask, positives, negatives; from `Task.sample`.
        key: of dropout.
        penalty: lambda.
        objective: `"bpr"` or `"bce"`.

    Raises:
        ValueError: for another objective.
    """
    if objective not in ("bpr", "bce"):
        raise ValueError(f"objective is {objective!r}; it must be 'bpr' or 'bce'")
    asking, positive, negative = batch
    out, start = model(graph, key), model.embedding[...]
    above, below = model.score(out[asking], out[positive]), model.score(out[asking], out[negative])
    apart = jnp.mean(jax.nn.softplus(-above)) + jnp.mean(jax.nn.softplus(below)) if objective == "bce" else bpr_loss(above, below)
    return apart + penalty * embedding_penalty(start[asking], start[positive], start[negative])


@partial(jax.jit, static_argnames=("count", "batch_size"))
def _draw(task: Task, keys: jax.Array, first: Array, *, count: int, batch_size: int) -> tuple[Array, Array, Array]:
    """Batches of `count` steps from `first` on, `[runs, count, batch_size]`: one program for all models."""

    def batch(key, number):
        return task.sample(jax.random.fold_in(key, number), batch_size)

    return jax.lax.map(lambda key: jax.lax.map(lambda number: batch(key, number), first + jnp.arange(count)), keys)


ADAM = optax.scale_by_adam()


@partial(jax.jit, static_argnames=("skeleton", "objective"))
def _advance(skeleton, state, batches, keys, rates, penalties, counts, graph, *, objective):
    """`counts` steps of every run, one run after the other: the sums over edges fill the machine already, and a traced length
    serves runs of all lengths."""

    def one(run):
        state, batches, key, rate, penalty, count = run
        dropout = jax.random.split(key, batches[0].shape[0])

        def body(number, carried):
            (params, moments), losses = carried
            batch = tuple(part[number] for part in batches)

            def loss(params):
                return batch_loss(nnx.merge(skeleton, params), graph, batch, dropout[number], penalty, objective)

            value, grads = jax.value_and_grad(loss)(params)
            updates, moments = ADAM.update(grads, moments, params)
            params = optax.apply_updates(params, jax.tree.map(lambda u: -rate * u, updates))  # each keeps its type
            return (params, moments), losses.at[number].set(value)

        return jax.lax.fori_loop(0, count, body, (state, jnp.zeros(batches[0].shape[0])))

    return jax.lax.map(one, (state, batches, keys, rates, penalties, counts))


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
    """Train one model per entry of the lists with Adam.

    Args:
        build: makes a model from its `nnx.Rngs`.
        task: what to learn from.
        settings, keys, steps: of each run.
        batch_size: positives a step.
        objective: `"bpr"` or `"bce"`.

    Returns:
        Graph of the model, its parameters with a leading axis of runs, losses `[runs, max(steps)]`, zero after the end of a run.

    Raises:
        ValueError: if the lists differ in length, a number of steps or the batch size is below 1, or the model has another number
            of nodes than the graph.
        TrainingDiverged: naming the run, if a loss, a parameter or a moment is not finite.
    """
    if not len(settings) == len(keys) == len(steps) or min(steps, default=0) < 1:
        raise ValueError(f"settings, keys and steps have {len(settings)}, {len(keys)}, {len(steps)} entries; steps are {steps}")
    check_at_least("batch_size", batch_size)
    keys = stack(keys)
    skeleton, params = initial_states(build, keys)
    _check_nodes(skeleton, params, task)
    rates, penalties = (jnp.array([getattr(s, name) for s in settings]) for name in ("learning_rate", "penalty"))
    state, losses = (params, jax.vmap(ADAM.init)(params)), []
    longest = max(steps)
    for first in range(0, longest, CHUNK_STEPS):
        count = min(CHUNK_STEPS, longest - first)
        batches = _draw(task, keys, jnp.array(first), count=count, batch_size=batch_size)
        counts = jnp.clip(jnp.array(steps) - first, 0, count)
        dropout = jax.vmap(jax.random.fold_in, (0, None))(keys, first)
        state, values = _advance(skeleton, state, batches, dropout, rates, penalties, counts, task.graph, objective=objective)
        losses.append(np.asarray(values))
    losses = np.concatenate(losses, axis=1)
    check_losses(losses)
    check_state({"params": state[0], "optimiser": state[1]}, 0, longest, of_seeds=True)
    return skeleton, state[0], losses


def _check_nodes(skeleton: nnx.GraphDef, params: Any, task: Task) -> None:
    """JAX would read the last row in place of one that is missing."""
    rows = nnx.merge(skeleton, params).embedding[...].shape[1]
    if rows != task.graph.num_nodes:
        raise ValueError(f"build makes a model of {rows} nodes; the graph of the task has {task.graph.num_nodes}")


@partial(jax.jit, static_argnums=0)
def encode(skeleton: nnx.GraphDef, params: Any, graph: Graph) -> Array:
    """Vectors of the nodes for every run, `[runs, n, dim]`."""
    return jax.lax.map(lambda p: nnx.merge(skeleton, p)(graph), params)

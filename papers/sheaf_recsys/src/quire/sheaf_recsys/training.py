"""Training: several runs of a model, each with its own seed, learning rate, penalty and length, in one compiled program."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from quire.common.graphs.edges import Graph, bipartite, undirected
from quire.common.retrieval.bpr import Interactions, bpr_loss, embedding_penalty, interactions, sample_bpr, unseen_item
from quire.common.train import TrainingDiverged

Build = Callable[[nnx.Rngs], nnx.Module]
Objective = Literal["bpr", "bce"]


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
    model: nnx.Module, task: Task, key: jax.Array, penalty: Array | float, batch_size: int, objective: Objective
) -> Array:
    """BPR, or cross-entropy of positives and negatives, plus `penalty` times the norms of the embeddings in the batch.

    Args:
        model: encoder with `embedding` and `score`.
        task: what to learn from.
        key: of the batch and of dropout.
        penalty: lambda.
        batch_size: positives, and as many negatives.
        objective: `"bpr"` or `"bce"`.

    Raises:
        ValueError: for another objective.
    """
    if objective not in ("bpr", "bce"):
        raise ValueError(f"objective is {objective!r}; it must be 'bpr' or 'bce'")
    draw, dropout = jax.random.split(key)
    asking, positive, negative = task.sample(draw, batch_size)
    out, start = model(task.graph, dropout), model.embedding[...]
    above, below = model.score(out[asking], out[positive]), model.score(out[asking], out[negative])
    if objective == "bpr":
        loss = bpr_loss(above, below)
    else:
        loss = jnp.mean(jax.nn.softplus(-above)) + jnp.mean(jax.nn.softplus(below))
    return loss + penalty * embedding_penalty(start[asking], start[positive], start[negative])


@partial(jax.jit, static_argnames=("skeleton", "batch_size", "max_steps", "objective"))
def _train(skeleton, params, keys, rates, penalties, steps, task, *, batch_size, max_steps, objective):
    """One run after the other: the sums over edges fill the machine already, and a traced length serves runs of all lengths."""
    adam = optax.scale_by_adam()

    def one(run):
        params, key, rate, penalty, steps = run

        def body(number, state):
            params, moments, losses = state

            def objective_of(params):
                model = nnx.merge(skeleton, params)
                return batch_loss(model, task, jax.random.fold_in(key, number), penalty, batch_size, objective)

            value, grads = jax.value_and_grad(objective_of)(params)
            updates, moments = adam.update(grads, moments, params)
            params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
            return params, moments, losses.at[number].set(value)

        start = (params, adam.init(params), jnp.zeros(max_steps))
        params, _, losses = jax.lax.fori_loop(0, steps, body, start)
        return params, losses

    return jax.lax.map(one, (params, keys, rates, penalties, steps))


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
        ValueError: if the lists differ in length or a number of steps is below 1.
        TrainingDiverged: if a loss is not finite.
    """
    if not len(settings) == len(keys) == len(steps) or min(steps, default=0) < 1:
        raise ValueError(f"settings, keys and steps have {len(settings)}, {len(keys)}, {len(steps)} entries; steps are {steps}")
    split = [nnx.split(build(nnx.Rngs(key))) for key in keys]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(state for _, state in split))
    rates, penalties = (jnp.array([getattr(s, name) for s in settings]) for name in ("learning_rate", "penalty"))
    params, losses = _train(
        split[0][0],
        params,
        jnp.stack(keys),
        rates,
        penalties,
        jnp.array(steps),
        task,
        batch_size=batch_size,
        max_steps=max(steps),
        objective=objective,
    )
    losses = np.asarray(losses)
    if not np.isfinite(losses).all():
        run, step = np.argwhere(~np.isfinite(losses))[0]
        raise TrainingDiverged(int(step), float(losses[run, step]))
    return split[0][0], params, losses


@partial(jax.jit, static_argnums=0)
def encode(skeleton: nnx.GraphDef, params: Any, graph: Graph) -> Array:
    """Vectors of the nodes for every run, `[runs, n, dim]`."""
    return jax.lax.map(lambda p: nnx.merge(skeleton, p)(graph), params)

"""Graph convolutional networks (Kipf and Welling 2017), many at once, trained on the part of a graph that matters."""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.graphs.edges import Graph
from quire.common.graphs.propagation import gcn_propagate
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator
from quire.common.train.finite import check_losses
from quire.relative_representations.citations import Citations


class GCN(NamedTuple):
    """Weights of an encoder `z = A relu(A x W1 + b1) W2 + b2` and a head `relu(z) W + b`; arrays may have leading axes."""

    w1: AnyArray
    b1: AnyArray
    w2: AnyArray
    b2: AnyArray
    w: AnyArray
    b: AnyArray


class Receptive(NamedTuple):
    """What training needs of a graph: the training nodes see their neighbours' neighbours, and nothing else has a derivative.

    Attributes:
        propagated: `A x` of the nodes within one step of a training node, `[near, words]`.
        adjacency: the normalised adjacency A between training nodes and these, `[train, near]`.
    """

    propagated: AnyArray
    adjacency: AnyArray


def glorot_gcn(key: jax.Array, sizes: tuple[int, int, int, int]) -> GCN:
    """Initial weights by Glorot and Bengio, biases 0; `sizes` are words, hidden, latent, classes. Drawn on the host."""
    draw, parts = generator(key), []
    for fan_in, fan_out in pairwise(sizes):
        bound = (6 / (fan_in + fan_out)) ** 0.5
        parts += [draw.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32), np.zeros(fan_out, np.float32)]
    return GCN(*parts)


def receptive_field(graph: Graph, words: Float[np.ndarray, "n words"], nodes: Int[np.ndarray, " train"]) -> Receptive:
    """The rows and the columns that latents of `nodes` depend on.

    Args:
        graph: all of it.
        words: features of all nodes.
        nodes: ids.
    """
    selected = np.zeros((graph.num_nodes, len(nodes)), np.float32)
    selected[nodes, np.arange(len(nodes))] = 1
    rows = np.asarray(gcn_propagate(graph, jax.device_put(selected))).T  # A is symmetric
    near = np.flatnonzero(rows.any(0))
    return Receptive(np.asarray(gcn_propagate(graph, jax.device_put(words)))[near], rows[:, near])


def latents_of(weights: GCN, field: Receptive) -> Float[Array, "n latent"]:
    """Latents of the nodes that a `Receptive` was made for."""
    hidden = jax.nn.relu(field.propagated @ weights.w1 + weights.b1[None])
    return jnp.asarray(field.adjacency) @ (hidden @ weights.w2) + weights.b2[None]


def train_gcns(
    start: GCN, rates: Float[np.ndarray, " models"], citations: Citations
) -> tuple[GCN, Float[np.ndarray, "models snapshots"]]:
    """AdamW on the training nodes, full batch, all networks side by side and each at its own rate.

    Args:
        start: initial weights with a leading axis.
        rates: learning rate of each.
        citations: graph, words, labels, split; snapshots and weight decay.

    Returns:
        Weights `[models, snapshots, ...]`, and the training losses of the steps that led to them.

    Raises:
        TrainingDiverged: naming the network, if a loss is not finite.
    """
    field = receptive_field(citations.graph, citations.words, citations.train)
    labels, decay = citations.labels[citations.train], citations.config.weight_decay
    state, kept, losses = _start(start), [], []
    for steps in np.diff([0, *citations.config.snapshots]):
        state, loss = _advance(state, steps, rates, field, labels, decay)
        kept.append(jax.tree.map(np.asarray, state[0]))
        losses.append(np.asarray(loss))
        check_losses(losses[-1][:, None])
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *kept), np.stack(losses, axis=1)


def _optimiser(decay: float | Array) -> optax.GradientTransformation:
    """AdamW's update is proportional to its rate, so that networks of different rates are one program."""
    return optax.adamw(1.0, weight_decay=decay)


@jax.jit
def _start(weights: GCN):
    return weights, jax.vmap(_optimiser(0.0).init)(weights)


@jax.jit
def _advance(state, steps, rates, field: Receptive, labels, decay):
    """`steps` more steps of every network; how many is an array, so that one program serves all snapshots."""
    tx = _optimiser(decay)

    def loss(weights):
        return smoothed_cross_entropy(jax.nn.relu(latents_of(weights, field)) @ weights.w + weights.b[None], labels)

    def one(weights, moments, rate):
        def step(_, carry):
            weights, moments, _ = carry
            value, gradient = jax.value_and_grad(loss)(weights)
            updates, moments = tx.update(gradient, moments, weights)
            return jax.tree.map(lambda w, u: w + rate * u, weights, updates), moments, value

        return jax.lax.fori_loop(0, steps, step, (weights, moments, jnp.zeros((), weights.w.dtype)))

    weights, moments, value = jax.vmap(one)(*state, rates)
    return (weights, moments), value


def all_latents(weights: GCN, citations: Citations) -> Float[np.ndarray, "models n latent"]:
    """Latents of all nodes by every network, one leading axis."""
    propagated = gcn_propagate(citations.graph, jax.device_put(citations.words))
    return np.asarray(_all_latents(weights, citations.graph, propagated))


@jax.jit
def _all_latents(weights: GCN, graph: Graph, propagated: Array) -> Array:
    def one(weights):
        hidden = jax.nn.relu(propagated @ weights.w1 + weights.b1[None])
        return gcn_propagate(graph, hidden @ weights.w2) + weights.b2[None]

    return jax.lax.map(one, weights)

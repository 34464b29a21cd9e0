"""What an epoch with influence costs: training, the direction of the validation cells, and the importances."""

import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.metrics.influence import tracin
from quire.common.random import generator
from quire.common.train.step import Weights, make_step, split_model
from quire.dain.cell_importance import cell_gradients
from quire.dain.completion import squared_error
from quire.dain.config import Scaling, Training
from quire.dain.entity_mlp import EntityMLP


class EpochCost(NamedTuple):
    """Seconds of an epoch at every size, and bytes that influence needs: streamed, and with all gradients stored."""

    seconds: list[float]
    streamed_bytes: list[int]
    stored_bytes: list[int]


Batches = tuple[Int[Array | np.ndarray, "_ batch modes"], Float[Array | np.ndarray, "_ batch"]]
"""Indices and values of cells, batch by batch."""


@partial(jax.jit, static_argnames=("graph", "training"))
def epoch(
    graph: nnx.GraphDef, training: Training, weights: Weights, opt_state: Any, train: Batches, validation: Batches, batches: Any
) -> tuple[Weights, Any, Float[Array, "_ batch"]]:
    """Weights and optimiser after an epoch, and the influence of the training cells at its start: one program for any size.

    Args:
        graph: of the network.
        training: for the learning rate.
        weights, opt_state: at the start.
        train, validation: cells.
        batches: how many of the training cells count, from the first on, and a quarter as many of the validation cells.
    """
    model = nnx.merge(graph, *weights.shown())
    step = make_step(graph, nnx.State({}), training.transformation(), squared_error)

    def gradients(cells, i):
        return cell_gradients(model, jax.tree.map(lambda x: x[i], cells))

    width = jax.eval_shape(lambda: gradients(train, 0)).shape[1]
    direction = jax.lax.fori_loop(0, batches // 4, lambda i, total: total + gradients(validation, i).sum(0), jnp.zeros(width))

    def body(i, carry):
        weights, opt_state, scores = carry
        scores = scores.at[i].set(tracin(gradients(train, i), direction))
        weights, opt_state, _ = step(weights, opt_state, jax.tree.map(lambda x: x[i], train), jax.random.key(0), i)
        return weights, opt_state, scores

    return jax.lax.fori_loop(0, batches, body, (weights, opt_state, jnp.zeros(train[1].shape)))


def epoch_costs(config: Scaling, key: jax.Array, epochs: int = 20) -> EpochCost:
    """Time an epoch at every size, the fastest of some repeats.

    Args:
        config: sizes and network.
        key: of cells and weights.
        epochs: whose gradients the stored form would keep.
    """
    model = EntityMLP((config.side,) * 3, config.layers, rngs=nnx.Rngs(key))
    graph, _, weights = split_model(model)
    training = Training(batch_size=config.batch_size)
    opt_state = training.transformation().init(weights.params)
    draw, most = generator(key), max(config.cells) // config.batch_size
    train, validation = (
        (
            jnp.asarray(draw.integers(0, config.side, (count, config.batch_size, 3), np.int32)),
            jnp.asarray(draw.standard_normal((count, config.batch_size), np.float32)),
        )
        for count in (most, most // 4)
    )
    times = [[] for _ in config.cells]
    for _ in range(1 + config.repeats):  # by turns, so that what else the machine does falls on all sizes; the first compiles
        for cells, of_size in zip(config.cells, times, strict=True):
            batches = np.int32(cells // config.batch_size)
            of_size.append(_seconds(partial(epoch, graph, training, weights, opt_state, train, validation, batches)))
    width = config.layers[-1]
    streamed = [4 * (cells + width) for cells in config.cells]
    stored = [4 * epochs * width * (cells + cells // 4) for cells in config.cells]
    return EpochCost([min(of_size[1:]) for of_size in times], streamed, stored)


def _seconds(call):
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start

"""What `quire bench rich_representations` times: a step of n episodes as one batched program, and one episode after the other."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator
from quire.rich_representations.paper import paper

WIDTH, BATCH, STEPS = 16, 64, 50

Weights = list[Float[Array, "..."]]


def _steps(weights: Weights, batches: tuple[Array, Array]) -> Weights:
    """Some steps of gradient descent of one perceptron."""

    def loss(weights, x, y):
        for w in weights[:-1]:
            x = jax.nn.relu(x @ w)
        return smoothed_cross_entropy(x @ weights[-1], y)

    def step(weights, batch):
        return jax.tree.map(lambda w, g: w - 0.1 * g, weights, jax.grad(loss)(weights, *batch)), None

    return jax.lax.scan(step, weights, batches)[0]


def side_by_side(weights: Weights, batches: tuple[Array, Array]) -> Weights:
    """All episodes under one `vmap`."""
    return jax.vmap(_steps)(weights, batches)


def one_by_one(weights: Weights, batches: tuple[Array, Array]) -> Weights:
    """The loop of whoever trains an episode at a time, compiled as well."""
    return jax.lax.map(lambda each: _steps(*each), (weights, batches))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """n episodes of perceptrons of 64-16-16-5, 50 steps each. Slopes of 1."""
    draw = generator(key)
    shapes = ((64, WIDTH), (WIDTH, WIDTH), (WIDTH, 5))
    weights = [jnp.asarray(draw.standard_normal((n, a, b), np.float32) / a**0.5) for a, b in shapes]
    x = jnp.asarray(draw.standard_normal((n, STEPS, BATCH, 64), np.float32))
    y = jnp.asarray(draw.integers(0, 5, (n, STEPS, BATCH)))
    args = weights, (x, y)
    return {"side by side": Case(side_by_side, args), "one by one": Case(one_by_one, args)}


paper.benchmark = Benchmark("Training episodes", size="episodes n", sizes=(8, 32, 128), cases=cases)

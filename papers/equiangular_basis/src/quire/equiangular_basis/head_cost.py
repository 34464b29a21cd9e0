"""What a head of very many classes costs: a training step of a linear head, and the same with fixed vectors."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from quire.common.metrics.cost import tree_bytes
from quire.common.random import generator
from quire.equiangular_basis.config import HeadCost
from quire.equiangular_basis.head import ebv_loss

Features = Float[Array, "batch d"]
Vectors = Float[Array, "classes d"]
Labels = Int[Array, " batch"]

SGD = optax.sgd(0.1, momentum=0.9)
TAU = 0.07


def fixed_step(vectors: Vectors, z: Features, labels: Labels) -> tuple[Array, Features]:
    """Loss of a head of fixed unit vectors, and its gradient by the features, which is all that the network needs."""

    def loss(z):
        unit = z / jnp.linalg.norm(z, axis=1, keepdims=True)
        return ebv_loss(unit @ vectors.T / TAU, labels, 0.1)

    return jax.value_and_grad(loss)(z)


def linear_step(weights: Vectors, momentum: Any, z: Features, labels: Labels) -> tuple[Array, Features, Vectors, Any]:
    """The same of a linear head without bias, and the step of SGD with momentum that its weights take."""
    value, (by_weights, by_z) = jax.value_and_grad(lambda w, z: ebv_loss(z @ w.T, labels, 0.1), argnums=(0, 1))(weights, z)
    updates, momentum = SGD.update(by_weights, momentum)
    return value, by_z, jnp.asarray(optax.apply_updates(weights, updates)), momentum


class Cost(NamedTuple):
    """Least milliseconds of a step, bytes that exist because the head learns, bytes of the vectors themselves."""

    milliseconds: float
    trainable_bytes: int
    vector_bytes: int


def draw(config: HeadCost, key: jax.Array) -> tuple[Vectors, Features, Labels]:
    """Unit class vectors, features and labels, float32; drawn at random, since time does not depend on the numbers."""
    rng = generator(key)
    vectors = rng.standard_normal((config.classes, config.dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    z = rng.standard_normal((config.batch, config.dim), dtype=np.float32)
    return jnp.asarray(vectors), jnp.asarray(z), jnp.asarray(rng.integers(0, config.classes, config.batch))


def head_costs(config: HeadCost, key: jax.Array) -> dict[str, Cost]:
    """Both heads on the same batch, by turns. Weights and momentum of the linear one are donated, as a training loop does."""
    vectors, z, labels = draw(config, key)
    fixed, linear = jax.jit(fixed_step), jax.jit(linear_step, donate_argnums=(0, 1))
    held = [jnp.array(vectors), SGD.init(vectors)]
    gradients = jax.eval_shape(linear_step, *held, z, labels)[2]
    trainable = tree_bytes(held[0]) + tree_bytes(held[1]) + tree_bytes([gradients])

    def step_linear():
        *outputs, held[0], held[1] = linear(*held, z, labels)
        return outputs, held

    times = {"EBV": [], "FC": []}
    for _ in range(1 + config.timings):  # the first compiles
        times["EBV"].append(_milliseconds(lambda: fixed(vectors, z, labels)))
        times["FC"].append(_milliseconds(step_linear))
    least = {name: min(values[1:]) for name, values in times.items()}
    return {"EBV": Cost(least["EBV"], 0, vectors.nbytes), "FC": Cost(least["FC"], trainable, vectors.nbytes)}


def _milliseconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return 1e3 * (time.perf_counter() - start)

"""Cheap tests that a candidate must pass before it is trained in earnest."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.evonorm import brute_force
from quire.evonorm.graph import Graph

SCALES = (1.0, 1e3, 1e-3)
"""Sizes of the normal inputs on which a candidate must be finite."""


def is_sound(graph: Graph, *, groups: int = 2, scales: Sequence[float] = SCALES) -> bool:
    """The structural test: the output depends on x, and is finite on normal inputs, ordinary, large and small.

    NumPy alone: nothing is compiled.

    >>> from quire.evonorm.graph import EVONORM_B0
    >>> is_sound(EVONORM_B0), is_sound(Graph([(0, 2, 3)])), is_sound(Graph([(7, 0, 0)]))
    (True, False, False)
    """
    if not graph.depends_on_input:
        return False
    graph = graph.simplify()
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 2 * groups)).astype(np.float32)
    v0, v1 = np.zeros(2 * groups, np.float32), np.ones(2 * groups, np.float32)
    return all(np.isfinite(brute_force.evaluate(graph, x * np.float32(s), v0, v1, groups=groups)).all() for s in scales)


def passes_quality(accuracies: Sequence[float], *, threshold: float = 0.2) -> bool:
    """The quality test: after a few steps, some network must have reached the threshold. A network that broke counts as NaN.

    >>> passes_quality([0.1, 0.3]), passes_quality([float("nan"), 0.1])
    (True, False)
    """
    return any(accuracy >= threshold for accuracy in accuracies)


def passes_stability(
    network: nnx.Module, images: np.ndarray, labels: np.ndarray, *, steps: int = 100, rate: float = 0.1, limit: float = 1e8
) -> bool:
    """The stability test: weights chosen to make gradients large do not make them larger than a limit.

    A network whose layers interpret a graph is compiled once for all graphs.

    Args:
        network: images to logits.
        images, labels: one batch.
        steps, rate, limit: of `gradient_norm_ascent`.
    """
    graph, params, rest = nnx.split(network, nnx.Param, ...)
    largest, _ = gradient_norm_ascent(graph, params, rest, (images, labels), steps=steps, rate=rate, limit=limit)
    return bool(largest <= limit)


@partial(jax.jit, static_argnames=("graph", "steps"))
def gradient_norm_ascent(
    graph: nnx.GraphDef, state: Any, rest: Any, batch: Any, *, steps: int = 100, rate: Any = 0.1, limit: Any = 1e8
) -> tuple[jax.Array, jax.Array]:
    """How large the gradient norm `||dL/dtheta||` gets when the weights ascend on it; traceable.

    Ascent takes steps of length `rate` along the gradient of the logarithm of the norm, and stays where the norm has passed the
    limit or has ceased to be finite.

    Args:
        graph, state, rest: of a network, from `nnx.split(network, nnx.Param, ...)`.
        batch: images and labels.
        steps: of ascent.
        rate: length of a step, a number.
        limit: where it is over, a number.

    Returns:
        The largest norm that was seen, NaN and infinity as infinity; and the norms `[steps + 1]`.
    """

    def log_norm(state):
        def loss(state):
            logits = nnx.merge(graph, state, rest, copy=True)(batch[0])
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean()

        return jnp.log(optax.global_norm(jax.grad(loss)(state)))

    def body(state, _):
        value, direction = jax.value_and_grad(log_norm)(state)
        length = optax.global_norm(direction)
        step = jnp.where((value < jnp.log(limit)) & jnp.isfinite(length) & (length > 0), rate / length, 0.0)
        moved = jax.tree.map(lambda p, d: p + jnp.where(step > 0, step * d, 0), state, direction)
        return moved, value

    _, values = jax.lax.scan(body, state, length=steps + 1)
    norms = jnp.exp(values)
    return jnp.max(jnp.where(jnp.isnan(norms), jnp.inf, norms)), norms

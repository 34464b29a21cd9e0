"""Heads alone, on features that stay: trajectories to compare optimisers by."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from quire.common.layers.class_heads import subspace_logits
from quire.common.losses.classification import smoothed_cross_entropy

Bases = Float[Array, "classes d k"]


def head_loss(
    subspaces: Bases, x: Float[Array, "n d"], labels: Integer[Array, " n"], gamma: float | Array = 25.0
) -> Float[Array, ""]:
    """Cross-entropy of the logits of subspaces."""
    return smoothed_cross_entropy(subspace_logits(x, subspaces, gamma), labels)


def trajectory(loss: Any, start: Any, tx: optax.GradientTransformation, batches: Any) -> tuple[Array, Any]:
    """Every step of an optimiser.

    Args:
        loss: `loss(parameters, *batch)`.
        start: parameters.
        tx: optimiser.
        batches: tuple of arrays `[steps, ...]`.

    Returns:
        The loss before each step `[steps]`, and the parameters after each `[steps, ...]`.

    >>> losses, points = trajectory(lambda p: p**2, jnp.array(1.0), optax.sgd(0.25), ())  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ValueError: scan got no values to scan over
    >>> losses, points = trajectory(lambda p, c: c * p**2, jnp.array(1.0), optax.sgd(0.25), (jnp.ones(2),))
    >>> losses.tolist(), points.tolist()
    ([1.0, 0.25], [0.5, 0.25])
    """

    def step(carry, batch):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (value, params)

    return jax.lax.scan(step, (start, tx.init(start)), batches)[1]


def off_manifold(subspaces: Float[Array, "*batch d k"]) -> Float[Array, "*batch"]:
    """`max |S^T S - I|`: how far a basis is from orthonormal.

    >>> print(f"{off_manifold(jnp.array([[1.0], [0.5]])):.2f}")
    0.25
    """
    gram = jnp.swapaxes(subspaces, -1, -2) @ subspaces
    identity = jnp.broadcast_to(jnp.eye(gram.shape[-1], dtype=gram.dtype), gram.shape)
    return jnp.abs(gram - identity).max((-2, -1))

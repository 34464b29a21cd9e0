"""Softmax among the entries that a mask allows."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def masked_softmax(scores: Float[Array, "*tokens m"], mask: Bool[Array, "*tokens m"]) -> Float[Array, "*tokens m"]:
    """Softmax over the last axis among the entries that `mask` allows, at least one entry; zeros where it allows none."""
    scores = jnp.where(mask, scores, -jnp.inf)
    top = jnp.max(scores, axis=-1, keepdims=True)
    exp = jnp.exp(scores - jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(exp, axis=-1, keepdims=True)
    return exp / jnp.where(total > 0, total, 1)

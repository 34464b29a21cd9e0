"""Triplet losses: an anchor is to be nearer to its positive than to its negative, by a margin."""

import jax.numpy as jnp
from jaxtyping import Array, Float

Rows = Float[Array, "n dim"]


def triplet_cosine(anchor: Rows, positive: Array, negative: Array, margin: float = 0.2) -> Float[Array, ""]:
    """Mean of `max(0, <a, n> - <a, p> + margin)`; the rows must have unit length for this to be about cosines.

    Raises:
        ValueError: if shapes differ, or there are no rows.

    >>> print(triplet_cosine(jnp.eye(2), jnp.eye(2), jnp.eye(2), 0.2))
    0.2
    """
    _check_alike(anchor, positive, negative)
    gap = jnp.sum(anchor * (negative - positive), axis=-1)
    return jnp.mean(jnp.maximum(gap + margin, 0))


def triplet_sqeuclidean(anchor: Rows, positive: Array, negative: Array, margin: float = 1.0) -> Float[Array, ""]:
    """Mean of `max(0, |a - p|^2 - |a - n|^2 + margin)`, squared distances.

    Raises:
        ValueError: if shapes differ, or there are no rows.

    >>> print(triplet_sqeuclidean(jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.zeros((1, 2)), 1.0))
    3.0
    """
    _check_alike(anchor, positive, negative)
    gap = jnp.sum((anchor - positive) ** 2, axis=-1) - jnp.sum((anchor - negative) ** 2, axis=-1)
    return jnp.mean(jnp.maximum(gap + margin, 0))


def _check_alike(anchor: Array, positive: Array, negative: Array) -> None:
    shapes = anchor.shape, positive.shape, negative.shape
    if len(set(shapes)) > 1 or not len(anchor):
        raise ValueError(f"anchor, positive and negative have shapes {shapes}; they need the same one, with rows")

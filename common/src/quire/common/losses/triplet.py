"""Triplet losses: an anchor is to be nearer to its positive than to its negative, by a margin."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from quire.common.checks import floating

Rows = Float[Array, "n dim"]
Weights = Float[Array, " n"] | Bool[Array, " n"] | None


def triplet_cosine(
    anchor: Rows, positive: Array, negative: Array, margin: float = 0.2, weights: Weights = None
) -> Float[Array, ""]:
    """Mean of `max(0, <a, n> - <a, p> + margin)`; the rows must have unit length for this to be about cosines.

    Args:
        anchor, positive, negative: a triplet a row.
        margin: m.
        weights: of the triplets in the mean, at least 0; equal ones by default. Without any weight there is no loss.

    Raises:
        ValueError: if shapes differ, or there are no rows.

    >>> print(triplet_cosine(jnp.eye(2), jnp.eye(2), jnp.eye(2), 0.2))
    0.2
    """
    _check_alike(anchor, positive, negative)
    anchor, positive, negative = floating(anchor, positive, negative)
    gap = jnp.sum(anchor * (negative - positive), axis=-1)
    return _mean(jnp.maximum(gap + margin, 0), weights)


def triplet_sqeuclidean(
    anchor: Rows, positive: Array, negative: Array, margin: float = 1.0, weights: Weights = None
) -> Float[Array, ""]:
    """Mean of `max(0, |a - p|^2 - |a - n|^2 + margin)`, squared distances.

    Args, Raises: as for `triplet_cosine`.

    >>> print(triplet_sqeuclidean(jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.zeros((1, 2)), 1.0))
    3.0
    """
    _check_alike(anchor, positive, negative)
    anchor, positive, negative = floating(anchor, positive, negative)
    gap = jnp.sum((anchor - positive) ** 2, axis=-1) - jnp.sum((anchor - negative) ** 2, axis=-1)
    return _mean(jnp.maximum(gap + margin, 0), weights)


def _mean(terms: Array, weights: Weights) -> Float[Array, ""]:
    if weights is None:
        return jnp.mean(terms)
    if weights.shape != terms.shape:
        raise ValueError(f"weights has shape {weights.shape}; it needs one number for each of {len(terms)} triplets")
    weights = weights.astype(terms.dtype)
    total = jnp.sum(weights)
    return jnp.sum(weights * terms) / jnp.where(total == 0, 1, total)


def _check_alike(anchor: Array, positive: Array, negative: Array) -> None:
    shapes = anchor.shape, positive.shape, negative.shape
    if len(set(shapes)) > 1 or not len(anchor):
        raise ValueError(f"anchor, positive and negative have shapes {shapes}; they need the same one, with rows")

"""The loss in loops, and the similarity with all gated keys written out: what the fast forms are held against."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.layers.nested import unit_rows


def gated_cosine_written_out(
    z: Float[Array, "batch dim"], keys: Float[Array, "n dim"], gate: Float[Array, "batch dim"]
) -> Float[Array, "batch n"]:
    """`gated_cosine` by an array of all keys behind all gates, `[batch, n, dim]`."""
    return jnp.einsum("id,ijd->ij", unit_rows(gate * z), unit_rows(gate[:, None] * keys[None]))


def supervised_contrast(
    z: Float[np.ndarray, "n dim"], labels: Int[np.ndarray, " n"], temperature: float, *, exclude_self: bool = False
) -> float:
    """SupCon's sum over positives, each against the negatives alone, pair by pair in Python.

    Args:
        z: embeddings.
        labels: their classes.
        temperature: T.
        exclude_self: whether a sample is no positive of its own.

    Returns:
        The mean over all positive pairs.
    """
    unit = [[x / math.sqrt(sum(v * v for v in row)) for x in row] for row in z.tolist()]
    score = [[sum(a * b for a, b in zip(p, q, strict=True)) / temperature for q in unit] for p in unit]
    terms = []
    for i, own in enumerate(labels):
        rest = sum(math.exp(score[i][k]) for k, other in enumerate(labels) if other != own)
        for j, other in enumerate(labels):
            if other == own and not (exclude_self and i == j):
                terms.append(-math.log(math.exp(score[i][j]) / (math.exp(score[i][j]) + rest)))
    return sum(terms) / len(terms)

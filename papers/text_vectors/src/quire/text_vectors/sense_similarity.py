"""Similarity of words that have several vectors, with and without a context; cosines on the scale `s = (1 + cos) / 2`."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quire.common.layers.nested import unit_rows

AnyArray = np.ndarray | Array


def sense_cosines(a: Float[AnyArray, "n S d"], b: Float[AnyArray, "n S d"]) -> Float[Array, "n S S"]:
    """s of every sense of the first word with every sense of the second.

    >>> print(sense_cosines(jnp.array([[[1.0, 0.0]]]), jnp.array([[[-1.0, 0.0]]])))
    [[[0.]]]
    """
    return (1 + jnp.einsum("nsd,ntd->nst", unit_rows(a), unit_rows(b))) / 2


def avg_sim(scores: Float[AnyArray, "n S S"], kept_a: Bool[AnyArray, "n S"], kept_b: Bool[AnyArray, "n S"]) -> Float[Array, " n"]:
    """avgSim: plain mean over pairs of kept senses; NaN where a word keeps none.

    >>> keeps = jnp.ones((1, 2), bool)
    >>> print(avg_sim(jnp.array([[[1.0, 0.0], [0.5, 0.5]]]), keeps, keeps))
    [0.5]
    """
    pairs = (kept_a[:, :, None] & kept_b[:, None]).astype(scores.dtype)
    count = pairs.sum((1, 2))
    return jnp.where(count > 0, jnp.sum(scores * pairs, (1, 2)) / jnp.maximum(count, 1), jnp.nan)


def weighted_sim(
    scores: Float[AnyArray, "n S S"], p_a: Float[AnyArray, "n S"], p_b: Float[AnyArray, "n S"]
) -> Float[Array, " n"]:
    """`sum_st p_s q_t s(s, t)`: avgSimP with the priors of kept senses (0 for the others), avgSimC with probabilities in context.

    >>> print(weighted_sim(jnp.array([[[1.0, 0.0], [0.5, 0.5]]]), jnp.array([[0.5, 0.5]]), jnp.array([[1.0, 0.0]])))
    [0.75]
    """
    return jnp.einsum("nst,ns,nt->n", scores, p_a, p_b)


def local_sim(scores: Float[AnyArray, "n S S"], p_a: Float[AnyArray, "n S"], p_b: Float[AnyArray, "n S"]) -> Float[Array, " n"]:
    """localSim: the likeliest sense of each word in its context, pruned or not.

    >>> print(local_sim(jnp.array([[[1.0, 0.2], [0.5, 0.5]]]), jnp.array([[0.9, 0.1]]), jnp.array([[0.3, 0.7]])))
    [0.2]
    """
    return scores[np.arange(len(scores)), p_a.argmax(1), p_b.argmax(1)]

"""Area under the receiver's curve inside of compiled functions."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating, is_concrete


def roc_auc(labels: Num[AnyArray, " n"], scores: Num[AnyArray, " n"]) -> Float[Array, ""]:
    """The share of pairs of a positive and a negative example in which the positive one has the higher score; ties count half.

    By one sort: a positive example beats the negatives before the first of its equals, and half of those among them.

    Args:
        labels: 0 or 1.
        scores: of any scale.

    Returns:
        NaN for a score that is NaN, and for traced labels that are all alike.

    Raises:
        ValueError: for lengths that differ, or labels that are all alike or neither 0 nor 1.

    >>> print(roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])))
    0.875
    """
    if labels.shape != scores.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(f"labels has shape {labels.shape} and scores {scores.shape}; they need one shape [n], n at least 1")
    if is_concrete(labels) and not np.array_equal(np.unique(np.asarray(labels)), (0, 1)):
        raise ValueError(f"labels has the values {np.unique(np.asarray(labels)).tolist()[:4]}; both 0 and 1 must occur")
    (scores,) = floating(scores)
    ordered, positive = jax.lax.sort((scores, jnp.asarray(labels, scores.dtype)), num_keys=1)
    place, last = jnp.arange(len(scores)), len(scores) - 1
    fresh = jnp.concatenate([jnp.ones(1, bool), ordered[1:] != ordered[:-1]])
    first = jax.lax.cummax(jnp.where(fresh, place, 0))
    final = jax.lax.cummin(jnp.where(jnp.roll(fresh, -1), place, last), reverse=True)
    negatives = jnp.cumsum(positive == 0)  # as integers: float32 counts to 2^24 only
    below = jnp.where(first > 0, negatives[first - 1], 0)
    total = jnp.asarray(negatives[-1], scores.dtype)
    beaten = (below + negatives[final]).astype(scores.dtype) / 2
    area = jnp.sum(positive * (beaten / total)) / positive.sum()
    return jnp.where(jnp.isnan(scores).any(), jnp.nan, area)

"""Importance of the entities: what the cells of an entity have together."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import check_ids, floating, is_concrete

Sign = Literal["abs", "positive", "signed_shift"]
"""What becomes of negative importances: `"abs"` drops the sign, as the authors do, `"positive"` sets them to 0, `"signed_shift"`
adds a constant to all, so that the smallest is 0."""


def unsigned(scores: Real[Array | np.ndarray, " cells"], mode: Sign = "abs") -> Float[Array, " cells"]:
    """Importances of cells as weights that are not negative.

    Raises:
        ValueError: for another mode, or scores that are not finite.

    >>> [unsigned(jnp.array([1.0, -2.0]), mode).tolist() for mode in ("abs", "positive", "signed_shift")]
    [[1.0, 2.0], [1.0, 0.0], [3.0, 0.0]]
    """
    if mode not in get_args(Sign):
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(get_args(Sign))}")
    (scores,) = floating(scores)
    if is_concrete(scores) and not np.isfinite(np.asarray(scores, np.float64)).all():
        raise ValueError("scores are not all finite; importances must be")
    if mode == "abs":
        return jnp.abs(scores)
    return jax.nn.relu(scores) if mode == "positive" else scores - jnp.min(scores, initial=jnp.inf)


def entity_importance(
    indices: Int[Array | np.ndarray, "cells modes"],
    scores: Real[Array | np.ndarray, " cells"],
    dims: Sequence[int],
    mode: Sign = "abs",
) -> list[Float[Array, " _"]]:
    """`a_k(j) = sum over the cells x with i_k = j of |I(x)|`, each mode divided by its sum.

    Args:
        indices: of the training cells.
        scores: their importances I.
        dims: sizes of the modes.
        mode: what becomes of the sign.

    Returns:
        A distribution `[I_k]` over the entities of every mode. Those without a training cell have probability 0.

    Raises:
        ValueError: if shapes do not fit, indices are out of range, scores are not finite, or nothing is left to divide by.

    References:
        Section 4.2.

    >>> cells = jnp.array([[0, 1], [0, 0], [2, 1]])
    >>> [a.tolist() for a in entity_importance(cells, jnp.array([1.0, -2.0, 1.0]), (3, 2))]
    [[0.75, 0.0, 0.25], [0.5, 0.5]]
    """
    if indices.ndim != 2 or indices.shape[1] != len(dims) or scores.shape != indices.shape[:1]:
        shapes = f"indices have shape {indices.shape} and scores {scores.shape}"
        raise ValueError(f"{shapes}; dims {tuple(dims)} need [cells, {len(dims)}] and [cells]")
    for k, size in enumerate(dims):
        check_ids(f"indices of mode {k}", indices[:, k], size)
    weights = unsigned(scores, mode)
    total = jnp.sum(weights)
    if is_concrete(total) and not total > 0:
        raise ValueError(f"scores add up to {total} by mode {mode!r}; no entity is left to draw")
    return [jax.ops.segment_sum(weights, jnp.asarray(indices)[:, k], size) / total for k, size in enumerate(dims)]

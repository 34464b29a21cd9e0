"""The second task: ordinary tokens' vectors, pooled over the vocabulary, are to name the words of the text.

References:
    Xiao et al., *RetroMAE v2*, 2022, section 3.2.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.checks import check_at_least, check_ids, floating, is_concrete


def bow_targets(
    ids: Int[Array | np.ndarray, "batch t"], lengths: Int[Array | np.ndarray, " batch"], vocab: int
) -> Float[Array, "batch vocab"]:
    """`y_v = 1 / n` for every word v of a text of n ordinary tokens, those between the first and the last.

    A word that occurs twice still has 1 / n, though it counts twice in n: the sum is at most 1.

    Args:
        ids: `[CLS] words [SEP] padding`.
        lengths: tokens of every text, the two specials included.
        vocab: number of ids.

    Raises:
        ValueError: for a text without ordinary tokens (its targets are NaN where lengths are traced), ids out of range, or
            lengths that do not fit.

    >>> print(bow_targets(jnp.array([[1, 4, 5, 4, 4, 2, 0]]), jnp.array([6]), 7))
    [[0.   0.   0.   0.   0.25 0.25 0.  ]]
    """
    check_at_least("vocab", vocab)
    check_ids("ids", ids, vocab)
    if lengths.shape != ids.shape[:1]:
        raise ValueError(f"lengths has shape {lengths.shape}; ids of shape {ids.shape} need {ids.shape[:1]}")
    known = np.asarray(lengths) if is_concrete(lengths) else np.array([3])
    if known.size and not 3 <= known.min() <= known.max() <= ids.shape[1]:
        raise ValueError(f"lengths is {lengths}; each must lie between 3, for one ordinary token, and {ids.shape[1]}")
    place = jnp.arange(ids.shape[1])[None]
    ordinary = (place > 0) & (place < lengths[:, None] - 1)
    row = jnp.broadcast_to(jnp.arange(len(ids))[:, None], ids.shape)
    there = jnp.zeros((len(ids), vocab), bool).at[row, jnp.where(ordinary, ids, vocab)].set(True, mode="drop")
    count = ordinary.sum(1, dtype=jnp.result_type(float))[:, None]
    return jnp.where(count > 0, there / jnp.maximum(count, 1), jnp.nan)


def pooled_places(mask: Bool[Array | np.ndarray, "batch t"]) -> Bool[Array, "batch t"]:
    """Places whose logits are pooled: all tokens but the first, the last special among them as in the authors' code.

    Raises:
        ValueError: for a text without such a place, where the mask can be looked at.
    """
    if is_concrete(mask) and not np.asarray(mask)[:, 1:].any(1).all():
        raise ValueError("mask leaves a text without a token behind the first; there is nothing to pool")
    return mask & (jnp.arange(mask.shape[1]) > 0)[None]


def ot_max_pool(logits: Real[Array, "batch t vocab"], mask: Bool[Array, "batch t"]) -> Float[Array, "batch vocab"]:
    """`mu_v = max_i z_iv` over the tokens behind the first.

    Args:
        logits: z, of every place.
        mask: which tokens there are.

    Raises:
        ValueError: for a text without a token behind the first (traced: minus infinity), or a mask that does not fit.

    >>> logits = jnp.array([[[9.0, 9.0], [1.0, 2.0], [3.0, 0.0], [7.0, 7.0]]])
    >>> print(ot_max_pool(logits, jnp.array([[True, True, True, False]])))
    [[3. 2.]]
    """
    if mask.shape != logits.shape[:2]:
        raise ValueError(f"mask has shape {mask.shape}; logits of shape {logits.shape} need {logits.shape[:2]}")
    (logits,) = floating(logits)
    return jnp.max(logits, axis=1, where=pooled_places(mask)[..., None], initial=-jnp.inf)


def bow_loss(pooled: Real[Array, "batch vocab"], targets: Real[Array | np.ndarray, "batch vocab"]) -> Float[Array, ""]:
    """`-mean_b sum_v y_v log softmax(mu)_v`.

    Args:
        pooled: mu.
        targets: y, not renormalised.

    Raises:
        ValueError: for shapes that differ, or no texts.

    >>> print(f"{bow_loss(jnp.zeros((1, 4)), jnp.array([[0.5, 0.25, 0.0, 0.0]])):.4f}")
    1.0397
    """
    if pooled.shape != targets.shape or pooled.size == 0:
        raise ValueError(f"targets has shape {targets.shape}; it needs that of pooled, {pooled.shape}, with at least one text")
    pooled, targets = floating(pooled, targets)
    pooled = pooled.astype(jnp.promote_types(pooled.dtype, jnp.float32))
    return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(pooled), axis=-1))

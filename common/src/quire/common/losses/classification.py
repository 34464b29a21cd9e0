"""Cross-entropy of class scores: with smoothed labels, and over the positions that a mask keeps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def smoothed_cross_entropy(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"], smoothing: float = 0.0
) -> Float[Array, ""]:
    """Mean of `-sum_c t_c log p_c` with targets `t = (1 - s) onehot(y) + s / C` (Szegedy et al. 2016, section 7).

    Args:
        logits: scores of `classes` classes; at least one row.
        labels: class of every row; one outside `0..classes - 1` makes the loss NaN, where it cannot raise.
        smoothing: s, in `[0, 1)`.

    Returns:
        The loss in nats, at least in float32.

    Raises:
        ValueError: for a smoothing outside `[0, 1)`, shapes that do not fit, or no rows.

    >>> print(smoothed_cross_entropy(jnp.zeros((2, 4)), jnp.array([0, 3])).round(4))
    1.3863
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must lie in [0, 1)")
    log_probs = _log_probabilities(logits, labels)
    picked = _picked(log_probs, labels)
    return -jnp.mean((1 - smoothing) * picked + smoothing * log_probs.mean(-1))


def masked_cross_entropy(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"], keep: Bool[Array, "*batch"]
) -> Float[Array, ""]:
    """Mean cross-entropy over the rows that `keep` marks; 0 when it marks none.

    Args:
        logits: scores of `classes` classes.
        labels: class of every row; those that are not kept may hold anything.
        keep: which rows count.

    Returns:
        The loss in nats, at least in float32.

    Raises:
        ValueError: if shapes do not fit, or there are no rows.

    >>> print(masked_cross_entropy(jnp.zeros((2, 4)), jnp.array([0, -1]), jnp.array([True, False])).round(4))
    1.3863
    """
    if keep.shape != labels.shape:
        raise ValueError(f"keep has shape {keep.shape}; it needs that of labels, {labels.shape}")
    log_probs = _log_probabilities(logits, labels)
    # masked rows get a class that exists, so that neither they nor their gradients are NaN
    picked = _picked(log_probs, jnp.where(keep, labels, 0))
    return -jnp.sum(jnp.where(keep, picked, 0.0)) / jnp.maximum(keep.sum(), 1)


def _log_probabilities(logits: Array, labels: Array) -> Array:
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape:
        raise ValueError(f"labels has shape {labels.shape}; it needs that of logits without the classes, {logits.shape[:-1]}")
    if labels.size == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits has shape {logits.shape}; it needs at least one row and one class")
    return jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))


def _picked(log_probs: Array, labels: Array) -> Array:
    """Log probability of each row's class; NaN for a class that does not exist, which indexing would clamp or wrap."""
    known = (labels >= 0) & (labels < log_probs.shape[-1])
    picked = jnp.take_along_axis(log_probs, jnp.where(known, labels, 0)[..., None], axis=-1)[..., 0]
    return jnp.where(known, picked, jnp.nan)

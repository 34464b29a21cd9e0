"""Losses over all granularities: the sum of the task's loss on every prefix."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Real

from quire.common.checks import check_positive, floating
from quire.common.layers.nested import check_sizes, truncate
from quire.common.losses.classification import smoothed_cross_entropy


def matryoshka_ce(
    logits: Real[Array, "sizes batch classes"],
    labels: Integer[Array, " batch"],
    weights: Real[Array, " sizes"] | Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> Float[Array, ""]:
    """`L = sum_m c_m CE(logits_m, y)`: a sum over the sizes, a mean over the batch (equation 1).

    Args:
        logits: of every size.
        labels: classes.
        weights: relative importance c_m, 1 by default; 1 for one size and 0 for the others trains FF-m.
        label_smoothing: s, targets `(1 - s) onehot(y) + s / C`.

    Returns:
        The loss in nats, at least in float32; NaN for a class that does not exist.

    Raises:
        ValueError: if there is not one weight a size, or as for `smoothed_cross_entropy`.

    >>> print(f"{matryoshka_ce(jnp.zeros((3, 2, 4)), jnp.array([0, 3])):.3f}")  # 3 log 4
    4.159
    """
    weights = _checked_weights(weights, len(logits))
    losses = jax.vmap(lambda x: smoothed_cross_entropy(x, labels, label_smoothing))(logits)
    return jnp.sum(weights.astype(losses.dtype) * losses)


def matryoshka_info_nce(
    za: Real[Array, "batch dim"],
    zb: Real[Array, "batch dim"],
    nesting: Sequence[int],
    temperature: float | Float[Array, ""] = 0.07,
    weights: Real[Array, " sizes"] | Sequence[float] | None = None,
) -> Float[Array, ""]:
    """Contrastive loss of two towers on every prefix, each prefix scaled to unit length by itself, summed over the sizes.

    `L = sum_m c_m (CE(A_m B_m^T / t, 1..n) + CE(B_m A_m^T / t, 1..n)) / 2` with `A_m, B_m` the normalised prefixes.

    Args:
        za, zb: embeddings of the two sides of every pair; the others of the batch are the negatives.
        nesting: the sizes.
        temperature: t.
        weights: c_m, 1 by default.

    Raises:
        ValueError: for sizes that do not increase or exceed the dimension, a temperature that is not positive, a number of
            weights that differs, shapes that differ, or no pair.

    >>> pairs = jnp.eye(4)
    >>> bool(matryoshka_info_nce(pairs, pairs, (2, 4)) < matryoshka_info_nce(pairs, pairs[::-1], (2, 4)))
    True

    References:
        Section 3, for ALIGN and BERT; the two directions are averaged, as in CLIP.
    """
    if za.shape != zb.shape:
        raise ValueError(f"za has shape {za.shape} and zb {zb.shape}; they need the same")
    za, zb = floating(za, zb)
    nesting = check_sizes(nesting, za.shape[-1])
    weights, pairs = _checked_weights(weights, len(nesting)), jnp.arange(len(za))
    check_positive("temperature", temperature)

    def of_size(m):
        scores = truncate(za, m) @ truncate(zb, m).T / temperature
        return (smoothed_cross_entropy(scores, pairs) + smoothed_cross_entropy(scores.T, pairs)) / 2

    losses = jnp.stack([of_size(m) for m in nesting])
    return jnp.sum(weights.astype(losses.dtype) * losses)


def _checked_weights(weights: Array | Sequence[float] | None, sizes: int) -> Array:
    if sizes < 1:
        raise ValueError("logits have no granularity; at least one is needed")
    weights = jnp.ones(sizes) if weights is None else jnp.asarray(weights)
    if weights.shape != (sizes,):
        raise ValueError(f"weights has shape {weights.shape}; it needs one number for each of {sizes} sizes")
    return weights

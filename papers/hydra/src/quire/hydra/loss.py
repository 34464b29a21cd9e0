"""The contrastive loss inside of the sub-space of a pair."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive
from quire.common.losses.contrastive import multi_positive_nce
from quire.hydra.pairing import pair_masks
from quire.hydra.similarity import GateMode, gated_cosine


def pair_loss(
    z: Num[AnyArray, "batch dim"],
    gate: Num[AnyArray, "batch dim"],
    y1: Int[AnyArray, " batch"],
    y2: Int[AnyArray, " batch"],
    *,
    keys: Num[AnyArray, "n dim"] | None = None,
    y_keys: Int[AnyArray, " n"] | None = None,
    temperature: Any = 0.1,
    mode: GateMode = "cosine",
    reduction: str = "pairs",
    exclude_self: bool = False,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """`-log(exp(s_ij / T) / (exp(s_ij / T) + sum_(k in N_i) exp(s_ik / T)))` over the positives j of every anchor i.

    Args:
        z: embeddings of a batch.
        gate: for each pair (y1, y2).
        y1, y2: class of every sample, and the class that it is to agree with.
        keys, y_keys: what the anchors are compared with, and its classes; the batch itself by default.
        temperature: T.
        mode: of `gated_cosine`.
        reduction: `"pairs"`, the mean over positive pairs, or `"rows"`, that of the means of every anchor.
        exclude_self: with identical pairs a sample is a positive of its own, as in the authors' code; True takes it out.
            Only where the keys are the batch.
        axis_name: axis of `vmap` or `shard_map` along which batches are split: keys are then those of all members, with
            gradients, and the loss is that of the whole batch.

    Raises:
        ValueError: if only one of keys and y_keys is given, a sample is to be excluded from other keys than the batch, for a
            temperature that is not positive, and as `gated_cosine`, `pair_masks` and `multi_positive_nce`.

    >>> z = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> print(f"{pair_loss(z, jnp.ones((3, 2)), jnp.array([0, 1, 2]), jnp.array([1, 0, 2])):.6f}")
    0.000115
    """
    check_positive("temperature", temperature)
    if (keys is None) != (y_keys is None) or (exclude_self and keys is not None):
        given = [name for name, x in (("keys", keys), ("y_keys", y_keys)) if x is not None]
        raise ValueError(f"given are {given}, exclude_self is {exclude_self}; keys and y_keys go together, without exclude_self")
    if keys is None or y_keys is None:
        keys, y_keys = z, y1
    if axis_name is not None:
        keys, y_keys = (jax.lax.all_gather(x, axis_name, tiled=True) for x in (keys, jnp.asarray(y_keys)))
    logits = gated_cosine(z, keys, gate, mode) / temperature
    return contrast(logits, y1, y2, y_keys, reduction=reduction, exclude_self=exclude_self, axis_name=axis_name)


def contrast(
    logits: Float[Array, "batch n"],
    y1: Int[AnyArray, " batch"],
    y2: Int[AnyArray, " batch"],
    y_keys: Int[AnyArray, " n"],
    *,
    reduction: str = "pairs",
    exclude_self: Any = False,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """`pair_loss` of logits that have been computed already; `exclude_self` may be traced, a number that is positive for True.

    Raises:
        ValueError: as `pair_masks` and `multi_positive_nce`.
    """
    positive, negative = pair_masks(y1, y2, y_keys)
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * len(logits)
    itself = jnp.arange(len(logits))[:, None] + first == jnp.arange(len(y_keys))[None]
    positive &= ~(itself & (jnp.asarray(exclude_self) > 0))
    loss = multi_positive_nce(logits, positive, negative, reduction)
    if axis_name is None:
        return loss
    if reduction == "rows":
        return jax.lax.pmean(loss, axis_name)
    pairs = positive.sum().astype(loss.dtype)
    return jax.lax.psum(loss * pairs, axis_name) / jnp.maximum(jax.lax.psum(pairs, axis_name), 1)

"""The losses: of BT^2, and of backward-compatible training (BCT), which it is compared with."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.bt2.head import BT2Out
from quire.common.checks import check_at_least, floating
from quire.common.layers.nested import unit_rows
from quire.common.losses.classification import smoothed_cross_entropy

LAMBDAS = (1.0, 10.0, 5.0)
"""Weights of matching the new vectors, of the old prototypes, and of matching the old vectors: the authors' on CIFAR-100."""


class BT2Losses(NamedTuple):
    """The four losses of BT^2, not weighted.

    Attributes:
        classification: cross-entropy of the logits.
        match_new: 1 - mean cosine of h and the vectors of an independently trained new model.
        influence: cross-entropy of b by the old prototypes.
        match_old: 1 - mean cosine of b and the old vectors.
    """

    classification: Float[Array, ""]
    match_new: Float[Array, ""]
    influence: Float[Array, ""]
    match_old: Float[Array, ""]


def matching_loss(vectors: Num[Array, "n dim"], targets: Num[Array, "n dim"]) -> Float[Array, ""]:
    """`1 - mean <x, t> / (|x| |t|)` over corresponding rows; a zero vector counts as cosine 0.

    Raises:
        ValueError: if the shapes differ, or there are no rows.

    >>> print(matching_loss(jnp.array([[3.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 0.0], [1.0, 0.0]])))
    0.5
    """
    if vectors.shape != targets.shape:
        raise ValueError(f"targets has shape {targets.shape}; it needs that of the vectors, {vectors.shape}")
    check_at_least("number of vectors", len(vectors))
    vectors, targets = floating(vectors, targets)
    return 1 - jnp.mean(jnp.sum(unit_rows(vectors) * unit_rows(targets), axis=-1))


def influence_loss(
    vectors: Num[Array, "n d_old"], labels: Int[Array, " n"], prototypes: Num[Array, "classes d_old"]
) -> Float[Array, ""]:
    """Cross-entropy of the logits `x Theta^T`: what the old model's pseudo-classifier thinks of the vectors.

    Raises:
        ValueError: if the sizes differ, or as `smoothed_cross_entropy`.

    >>> print(influence_loss(jnp.array([[1.0, 0.0]]), jnp.array([0]), jnp.zeros((4, 2))).round(4))
    1.3863
    """
    if vectors.shape[-1] != prototypes.shape[-1]:
        raise ValueError(f"prototypes has dimension {prototypes.shape[-1]}; the vectors have {vectors.shape[-1]}")
    vectors, prototypes = floating(vectors, prototypes)
    return smoothed_cross_entropy(vectors @ prototypes.T, labels)


def bt2_losses(
    out: BT2Out,
    labels: Int[Array, " n"],
    old: Num[Array, "n d_old"],
    new: Num[Array, "n d_new"],
    prototypes: Num[Array, "classes d_old"],
) -> BT2Losses:
    """The four losses one by one.

    Args:
        out: of `BT2Head`.
        labels: classes.
        old: vectors of the same images by the frozen old model.
        new: those by a frozen new model that was trained without regard to the old one.
        prototypes: see `class_prototypes`.

    Raises:
        ValueError: if shapes do not fit, or there are no rows.
    """
    return BT2Losses(
        smoothed_cross_entropy(out.logits, labels),
        matching_loss(out.new_part, new),
        influence_loss(unit_rows(out.compat), labels, prototypes),
        matching_loss(out.compat, old),
    )


def bt2_loss(
    out: BT2Out,
    labels: Int[Array, " n"],
    old: Num[Array, "n d_old"],
    new: Num[Array, "n d_new"],
    prototypes: Num[Array, "classes d_old"],
    lambdas: Sequence[float] | Float[Array, "3"] = LAMBDAS,
) -> Float[Array, ""]:
    """`CE(logits, y) + l_1 (1 - <phi'_new, h>) + l_2 CE(b Theta^T, y) + l_3 (1 - <phi_old, b>)`, means over the batch.

    b, h and the targets are scaled to length 1.

    Args:
        out, labels, old, new, prototypes: as for `bt2_losses`.
        lambdas: the three weights.

    Raises:
        ValueError: as `bt2_losses`; if there are not three weights.

    >>> one = jnp.array([[1.0, 0.0]])
    >>> out = BT2Out(logits=jnp.zeros((1, 2)), compat=one, new_part=one, embedding=one)
    >>> print(f"{bt2_loss(out, jnp.array([0]), old=-one, new=one, prototypes=jnp.zeros((2, 2)), lambdas=(1, 0, 5)):.4f}")
    10.6931
    """
    if len(lambdas) != 3:
        raise ValueError(f"lambdas has {len(lambdas)} numbers; it needs three")
    losses = bt2_losses(out, labels, old, new, prototypes)
    return losses.classification + sum(weight * loss for weight, loss in zip(lambdas, losses[1:], strict=True))


def bct_loss(
    logits: Num[Array, "n classes"],
    vectors: Num[Array, "n dim"],
    labels: Int[Array, " n"],
    prototypes: Num[Array, "classes d_old"],
    alpha: float | np.ndarray | Array = 10.0,
) -> Float[Array, ""]:
    """Backward-compatible training: `CE(logits, y) + alpha CE(x_(1..d_o) Theta^T, y)`.

    With vectors of d_o numbers this is BCT; with more, the naive use of extra dimensions.

    Args:
        logits: of the new classifier.
        vectors: x, of d_o numbers at least.
        labels: classes.
        prototypes: see `class_prototypes`.
        alpha: weight of the old pseudo-classifier.

    Raises:
        ValueError: if the vectors have fewer numbers than the prototypes, or shapes do not fit.

    >>> print(bct_loss(jnp.zeros((1, 2)), jnp.ones((1, 3)), jnp.array([0]), jnp.zeros((2, 2)), alpha=1.0).round(4))
    1.3863
    """
    return smoothed_cross_entropy(logits, labels) + alpha * influence_loss(vectors[:, : prototypes.shape[1]], labels, prototypes)

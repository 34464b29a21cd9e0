"""Losses of one layer's embeddings: AnglE, the weighted sum of CoSENT, in-batch negatives and angles, for pairs and for triplets.

References:
    Li and Li, *AnglE-optimized Text Embeddings*, 2023, arXiv 2309.12871.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real, Shaped

from quire.common.checks import check_positive, floating, is_concrete
from quire.common.layers.nested import unit_rows
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.losses.pair_ranking import angle_loss, cosent_loss, in_batch_negative_loss

BaseLoss = Callable[[Any, Any], Array]
"""`base(embeddings [rows, dim], labels) -> scalar`."""


@dataclass(frozen=True)
class AnglE:
    """`w_1 CoSENT + w_2 in-batch negatives + w_3 angle`; a part of weight 0 is not computed.

    The defaults are those of the authors' first releases; later ones have weights 0, 1, 0.02 and an angle scale of 20.

    Attributes:
        cosine, in_batch, angle: weights.
        cosine_scale, in_batch_scale, angle_scale: inverse temperatures.

    Raises:
        ValueError: for a negative weight, no positive one, or a scale that is not positive.

    >>> z = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(f"{AnglE(1.0, 0.0, 0.0, cosine_scale=1.0)(z, jnp.array([0.0, 1.0])):.4f}")
    1.3133
    """

    cosine: float = 1.0
    in_batch: float = 1.0
    angle: float = 1.0
    cosine_scale: float = 20.0
    in_batch_scale: float = 20.0
    angle_scale: float = 1.0

    def __post_init__(self):
        weights = self.cosine, self.in_batch, self.angle
        if min(weights) < 0 or not max(weights) > 0:
            raise ValueError(f"the weights are {weights}; none may be negative, and one must be positive")
        for name in ("cosine_scale", "in_batch_scale", "angle_scale"):
            check_positive(name, getattr(self, name))

    def __call__(self, embeddings: Float[Array, "rows dim"], labels: Shaped[Array, " pairs"]) -> Float[Array, ""]:
        """The loss of pairs in rows 2 i and 2 i + 1.

        Args:
            embeddings: any length.
            labels: how similar pairs are; only 0 and 1 where the in-batch part has a weight.

        Raises:
            ValueError: for other labels there, an odd dimension where the angle has a weight, or rows that do not fit the labels.
        """
        embeddings = widened(embeddings)
        total = jnp.zeros((), embeddings.dtype)
        if self.cosine:
            total += self.cosine * cosent_loss(embeddings, labels, self.cosine_scale)
        if self.in_batch:
            total += self.in_batch * in_batch_negative_loss(embeddings, _similar(labels), self.in_batch_scale)
        if self.angle:
            total += self.angle * angle_loss(embeddings, labels, self.angle_scale)
        return total


def _similar(labels: Shaped[Array, " pairs"]) -> Array:
    if is_concrete(labels) and not np.isin(np.asarray(labels), (0, 1)).all():
        raise ValueError("labels has others than 0 and 1; in-batch negatives are for these only, set in_batch=0 for grades")
    return labels == 1


class TripletAnglE(AnglE):
    """The same for triplets in rows 3 i, 3 i + 1, 3 i + 2: a text, one that follows from it, one that contradicts it.

    CoSENT and angle rank the pairs (text, follows) above (text, contradicts); the in-batch part is `triplet_contrastive_loss`.
    """

    def __call__(self, embeddings: Float[Array, "rows dim"], labels: Any = None) -> Float[Array, ""]:
        """The loss; labels are not looked at.

        Raises:
            ValueError: for rows that are no triplets, or an odd dimension where the angle has a weight.
        """
        embeddings = widened(embeddings)
        total = jnp.zeros((), embeddings.dtype)
        text, positive, negative = split_triplets(embeddings)
        sides = jnp.concatenate([text, text]), jnp.concatenate([positive, negative])
        pairs = jnp.stack(sides, axis=1).reshape(-1, embeddings.shape[1])
        ranked = jnp.repeat(jnp.array([1, 0]), len(text))
        if self.cosine:
            total += self.cosine * cosent_loss(pairs, ranked, self.cosine_scale)
        if self.in_batch:
            total += self.in_batch * triplet_contrastive_loss(embeddings, self.in_batch_scale)
        if self.angle:
            total += self.angle * angle_loss(pairs, ranked, self.angle_scale)
        return total


def triplet_contrastive_loss(embeddings: Float[Array, "rows dim"], scale: float = 20.0) -> Float[Array, ""]:
    """Each text is to find what follows from it among what follows from, or contradicts, any of the batch.

    `-mean_i log softmax_j(scale cos(a_i, [p; n]_j))_i`.

    Args:
        embeddings: triplets in rows 3 i, 3 i + 1, 3 i + 2.
        scale: inverse temperature.

    Raises:
        ValueError: for rows that are no triplets.

    >>> z = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(f"{triplet_contrastive_loss(z, 1.0):.4f}")
    0.3133
    """
    text, positive, negative = (unit_rows(x) for x in split_triplets(widened(embeddings)))
    scores = scale * text @ jnp.concatenate([positive, negative]).T
    return smoothed_cross_entropy(scores, jnp.arange(len(text)))


def split_triplets(embeddings: Float[Array, "rows dim"]) -> tuple[Array, Array, Array]:
    """Texts, what follows, what contradicts.

    Raises:
        ValueError: for no rows, or a number of them that 3 does not divide.
    """
    if len(embeddings) % 3 or len(embeddings) == 0:
        raise ValueError(f"embeddings has {len(embeddings)} rows; triplets need a positive multiple of 3")
    return embeddings[0::3], embeddings[1::3], embeddings[2::3]


def widened(embeddings: Real[Array, "*layers rows dim"]) -> Float[Array, "*layers rows dim"]:
    """Embeddings in float32 at least: half precision would be multiplied by the scales of the losses.

    >>> widened(jnp.ones((2, 2), jnp.bfloat16)).dtype.name
    'float32'
    """
    (z,) = floating(embeddings)
    return z.astype(jnp.promote_types(z.dtype, jnp.float32))

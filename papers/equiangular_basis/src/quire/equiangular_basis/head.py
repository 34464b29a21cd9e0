"""The head: logits by the cosine with fixed vectors, their loss, and the nearest vector (section 3.2)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive
from quire.common.layers.class_heads import FixedHead
from quire.common.layers.nested import unit_rows
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.retrieval.search import top_k_inner
from quire.equiangular_basis.coherence import as_vectors


class EBVHead(FixedHead):
    """`logits = <z / |z|, w_c> / tau` for fixed unit vectors w_c, one a class: a classifier without parameters.

    The network in front still ends in a linear map to d numbers, which learns. Logits differ by at most `(1 + alpha) / tau`
    between a class at its vector and another, alpha being the coherence; with tau too small for it the loss saturates.

    Args:
        vectors: `[classes, d]`, scaled to length 1.
        tau: temperature.

    Raises:
        ValueError: for fewer than two classes, a vector that is zero or not finite, or a temperature that is not positive.

    >>> head = EBVHead(jnp.array([[1.0, 0.0], [0.0, 1.0]]), tau=0.5)
    >>> head(jnp.array([[3.0, 0.0], [0.0, 0.0]])).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, vectors: Num[AnyArray, "classes d"], tau: float = 0.07):
        vectors = as_vectors("vectors", vectors)
        largest = np.abs(np.asarray(vectors)).max(1)
        if not (np.isfinite(largest).all() and largest.min() > 0):
            raise ValueError("vectors has a row that is zero or not finite; every class needs a direction")
        super().__init__(unit_rows(vectors), 1 / check_positive("tau", tau))

    def __call__(self, z: Num[Array, "*batch d"]) -> Float[Array, "*batch classes"]:
        """Logits of features, of pixels or boxes too; at least in float32, since a norm in 16 bits costs accuracy."""
        return super().__call__(z.astype(jnp.promote_types(z.dtype, jnp.float32)))


def ebv_loss(
    logits: Float[Array, "*batch classes"],
    labels: Int[Array, "*batch"] | Float[Array, "*batch classes"],
    smoothing: float = 0.0,
) -> Float[Array, ""]:
    """Cross-entropy of the logits; smoothing, 0.1 in the paper's recipe, spreads over all classes. See `smoothed_cross_entropy`.

    Args:
        logits: of `EBVHead`.
        labels: class of every row, or a distribution over classes, as mixtures of images have.
        smoothing: s.

    Raises:
        ValueError: as `smoothed_cross_entropy`.

    >>> logits = jnp.array([[2.0, 0.0]])
    >>> print(f"{ebv_loss(logits, jnp.array([0])):.4f} {ebv_loss(logits, jnp.array([[0.75, 0.25]])):.4f}")
    0.1269 0.6269
    """
    return smoothed_cross_entropy(logits, labels, smoothing)


def ebv_predict(z: Num[Array, "*batch d"], vectors: Num[AnyArray, "classes d"], block: int | None = None) -> Int[Array, "*batch"]:
    """Class of the nearest vector, `argmax_c <z, w_c>`: by the cosine with its sign, although sets are made by its magnitude.

    Args:
        z: features, of any length.
        vectors: one a class, of any length.
        block: classes scored at once, for very many; all by default.

    Returns:
        int32; -1 where a feature is NaN.

    Raises:
        ValueError: if the dimensions differ, or for fewer than two classes.

    >>> ebv_predict(jnp.array([[-2.0, 0.1], [0.0, 3.0]]), jnp.eye(2)).tolist()
    [1, 1]
    """
    vectors = as_vectors("vectors", vectors)
    z = z.astype(jnp.promote_types(z.dtype, vectors.dtype))
    if z.shape[-1] != vectors.shape[1]:
        raise ValueError(f"z has dimension {z.shape[-1]}; the vectors have {vectors.shape[1]}")
    rows = unit_rows(z.reshape(-1, z.shape[-1]))
    scores, classes = top_k_inner(rows, unit_rows(vectors), 1, block)
    return jnp.where(jnp.isnan(scores[:, 0]), -1, classes[:, 0]).reshape(z.shape[:-1])

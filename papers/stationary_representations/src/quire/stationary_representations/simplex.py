"""The fixed classifier: vectors of a d-Simplex, logits without a product, places for classes to come (section 3)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer, Num

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.layers.class_heads import FixedHead, simplex_vectors

EPS = 1e-8
"""What the authors add to the norm of a row before they divide by it."""


def simplex(num_classes: int) -> Float[np.ndarray, "classes classes-1"]:
    """K vectors of `R^(K-1)`, any two with the cosine `-1 / (K - 1)`: the rows of the fixed classifier W.

    Rows `e_1, .., e_(K-1)` and `(1 - sqrt K) / (K - 1) 1`, minus their mean, over their norm + 1e-8: as the authors have it, rows
    are shorter than 1 by about 1e-8. `quire.common.layers.class_heads.simplex_vectors` has them of length 1 exactly.

    Args:
        num_classes: K, classes to come included.

    Returns:
        float64 `[K, K - 1]`.

    Raises:
        ValueError: for fewer than two classes.

    References:
        Section 3; the authors' `dsimplex`.

    >>> print((simplex(3) @ simplex(3).T).round(6))
    [[ 1.  -0.5 -0.5]
     [-0.5  1.  -0.5]
     [-0.5 -0.5  1. ]]
    """
    vectors = simplex_vectors(num_classes)
    norm = np.sqrt(1 - 1 / num_classes)  # of every row before the division
    return norm / (norm + EPS) * vectors


def structured_simplex_logits(z: Num[Array, "*batch dim"], num_classes: int) -> Float[Array, "*batch classes"]:
    """`z W^T` for `W = simplex(K)` without W, in O(K) operations a row instead of O(K^2).

    With `s = sum_i z_i`: `[z_1 - s / (sqrt K (sqrt K + 1)), .., z_(K-1) - ..., -s / sqrt K] / (sqrt(1 - 1/K) + 1e-8)`.

    Args:
        z: features, `[..., K - 1]`; integers count as floats.
        num_classes: K.

    Returns:
        Logits `[..., K]` in the dtype of z.

    Raises:
        ValueError: for fewer than two classes, or features of another dimension than `K - 1`.

    >>> z = jnp.array([[1.0, 0.0], [0.0, -2.0]])
    >>> print(structured_simplex_logits(z, 3).round(3))
    [[ 0.966 -0.259 -0.707]
     [ 0.518 -1.932  1.414]]
    >>> bool(jnp.allclose(structured_simplex_logits(z, 3), z @ simplex(3).T.astype("float32"), atol=1e-6))
    True
    """
    check_at_least("num_classes", num_classes, 2)
    if z.ndim < 1 or z.shape[-1] != num_classes - 1:
        raise ValueError(f"z has shape {z.shape}; for {num_classes} classes it must end in {num_classes - 1} features")
    (z,) = floating(z)
    root, total = float(num_classes) ** 0.5, z.sum(-1, keepdims=True)
    centred = jnp.concatenate([z - total / (root * (root + 1)), -total / root], axis=-1)
    return centred / ((1 - 1 / num_classes) ** 0.5 + EPS)


class SimplexHead(FixedHead):
    """The fixed classifier, in place of the last layer: logits `z W^T` of features as they are, no scale, no bias.

    The network in front ends in K - 1 features. K counts the classes that may ever come; all models that are to be compatible
    have the same K.

    Args:
        num_classes: K.

    Raises:
        ValueError: for fewer than two classes; when called, for features of another dimension than `K - 1`.

    >>> head = SimplexHead(4)
    >>> head(2 * head.weights[...]).argmax(1).tolist()
    [0, 1, 2, 3]
    """

    def __init__(self, num_classes: int):
        super().__init__(simplex(num_classes))

    def __call__(self, z: Num[Array, "*batch dim"]) -> Float[Array, "*batch classes"]:
        """Logits of all classes, by `structured_simplex_logits`."""
        return structured_simplex_logits(z, self.weights.shape[0])


def slot(
    labels: Integer[np.ndarray, "*batch"] | Integer[Array, "*batch"], num_slots: int, reverse: bool = True
) -> Int[np.ndarray, "*batch"] | Int[Array, "*batch"]:
    """Row of the classifier for every class: from the end, `K - 1 - y`, or from the beginning, `y`.

    What is learned here is written from the end and what is learned elsewhere from the beginning, so that models share one
    classifier and their classes do not collide.

    Args:
        labels: y, integers from 0 on.
        num_slots: K.
        reverse: from the end.

    Returns:
        int32, of the shape and kind of the labels.

    Raises:
        ValueError: for labels that are no integers in `0 .. K - 1`.

    >>> slot(np.array([0, 1]), 1024).tolist(), slot(np.array([0, 1]), 1024, reverse=False).tolist()
    ([1023, 1022], [0, 1])
    """
    check_at_least("num_slots", num_slots)
    labels = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    check_ids("labels", labels, num_slots)
    labels = labels.astype(np.int32)
    return num_slots - 1 - labels if reverse else labels

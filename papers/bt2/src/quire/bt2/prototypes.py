"""The pseudo-classifier: the old model's mean vector of every class, those it was not trained on included."""

import warnings

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_ids, floating, is_concrete


def class_prototypes(
    features: Num[np.ndarray | Array, "n d_old"], labels: Int[np.ndarray | Array, " n"], num_classes: int
) -> Float[Array, "classes d_old"]:
    """Theta: the mean of the old model's vectors of every class, over the training images of the new model.

    Args:
        features: old vectors, as the old model gives them; means are not scaled to length 1.
        labels: classes of the images.
        num_classes: how many there are now.

    Returns:
        One row a class; zeros, and a warning, for a class without an image.

    Raises:
        ValueError: for labels out of range, or not one for every vector.

    >>> print(class_prototypes(jnp.array([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]]), jnp.array([0, 0, 1]), 2))
    [[0.5 0.5]
     [4.  4. ]]
    """
    check_at_least("num_classes", num_classes)
    if labels.shape != features.shape[:1] or features.ndim != 2:
        raise ValueError(f"labels has shape {labels.shape}; it needs one class for each of the vectors {features.shape}")
    check_ids("labels", labels, num_classes)
    (features,) = floating(features)
    features = features.astype(jnp.promote_types(features.dtype, jnp.float32))  # 16 bits do not count beyond a few hundred
    member = (jnp.arange(num_classes)[:, None] == jnp.asarray(labels)[None]).astype(features.dtype)
    count = member.sum(1, keepdims=True)
    if is_concrete(count) and not np.all(count):
        absent = np.flatnonzero(np.asarray(count) == 0)
        warnings.warn(f"no image of the classes {absent.tolist()}; their prototypes are zero", stacklevel=2)
    return member @ features / jnp.maximum(count, 1)

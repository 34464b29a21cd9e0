"""How much the features of one class differ among each other."""

import numpy as np
from jaxtyping import Float, Integer, Real


def intra_class_angle(features: Real[np.ndarray, "n dim"], labels: Integer[np.ndarray, " n"]) -> float:
    """Mean angle between a feature and the mean direction of its class, in radians.

    `angle(f, m_y)` with `m_c` the mean of `f / |f|` over class c, from the length of the chord between unit vectors, which keeps
    small angles exact; float64. A feature that is zero, or of a class whose mean is, stands at a right angle to it.

    Args:
        features: one example a row.
        labels: class of every row.

    Returns:
        Mean over all examples, in `[0, pi]`; NaN where a feature is.

    Raises:
        ValueError: without rows, or if there is not one label for every row.

    >>> turned = np.array([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    >>> print(f"{intra_class_angle(turned, np.array([0, 0, 1])):.4f}")
    0.5236
    """
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or len(features) == 0 or labels.shape != (len(features),):
        raise ValueError(
            f"features and labels have shapes {features.shape} and {labels.shape}; there must be rows, a label for each"
        )
    _, own = np.unique(labels, return_inverse=True)
    unit = directions(features)
    means = np.zeros((own.max() + 1, features.shape[1]))
    np.add.at(means, own, unit)
    means = directions(means)[own]
    angles = 2 * np.arcsin(np.clip(np.linalg.norm(unit - means, axis=1) / 2, 0, 1))
    lost = ~unit.any(axis=1) | ~means.any(axis=1)
    return float(np.where(lost, np.pi / 2, angles).mean())


def directions(features: Real[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    """Rows of unit length, float64; a row of zeros stays.

    >>> directions(np.array([[0.0, 2.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    features = np.asarray(features, np.float64)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length == 0, 1, length)

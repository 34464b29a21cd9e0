"""Agreement of two partitions: normalised mutual information and the adjusted Rand index, by scikit-learn."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from quire.common.arrays import AnyArray

Labels = Int[AnyArray, " _"]


def nmi(a: Labels | Sequence[int], b: Labels | Sequence[int]) -> float:
    """Normalised mutual information, `I(a; b) / ((H(a) + H(b)) / 2)`, between 0 and 1, whatever the groups are called.

    A single group says nothing: the value is 0 if only one of the partitions has more, and 1 if neither has.

    Raises:
        ValueError: if there are not as many labels in both, none, or they are no whole numbers.

    >>> nmi([0, 0, 1, 1], [3, 3, 2, 2]), nmi([0, 0, 1, 1], [0, 0, 0, 0])
    (1.0, 0.0)
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_checked(a, b)))


def adjusted_rand_index(a: Labels | Sequence[int], b: Labels | Sequence[int]) -> float:
    """Share of pairs on which two partitions agree, so adjusted that chance has 0 and equality 1.

    Raises:
        ValueError: as `nmi`.

    >>> adjusted_rand_index([0, 0, 1, 1], [1, 1, 0, 0]), adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1])
    (1.0, -0.5)
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_checked(a, b)))


def _checked(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; they need one label for each of the same items, at least one")
    for name, x in (("a", a), ("b", b)):
        if not (np.issubdtype(x.dtype, np.integer) or x.dtype == bool):
            raise ValueError(f"{name} has dtype {x.dtype}; labels are whole numbers")
    return a, b

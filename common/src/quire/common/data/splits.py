"""Random splits into training, validation and test parts."""

import numpy as np

Fractions = tuple[float, float, float]


def random_parts(count: int, fractions: Fractions, rng: np.random.Generator) -> list[np.ndarray]:
    """Indices of a random split.

    Args:
        count: of what is split.
        fractions: of training, validation and test.
        rng: of the shuffle, one permutation.

    Returns:
        Three int arrays that hold every index below `count` once.

    Raises:
        ValueError: if the fractions do not sum to 1, or a part ends up empty.

    >>> [part.tolist() for part in random_parts(5, (0.6, 0.2, 0.2), np.random.default_rng(0))]
    [[2, 4, 3], [0], [1]]
    """
    if not (len(fractions) == 3 and min(fractions) > 0 and abs(sum(fractions) - 1) <= 1e-9):
        raise ValueError(f"fractions is {fractions}; it must be three positive numbers with sum 1")
    ends = np.rint(np.cumsum(fractions) * count).astype(int)
    parts = np.split(rng.permutation(count), ends[:2])
    if not all(map(len, parts)):
        raise ValueError(f"{count} of them leave an empty part with fractions {fractions}; give more")
    return parts

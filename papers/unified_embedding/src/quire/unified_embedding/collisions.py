"""How many pairs of values meet in a row: expected, and counted over hash functions."""

import numpy as np

from quire.common.layers.hashing import count_collisions, expected_collisions
from quire.unified_embedding.allocation import equal, multiplexed, row_index, split


def collision_stats(sizes: tuple[int, ...], rows: int) -> dict[str, float]:
    """Expected pairs of values that share a row: of any features and within them in one table, and in separate ones of `M / T`.

    >>> {name: round(x, 1) for name, x in collision_stats((4, 2), 2).items()}
    {'all pairs, shared': 7.5, 'within features, shared': 3.5, 'within features, separate': 7.0}
    """
    parts = equal(sizes, rows)
    return {
        "all pairs, shared": expected_collisions(sum(sizes), rows),
        "within features, shared": expected_collisions(sizes, rows),
        "within features, separate": sum(expected_collisions(size, m) for size, m in zip(sizes, parts, strict=True) if m < size),
    }


def collision_counts(sizes: tuple[int, ...], rows: int, draws: int, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """The same counted, `[draws]` each, for as many families of hash functions. Values with a row each do not collide."""
    feature = np.repeat(np.arange(len(sizes)), sizes)
    found: dict[str, list[int]] = {name: [] for name in collision_stats(sizes, rows)}
    for seed in draw.integers(0, 2**63, draws):
        together = row_index(sizes, multiplexed(sizes, rows), seed=int(seed))[:, 0]
        apart = row_index(sizes, split(equal(sizes, rows)), seed=int(seed))[:, 0]
        counts = count_collisions(together), count_collisions(together + rows * feature), count_collisions(apart)
        for name, count in zip(found, counts, strict=True):
            found[name].append(count)
    return {name: np.array(x, float) for name, x in found.items()}

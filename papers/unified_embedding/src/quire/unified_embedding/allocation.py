"""Where features may put their values: all of them anywhere in one table, or each in a part of its own, and how large a part."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from quire.common.checks import check_at_least
from quire.common.layers.hashing import hash_bucket
from quire.unified_embedding.multiplexing import Salts, feature_salts


class Region(NamedTuple):
    """Rows of a table that a feature may use: `offset .. offset + rows - 1`. `shared` if other features may use them too."""

    offset: int
    rows: int
    shared: bool = False


def multiplexed(sizes: Sequence[int], rows: int) -> list[Region]:
    """The whole table for every feature.

    Args:
        sizes: of the vocabularies.
        rows: of the table.
    """
    _check(sizes, rows, 1)
    return [Region(0, rows, True) for _ in sizes]


def split(rows: Sequence[int]) -> list[Region]:
    """Parts one after the other.

    >>> split([3, 1])
    [Region(offset=0, rows=3, shared=False), Region(offset=3, rows=1, shared=False)]
    """
    _check(rows, sum(rows), 1)
    return [Region(int(end - count), int(count)) for end, count in zip(np.cumsum(rows), rows, strict=True)]


def equal(sizes: Sequence[int], rows: int) -> list[int]:
    """Rows of each feature: `M / T`, the first ones a row more where that is no whole number."""
    _check(sizes, rows, len(sizes))
    return [rows // len(sizes) + (t < rows % len(sizes)) for t in range(len(sizes))]


def proportional(sizes: Sequence[int], rows: int) -> list[int]:
    """Rows of each feature: `M |V_t| / sum |V|`, by largest remainders, at least one.

    >>> proportional([100, 50, 2], 15)
    [9, 5, 1]
    """
    _check(sizes, rows, len(sizes))
    ideal = np.asarray(sizes, float) / sum(sizes) * (rows - len(sizes))  # beyond the row that each has anyhow
    given = np.floor(ideal).astype(int)
    most = np.argsort(given - ideal, kind="stable")[: rows - len(sizes) - given.sum()]
    given[most] += 1
    return (given + 1).tolist()


def water_filled(sizes: Sequence[int], rows: int) -> list[int]:
    """Rows of each feature: small vocabularies whole, the rest in proportion.

    Small is what fits an equal share; what it leaves makes the shares of the others larger, until none fits any more.

    >>> water_filled([100, 50, 2], 17)
    [10, 5, 2]
    """
    _check(sizes, rows, len(sizes))
    whole: set[int] = set()
    while len(whole) < len(sizes):
        share = (rows - sum(sizes[t] for t in whole)) / (len(sizes) - len(whole))
        fits = {t for t in range(len(sizes)) if t not in whole and sizes[t] <= share}
        if not fits:
            break
        whole |= fits
    rest = [t for t in range(len(sizes)) if t not in whole]
    left = rows - sum(sizes[t] for t in whole)
    others = dict(zip(rest, proportional([sizes[t] for t in rest], left), strict=True)) if rest else {}
    return [others.get(t, int(sizes[t])) for t in range(len(sizes))]


ALLOCATIONS = {"proportional": proportional, "equal": equal, "water-filled": water_filled}


def _check(sizes: Sequence[int], rows: int, least: int) -> None:
    if not len(sizes) or min(sizes) < 1:
        raise ValueError(f"sizes is {tuple(sizes)}; it needs one number a feature, each at least 1")
    check_at_least("rows", rows, least)


def value_rows(size: int, region: Region, salts: Sequence[int]) -> Int[np.ndarray, "size lookups"]:
    """The rows of every value of one feature: hashed into its region, or one by one where the region is its own and they fit."""
    values = np.arange(size)
    if region.rows >= size and not region.shared:
        return np.tile(region.offset + values[:, None], len(salts)).astype(np.int32)
    return np.stack([region.offset + hash_bucket(values, salt, region.rows) for salt in salts], axis=1).astype(np.int32)


def row_index(
    sizes: Sequence[int], regions: Sequence[Region], lookups: int = 1, seed: int = 0
) -> Int[np.ndarray, "values lookups"]:
    """The rows of all values of all features, counted through: a table of them serves every example.

    Args:
        sizes: of the vocabularies.
        regions: of the features.
        lookups: rows of each value.
        seed: of the hash functions.

    Raises:
        ValueError: if there is not one region for each feature, or a number is below 1.

    >>> row_index([2, 3], split([2, 2])).T.tolist()
    [[0, 1, 2, 3, 3]]
    """
    _check(sizes, 1, 1)
    if len(regions) != len(sizes):
        raise ValueError(f"there are {len(regions)} regions; {len(sizes)} features need one each")
    salts: Salts = feature_salts([lookups] * len(sizes), seed)
    return np.concatenate([value_rows(*each) for each in zip(sizes, regions, salts, strict=True)])

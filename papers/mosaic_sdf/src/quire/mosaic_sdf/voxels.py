"""The other representation: one grid of signed distances, cut into patches that a transformer with positions generates."""

import numpy as np
from jaxtyping import Array, Num


def to_patches(values: Num[Array | np.ndarray, "*batch s s s"], patch: int) -> Num[Array | np.ndarray, "*batch n d"]:
    """`(s / patch)^3` rows of `patch^3` values each, the last axis of space fastest in both.

    Raises:
        ValueError: unless patch divides the side.

    >>> to_patches(np.arange(64).reshape(4, 4, 4), 2)[0].tolist()
    [0, 1, 4, 5, 16, 17, 20, 21]
    """
    side = values.shape[-1]
    if patch < 1 or side % patch:
        raise ValueError(f"patch is {patch}; it must divide the side of the grid, {side}")
    lead, count = values.shape[:-3], side // patch
    cut = values.reshape(*lead, *(count, patch) * 3)
    axes = len(lead) + np.array([0, 2, 4, 1, 3, 5])
    return cut.transpose(*range(len(lead)), *axes.tolist()).reshape(*lead, count**3, patch**3)


def from_patches(rows: Num[Array | np.ndarray, "*batch n d"]) -> Num[Array | np.ndarray, "*batch s s s"]:
    """The grid of its patches: `to_patches` backwards.

    Raises:
        ValueError: if rows or columns are no cube of a number.
    """
    count, patch = (round(size ** (1 / 3)) for size in rows.shape[-2:])
    if (count**3, patch**3) != rows.shape[-2:]:
        raise ValueError(f"rows has {rows.shape[-2]} rows of {rows.shape[-1]} numbers; both must be cubes of whole numbers")
    lead = rows.shape[:-2]
    axes = len(lead) + np.array([0, 3, 1, 4, 2, 5])
    cut = rows.reshape(*lead, *(count,) * 3, *(patch,) * 3).transpose(*range(len(lead)), *axes.tolist())
    return cut.reshape(*lead, *(count * patch,) * 3)

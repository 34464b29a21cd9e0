"""Grids of features at several resolutions, whose fine levels share a table by hashing.

References:
    Müller et al., *Instant Neural Graphics Primitives with a Multiresolution Hash Encoding*, 2022.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least

PRIMES = (1, 2654435761, 805459861)
"""Factors of the coordinates before they are combined by exclusive or."""


class HashLevels(NamedTuple):
    """Where the levels of an encoding lie in one table, finest last.

    Attributes:
        scales: cells an axis of each level; need not be whole.
        sides: nodes an axis.
        entries: rows of the table that belong to each level.
        dim: of the coordinates.
        align_corners: whether the first and the last node lie on the border of the unit cube, or half a cell outside.
    """

    scales: tuple[float, ...]
    sides: tuple[int, ...]
    entries: tuple[int, ...]
    dim: int
    align_corners: bool

    @property
    def offsets(self) -> tuple[int, ...]:
        """First row of each level, and the number of all rows."""
        return (0, *(int(n) for n in np.cumsum(self.entries)))

    @property
    def size(self) -> int:
        """Rows of the table."""
        return self.offsets[-1]


class Corners(NamedTuple):
    """Rows of the table around every point and their weights, `[levels, n, 2^dim]`: all that depends on the point alone."""

    index: Array
    weight: Array


def hash_levels(levels: int, base: int, finest: int, log2_size: int, dim: int, *, align_corners: bool = False) -> HashLevels:
    """Resolutions in geometric progression from `base` to `finest`, each with a table of at most `2^log2_size` rows.

    With `b = 2^(log2(finest / base) / (levels - 1))`, level l has `base b^l - 1` cells an axis.

    Args:
        levels: how many.
        base: nodes an axis of the first level.
        finest: of the last.
        log2_size: binary logarithm of the largest table; a level that needs fewer rows takes fewer, in eights.
        dim: of the coordinates, 1 to 3.
        align_corners: see `HashLevels`.

    Raises:
        ValueError: for sizes out of range.

    >>> hash_levels(2, 4, 8, 6, 2, align_corners=True)
    HashLevels(scales=(3.0, 7.0), sides=(4, 8), entries=(16, 64), dim=2, align_corners=True)
    """
    check_at_least("levels", levels)
    check_at_least("base", base, 2)
    check_at_least("finest", finest, base)
    if not 1 <= dim <= len(PRIMES):
        raise ValueError(f"dim is {dim}; it must be between 1 and {len(PRIMES)}")
    if not 3 <= log2_size <= 30:
        raise ValueError(f"log2_size is {log2_size}; it must be between 3 and 30")
    growth = float(np.exp2(np.log2(finest / base) / max(levels - 1, 1)))
    nodes = [base * growth**level for level in range(levels)]
    more = 0 if align_corners else 1
    entries = [min(2**log2_size, (int(np.ceil(n)) + more) ** dim) for n in nodes]
    return HashLevels(
        scales=tuple(float(n - 1) for n in nodes),
        sides=tuple(int(np.ceil(n - 1)) + 1 + more for n in nodes),
        entries=tuple(-(-n // 8) * 8 for n in entries),
        dim=dim,
        align_corners=align_corners,
    )


def hash_corners(x: Float[Array, "n d"], levels: HashLevels) -> Corners:
    """The corners of the cell around every point at every level, and their (bi-, tri-)linear weights.

    A level whose nodes fit its rows has one row a node; in the others nodes share rows by
    `(i xor 2654435761 j xor 805459861 k) mod rows` in 32 bits. Points outside the unit cube have weights of zero; NaN gives NaN.

    Args:
        x: in the unit cube.
        levels: as `hash_levels` gives them.

    Returns:
        Rows, int32, and weights in the dtype of x. They can be kept where points stay the same.

    Raises:
        ValueError: if the dimensions differ.
    """
    if x.shape[-1] != levels.dim:
        raise ValueError(f"x has {x.shape[-1]} coordinates; the levels have {levels.dim}")
    scales = jnp.asarray(levels.scales, x.dtype)[:, None, None]
    position = x[None] * scales + (0.0 if levels.align_corners else 0.5)
    cell = jnp.floor(position)
    fraction = (position - cell)[:, :, None]
    bits = np.array([[corner >> axis & 1 for axis in range(levels.dim)] for corner in range(2**levels.dim)])
    weight = jnp.prod(jnp.where(bits[None, None].astype(bool), fraction, 1 - fraction), axis=-1)
    outside = ((x < 0) | (x > 1)).any(-1)
    # int32 first: a negative cell of a point outside has no unsigned value
    node = (cell.astype(jnp.int32)[:, :, None] + bits[None, None].astype(np.int32)).astype(jnp.uint32)
    index = _rows(node, levels)
    return Corners(index, jnp.where(outside[None, :, None], 0, weight))


def _rows(node: Array, levels: HashLevels) -> Int[Array, "levels n corners"]:
    sides = np.array(levels.sides)
    fits = sides**levels.dim <= np.array(levels.entries)
    # a level that hashes does not use its strides, which may exceed 32 bits
    strides = np.where(fits[:, None], sides[:, None] ** np.arange(levels.dim), 0).astype(np.uint32)
    plain = jnp.sum(node * strides[:, None, None], axis=-1, dtype=jnp.uint32)
    mixed = node * np.array(PRIMES[: levels.dim], np.uint32)[None, None, None]
    hashed = mixed[..., 0]
    for axis in range(1, levels.dim):
        hashed = hashed ^ mixed[..., axis]
    rows = jnp.where(fits[:, None, None], plain, hashed) % np.array(levels.entries, np.uint32)[:, None, None]
    return rows.astype(jnp.int32) + np.array(levels.offsets[:-1], np.int32)[:, None, None]


def interpolate(table: Float[Array, "rows features"], corners: Corners) -> Float[Array, "n m"]:
    """Features at the points of `corners`, the levels one after the other: `m = levels * features` numbers a point."""
    values = jnp.einsum("lnc,lncf->nlf", corners.weight, table[corners.index])
    count, levels, features = values.shape
    return values.reshape(count, levels * features)


def hash_encode(table: Float[Array, "rows features"], x: Float[Array, "n d"], levels: HashLevels) -> Float[Array, "n m"]:
    """The multi-resolution encoding: features of every level interpolated at x, one level after the other.

    Args:
        table: rows of all levels, `levels.size` of them.
        x: in the unit cube; zeros come back for points outside.
        levels: as `hash_levels` gives them.

    Raises:
        ValueError: if the table has another number of rows, or the dimensions differ.

    >>> levels = hash_levels(2, 4, 8, 6, 2)
    >>> hash_encode(jnp.ones((levels.size, 3)), jnp.array([[0.3, 0.9], [1.5, 0.0]]), levels).sum(1).tolist()
    [6.0, 0.0]
    """
    if len(table) != levels.size:
        raise ValueError(f"table has {len(table)} rows; the levels need {levels.size}")
    return interpolate(table, hash_corners(x, levels))

"""Mosaics as matrices: a row a grid, its columns normalised by statistics of a data set. Section 3.2."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.mosaic_sdf.mosaic import MosaicSDF

SMALLEST_SCALE = 0.05
"""Scales of generated rows are at least this."""


class Statistics(NamedTuple):
    """Mean and standard deviation of the blocks (centres, scales, values), `[3]` each; part of a generative model."""

    mean: Array | np.ndarray
    std: Array | np.ndarray


IDENTITY = Statistics(np.zeros(3, np.float32), np.ones(3, np.float32))
"""Leaves numbers as they are."""


def statistics(mosaics: MosaicSDF) -> Statistics:
    """One mean and one standard deviation for each of the three blocks, over all mosaics of a set with a leading axis.

    Raises:
        ValueError: if a block is constant.
    """
    blocks = [np.asarray(x, np.float64) for x in mosaics]
    std = np.array([x.std() for x in blocks])
    if not (std > 0).all():
        raise ValueError(f"the blocks centers, scales, values have standard deviations {std.tolist()}; all must be positive")
    return Statistics(np.array([x.mean() for x in blocks], np.float32), std.astype(np.float32))


def _columns(numbers: Float[Array | np.ndarray, "3"], width: int, dtype: jnp.dtype) -> Float[Array, " w"]:
    """The number of every column out of those of the three blocks."""
    return jnp.repeat(jnp.asarray(numbers, dtype), np.array([3, 1, width - 4]), total_repeat_length=width)


@jax.jit
def to_matrix(m: MosaicSDF, stats: Statistics = IDENTITY) -> Float[Array, "*batch n d"]:
    """Rows `(p_i, s_i, V_i)` of `d = 3 + 1 + k^3` numbers, each block minus its mean and divided by its deviation.

    >>> to_matrix(MosaicSDF(jnp.zeros((5, 3)), jnp.ones(5), jnp.zeros((5, 2, 2, 2)))).shape
    (5, 12)
    """
    centers, scales, values = floating(*m)
    flat = values.reshape(*values.shape[:-3], -1)
    rows = jnp.concatenate([centers, scales[..., None], flat], -1)
    mean, std = (_columns(x, rows.shape[-1], rows.dtype) for x in stats)
    lead = (1,) * (rows.ndim - 1)
    return (rows - mean.reshape(*lead, -1)) / std.reshape(*lead, -1)


@partial(jax.jit, static_argnames="smallest_scale")
def from_matrix(
    x: Float[Array | np.ndarray, "*batch n d"], stats: Statistics = IDENTITY, *, smallest_scale: float = 0.0
) -> MosaicSDF:
    """The mosaic of a matrix: `to_matrix` backwards.

    Args:
        x: rows.
        stats: those of `to_matrix`.
        smallest_scale: scales are raised to it; rows that a network made may hold negative ones.

    Raises:
        ValueError: if a row does not have `4 + k^3` numbers for a k of at least 2.
    """
    (x,) = floating(x)
    k = round(max(x.shape[-1] - 4, 0) ** (1 / 3))
    if k < 2 or k**3 + 4 != x.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} columns; a row has 4 + k^3 with k at least 2")
    mean, std = (_columns(s, x.shape[-1], x.dtype) for s in stats)
    lead = (1,) * (x.ndim - 1)
    rows = x * std.reshape(*lead, -1) + mean.reshape(*lead, -1)
    scales = rows[..., 3]
    scales = jnp.maximum(scales, smallest_scale) if smallest_scale > 0 else scales
    return MosaicSDF(rows[..., :3], scales, rows[..., 4:].reshape(*rows.shape[:-1], k, k, k))

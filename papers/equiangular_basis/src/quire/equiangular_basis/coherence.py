"""Coherence of a set of vectors, Welch's bound on it, and Gram matrices slice by slice: section 3.1 of the paper."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating, is_concrete
from quire.common.layers.nested import unit_rows


class Coherence(NamedTuple):
    """Absolute cosines over all pairs of different vectors.

    Attributes:
        max: the largest, alpha of the paper.
        mean: their mean.
    """

    max: Float[Array, ""]
    mean: Float[Array, ""]


def coherence(vectors: Num[AnyArray, "n d"], slice_size: int | None = None) -> Coherence:
    """`max` and `mean` of `|<w_i, w_j>| / (|w_i| |w_j|)` over `i != j`.

    Args:
        vectors: `[n, d]`, of any length.
        slice_size: rows whose cosines are held at once; all by default.

    Returns:
        Both, at least in float32; NaN where a vector is.

    Raises:
        ValueError: for fewer than two vectors, no dimension, or a slice below 1.

    >>> found = coherence(jnp.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 3.0]]))
    >>> print(f"{found.max:.4f} {found.mean:.4f}")
    0.7071 0.4714
    """
    vectors = as_vectors("vectors", vectors)
    n = len(vectors)

    def of_row(row, index):
        cosines = jnp.abs(cosines_of(row, index, unit))
        return cosines.max(), cosines.sum()

    unit = unit_rows(vectors)
    largest, totals = each_row(of_row, unit, jnp.arange(n), slice_size)
    return Coherence(largest.max(), totals.sum() / (n * (n - 1)))


def welch_bound(n: int, d: int) -> float:
    """The least coherence that n unit vectors of `R^d` may have: `sqrt((n - d) / (d (n - 1)))`, 0 for `n <= d` (Welch 1974).

    Equality needs an equiangular tight frame, see `etf`.

    Raises:
        ValueError: for n below 2 or d below 1.

    >>> print(f"{welch_bound(28, 7):.4f}")
    0.3333
    """
    check_at_least("n", n, 2)
    check_at_least("d", d)
    return float(np.sqrt(max(n - d, 0) / (d * (n - 1))))


def as_vectors(name: str, vectors: Any, least: int = 2) -> Array:
    """Vectors `[n, d]` in a floating dtype of at least 32 bits.

    Raises:
        ValueError: unless it is a matrix with `least` rows and one column or more, of real numbers.
    """
    (vectors,) = floating(vectors)
    if vectors.ndim != 2 or len(vectors) < least or vectors.shape[1] == 0:
        raise ValueError(f"{name} has shape {vectors.shape}; it must be [n, d] with n at least {least} and d at least 1")
    return vectors.astype(jnp.promote_types(vectors.dtype, jnp.float32))


def check_unit(name: str, vectors: Array) -> Array:
    """The vectors, or a `ValueError` unless all have length 1 (to 1e-3); traced ones pass."""
    if is_concrete(vectors):
        lengths = np.linalg.norm(np.asarray(vectors, np.float64), axis=1)
        if not np.all(np.abs(lengths - 1) <= 1e-3):
            raise ValueError(f"{name} has rows of length {lengths.min():.4g} to {lengths.max():.4g}; all must have length 1")
    return vectors


def cosines_of(row: Float[Array, " d"], index: Array, unit: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Cosines of a unit vector with a set that holds it at `index`, where 0 stands: a vector makes no pair with itself."""
    # full precision: rounded factors would hide what the generators work on
    return jnp.where(jnp.arange(len(unit)) == index, 0, jnp.matmul(unit, row, precision="highest"))


def each_row(function: Callable[..., Any], rows: Array, indices: Array, slice_size: int | None) -> Any:
    """`function(row, index)` of every row; so many rows at once as `slice_size` says, which bounds memory.

    Raises:
        ValueError: for a slice below 1.
    """
    if slice_size is None or slice_size >= len(rows):
        return jax.vmap(function)(rows, indices)
    check_at_least("slice_size", slice_size)
    return jax.lax.map(lambda each: function(*each), (rows, indices), batch_size=slice_size)

"""Entries of a tensor whose indices are real numbers: where each one lies, and its value."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids


class Entries(NamedTuple):
    """N entries of a tensor with K modes.

    Attributes:
        indices: place of each entry among its mode's coordinates.
        values: y, in the dtype of everything that is computed from them.
        coordinates: distinct coordinates of each mode, ascending, in the units of its lengthscale; there may be more than the
            entries use.
    """

    indices: Int[AnyArray, "entries modes"]
    values: Float[AnyArray, " entries"]
    coordinates: tuple[Float[AnyArray, " _"], ...]


def entries_at(coords: Real[AnyArray, "entries modes"], values: Real[AnyArray, " entries"]) -> Entries:
    """Entries from their coordinates; equal coordinates of a mode become one.

    Args:
        coords: in any order; an entry may come twice.
        values: y; float64 stays float64 where JAX has it on, everything else becomes float32.

    Raises:
        ValueError: if shapes do not fit, there is no entry or fewer than two modes, or a number is not finite.

    >>> found = entries_at(np.array([[0.5, 1.0], [0.25, 1.0]]), np.array([3.0, 4.0]))
    >>> found.indices.tolist(), [t.tolist() for t in found.coordinates]
    ([[1, 0], [0, 0]], [[0.25, 0.5], [1.0]])
    """
    values = real_numbers("values", values, _precision(values))
    coords = real_numbers("coords", coords, values.dtype)
    if coords.ndim != 2 or values.shape != coords.shape[:1] or coords.shape[1] < 2:
        raise ValueError(
            f"coords has shape {coords.shape} and values {values.shape}; they need [entries, 2 modes or more] and [entries]"
        )
    axes = [np.unique(column, return_inverse=True) for column in coords.T]
    return on_grid(np.stack([place.reshape(-1) for _, place in axes], axis=1), values, [t for t, _ in axes])


def on_grid(
    indices: Int[AnyArray, "entries modes"], values: Real[AnyArray, " entries"], coordinates: Sequence[Real[AnyArray, " _"]]
) -> Entries:
    """Entries from their places on a grid.

    Args:
        indices: from 0.
        values: y.
        coordinates: of the grid, strictly ascending.

    Raises:
        ValueError: as `entries_at`, for indices off the grid, or coordinates that do not ascend.
    """
    values = real_numbers("values", values, _precision(values))
    coordinates = tuple(real_numbers("coordinates", t, values.dtype) for t in coordinates)
    indices = np.asarray(indices)
    if indices.ndim != 2 or indices.shape != (*values.shape, len(coordinates)):
        raise ValueError(f"indices has shape {indices.shape}; it needs {(*values.shape, len(coordinates))}: entries and modes")
    check_at_least("number of modes", len(coordinates), 2)
    check_at_least("number of entries", len(values))
    for mode, t in enumerate(coordinates):
        check_ids(f"indices of mode {mode}", indices[:, mode], len(t))
        if t.ndim != 1 or not (np.diff(t) > 0).all():
            raise ValueError(f"coordinates of mode {mode} do not ascend; they need to be one row of distinct, sorted numbers")
    return Entries(indices.astype(np.int32), values, coordinates)


def _precision(x: AnyArray) -> np.dtype:
    double = jnp.result_type(float) == np.float64 and np.asarray(x).dtype not in (np.float32, np.float16, jnp.bfloat16)
    return np.dtype(np.float64 if double else np.float32)


def real_numbers(name: str, x: AnyArray, dtype: np.dtype) -> np.ndarray:
    """Finite numbers in one precision."""
    x = np.asarray(x)
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool):
        raise ValueError(f"{name} has dtype {x.dtype}; it must hold real numbers")
    x = x.astype(dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds {(~np.isfinite(x)).sum()} numbers that are not finite; leave such entries out")
    return x

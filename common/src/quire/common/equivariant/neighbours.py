"""Padded neighbour lists of finite clusters: every atom has room for the same number of neighbours.

Sums over neighbours are then sums over an axis, which needs no scattering, and a list can be made under `jit` and `vmap`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from quire.common.checks import floating


class Neighbours(NamedTuple):
    """Who is within the cutoff of whom.

    Attributes:
        index: neighbours of every atom, nearest first, int32 `[..., atoms, capacity]`; 0 where there is none.
        mask: where there is one, `[..., atoms, capacity]`.
        overflow: neighbours beyond the capacity, summed over atoms, int32 `[...]`.
    """

    index: Int32[Array, "*batch atoms capacity"]
    mask: Bool[Array, "*batch atoms capacity"]
    overflow: Int32[Array, "*batch"]


def neighbour_list(
    positions: Float[Array, "atoms 3"], cutoff: float, capacity: int, present: Bool[Array, " atoms"] | None = None
) -> Neighbours:
    """Neighbours within a cutoff, by all pairs: for clusters and molecules.

    Args:
        positions: `[atoms, 3]`; `vmap` for several frames.
        cutoff: largest distance.
        capacity: neighbours kept of each atom; `most_neighbours` finds how many are needed. What does not fit is counted in
            `overflow`, the farthest first, since a compiled function cannot raise.
        present: False for atoms that only pad a batch.

    An atom at a position that is not finite is the first neighbour of all others: what is computed from its vectors is NaN, where
    an atom that silently had no neighbours would give a plausible number.

    Raises:
        ValueError: if positions are not 3-dimensional, `present` is not one flag an atom, the cutoff is not positive, or the
            capacity lies outside `1 .. atoms - 1`.

    >>> near = neighbour_list(jnp.array([[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]), 2.0, 1)
    >>> near.index[:, 0].tolist(), near.mask[:, 0].tolist(), int(near.overflow)
    ([1, 0, 0], [True, True, False], 0)
    """
    (positions,) = floating(positions)
    if positions.ndim != 2 or positions.shape[1] != 3 or (present is not None and present.shape != positions.shape[:1]):
        flags = None if present is None else present.shape
        raise ValueError(f"positions has shape {positions.shape} and present {flags}; they need (atoms, 3) and (atoms,)")
    atoms = positions.shape[0]
    if not cutoff > 0 or not 1 <= capacity < max(atoms, 2) or not atoms:
        raise ValueError(
            f"cutoff is {cutoff} and capacity {capacity}; the cutoff must be positive and {atoms} atoms have 1 to {atoms - 1} "
            "neighbours"
        )
    present = jnp.ones(atoms, bool) if present is None else present
    difference = positions[:, None] - positions[None]
    square = jnp.sum(difference * difference, axis=-1)
    lost = ~jnp.isfinite(positions).all(axis=1)
    lost = lost[:, None] | lost[None]
    near = ((square < cutoff * cutoff) | lost) & present[:, None] & present[None] & ~np.eye(atoms, dtype=bool)
    order = jnp.argsort(jnp.where(near, jnp.where(lost, -1, square), jnp.inf), axis=1)[:, :capacity].astype(jnp.int32)
    count = near.sum(axis=1)
    mask = jnp.arange(capacity)[None] < count[:, None]
    return Neighbours(jnp.where(mask, order, 0), mask, jnp.sum(jnp.maximum(count - capacity, 0)).astype(jnp.int32))


def most_neighbours(positions: np.ndarray, cutoff: float, present: np.ndarray | None = None) -> int:
    """Largest number of neighbours of an atom in any of several frames `[frames, atoms, 3]`, at least 1: the capacity to provide.

    Args:
        positions, cutoff: as for `neighbour_list`.
        present: `[frames, atoms]`, False for atoms that only pad a frame.

    Raises:
        ValueError: if a present position is not finite, the cutoff is not positive, or the shapes do not fit.
    """
    positions = np.asarray(positions, float)
    present = np.ones(positions.shape[:2], bool) if present is None else np.asarray(present)
    if positions.ndim != 3 or positions.shape[2] != 3 or present.shape != positions.shape[:2] or not cutoff > 0:
        raise ValueError(
            f"positions has shape {positions.shape}, present {present.shape} and cutoff is {cutoff}; "
            "they must be (frames, atoms, 3), (frames, atoms) and positive"
        )
    if not np.isfinite(positions[present]).all():
        raise ValueError("positions holds numbers that are not finite; they have no distances")
    most = 1
    for frame, here in zip(positions, present, strict=True):
        square = np.sum((frame[:, None] - frame) ** 2, axis=-1)
        near = (square < cutoff**2) & here[:, None] & here
        most = max(most, int(near.sum(axis=1).max(initial=0)) - 1)
    return most


def edge_vectors(positions: Float[Array, "atoms 3"], neighbours: Neighbours) -> Float[Array, "atoms capacity 3"]:
    """From every atom to its neighbours, `r_j - r_i`; zero where there is none.

    Raises:
        ValueError: unless there is a row of neighbours for every position.

    >>> x = jnp.array([[0.0, 0, 0], [1, 0, 0]])
    >>> edge_vectors(x, neighbour_list(x, 2.0, 1))[:, 0, 0].tolist()
    [1.0, -1.0]
    """
    (positions,) = floating(positions)
    if neighbours.index.ndim != 2 or len(neighbours.index) != len(positions):
        raise ValueError(
            f"positions has {len(positions)} rows and neighbours.index shape {neighbours.index.shape}; rows must agree"
        )
    vectors = positions[neighbours.index] - positions[:, None]
    return jnp.where(neighbours.mask[..., None], vectors, 0)

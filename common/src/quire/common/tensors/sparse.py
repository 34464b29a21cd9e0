"""Tensors of which some cells are observed: indices, values, sizes; parts of them, and new cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Real

from quire.common.checks import check_at_least, is_concrete


@dataclass(frozen=True)
class SparseTensor:
    """Observed cells of a tensor; a cell may be observed more than once.

    Attributes:
        indices: int32 `[cells, modes]`, from 0.
        values: float64 `[cells]`.
        dims: sizes of the modes, at least as large as the indices need.

    Raises:
        ValueError: if indices are no integers in range, or the values are not one finite number for each cell.

    >>> x = SparseTensor.of(np.array([[0, 2], [1, 0]]), np.array([5.0, 6.0]))
    >>> x.dims, len(x), x[np.array([True, False])].values.tolist()
    ((2, 3), 2, [5.0])
    """

    indices: np.ndarray
    values: np.ndarray
    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        indices, values = np.asarray(self.indices), np.asarray(self.values, np.float64)
        wanted = ("cells", len(self.dims))
        if not np.issubdtype(indices.dtype, np.integer) or indices.shape[1:] != wanted[1:]:
            raise ValueError(f"indices have dtype {indices.dtype} and shape {indices.shape}; they need to be integers {wanted}")
        if indices.size and ((indices < 0).any() or (indices >= np.array(self.dims)).any()):
            raise ValueError(f"indices run from {indices.min(0)} to {indices.max(0)}; they must lie within dims, {self.dims}")
        if values.shape != indices.shape[:1] or not np.isfinite(values).all():
            raise ValueError(f"values have shape {values.shape}; they need to be {len(indices)} finite numbers")
        object.__setattr__(self, "indices", indices.astype(np.int32))
        object.__setattr__(self, "values", values)

    @classmethod
    def of(cls, indices: np.ndarray, values: np.ndarray) -> "SparseTensor":
        """Observed cells in a tensor just large enough for them.

        Raises:
            ValueError: as above, or without a cell.
        """
        indices = np.asarray(indices)
        if indices.ndim != 2 or not indices.size:
            raise ValueError(f"indices have shape {indices.shape}; they need to be [cells, modes], at least one of each")
        return cls(indices, values, tuple(int(size) + 1 for size in indices.max(0)))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, cells: np.ndarray) -> "SparseTensor":
        """Some of the cells, in a tensor of the same sizes."""
        return SparseTensor(self.indices[cells], self.values[cells], self.dims)


def split(tensor: SparseTensor, fractions: Sequence[float] | np.ndarray, key: jax.Array) -> tuple[SparseTensor, ...]:
    """Disjoint random parts of the cells; what rounding leaves belongs to the first part.

    Args:
        tensor: its cells.
        fractions: of the parts, positive, with sum 1.
        key: of the permutation.

    Raises:
        ValueError: if the fractions are not such, or a part would be empty.

    >>> x = SparseTensor.of(np.arange(10)[:, None], np.ones(10))
    >>> [len(part) for part in split(x, (0.72, 0.18, 0.1), jax.random.key(0))]
    [8, 1, 1]
    """
    fractions = np.asarray(fractions, float)
    if fractions.ndim != 1 or not (fractions > 0).all() or abs(fractions.sum() - 1) > 1e-9:
        raise ValueError(f"fractions is {fractions.tolist()}; they need to be positive, with sum 1")
    sizes = np.floor(fractions * len(tensor) + 1e-9).astype(int)
    sizes[0] += len(tensor) - sizes.sum()
    if (sizes < 1).any():
        raise ValueError(
            f"tensor has {len(tensor)} cells; parts of {fractions.tolist()} would have {sizes.tolist()}, none may be empty"
        )
    order = np.asarray(jax.random.permutation(key, len(tensor)))
    return tuple(tensor[part] for part in np.split(order, np.cumsum(sizes)[:-1]))


def sample_cells(probabilities: Sequence[Real[np.ndarray | Array, " _"]], n: int, key: jax.Array) -> Int[Array, "n modes"]:
    """Random cells whose index in every mode is drawn for itself; a cell may come more than once.

    Args:
        probabilities: of every mode's indices, not negative; they need not sum to 1.
        n: how many.
        key: of the draws.

    Raises:
        ValueError: for a negative or broken probability, a mode without any (of arrays that hold numbers), or n below 0.

    >>> sample_cells([jnp.array([0.0, 1.0]), jnp.array([1.0, 0.0, 0.0])], 2, jax.random.key(0)).tolist()
    [[1, 0], [1, 0]]
    """
    check_at_least("n", n, 0)
    check_at_least("number of modes", len(probabilities))
    for mode, p in enumerate(probabilities):
        if is_concrete(p) and not (np.isfinite(p).all() and (np.asarray(p) >= 0).all() and np.sum(p) > 0):
            raise ValueError(
                f"probabilities of mode {mode} sum to {np.sum(p)}; they need to be finite, not negative, and not all 0"
            )
    keys = jax.random.split(key, len(probabilities))
    draws = [jax.random.choice(k, len(p), (n,), p=jnp.asarray(p) / jnp.sum(p)) for k, p in zip(keys, probabilities, strict=True)]
    return jnp.stack(draws, axis=1).astype(jnp.int32)

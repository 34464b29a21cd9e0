"""What needs no compatible training: maps from the vectors of a finished new model to those of the old one."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from quire.common.arrays import AnyArray
from quire.common.manifolds.orthogonal import procrustes


class AffineMap(NamedTuple):
    """`x -> x matrix + offset`."""

    matrix: Float[np.ndarray, "d_new d_old"]
    offset: Float[np.ndarray, " d_old"]

    def __call__(self, x: Num[AnyArray, "n d_new"]) -> Float[np.ndarray, "n d_old"]:
        """The mapped rows."""
        return np.asarray(x) @ self.matrix + self.offset


def least_squares_map(new: Num[AnyArray, "n d_new"], old: Num[AnyArray, "n d_old"]) -> AffineMap:
    """The affine map that comes nearest to the old vectors of the same images, in the mean of squares.

    Raises:
        ValueError: if there are no rows, or not as many of both.

    >>> found = least_squares_map(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]))
    >>> found.matrix.round(4).tolist(), found.offset.round(4).tolist()
    ([[2.0]], [1.0])
    """
    new, old = _pairs(new, old)
    solution, *_ = np.linalg.lstsq(np.concatenate([new, np.ones_like(new[:, :1])], axis=1), old, rcond=None)
    return AffineMap(solution[:-1], solution[-1])


def procrustes_map(new: Num[AnyArray, "n dim"], old: Num[AnyArray, "n dim"]) -> AffineMap:
    """The rotation or reflection that comes nearest to the old vectors of the same images. It keeps all cosines of the new ones.

    Raises:
        ValueError: as `least_squares_map`; if the dimensions differ, since an orthonormal matrix is square.

    >>> procrustes_map(np.eye(2), np.eye(2)[::-1]).matrix.round(4).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    new, old = _pairs(new, old)
    if new.shape != old.shape:
        raise ValueError(f"new has dimension {new.shape[1]} and old {old.shape[1]}; an orthonormal map needs the same")
    return AffineMap(np.asarray(procrustes(jnp.asarray(new), jnp.asarray(old))), np.zeros(old.shape[1], old.dtype))


def _pairs(new: AnyArray, old: AnyArray) -> tuple[np.ndarray, np.ndarray]:
    new, old = (np.asarray(x) for x in (new, old))
    new, old = (x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float32) for x in (new, old))
    if new.ndim != 2 or old.ndim != 2 or len(new) != len(old) or not len(new):
        raise ValueError(f"new has shape {new.shape} and old {old.shape}; both need as many rows, and one at least")
    return new, old

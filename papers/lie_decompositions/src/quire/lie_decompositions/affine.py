"""The affine group: translations and a group of matrices, `R^n x| G`."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from quire.common.equivariant.matrix_groups import polar, sym_exp


class Affine(NamedTuple):
    """The map `p -> A p + t`.

    Attributes:
        shift: t `[..., n]`.
        matrix: A `[..., n, n]`.

    >>> turn = Affine(jnp.array([1.0, 0.0]), jnp.array([[0.0, -1.0], [1.0, 0.0]]))
    >>> print(turn.act(jnp.array([1.0, 0.0])), turn.compose(turn.inverse()).shift + 0.0)
    [1. 1.] [0. 0.]
    """

    shift: Array
    matrix: Array

    def act(self, points: Array | np.ndarray) -> Array:
        """`A p + t` of points `[..., n]`."""
        moved = apply(self.matrix, points)
        return moved + self.shift.reshape((1,) * (moved.ndim - self.shift.ndim) + self.shift.shape)

    def compose(self, other: "Affine") -> "Affine":
        """First `other`, then this: `(t, A)(u, B) = (t + A u, A B)`."""
        return Affine(self.act(other.shift), jnp.matmul(self.matrix, other.matrix, precision="highest"))

    def inverse(self) -> "Affine":
        """`(-A^-1 t, A^-1)`.

        Raises:
            ValueError: if a determinant is not positive.
        """
        x, r = polar(self.matrix)
        back = jnp.matmul(jnp.swapaxes(r, -1, -2), sym_exp(-x), precision="highest")
        return Affine(-apply(back, self.shift), back)


def apply(matrix: Array | np.ndarray, points: Array | np.ndarray) -> Array:
    """`A p`, matrices `[..., n, n]` and points `[..., n]` broadcast against each other."""
    return jnp.einsum("...ij,...j->...i", matrix, points, precision="highest")

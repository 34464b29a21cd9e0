"""A change of basis that learns: a linear map whose matrix is orthonormal whatever its parameters are."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least, floating
from quire.common.layers.initialisers import normal
from quire.common.manifolds.orthogonal import cayley_orthogonal, expm_orthogonal, procrustes

Parametrisation = Literal["expm", "cayley"]
PARAMETRISATIONS = {"expm": expm_orthogonal, "cayley": cayley_orthogonal}


class OrthogonalLinear(nnx.Module):
    """`x Q^T` with `Q = B exp(S)`, or `Q = B (I - S) (I + S)^-1`, where `S = A - A^T` of a strictly lower triangular A.

    A learns and starts at zero; B is a random orthonormal matrix that stays. Distances and angles are those of x.

    Args:
        n: size.
        method: `"expm"`, as in the paper, or `"cayley"`, one linear solve, about a third of the cost.
        rngs: for B.

    Raises:
        ValueError: for a size below 1 or another method; when called, if x has another size.

    References:
        Lezcano-Casado, *Trivializations for Gradient-Based Optimization on Manifolds*, 2019.

    >>> layer = OrthogonalLinear(3, "cayley", rngs=nnx.Rngs(0))
    >>> print(f"{jnp.linalg.norm(layer(jnp.array([3.0, 0.0, 4.0]))):.4f}")
    5.0000
    """

    def __init__(self, n: int, method: Parametrisation = "expm", *, rngs: nnx.Rngs):
        check_at_least("n", n)
        if method not in PARAMETRISATIONS:
            raise ValueError(f"method is {method!r}; it must be one of {', '.join(get_args(Parametrisation))}")
        self.method = method
        self.base = nnx.Variable(nearest_orthonormal(normal(1.0)(rngs.params(), (n, n))))
        self.free = nnx.Param(jnp.zeros_like(self.base[...]))

    @property
    def matrix(self) -> Float[Array, "n n"]:
        """Q. Compute it once where it is used often."""
        return jax.lax.stop_gradient(self.base[...]) @ PARAMETRISATIONS[self.method](self.free[...])

    def __call__(self, x: Num[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Rows of x in the new basis."""
        matrix = self.matrix
        if x.ndim == 0 or x.shape[-1] != len(matrix):
            raise ValueError(f"x has shape {x.shape}; its last axis needs the size of the basis, {len(matrix)}")
        return floating(x)[0] @ matrix.T


@jax.jit
def nearest_orthonormal(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The orthonormal matrix next to a given one: what rounding has moved away from orthonormality comes back.

    >>> print(nearest_orthonormal(jnp.array([[1.001, 0.0], [0.0, -0.999]])).round(4) + 0.0)
    [[ 1.  0.]
     [ 0. -1.]]
    """
    return procrustes(jnp.eye(len(matrix), dtype=matrix.dtype), matrix)

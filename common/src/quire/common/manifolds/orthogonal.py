"""Orthogonal matrices: two parametrisations without constraints, and the one that best maps one set of vectors to another.

References:
    Lezcano-Casado and Martínez-Rubio, *Cheap Orthogonal Constraints*, 2019; Schönemann, *A generalized solution of the orthogonal
    Procrustes problem*, 1966.
"""

import jax.numpy as jnp
from jax.scipy.linalg import expm
from jaxtyping import Array, Float

from quire.common.checks import at_least_float32


def skew(a: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """`L - L^T`, where L is the part of `a` strictly below the diagonal: every skew matrix, from free parameters.

    >>> skew(jnp.array([[9.0, 9.0], [1.0, 9.0]])).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    _check_square("a", a)
    low = jnp.tril(a, -1)
    return low - jnp.swapaxes(low, -1, -2)


def expm_orthogonal(a: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """`exp(skew(a))`, a rotation (determinant 1); every rotation has such a form.

    >>> print(expm_orthogonal(jnp.array([[0.0, 0.0], [jnp.pi, 0.0]])).round(3) + 0.0)
    [[-1.  0.]
     [ 0. -1.]]
    """
    return expm(skew(a))


def cayley_orthogonal(a: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """`(I - S) (I + S)^-1` with `S = skew(a)`: a rotation without the eigenvalue -1, by one linear solve.

    >>> cayley_orthogonal(jnp.array([[0.0, 0.0], [1.0, 0.0]])).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    s = skew(a)
    eye = jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=s.dtype), s.shape)
    # I - S and (I + S)^-1 commute, so that one solve does it
    return jnp.linalg.solve(eye + s, eye - s)


def procrustes(a: Float[Array, "m n"], b: Float[Array, "m n"]) -> Float[Array, "n n"]:
    """The orthogonal Q that makes `|a Q - b|` smallest: `U V^T` of the singular value decomposition of `a^T b`.

    Args:
        a, b: vectors in corresponding rows; centre them first if an offset does not matter.

    Returns:
        Q, which may reflect. Where directions are missing from `a^T b`, it is one of many.

    Raises:
        ValueError: if there are no rows, or the shapes differ.

    >>> turn = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> bool(jnp.allclose(procrustes(jnp.eye(2), turn), turn, atol=1e-6))
    True
    """
    if a.ndim != 2 or a.shape != b.shape or len(a) == 0:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; they need [m, n], row by row, m at least 1")
    a, b = at_least_float32(a, b)
    left, _, right = jnp.linalg.svd(a.T @ b)
    return left @ right


def _check_square(name: str, a: Array) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"{name} has shape {a.shape}; it must be square in the last two axes")

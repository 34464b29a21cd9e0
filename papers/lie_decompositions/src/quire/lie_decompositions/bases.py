"""Bases of spaces of matrices, and coordinates in them: hat and vee."""

import math
from functools import cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real


def _unit(n: int, *entries: tuple[int, int, float]) -> np.ndarray:
    matrix = np.zeros((n, n))
    for row, column, value in entries:
        matrix[row, column] = value
    return matrix


@cache
def symmetric_basis(n: int, alpha: float = 1.0) -> np.ndarray:
    """`E_ii / sqrt(alpha)` and `s (E_ij + E_ji)` with `s = 1 / sqrt(2 alpha)`, row by row of the upper triangle `[m, n, n]`.

    >>> symmetric_basis(2)[1].round(3).tolist()
    [[0.0, 0.707], [0.707, 0.0]]
    """
    s, d = 1 / math.sqrt(2 * alpha), 1 / math.sqrt(alpha)
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    return _read_only([_unit(n, (i, i, d)) if i == j else _unit(n, (i, j, s), (j, i, s)) for i, j in pairs])


@cache
def traceless_basis(n: int, alpha: float = 1.0) -> np.ndarray:
    """Diagonal matrices of trace 0, then `s (E_ij + E_ji)`, `[m, n, n]`.

    >>> traceless_basis(2)[0].round(3).tolist()
    [[0.707, 0.0], [0.0, -0.707]]
    """
    diagonals = []
    for k in range(1, n):
        scale = 1 / math.sqrt(alpha * k * (k + 1))
        diagonals.append(_unit(n, *((i, i, scale) for i in range(k)), (k, k, -k * scale)))
    s = 1 / math.sqrt(2 * alpha)
    return _read_only([*diagonals, *(_unit(n, (i, j, s), (j, i, s)) for i in range(n) for j in range(i + 1, n))], n)


@cache
def rotation_basis(n: int, alpha: float = 1.0) -> np.ndarray:
    """`s (E_ji - E_ij)` for i < j, `[m, n, n]`.

    >>> rotation_basis(2)[0].round(3).tolist()
    [[0.0, -0.707], [0.707, 0.0]]
    """
    s = 1 / math.sqrt(2 * alpha)
    return _read_only([_unit(n, (j, i, s), (i, j, -s)) for i in range(n) for j in range(i + 1, n)], n)


def _read_only(matrices: list[np.ndarray], n: int = 0) -> np.ndarray:
    basis = np.array(matrices).reshape(-1, *matrices[0].shape) if matrices else np.zeros((0, n, n))
    basis.setflags(write=False)
    return basis


def hat(coordinates: Real[Array | np.ndarray, "*batch m"], basis: Float[np.ndarray, "m n n"]) -> Float[Array, "*batch n n"]:
    """`sum_k c_k B_k`.

    Raises:
        ValueError: if there are not as many coordinates as matrices in the basis.
    """
    coordinates = jnp.asarray(coordinates)
    if not coordinates.ndim or coordinates.shape[-1] != len(basis):
        raise ValueError(f"coordinates has shape {coordinates.shape}; it must be [..., {len(basis)}]")
    coordinates = coordinates.astype(jnp.promote_types(coordinates.dtype, jnp.float32))
    return jnp.einsum("...m,mij->...ij", coordinates, jnp.asarray(basis, coordinates.dtype), precision="highest")


def vee(
    matrix: Real[Array | np.ndarray, "*batch n n"], basis: Float[np.ndarray, "m n n"], alpha: float = 1.0
) -> Float[Array, "*batch m"]:
    """Coordinates in a basis, the inverse of `hat`: `c_k = alpha tr(B_k^T V)`. What lies outside of its span is left out.

    Raises:
        ValueError: if the matrices are not of the size of the basis.
    """
    matrix = jnp.asarray(matrix)
    if matrix.shape[-2:] != basis.shape[1:]:
        raise ValueError(f"matrix has shape {matrix.shape}; it must be [..., {basis.shape[1]}, {basis.shape[2]}]")
    matrix = matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))
    return alpha * jnp.einsum("...ij,mij->...m", matrix, jnp.asarray(basis, matrix.dtype), precision="highest")

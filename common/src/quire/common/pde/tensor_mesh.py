"""Bilinear elements on tensor meshes: matrices of a line, stiffness with a coefficient, and exact solves by fast diagonalisation.

On a tensor mesh of constant coefficients, mass and stiffness are Kronecker products and sums of the matrices of lines,
`M = Mx (x) My` and `K = Kx (x) My + Mx (x) Ky`. Two small eigenproblems then diagonalise both at once.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.pde.finite_elements import assemble, grid_elements


def line_matrices(n: int, h: float) -> tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_ _"]]:
    """Mass and stiffness matrix of `n` linear elements of length `h`.

    Args:
        n: number of elements; there is one more node.
        h: length of each.

    Returns:
        The consistent mass and the stiffness, `[n + 1, n + 1]`, float64.

    Raises:
        ValueError: if there is no element, or `h` is not positive.

    >>> mass, stiffness = line_matrices(2, 0.5)
    >>> (12 * mass).round(6).tolist(), stiffness.tolist()
    ([[2.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 2.0]], [[2.0, -2.0, 0.0], [-2.0, 4.0, -2.0], [0.0, -2.0, 2.0]])
    """
    check_at_least("n", n)
    check_positive("h", h)
    inner = np.full(n + 1, 2.0)
    inner[[0, -1]] = 1.0
    beside = np.eye(n + 1, k=1) + np.eye(n + 1, k=-1)
    return h / 6 * (2 * np.diag(inner) + beside), (np.diag(inner) - beside) / h


class Diagonalisation(NamedTuple):
    """Both matrices of a tensor mesh in one basis: `V^T M V = I` and `V^T K V = diag(eigenvalues)`, V a Kronecker product.

    Attributes:
        vectors: of each axis, `[n, n]`, columns orthonormal in its mass.
        eigenvalues: of every mode, `[n_1, n_2, ...]`: the squares of the frequencies.
    """

    vectors: tuple[Float[AnyArray, "_ _"], ...]
    eigenvalues: Float[AnyArray, "*_"]

    def modes(self, right: Float[Array, "*_"]) -> Float[Array, "*_"]:
        """`V^T r`."""
        return along_axes([v.T for v in self.vectors], right)

    def values(self, modes: Float[Array, "*_"]) -> Float[Array, "*_"]:
        """`V q`."""
        return along_axes(self.vectors, modes)

    def solve(self, right: Float[Array, "*_"], mass_weight: float | Array, stiffness_weight: float | Array) -> Float[Array, "*_"]:
        """The solution of `(mass_weight M + stiffness_weight K) x = right` on the grid, by one small product per axis and way."""
        return self.values(self.modes(right) / (mass_weight + stiffness_weight * jnp.asarray(self.eigenvalues, right.dtype)))


def fast_diagonalisation(lines: Sequence[tuple[Float[AnyArray, "_ _"], Float[AnyArray, "_ _"]]]) -> Diagonalisation:
    """The common basis of mass and stiffness of a tensor mesh.

    Args:
        lines: mass and stiffness of each axis, as from `line_matrices`; without the rows and columns of nodes that are held.

    Returns:
        The basis, float64, computed on the host.

    Raises:
        ValueError: without an axis, or if the matrices of one differ in shape.

    >>> basis = fast_diagonalisation([line_matrices(4, 0.25)])
    >>> print(f"{basis.eigenvalues[1] ** 0.5 / np.pi:.3f}")  # cos(pi x), a little stiff
    1.026
    """
    check_at_least("number of axes", len(lines))
    found = []
    for mass, stiffness in lines:
        if np.shape(mass) != np.shape(stiffness) or np.ndim(mass) != 2:
            raise ValueError(f"mass has shape {np.shape(mass)} and stiffness {np.shape(stiffness)}; both need [n, n]")
        found.append(scipy.linalg.eigh(np.asarray(stiffness, float), np.asarray(mass, float)))
    total = np.zeros(())
    for eigenvalues, _ in found:
        total = total[..., None] + np.maximum(eigenvalues, 0.0)
    return Diagonalisation(tuple(vectors for _, vectors in found), total)


def along_axes(matrices: Sequence[Float[AnyArray, "_ _"]], values: Float[Array, "*_"]) -> Float[Array, "*_"]:
    """A Kronecker product of matrices times values on a grid: one matrix per axis.

    Raises:
        ValueError: if there is not one matrix for each axis.
    """
    if len(matrices) != values.ndim:
        raise ValueError(f"there are {len(matrices)} matrices for values of shape {values.shape}; each axis needs one")
    for axis, matrix in enumerate(matrices):
        product = jnp.tensordot(jnp.asarray(matrix, values.dtype), values, (1, axis))
        values = jnp.moveaxis(product, 0, axis)
    return values


def grid_stiffness(
    cells: tuple[int, ...],
    spacing: tuple[float, ...],
    coefficient: Callable[[Float[Array, "points dim"]], Float[Array, " points"]],
    *,
    order: int = 3,
) -> Float[Array, "n n"]:
    """`K_ij = int k(x) grad N_i . grad N_j` of bilinear elements on a grid from the origin, dense, by Gauss points.

    Args:
        cells: along each axis.
        spacing: edges of a cell.
        coefficient: k at points; traced.
        order: Gauss points along each axis of a cell; 3 integrate coefficients of degree 3 exactly.

    Raises:
        ValueError: if cells and spacing differ in number, or one is not positive.

    >>> float(grid_stiffness((2,), (0.5,), lambda x: 1 + x[:, 0])[0, 0])
    2.5
    """
    if len(cells) != len(spacing) or min(cells) < 1 or not min(spacing) > 0:
        raise ValueError(f"cells is {cells} and spacing {spacing}; each axis needs a positive number of both")
    check_at_least("order", order)
    at, weights = np.polynomial.legendre.leggauss(order)
    at, weights = (at + 1) / 2, weights / 2
    h = np.asarray(spacing, float)
    places = np.array(list(itertools.product(at, repeat=len(cells))))  # [points, dim]
    weight = np.prod(np.array(list(itertools.product(weights, repeat=len(cells)))), axis=1) * np.prod(h)
    slopes = np.stack([_slopes(place) / h for place in places])  # [points, corners, dim]
    corner = np.stack(np.meshgrid(*[np.arange(n) for n in cells], indexing="ij"), axis=-1).reshape(-1, 1, len(cells))
    points = jnp.asarray(((corner + places[None]) * h).reshape(-1, len(cells)))
    values = coefficient(points).reshape(len(corner), len(places))
    products = jnp.asarray(np.einsum("p,pid,pjd->pij", weight, slopes, slopes), values.dtype)
    return assemble(grid_elements(cells), jnp.einsum("ep,pij->eij", values, products), int(np.prod(np.array(cells) + 1)))


def _slopes(place: np.ndarray) -> np.ndarray:
    """Gradients of the shape functions of the unit cell at a place, `[corners, dim]`, the last axis fastest."""
    dim = len(place)
    corners = np.array(list(itertools.product((0, 1), repeat=dim)))
    factors = np.where(corners == 1, place, 1 - place)
    gradients = [np.prod(np.delete(factors, d, axis=1), axis=1) * (2 * corners[:, d] - 1) for d in range(dim)]
    return np.stack(gradients, axis=1)

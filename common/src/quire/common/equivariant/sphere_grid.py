"""Quadrature on the sphere and transforms between coefficients and grid values.

Gauss-Legendre nodes in `cos th` times equally spaced azimuths integrate every product of total degree `degree` exactly. Two
forms of the same transforms: one full matrix, `O(L^4)` a vector and fastest for small degrees, and a separable one, degree
after order, `O(L^3)`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import roots_legendre

from quire.common.checks import floating
from quire.common.equivariant.irreps import degrees, lmax_of, num_coefficients, orders
from quire.common.equivariant.spherical_harmonics import harmonics_table, legendre_table
from quire.common.tables import cached_table

PRECISION = "highest"
"""Of every transform: reduced-precision matrix units would break the symmetry."""


class SphereGrid(NamedTuple):
    """Product grid: polar angles `[t]`, azimuths `[p]` and the weight of a point at each polar angle `[t]`."""

    theta: np.ndarray
    phi: np.ndarray
    weights: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Unit vectors `[t * p, 3]`, azimuth running fastest."""
        theta, phi = (a.ravel() for a in np.meshgrid(self.theta, self.phi, indexing="ij"))
        return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)

    @property
    def point_weights(self) -> np.ndarray:
        """Quadrature weight of every point, `[t * p]`."""
        return np.repeat(self.weights, len(self.phi))


@cached_table()
def sphere_grid(degree: int) -> SphereGrid:
    """The smallest product grid that integrates polynomials up to `degree`.

    Raises:
        ValueError: if `degree` is negative.

    >>> grid = sphere_grid(4)
    >>> len(grid.theta), len(grid.phi), round(float(grid.point_weights.sum() / np.pi), 6)
    (3, 5, 4.0)
    """
    if degree < 0:
        raise ValueError(f"degree is {degree}; it must be at least 0")
    nodes, weights = roots_legendre(degree // 2 + 1)
    count = degree + 1
    return SphereGrid(np.arccos(nodes), 2 * np.pi * np.arange(count) / count, weights * 2 * np.pi / count)


@cached_table()
def to_grid_matrix(lmax: int, degree: int) -> np.ndarray:
    """Harmonics at the points of `sphere_grid(degree)`, `[(lmax + 1)^2, points]`: `x @ S` are the values of the field x."""
    return harmonics_table(lmax, sphere_grid(degree).points).T


@cached_table()
def from_grid_matrix(lmax: int, degree: int) -> np.ndarray:
    """Weighted harmonics, `[points, (lmax + 1)^2]`: `values @ A` are the coefficients, exact up to total degree `degree`."""
    grid = sphere_grid(degree)
    return harmonics_table(lmax, grid.points) * grid.point_weights[:, None]


def to_grid(x: Float[Array, "*batch n"], degree: int) -> Float[Array, "*batch points"]:
    """Values of a field at the points of `sphere_grid(degree)`, by one matrix.

    Args:
        x: coefficients `[..., (lmax + 1)^2]`.

    Returns:
        `[..., points]`, azimuth running fastest.
    """
    return jnp.matmul(x, to_grid_matrix(lmax_of(x), degree).astype(x.dtype), precision=PRECISION)


def from_grid(values: Float[Array, "*batch points"], lmax: int, degree: int) -> Float[Array, "*batch n"]:
    """Coefficients up to `lmax` of values at the points of `sphere_grid(degree)`.

    Raises:
        ValueError: if the number of points is another.
    """
    matrix = from_grid_matrix(lmax, degree)
    if values.shape[-1] != len(matrix):
        raise ValueError(f"values has {values.shape[-1]} points; sphere_grid({degree}) has {len(matrix)}")
    (values,) = floating(values)
    return jnp.matmul(values, matrix.astype(values.dtype), precision=PRECISION)


# --- Separable form ---


@cached_table()
def fold_index(lmax: int) -> np.ndarray:
    """Where `x[l, m]` stands, int32 `[2 lmax + 1, lmax + 1]`; entries with `l < |m|` point at 0 and meet a zero of the table."""
    m, l = np.meshgrid(np.arange(-lmax, lmax + 1), np.arange(lmax + 1), indexing="ij")
    return np.where(l >= abs(m), l * l + l + m, 0).astype(np.int32)


@cached_table()
def unfold_index(lmax: int) -> np.ndarray:
    """Inverse of `fold_index`: index of every coefficient in the folded array, int32 `[(lmax + 1)^2]`."""
    return ((orders(lmax) + lmax) * (lmax + 1) + degrees(lmax)).astype(np.int32)


@cached_table()
def polar_table(lmax: int, degree: int) -> np.ndarray:
    """`N P_l^|m|` at the polar angles of `sphere_grid(degree)`, `[2 lmax + 1, lmax + 1, t]`, orders -lmax .. lmax."""
    return legendre_table(lmax, sphere_grid(degree).theta)[abs(np.arange(-lmax, lmax + 1))]


@cached_table()
def azimuth_table(lmax: int, degree: int) -> np.ndarray:
    """`{sqrt2 sin(|m| ph), 1, sqrt2 cos(m ph)}` at the azimuths of `sphere_grid(degree)`, `[2 lmax + 1, p]`."""
    m, phi = np.arange(-lmax, lmax + 1)[:, None], sphere_grid(degree).phi
    return np.where(m < 0, np.sqrt(2) * np.sin(-m * phi), np.where(m > 0, np.sqrt(2) * np.cos(m * phi), 1.0))


def to_grid_separable(x: Float[Array, "rows n"], degree: int) -> Float[Array, "p t rows"]:
    """Values of fields at the points of `sphere_grid(degree)`: first degrees become polar angles, then orders azimuths.

    The rows stand last throughout, so that both steps are matrix products without a transposition.

    Args:
        x: coefficients `[rows, (lmax + 1)^2]`.

    Returns:
        `[azimuth, polar angle, rows]`.
    """
    lmax = lmax_of(x)
    folded = x.T[fold_index(lmax)]
    polar = jnp.einsum("mlt,mlr->mtr", polar_table(lmax, degree).astype(x.dtype), folded, precision=PRECISION)
    return jnp.einsum("mp,mtr->ptr", azimuth_table(lmax, degree).astype(x.dtype), polar, precision=PRECISION)


def from_grid_separable(values: Float[Array, "p t rows"], lmax: int, degree: int) -> Float[Array, "rows n"]:
    """Coefficients up to `lmax` of values on `sphere_grid(degree)`, the inverse order of `to_grid_separable`.

    Raises:
        ValueError: if the values are not those of that grid.
    """
    num_coefficients(lmax)
    (values,), grid = floating(values), sphere_grid(degree)
    if values.ndim != 3 or values.shape[:2] != (len(grid.phi), len(grid.theta)):
        raise ValueError(
            f"values has shape {values.shape}; sphere_grid({degree}) needs ({len(grid.phi)}, {len(grid.theta)}, rows)"
        )
    weighted = polar_table(lmax, degree) * grid.weights
    polar = jnp.einsum("mp,ptr->mtr", azimuth_table(lmax, degree).astype(values.dtype), values, precision=PRECISION)
    folded = jnp.einsum("mlt,mtr->mlr", weighted.astype(values.dtype), polar, precision=PRECISION)
    return folded.reshape((2 * lmax + 1) * (lmax + 1), values.shape[-1])[unfold_index(lmax)].T

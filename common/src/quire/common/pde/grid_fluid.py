"""An inviscid fluid in the box `[-1, 1]^2` on a grid: semi-Lagrangian advection, exact projection; NumPy, float64.

Velocities `[n, n, 2]` stand in the centres of n x n cells, the first axis being x. A wall with free slip is a mirror: the
normal velocity is odd across it, the other even, so the box is a quarter of a periodic field on which interpolation and the
Poisson equation need no special case.
"""

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import map_coordinates

Velocity = Float[np.ndarray, "n n 2"]


def cell_grid(n: int) -> Velocity:
    """Centres of n x n cells of the box.

    Raises:
        ValueError: for fewer than two cells along a side.
    """
    if n < 2:
        raise ValueError(f"n is {n}; a grid needs at least 2 cells along each side")
    axis = (np.arange(n) + 0.5) * 2 / n - 1
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)


def mirrored(u: Velocity) -> Float[np.ndarray, "n2 n2 2"]:
    """The periodic field on `[-1, 3]^2` of which a velocity with free slip is a quarter."""
    for axis in (0, 1):
        sign = np.ones(2)
        sign[axis] = -1
        u = np.concatenate([u, np.flip(u, axis) * sign], axis)
    return u


def project(u: Velocity) -> Velocity:
    """The divergence-free part of a velocity with free slip: `u - grad p` with `laplace p = div u`, exact by FFT.

    Raises:
        ValueError: unless u has shape `[n, n, 2]` and is finite.
    """
    n = _cells(u)
    waves = fft.fft2(mirrored(u), axes=(0, 1))
    k = fft.fftfreq(2 * n, 1 / (2 * n))
    k[n] = 0  # the highest wave has no derivative on the grid
    K = np.stack(np.meshgrid(k, k, indexing="ij"), axis=-1)
    square = np.sum(K**2, axis=-1, keepdims=True)
    along = np.sum(K * waves, axis=-1, keepdims=True) / np.where(square > 0, square, 1)
    return fft.ifft2(waves - K * along, axes=(0, 1)).real[:n, :n]


def divergence(u: Velocity) -> Float[np.ndarray, "n n"]:
    """Spectral divergence of a velocity with free slip."""
    n = _cells(u)
    k = fft.fftfreq(2 * n, 1 / (2 * n))
    k[n] = 0
    K = np.pi / 2 * np.stack(np.meshgrid(k, k, indexing="ij"), axis=-1)
    waves = np.sum(1j * K * fft.fft2(mirrored(u), axes=(0, 1)), axis=-1)
    return fft.ifft2(waves).real[:n, :n]


def sample(u: Velocity, points: Float[np.ndarray, "*m 2"], *, order: int = 1) -> Float[np.ndarray, "*m 2"]:
    """The velocity between the cells' centres.

    Args:
        u: velocity.
        points: of the box.
        order: 1 for bilinear interpolation, 3 for cubic splines.

    Raises:
        ValueError: for another order, points that are not finite, or unless u has shape `[n, n, 2]` and is finite.
    """
    n = _cells(u)
    if order not in (1, 3):
        raise ValueError(f"order is {order}; choose from 1 (bilinear), 3 (cubic spline)")
    if not np.isfinite(points).all():
        raise ValueError("points holds numbers that are not finite; they have no place in the box")
    places = np.moveaxis((points + 1) * n / 2 - 0.5, -1, 0)
    whole = mirrored(u)
    return np.stack([map_coordinates(whole[..., i], places, order=order, mode="grid-wrap") for i in (0, 1)], axis=-1)


def advect(u: Velocity, dt: float, *, order: int = 1) -> Velocity:
    """`u(clip(x - dt u(x), -1, 1))` at the cells' centres.

    Args and Raises: as for `sample`; dt must be positive.
    """
    if not dt > 0:
        raise ValueError(f"dt is {dt}; it must be positive")
    return sample(u, np.clip(cell_grid(_cells(u)) - dt * u, -1, 1), order=order)


def grid_fluid(u: Velocity, dt: float, steps: int, *, order: int = 1) -> Float[np.ndarray, "times n n 2"]:
    """Steps of advection and projection, the initial velocity first.

    Args and Raises: as for `advect`; `steps` must be at least 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")
    series = [np.asarray(u, float)]
    for _ in range(steps):
        series.append(project(advect(series[-1], dt, order=order)))
    return np.stack(series)


def _cells(u: np.ndarray) -> int:
    if u.ndim != 3 or u.shape[0] != u.shape[1] or u.shape[2] != 2:
        raise ValueError(f"u has shape {u.shape}; a velocity on a grid has shape (n, n, 2)")
    if not np.isfinite(u).all():
        raise ValueError("u holds numbers that are not finite; interpolation would lose them")
    return u.shape[0]

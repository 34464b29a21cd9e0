"""Advection of a profile on a line by grids, and the exact solution of the midpoint rule in time; NumPy, float64.

Nodes stand at equal distances from one end of the interval to the other; nothing flows in.
"""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.sparse import diags_array, eye_array
from scipy.sparse.linalg import factorized

Series = Float[np.ndarray, "times n"]


def midpoint_grid(
    initial: Float[np.ndarray, " n"],
    spacing: float,
    *,
    velocity: float,
    dt: float,
    steps: int,
    scheme: Literal["central", "upwind"] = "central",
) -> Series:
    """Implicit midpoint rule in time (Crank-Nicolson), `(I + a dt D / 2) u_(n+1) = (I - a dt D / 2) u_n`.

    Args:
        initial: values at the nodes.
        spacing: distance of the nodes.
        velocity: a.
        dt: time step.
        steps: how many.
        scheme: D, central differences (second order) or differences against the wind (first order).

    Returns:
        Values at the nodes for times 0, dt, ..., steps dt.

    Raises:
        ValueError: for a step, spacing or number of steps that is not positive, or another scheme.
    """
    _check(spacing=spacing, dt=dt, steps=steps)
    n = len(initial)
    if scheme == "central":
        D = diags_array([-0.5, 0.5], offsets=[-1, 1], shape=(n, n)) / spacing
    elif scheme == "upwind":
        sign = 1 if velocity >= 0 else -1
        D = sign * diags_array([1.0, -1.0], offsets=[0, -sign], shape=(n, n)) / spacing
    else:
        raise ValueError(f"scheme is {scheme!r}; choose from central, upwind")
    half = velocity * dt / 2 * D
    solve, right = factorized((eye_array(n) + half).tocsc()), (eye_array(n) - half).tocsr()
    series = [np.asarray(initial, float)]
    for _ in range(steps):
        series.append(solve(right @ series[-1]))
    return np.stack(series)


def upwind_grid(initial: Float[np.ndarray, " n"], spacing: float, *, velocity: float, dt: float, steps: int) -> Series:
    """Explicit differences against the wind, in as few sub-steps as the CFL condition `|a| dt <= spacing` allows.

    Args and Raises: as for `midpoint_grid`.

    >>> upwind_grid(np.array([0.0, 1.0, 0.0, 0.0]), 1.0, velocity=1.0, dt=2.0, steps=1)[-1].tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    _check(spacing=spacing, dt=dt, steps=steps)
    substeps = max(1, math.ceil(abs(velocity) * dt / spacing - 1e-12))
    courant = abs(velocity) * dt / substeps / spacing
    series = [np.asarray(initial, float)]
    for _ in range(steps):
        u = series[-1] if velocity >= 0 else series[-1][::-1]
        for _ in range(substeps):
            u = u - courant * np.diff(u, prepend=0.0)
        series.append(u if velocity >= 0 else u[::-1])
    return np.stack(series)


def semi_lagrangian_line(
    initial: Float[np.ndarray, " n"],
    spacing: float,
    *,
    velocity: float,
    dt: float,
    steps: int,
    interpolation: Literal["linear", "cubic"] = "linear",
) -> Series:
    """`u_(n+1)(x) = u_n(x - a dt)`, read off the nodes by linear or cubic spline interpolation.

    Args and Raises: as for `midpoint_grid`; `interpolation` between nodes.
    """
    _check(spacing=spacing, dt=dt, steps=steps)
    if interpolation not in ("linear", "cubic"):
        raise ValueError(f"interpolation is {interpolation!r}; choose from linear, cubic")
    nodes = spacing * np.arange(len(initial))
    origin = nodes - velocity * dt
    inside = (origin >= 0) & (origin <= nodes[-1])
    series = [np.asarray(initial, float)]
    for _ in range(steps):
        u = np.interp(origin, nodes, series[-1]) if interpolation == "linear" else CubicSpline(nodes, series[-1])(origin)
        series.append(np.where(inside, u, 0.0))
    return np.stack(series)


def midpoint_in_time(
    initial: Float[np.ndarray, " n"], spacing: float, *, velocity: float, dt: float, steps: int
) -> Float[np.ndarray, " n"]:
    """The midpoint rule without an error in space: every wave of a periodic profile turns by `(1 - i t / 2) / (1 + i t / 2)`.

    `t = k a dt` for wave number k. What a solver misses against this solution is its error in space alone.

    Args:
        initial: values on a uniform periodic grid that resolves them.
        spacing, velocity, dt, steps: as for `midpoint_grid`; `steps` may be 0.

    Returns:
        Values after `steps` steps.
    """
    _check(spacing=spacing, dt=dt, steps=steps + 1)
    turn = 1j * np.pi * np.fft.rfftfreq(len(initial), spacing) * velocity * dt
    return np.fft.irfft(np.fft.rfft(initial) * ((1 - turn) / (1 + turn)) ** steps, len(initial))


def _check(**positive: float) -> None:
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; it must be positive")

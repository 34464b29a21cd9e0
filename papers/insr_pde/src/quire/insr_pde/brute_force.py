"""The losses by their definitions, in NumPy without automatic differentiation: what C0 compares with.

Spatial derivatives follow the chain rule layer by layer; derivatives by the parameters are complex steps,
`dL / d theta_j = Im L(theta + i h e_j) / h` with h = 1e-30, exact to rounding.
"""

import itertools
from collections.abc import Callable

import numpy as np

Parameters = np.ndarray
Widths = tuple[int, ...]


def network(theta: Parameters, widths: Widths, x: np.ndarray, omega: float = 30.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values `[n, m]`, first and unmixed second derivatives `[n, m, d]` of a sine network.

    Args:
        theta: `W_0, b_0, W_1, b_1, ...`, weights `[out, in]`; may be complex.
        widths: sizes of the layers, input and output included.
        x: points `[n, d]`.
        omega: frequency of the sines.
    """
    h = x.astype(theta.dtype)
    slope = np.broadcast_to(np.eye(x.shape[1], dtype=theta.dtype), (len(x), *[x.shape[1]] * 2))
    bend = np.zeros_like(slope)
    place, last = 0, len(widths) - 2
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        weight = theta[place : place + fan_in * fan_out].reshape(fan_out, fan_in)
        bias = theta[place + fan_in * fan_out : place + (fan_in + 1) * fan_out]
        place += (fan_in + 1) * fan_out
        h, slope, bend = h @ weight.T + bias, weight @ slope, weight @ bend
        if layer < last:
            sine, cosine = np.sin(omega * h)[..., None], omega * np.cos(omega * h)[..., None]
            h, slope, bend = sine[..., 0], cosine * slope, cosine * bend - omega**2 * sine * slope**2
    return h, slope, bend


def gradient(loss: Callable[[Parameters], complex], theta: Parameters) -> np.ndarray:
    """Derivative of a loss by every parameter, by complex steps."""
    step = 1e-30
    return np.array([loss(theta + 1j * step * row).imag / step for row in np.eye(theta.size)])


def advection_loss(theta, before, widths, x, ends, *, velocity: float, dt: float) -> complex:
    """Midpoint rule at points plus the mean square at both ends."""
    u, slope, _ = network(theta, widths, x)
    u_before, slope_before, _ = network(before, widths, x)
    residual = (u - u_before) / dt + velocity * (slope + slope_before)[..., 0] / 2
    return np.mean(residual**2) + np.mean(network(theta, widths, ends)[0] ** 2)


def velocity_loss(theta, widths, target, x, side_x, side_y) -> complex:
    """Mean square distance from a target, plus free slip."""
    through_x, through_y = (network(theta, widths, side)[0][:, axis] for axis, side in enumerate((side_x, side_y)))
    return np.mean((network(theta, widths, x)[0] - target) ** 2) + np.mean(through_x**2) + np.mean(through_y**2)


def semi_lagrangian_velocity(before, widths, x, dt: float) -> np.ndarray:
    """Semi-Lagrangian target of the advection."""
    return network(before, widths, np.clip(x - dt * network(before, widths, x)[0], -1, 1))[0]


def projected_velocity(before, widths, pressure, pressure_widths, x) -> np.ndarray:
    """Target of the projection."""
    return network(before, widths, x)[0] - network(pressure, pressure_widths, x)[1][:, 0]


def pressure_loss(theta, widths, velocity, velocity_widths, x, side_x, side_y) -> complex:
    """Poisson equation plus Neumann conditions."""
    divergence = np.trace(network(velocity, velocity_widths, x)[1], axis1=1, axis2=2)
    laplacian = network(theta, widths, x)[2][:, 0].sum(axis=-1)
    slopes = [network(theta, widths, side)[1][:, 0, axis] for axis, side in enumerate((side_x, side_y))]
    return np.mean((divergence - laplacian) ** 2) + sum(np.mean(slope**2) for slope in slopes)

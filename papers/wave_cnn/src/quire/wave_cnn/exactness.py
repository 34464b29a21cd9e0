"""What C1 and C2 measure: one-way forms against dense convolutions, finite elements against closed forms."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.layers.convolution import conv_nd
from quire.common.pde.tensor_mesh import fast_diagonalisation, line_matrices
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.wave_cnn.one_way_conv import factor_shapes, per_kernel_conv, shared_conv
from quire.wave_cnn.wave_fe import WaveFE

LAYERS = (
    ("per_kernel", (3, 5), 2, (1, 2)),
    ("per_kernel", (3, 5, 3), 2, 1),
    ("shared", (3, 5), 3, 1),
    ("shared", (3, 5, 3), 3, 2),
)
"""Form, taps, rank and stride of C1's layers."""


def layer_errors(key: jax.Array, dtype: Any) -> list[float]:
    """Largest errors of one-way layers, pass by pass, against XLA's convolution with the kernel summed in NumPy."""
    draw, cases = generator(key), []
    for mode, size, rank, _ in LAYERS:
        factors = [draw.normal(size=shape) for shape in factor_shapes(3, 4, size, rank, mode)]
        x = draw.normal(size=(2, *(7, 8, 6)[: len(size)], 3))
        cases.append(jax.tree.map(lambda a: jnp.asarray(a, dtype), (x, factors, _summed(factors, mode))))
    return [max_relative_error(found, dense) for found, dense in _both_ways(cases)]


@jax.jit
def _both_ways(cases):
    """By passes and by dense kernels, layer by layer."""
    pairs = []
    for (mode, _, _, stride), (x, factors, kernel) in zip(LAYERS, cases, strict=True):
        if mode == "shared":
            found = shared_conv(x, factors, stride=stride)
        else:
            found = per_kernel_conv(x, factors, stride=stride, evaluate="sequential")
        pairs.append((found, conv_nd(x, kernel, stride=stride, impl="xla")))
    return pairs


def _summed(factors: Sequence[np.ndarray], mode: str) -> np.ndarray:
    """The dense kernel `[*size, in, out]`, term by term."""
    out, rank = (len(factors[0]), factors[0].shape[2]) if mode == "per_kernel" else (len(factors[-1]), len(factors[0]))
    channels = factors[0].shape[1]
    kernel = np.zeros((*(f.shape[-1] for f in factors), channels, out))
    for o, i, r in np.ndindex(out, channels, rank):
        if mode == "per_kernel":
            filters = [f[o, i, r] for f in factors]
        else:
            filters = [factors[0][r, i], *(f[r] for f in factors[1:-1]), factors[-1][o, r]]
        term = filters[0]
        for one in filters[1:]:
            term = np.multiply.outer(term, one)
        kernel[..., i, o] += term
    return kernel


def wave_errors(meshes: Sequence[int], key: jax.Array) -> dict[str, Any]:
    """Frequencies, energy and order of the wave model, in the precision that JAX is set to.

    Returns:
        `closed form`: largest relative error of discrete frequencies of mode (1, 1) against their formula; `frequency`: their
        relative errors against `pi sqrt(2)`; `drift`: of the energy of a random start over 200 steps; `standing wave`: error
        at time 1 against `cos(pi x) cos(pi y) cos(sqrt(2) pi t)`, steps of a quarter of an element.
    """
    frequencies = [np.sqrt(mode_eigenvalue(n)) for n in meshes]
    theta = [np.pi / n for n in meshes]
    formula = [np.sqrt(2 * 6 * n**2 * (2 - 2 * np.cos(t)) / (4 + 2 * np.cos(t))) for n, t in zip(meshes, theta, strict=True)]
    energy = np.asarray(_energy_over_time(*generator(key).normal(size=(2, 30))))
    return {
        "closed form": float(np.max(np.abs(np.array(frequencies) / formula - 1))),
        "frequency": [float(f / (np.pi * 2**0.5) - 1) for f in frequencies],
        "drift": float(np.max(np.abs(energy / energy[0] - 1))),
        "standing wave": [standing_wave_error(n) for n in meshes],
    }


@jax.jit
def _energy_over_time(u0, v0):
    fe = WaveFE(5, 4, 1.2, 0.9, c=0.8)
    return fe.energy(*fe.newmark(u0, v0, 0.05, 200))


def mode_eigenvalue(n: int) -> float:
    """Square of the discrete frequency of mode (1, 1) of a unit square held at its edges, `n x n` elements, c = 1."""
    mass, stiffness = (matrix[1:-1, 1:-1] for matrix in line_matrices(n, 1 / n))
    return float(fast_diagonalisation([(mass, stiffness)] * 2).eigenvalues[0, 0])


def standing_wave_error(n: int) -> float:
    """Largest error at time 1 of `cos(pi x) cos(pi y) cos(sqrt(2) pi t)` between free edges, steps of a quarter of an element.

    With steps of half an element, the leading errors of space and of time cancel for this mode, and the order is 4.
    """
    shape = np.prod(np.cos(np.pi * WaveFE(n, n).nodes()), axis=1)
    return float(np.max(np.abs(_at_time_one(shape, n) - shape * np.cos(2**0.5 * np.pi))))


@partial(jax.jit, static_argnames="n")
def _at_time_one(u0, n):
    return WaveFE(n, n).newmark(u0, jnp.zeros_like(u0), 0.25 / n, 4 * n).displacement[-1]

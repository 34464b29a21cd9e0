"""A small Tensor-Program interpreter: what becomes of n-vectors, Gaussian matrices and averages as n grows.

Every vector x has a scalar random variable `Z^x` as its limit. Initial vectors are Gaussian, coordinatewise functions act on Z,
averages become expectations, and for a Gaussian matrix W with entries of variance `sigma^2 / n` (Yang and Hu 2021)

    Z^{Wx} = Zhat^{Wx} + Zdot^{Wx},
    cov(Zhat^{Wx}, Zhat^{Wy}) = sigma^2 E[Z^x Z^y],
    Zdot^{Wx} = sigma^2 sum_y Z^y E[dZ^x / dZhat^{W^T y}],    y running over earlier products W^T y.

A variable is held as samples, float64 on the host. The Gaussians behind them are made exactly orthonormal *in the samples*, so
moments of linear combinations are exact: programs without nonlinearity have no sampling error at all, the others that of Monte
Carlo. The products with one matrix are expressed in an orthonormal basis e_i of their arguments: `Zhat^{W e_i} = sigma g_i` with
independent g_i, which turns the correction into `Zdot^{Wx} = sigma sum_i e_i E[dZ^x / dg_i]` with the e_i and g_i of the
transpose.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quire.common.random import generator

NEGLIGIBLE = 1e-12
"""Relative squared length below which an argument counts as lying in the span of earlier ones."""


@dataclass(frozen=True)
class Vector:
    """Limit `Z^x` of an n-vector.

    Attributes:
        samples: `[S]` samples of Z.
        slopes: derivative of Z by each Gaussian that a matrix brought in, by its number.
    """

    samples: Float[np.ndarray, " samples"]
    slopes: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass
class Matrix:
    """A Gaussian n x n matrix with entries of variance `sigma^2 / n`; remembers what it was multiplied with, each way."""

    sigma: float
    arguments: dict[bool, list[Vector]] = field(default_factory=lambda: {False: [], True: []})
    gaussians: dict[bool, list[int]] = field(default_factory=lambda: {False: [], True: []})


class TensorProgram:
    """Builds and evaluates a program, instruction by instruction.

    Args:
        key: for the samples.
        num_samples: S; more than the Gaussians that the program needs.

    >>> program = TensorProgram(jax.random.key(0), 1000)
    >>> W, x = program.matrix(), program.gaussian()
    >>> back = program.matmul(W, program.matmul(W, x), transpose=True)  # W^T W x = x + noise
    >>> round(float(program.moment(back, x)), 4)
    1.0
    """

    def __init__(self, key: jax.Array, num_samples: int):
        if num_samples < 2:
            raise ValueError(f"num_samples is {num_samples}; it must be at least 2")
        self._rng, self._size = generator(key), num_samples
        self._basis = [np.ones(num_samples)]
        self._normals: list[np.ndarray] = []

    def gaussian(self, sigma: float = 1.0) -> Vector:
        """An initial vector with N(0, sigma^2) entries, independent of everything before."""
        return Vector(sigma * self._normals[self._draw()])

    def constant(self, value: float) -> Vector:
        """The vector with all entries equal."""
        return Vector(np.full(self._size, float(value)))

    def matrix(self, sigma: float = 1.0) -> Matrix:
        """A matrix with N(0, sigma^2 / n) entries."""
        if not sigma > 0:
            raise ValueError(f"sigma is {sigma}; it must be positive")
        return Matrix(sigma)

    def combine(self, coefficients: Sequence[Any], vectors: Sequence[Vector]) -> Vector:
        """Linear combination; coefficients are limits of scalars (or plain numbers)."""
        coefficients = [float(c) for c in coefficients]
        samples = sum((c * v.samples for c, v in zip(coefficients, vectors, strict=True)), np.zeros(self._size))
        slopes: dict[int, np.ndarray] = {}
        for c, v in zip(coefficients, vectors, strict=True):
            for g, slope in v.slopes.items():
                slopes[g] = slopes[g] + c * slope if g in slopes else c * slope
        return Vector(samples, slopes)

    def nonlin(self, phi: Callable[..., Any], *vectors: Vector) -> Vector:
        """`phi(x_1, x_2, ...)` coordinate by coordinate, phi a function of JAX arrays."""
        values, pull_back = jax.vjp(phi, *(v.samples.astype(jnp.result_type(float)) for v in vectors))
        partials = [np.asarray(partial, float) for partial in pull_back(np.ones_like(values))]
        slopes: dict[int, np.ndarray] = {}
        for partial, v in zip(partials, vectors, strict=True):
            for g, slope in v.slopes.items():
                slopes[g] = slopes.get(g, 0) + partial * slope
        return Vector(np.asarray(values, float), slopes)

    def moment(self, x: Vector, y: Vector) -> float:
        """`E[Z^x Z^y]`, the limit of `x . y / n`."""
        return float(np.mean(x.samples * y.samples))

    def matmul(self, W: Matrix, x: Vector, *, transpose: bool = False) -> Vector:
        """`W x`, or `W^T x`.

        Raises:
            ValueError: if a sample of x is not finite.
        """
        arguments, gaussians = W.arguments[transpose], W.gaussians[transpose]
        inner = [self.moment(x, e) for e in arguments]
        rest = self.combine([1.0, *(-c for c in inner)], [x, *arguments])
        squared = self.moment(rest, rest)
        if not np.isfinite(squared):
            raise ValueError(f"x has samples whose mean square is {squared}; a limit needs finite ones")
        # Derivatives of x, not of what it is a combination of, decide the correction; so it comes before x joins the basis.
        earlier = list(zip(W.arguments[not transpose], W.gaussians[not transpose], strict=True))
        correction = [(W.sigma * x.slopes[g].mean(), e) for e, g in earlier if g in x.slopes]
        if squared > NEGLIGIBLE * max(self.moment(x, x), np.finfo(float).tiny):
            length = squared**0.5
            arguments.append(self.combine([1 / length], [rest]))
            gaussians.append(self._draw())
            inner.append(length)
        hat = [(W.sigma * c, Vector(self._normals[g], {g: np.ones(self._size)})) for c, g in zip(inner, gaussians, strict=True)]
        return self.combine(*([list(part) for part in zip(*hat, *correction, strict=True)] or [[], []]))

    def _draw(self) -> int:
        """A new Gaussian, orthogonal to the constant and to all before in the samples, and of unit length there."""
        number = len(self._normals)
        if number + 2 > self._size:
            raise ValueError(f"num_samples is {self._size}; a program with {number + 1} Gaussians needs at least {number + 2}")
        g, basis = self._rng.standard_normal(self._size), np.stack(self._basis)
        for _ in range(2):  # twice is enough for orthogonality to rounding
            g = g - (basis @ g / self._size) @ basis
        g /= np.sqrt(np.mean(g**2))
        self._basis.append(g)
        self._normals.append(g)
        return number

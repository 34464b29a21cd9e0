"""Radial functions of interatomic distances: Bessel basis and polynomial cutoff."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating


def bessel_basis(r: Float[Array, "*batch"], cutoff: float, count: int = 8) -> Float[Array, "*batch count"]:
    """Spherical Bessel functions of order 0 that vanish at the cutoff, `sqrt(2 / c) sin(n pi r / c) / r`, n = 1 .. count.

    Args:
        r: distances; at 0 the limit is taken, with its derivative.
        cutoff: c, where all of them vanish.
        count: number of functions.

    Returns:
        `[..., count]`.

    Raises:
        ValueError: if `cutoff` is not positive or `count` is below 1.

    >>> bessel_basis(jnp.array([1.0]), 2.0, 2).round(4).tolist()
    [[1.0, -0.0]]
    """
    if not cutoff > 0 or count < 1:
        raise ValueError(f"cutoff is {cutoff} and count {count}; the cutoff must be positive and the count at least 1")
    (r,) = floating(r)
    waves = (np.pi / cutoff * np.arange(1, count + 1)).astype(r.dtype).reshape((1,) * r.ndim + (-1,))
    return float(np.sqrt(2 / cutoff)) * waves * sinc(waves * r[..., None])


SINC_SERIES = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8))
"""`sin(x) / x` in powers of x^2, to the rounding of float64 for `|x| <= 1 / 2`, derivatives included."""


def sinc(x: Float[Array | np.ndarray, "*batch"]) -> Float[Array, "*batch"]:
    """`sin(x) / x`, accurate near 0 in its derivatives as well.

    `jnp.sinc` has the limit at 0 itself; near it the quotients of its derivatives cancel.

    >>> round(float(jax.grad(jax.grad(sinc))(1e-6)), 4)
    -0.3333
    """
    (x,) = floating(x)
    x = _hidden(x)
    near = jnp.abs(x) < 0.5
    square, far = jnp.where(near, x * x, 0), jnp.where(near, 1, x)
    series = jnp.full_like(square, SINC_SERIES[-1])
    for coefficient in SINC_SERIES[-2::-1]:
        series = series * square + coefficient
    return jnp.where(near, series, jnp.sin(far) / far)


def polynomial_cutoff(r: Float[Array, "*batch"], cutoff: float, p: int = 5) -> Float[Array, "*batch"]:
    """Smooth envelope `1 - (p+1)(p+2)/2 u^p + p(p+2) u^(p+1) - p(p+1)/2 u^(p+2)`, `u = r / cutoff`; zero beyond it.

    Computed as `(1 - u)^3 sum_(k < p) (k + 1)(k + 2)/2 u^k`, in which nothing cancels.

    Args:
        r: distances.
        cutoff: where it vanishes with its first two derivatives.
        p: order of the first deviation from 1 at the origin.

    Raises:
        ValueError: if `cutoff` is not positive or `p` is below 1.

    >>> print(polynomial_cutoff(jnp.array([0.0, 2.5, 5.0, 7.0]), 5.0).round(4))
    [1.     0.7734 0.     0.    ]
    """
    if not cutoff > 0 or p < 1:
        raise ValueError(f"cutoff is {cutoff} and p {p}; the cutoff must be positive and p at least 1")
    (r,) = floating(r)
    u = jnp.minimum(_hidden(r) / cutoff, 1)
    series = jnp.full_like(u, (p + 1) * p / 2)
    for k in range(p - 2, -1, -1):
        series = series * u + (k + 1) * (k + 2) / 2
    return (1 - u) ** 3 * series


def _hidden(r: Array) -> Array:
    """The same numbers, of which the compiler knows nothing.

    XLA (jaxlib 0.10.2, CPU) knows the choices that are made for distances that are closed over, not passed, such as `r < cutoff`
    where it is true of all; gradients mapped over parameters by `vmap` are then wrong from 32768 numbers on, without a word.
    """
    return jax.lax.optimization_barrier(r)

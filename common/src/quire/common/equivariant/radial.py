"""Radial functions of interatomic distances: Bessel basis and polynomial cutoff."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


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
    n = np.arange(1, count + 1, dtype=r.dtype).reshape((1,) * r.ndim + (-1,))
    return float(np.sqrt(2 / cutoff)) * (np.pi / cutoff * n).astype(r.dtype) * jnp.sinc(n / cutoff * r[..., None])


def polynomial_cutoff(r: Float[Array, "*batch"], cutoff: float, p: int = 5) -> Float[Array, "*batch"]:
    """Smooth envelope `1 - (p+1)(p+2)/2 u^p + p(p+2) u^(p+1) - p(p+1)/2 u^(p+2)`, `u = r / cutoff`; zero beyond it.

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
    u = r / cutoff
    inside = u < 1
    u = jnp.where(inside, u, 0)
    envelope = 1 - u**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * u + p * (p + 1) / 2 * u * u)
    return jnp.where(inside, envelope, 0)

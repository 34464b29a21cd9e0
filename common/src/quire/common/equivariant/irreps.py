"""Bookkeeping of fields on the sphere: coefficients `x[l^2 + l + m]`, one copy of each degree `l = 0 .. lmax`.

Inversion acts on degree l by `(-1)^l`, as on the spherical harmonics themselves.
"""

from math import isqrt

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def num_coefficients(lmax: int) -> int:
    """`(lmax + 1)^2`.

    Raises:
        ValueError: if `lmax` is negative.

    >>> num_coefficients(3)
    16
    """
    if lmax < 0:
        raise ValueError(f"lmax is {lmax}; a degree is at least 0")
    return (lmax + 1) ** 2


def lmax_of(x: Array | np.ndarray, name: str = "x") -> int:
    """Highest degree of real coefficients `[..., (lmax + 1)^2]`.

    Args:
        x: coefficients.
        name: what an error message calls them.

    Raises:
        ValueError: if the last axis is not a square, or the numbers are not real floating-point numbers.

    >>> lmax_of(np.zeros((5, 16)))
    3
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{name} has dtype {x.dtype}; coefficients of real spherical harmonics are real floating-point numbers")
    size = x.shape[-1] if x.ndim else 0
    if size == 0 or isqrt(size) ** 2 != size:
        raise ValueError(f"{name} has shape {x.shape}; its last axis must hold (lmax + 1)^2 coefficients: 1, 4, 9, ...")
    return isqrt(size) - 1


def at_least_float32(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """The same coefficients, those of half precision in float32: sums over a sphere would lose what is left of them.

    >>> at_least_float32(jnp.zeros(4, jnp.bfloat16)).dtype.name
    'float32'
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def degrees(lmax: int) -> np.ndarray:
    """Degree l of every coefficient, int32 `[(lmax + 1)^2]`.

    >>> degrees(2).tolist()
    [0, 1, 1, 1, 2, 2, 2, 2, 2]
    """
    num_coefficients(lmax)
    return np.repeat(np.arange(lmax + 1, dtype=np.int32), 2 * np.arange(lmax + 1) + 1)


def orders(lmax: int) -> np.ndarray:
    """Order m of every coefficient, int32 `[(lmax + 1)^2]`.

    >>> orders(1).tolist()
    [0, -1, 0, 1]
    """
    l = degrees(lmax)
    return np.arange(len(l), dtype=np.int32) - l * l - l


def of_degree(x: Float[Array, "*batch n"], l: int) -> Float[Array, "*batch m"]:
    """The `2l + 1` coefficients of degree l, orders -l .. l.

    Raises:
        ValueError: if x has no such degree.
    """
    if not 0 <= l <= lmax_of(x):
        raise ValueError(f"l is {l}; x has degrees 0 to {lmax_of(x)}")
    return x[..., l * l : (l + 1) ** 2]


def per_degree(weights: Float[Array, "*batch degrees"]) -> Float[Array, "*batch n"]:
    """One number per degree, repeated for its `2l + 1` orders.

    >>> per_degree(jnp.array([1.0, 2.0])).tolist()
    [1.0, 2.0, 2.0, 2.0]
    """
    parts = [jnp.broadcast_to(weights[..., l : l + 1], (*weights.shape[:-1], 2 * l + 1)) for l in range(weights.shape[-1])]
    return jnp.concatenate(parts, axis=-1)


def invert(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """The field seen in the mirror of the origin, `f(-r)`: odd degrees change their sign."""
    sign = np.where(degrees(lmax_of(x)) % 2, -1.0, 1.0).astype(x.dtype)
    return x * sign.reshape((1,) * (x.ndim - 1) + (-1,))

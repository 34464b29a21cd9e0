"""Monomials of several variables and polynomials that approximate the exponential."""

import math
from functools import cache
from itertools import combinations_with_replacement
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

MAX_RANK = 20_000


def num_monomials(dim: int, degree: int) -> int:
    """Number of monomials in `dim` variables of degree at most `degree`: `C(dim + degree, degree)`.

    >>> num_monomials(4, 4)
    70
    """
    return math.comb(dim + degree, degree)


@cache
def _monomials(dim: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Monomials as sorted tuples of variables, graded, each degree in lexicographic order."""
    return tuple(m for t in range(degree + 1) for m in combinations_with_replacement(range(dim), t))


@cache
def monomial_exponents(dim: int, degree: int) -> Int[np.ndarray, "r dim"]:
    """Exponents of all monomials of degree at most `degree`, graded, each degree in lexicographic order.

    Args:
        dim: number of variables.
        degree: highest total degree.

    Returns:
        Integers `[r, dim]`, `r = C(dim + degree, degree)`; read-only, one array per `(dim, degree)`.

    Raises:
        ValueError: if `dim < 1`, `degree < 0` or `r` exceeds `MAX_RANK`.

    >>> monomial_exponents(2, 2).tolist()
    [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]
    """
    _check_rank(dim, degree)
    exponents = np.array([np.bincount(m, minlength=dim) if m else np.zeros(dim, int) for m in _monomials(dim, degree)])
    exponents.setflags(write=False)
    return exponents


@cache
def _recurrence(dim: int, degree: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """For each degree t: positions of the parent monomial within degree t - 1, and the variable to multiply it by."""
    tables = []
    for t in range(1, degree + 1):
        monomials = list(combinations_with_replacement(range(dim), t))
        parents = {m: i for i, m in enumerate(combinations_with_replacement(range(dim), t - 1))}
        tables.append((np.array([parents[m[:-1]] for m in monomials], np.int32), np.array([m[-1] for m in monomials], np.int32)))
    return tuple(tables)


def monomial_features(x: Float[Array, "*batch n dim"], degree: int) -> Float[Array, "*batch n r"]:
    """All monomials `x^alpha` with `|alpha| <= degree`, in the order of `monomial_exponents`.

    Degree t is built from degree t - 1 by one gather and one multiply, so no power is ever taken.

    Args:
        x: `[..., n, dim]`.
        degree: highest total degree.

    Returns:
        `[..., n, r]`.

    Raises:
        ValueError: if `degree < 0` or `r` exceeds `MAX_RANK`.
    """
    _check_rank(x.shape[-1], degree)
    graded = [jnp.ones((*x.shape[:-1], 1), x.dtype)]
    for parent, variable in _recurrence(x.shape[-1], degree):
        graded.append(graded[-1][..., parent] * x[..., variable])
    return jnp.concatenate(graded, axis=-1)


@cache
def multinomial_coefficients(dim: int, degree: int) -> Float[np.ndarray, " r"]:
    """`|alpha|! / alpha!` for each row of `monomial_exponents`: the coefficients of `(x_1 + ... + x_dim)^t`, float64.

    >>> multinomial_coefficients(2, 2).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 1.0]
    """
    factorial = np.array([math.factorial(t) for t in range(degree + 1)], float)
    exponents = monomial_exponents(dim, degree)
    return factorial[exponents.sum(1)] / factorial[exponents].prod(1)


def exp_polynomial(
    degree: int, radius: float | None = None, kind: Literal["taylor", "chebyshev"] = "taylor"
) -> Float[np.ndarray, " coefficients"]:
    """Coefficients of a polynomial close to `exp` on `[-radius, radius]`, in the monomial basis, float64.

    `taylor` is `c_t = 1 / t!`; `chebyshev` interpolates at the Chebyshev points of `[-radius, radius]`, which spreads the
    error evenly and needs a lower degree once `radius` exceeds about 3.

    Args:
        degree: degree of the polynomial.
        radius: half-width of the interval; only `chebyshev` uses it.
        kind: which polynomial.

    Returns:
        `[degree + 1]`, constant term first.

    Raises:
        ValueError: for a negative degree, an unknown kind, or `chebyshev` without a positive radius.

    >>> exp_polynomial(3)
    array([1.        , 1.        , 0.5       , 0.16666667])
    """
    if degree < 0:
        raise ValueError(f"degree is {degree}; it must be at least 0")
    if kind == "taylor":
        return np.array([1 / math.factorial(t) for t in range(degree + 1)])
    if kind != "chebyshev":
        raise ValueError(f"kind is {kind!r}; it must be 'taylor' or 'chebyshev'")
    if radius is None or not radius > 0:
        raise ValueError(f"radius is {radius}; chebyshev needs the positive half-width of its interval")
    domain = [-radius, radius]
    interpolant = np.polynomial.Chebyshev.interpolate(np.exp, degree, domain=domain)
    return interpolant.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef


def _check_rank(dim: int, degree: int) -> None:
    if dim < 1 or degree < 0:
        raise ValueError(f"dim is {dim} and degree {degree}; dim must be at least 1 and degree at least 0")
    rank = num_monomials(dim, degree)
    if rank > MAX_RANK:
        raise ValueError(
            f"{dim} variables to degree {degree} give {rank} monomials, more than {MAX_RANK}; lower the degree or the dimension"
        )

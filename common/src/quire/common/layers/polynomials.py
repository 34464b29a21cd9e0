"""Monomials of several variables and polynomials that approximate the exponential."""

import math
from functools import cache
from itertools import combinations_with_replacement
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import floating

MAX_RANK = 20_000
MAX_EXPONENT = 700.0
"""What `exp` in float64 can represent."""
MAX_RESOLVED = 12.0
"""Up to this radius an interpolant of sufficient degree is exact to 1e-4 relative to `exp(-radius)`, beyond it is not."""


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

    def read_only(numbers):
        table = np.array(numbers, np.int32)
        table.setflags(write=False)
        return table

    for t in range(1, degree + 1):
        monomials = list(combinations_with_replacement(range(dim), t))
        parents = {m: i for i, m in enumerate(combinations_with_replacement(range(dim), t - 1))}
        tables.append((read_only([parents[m[:-1]] for m in monomials]), read_only([m[-1] for m in monomials])))
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
    (x,) = floating(x)
    graded = [jnp.ones((*x.shape[:-1], 1), x.dtype)]
    for parent, variable in _recurrence(x.shape[-1], degree):
        graded.append(graded[-1][..., parent] * x[..., variable])
    return jnp.concatenate(graded, axis=-1)


@cache
def multinomial_coefficients(dim: int, degree: int) -> Float[np.ndarray, " r"]:
    """`|alpha|! / alpha!` for each row of `monomial_exponents`: the coefficients of `(x_1 + ... + x_dim)^t`, float64.

    Read-only, one array per `(dim, degree)`.

    Raises:
        ValueError: as for `monomial_exponents`.

    >>> multinomial_coefficients(2, 2).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 1.0]
    """
    exponents = monomial_exponents(dim, degree)
    factorial = np.array([math.factorial(t) for t in range(degree + 1)], object)  # exact, of any size
    coefficients = (factorial[exponents.sum(1)] // factorial[exponents].prod(1)).astype(float)
    coefficients.setflags(write=False)
    return coefficients


def exp_polynomial(
    degree: int, radius: float | None = None, kind: Literal["taylor", "chebyshev"] = "taylor"
) -> Float[np.ndarray, " coefficients"]:
    """Coefficients of a polynomial close to `exp` on `[-radius, radius]`, in the monomial basis, float64.

    `taylor` is `c_t = 1 / t!`; `chebyshev` interpolates at the Chebyshev points of `[-radius, radius]`, which spreads the
    error evenly and needs a lower degree once `radius` exceeds about 3. Terms below the rounding of the largest are left out,
    for they are noise, which the monomial basis would multiply by `2^degree`.

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
    if radius is None or not 0 < radius < MAX_EXPONENT:
        raise ValueError(f"radius is {radius}; chebyshev needs the half-width of its interval, between 0 and {MAX_EXPONENT:g}")
    useful = min(degree, _resolved_degree(radius))
    if useful < degree and radius > MAX_RESOLVED:
        raise ValueError(f"radius is {radius}; degree {degree} adds but rounding beyond {MAX_RESOLVED:g}, take {useful} or less")
    interpolant = np.polynomial.Chebyshev.interpolate(np.exp, useful, domain=[-radius, radius])
    kept = interpolant.convert(kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]).coef
    return np.pad(kept, (0, degree - useful))


def _resolved_degree(radius: float) -> int:
    """Where the Chebyshev coefficients of `exp`, `2 I_k(radius) ~ 2 (radius / 2)^k / k!`, fall below rounding."""
    smallest = np.finfo(float).eps * math.exp(radius) / math.sqrt(2 * math.pi * radius + 1)
    degree, term = 0, 1.0
    while term > smallest or degree < radius:
        degree += 1
        term *= radius / 2 / degree
    return degree


def _check_rank(dim: int, degree: int) -> None:
    if dim < 1 or degree < 0:
        raise ValueError(f"dim is {dim} and degree {degree}; dim must be at least 1 and degree at least 0")
    rank = num_monomials(dim, degree)
    if rank > MAX_RANK:
        raise ValueError(
            f"{dim} variables to degree {degree} give {rank} monomials, more than {MAX_RANK}; lower the degree or the dimension"
        )

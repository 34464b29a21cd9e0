"""Sets that meet Welch's bound, by construction: orthonormal, simplex, and real equiangular tight frames.

References:
    Paley, *On orthogonal matrices*, 1933; Lemmens and Seidel, *Equiangular lines*, 1973; Fickus, Mixon and Tremain, *Steiner
    equiangular tight frames*, 2012.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.layers.class_heads import simplex_vectors

Vectors = Float[np.ndarray, "n d"]


def orthonormal(n: int, d: int) -> Vectors:
    """The first n axes of `R^d`.

    Raises:
        ValueError: if n exceeds d, or is below 1.

    >>> orthonormal(2, 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    check_at_least("n", n)
    if n > d:
        raise ValueError(f"n is {n}; R^{d} holds no more than {d} orthonormal vectors")
    return np.eye(n, d)


def hadamard(n: int, d: int) -> Vectors:
    """n orthonormal rows of +-1 / sqrt(d): Sylvester's Hadamard matrix.

    Raises:
        ValueError: unless d is a power of two, and n between 1 and d.

    >>> (2 * hadamard(3, 4)).tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]
    """
    if d < 1 or d & (d - 1) or not 1 <= n <= d:
        raise ValueError(f"n is {n} and d {d}; d must be a power of two and n between 1 and d")
    signs = np.ones((1, 1))
    while len(signs) < d:
        signs = np.kron([[1, 1], [1, -1]], signs)
    return signs[:n] / np.sqrt(d)


def etf(n: int, d: int) -> Vectors:
    """n unit vectors of `R^d` whose coherence is `welch_bound(n, d)`, in float64.

    Orthonormal for n <= d, a simplex for n = d + 1; conference matrices for n = 2 d where n - 1 is a prime that leaves 1 on
    division by 4, or the square of an odd prime; difference sets for (4^m, 2^(m-1) (2^m - 1)); Steiner triples of a projective
    space for (28, 7), (120, 35), ...; and the complements `(n, n - d)` of these. Others exist, most pairs (n, d) have none.

    Raises:
        ValueError: where none of these constructions applies.

    >>> vectors = etf(28, 7)
    >>> print(np.unique(abs(vectors @ vectors.T).round(6)))
    [0.333333 1.      ]
    """
    check_at_least("n", n, 2)
    check_at_least("d", d)
    if n <= d:
        return orthonormal(n, d)
    for construct in CONSTRUCTIONS:
        if (vectors := construct(n, d)) is not None:
            return vectors
        if (vectors := construct(n, n - d)) is not None:
            return complement(vectors)
    raise ValueError(f"n is {n} and d {d}; no construction of an equiangular tight frame is known here for them")


def complement(vectors: Vectors) -> Float[np.ndarray, "n rest"]:
    """The Naimark complement of a tight frame: n unit vectors of `R^(n - d)` with Gram matrix `(n I - d G) / (n - d)`.

    >>> complement(simplex_vectors(3)).round(6).ravel().tolist() in ([1.0] * 3, [-1.0] * 3)
    True
    """
    n, d = vectors.shape
    return from_gram((n * np.eye(n) - d * vectors @ vectors.T) / (n - d), n - d)


def from_gram(gram: Float[np.ndarray, "n n"], d: int) -> Vectors:
    """Vectors of `R^d` with this Gram matrix, whose rank is d."""
    values, axes = np.linalg.eigh(gram)
    return axes[:, -d:] * np.sqrt(values[-d:])


def conference_frame(n: int, d: int) -> Vectors | None:
    """`G = I + C / sqrt(n - 1)` with Paley's symmetric conference matrix C over the field of n - 1 elements; n = 2 d."""
    if n != 2 * d or (squares := quadratic_characters(n - 1)) is None:
        return None
    conference = np.ones((n, n)) - np.eye(n)
    conference[1:, 1:] = squares
    return from_gram(np.eye(n) + conference / np.sqrt(n - 1), d)


def quadratic_characters(q: int) -> Float[np.ndarray, "q q"] | None:
    """1 where the difference of two elements of the field is a square, -1 where it is none, 0 on the diagonal.

    For q a prime with remainder 1 modulo 4, or the square of an odd prime; None else, where this is not symmetric.
    """
    root = round(q**0.5)
    if _is_prime(q) and q % 4 == 1:
        elements = np.arange(q)
        return _legendre(elements[:, None] - elements, q)
    if root**2 == q and root % 2 and _is_prime(root):
        # a + b sqrt(g) is a square iff its norm a^2 - g b^2 is one in the prime field, g being none there
        g = next(g for g in range(2, root) if _legendre(np.array(g), root) < 0)
        a, b = np.divmod(np.arange(q), root)
        return _legendre((a[:, None] - a) ** 2 - g * (b[:, None] - b) ** 2, root)
    return None


def _legendre(x: np.ndarray, p: int) -> np.ndarray:
    squares = np.unique(np.arange(1, p) ** 2 % p)
    return np.where(x % p == 0, 0.0, np.where(np.isin(x % p, squares), 1.0, -1.0))


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % k for k in range(2, int(n**0.5) + 1))


def difference_set_frame(n: int, d: int) -> Vectors | None:
    """Characters of `Z_2^(2m)` on the difference set where `x_1 x_2 + x_3 x_4 + ... = 1`; n = 4^m, d = 2^(m-1) (2^m - 1)."""
    m = (n.bit_length() - 1) // 2
    if n != 4**m or m < 1 or d != 2 ** (m - 1) * (2**m - 1):
        return None
    bits = np.arange(n)[:, None] >> np.arange(2 * m) & 1
    chosen = (bits[:, ::2] * bits[:, 1::2]).sum(1) % 2 == 1
    return hadamard(n, n)[:, chosen] * np.sqrt(n / d)


def steiner_frame(n: int, d: int) -> Vectors | None:
    """Triples of points: a Hadamard matrix spread over the lines through each point of a projective space over `Z_2`.

    With `v = 2^k - 1` points there are `v (v - 1) / 6` lines, r = (v - 1) / 2 through each point, and n = v (r + 1) vectors.
    """
    k = next((k for k in range(3, n.bit_length()) if (2**k - 1) * 2 ** (k - 1) == n), None)
    if k is None or d != (2**k - 1) * (2**k - 2) // 6:
        return None
    lines = [(a, b, a ^ b) for a, b in combinations(range(1, 2**k), 2) if b < a ^ b]
    through = [[i for i, line in enumerate(lines) if point in line] for point in range(1, 2**k)]
    vectors = np.zeros((2**k - 1, 2 ** (k - 1), d))
    for point, places in enumerate(through):  # the first column, all ones, stands on no line
        vectors[point][:, places] = hadamard(2 ** (k - 1), 2 ** (k - 1))[:, 1:]
    return vectors.reshape(n, d) * np.sqrt(2 ** (k - 1) / (2 ** (k - 1) - 1))


def simplex_frame(n: int, d: int) -> Vectors | None:
    """`simplex_vectors`, n = d + 1."""
    return simplex_vectors(n) if n == d + 1 else None


CONSTRUCTIONS: tuple[Callable[[int, int], Vectors | None], ...] = (
    simplex_frame,
    conference_frame,
    difference_set_frame,
    steiner_frame,
)

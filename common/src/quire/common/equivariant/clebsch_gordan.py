"""Clebsch-Gordan and Gaunt coefficients of real spherical harmonics."""

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import gammaln

from quire.common.equivariant.irreps import num_coefficients, orders
from quire.common.equivariant.sphere_grid import from_grid_matrix, to_grid_matrix
from quire.common.tables import cached_table


def is_path(l1: int, l2: int, l3: int) -> bool:
    """Whether two fields of degrees l1 and l2 couple to degree l3: the triangle rule `|l1 - l2| <= l3 <= l1 + l2`."""
    return abs(l1 - l2) <= l3 <= l1 + l2


@cached_table(maxsize=None)
def _complex_clebsch_gordan(l1: int, l2: int) -> dict[tuple[int, int], np.ndarray]:
    """`<l1 m1 l2 m2 | l M>` for `M >= 0` as vectors over m1, by `(l, M)`; Condon-Shortley phases.

    The total angular momentum squared is tridiagonal in m1 at fixed M, and its eigenvalues `l (l + 1)` are well apart: the
    eigenvectors are accurate at any degree, where the alternating sums of factorials are not. Ladder operators fix the signs.
    """
    vectors: dict[tuple[int, int], np.ndarray] = {}
    for M in range(l1 + l2, -1, -1):
        m1 = np.arange(max(-l1, M - l2), min(l1, M + l2) + 1)
        m2 = M - m1
        raising = np.sqrt((l1 * (l1 + 1.0) - m1 * (m1 + 1)) * (l2 * (l2 + 1.0) - m2 * (m2 - 1)))[:-1]
        _, columns = eigh_tridiagonal(l1 * (l1 + 1.0) + l2 * (l2 + 1) + 2.0 * m1 * m2, raising)
        for l, vector in zip(range(max(abs(l1 - l2), M), l1 + l2 + 1), columns.T, strict=True):
            if l == M:
                reference = vector[-1]  # the component with the largest m1 is positive
            else:
                above = {m: c for m, c in zip(range(max(-l1, M + 1 - l2), l1 + 1), vectors[l, M + 1], strict=False)}
                lowered = [
                    np.sqrt(l1 * (l1 + 1.0) - m * (m + 1)) * above.get(m + 1, 0.0)
                    + np.sqrt(l2 * (l2 + 1.0) - n * (n + 1)) * above.get(m, 0.0)
                    for m, n in zip(m1, m2, strict=True)
                ]
                reference = np.dot(lowered, vector)
            vectors[l, M] = vector * np.sign(reference)
    return vectors


@cached_table(maxsize=None)
def real_clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    """Real Clebsch-Gordan coefficients of unit norm, the invariant tensor of three degrees.

    Where `l1 + l2 + l3` is even they are a positive multiple of the Gaunt coefficients; where it is odd they are antisymmetric,
    for `1 1 1` the Levi-Civita tensor over sqrt6.

    Args:
        l1, l2, l3: degrees.

    Returns:
        float64 `[2 l1 + 1, 2 l2 + 1, 2 l3 + 1]` with squares that sum to 1.

    Raises:
        ValueError: if the degrees violate the triangle rule.

    >>> real_clebsch_gordan(1, 1, 0)[:, :, 0].diagonal().round(4).tolist()
    [0.5774, 0.5774, 0.5774]
    """
    if min(l1, l2, l3) < 0 or not is_path(l1, l2, l3):
        raise ValueError(f"degrees {l1}, {l2}, {l3} do not couple; they need |l1 - l2| <= l3 <= l1 + l2")
    C = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    sign = (-1) ** (l1 + l2 - l3)
    for M in range(l3 + 1):
        vector = _complex_clebsch_gordan(l1, l2)[l3, M]
        for m1, value in zip(range(max(-l1, M - l2), l1 + 1), vector, strict=False):
            C[l1 + m1, l2 + M - m1, l3 + M] = value
            C[l1 - m1, l2 - M + m1, l3 - M] = sign * value
    W = np.einsum("ai,bj,ck,ijk->abc", *(_real_basis(l).conj() for l in (l1, l2)), _real_basis(l3), C, optimize=True)
    W = W * (-1j) ** (l1 + l2 - l3)  # real now, whatever the parity
    W = W.real / np.sqrt(2 * l3 + 1)
    return W


def _real_basis(l: int) -> np.ndarray:
    """Real harmonics as combinations of the complex ones, `[2l + 1, 2l + 1]`."""
    U = np.zeros((2 * l + 1, 2 * l + 1), complex)
    U[l, l] = 1
    for m in range(1, l + 1):
        U[l + m, [l - m, l + m]] = np.array([1, (-1) ** m]) / np.sqrt(2)
        U[l - m, [l - m, l + m]] = 1j * np.array([1, -((-1) ** m)]) / np.sqrt(2)
    return U


def gaunt_path_weights(l1max: int, l2max: int, l3max: int) -> np.ndarray:
    """`c = sqrt((2 l1 + 1)(2 l2 + 1)(2 l3 + 1) / 4 pi) |3j(l1 l2 l3; 0 0 0)|`: Gaunt coefficients over Clebsch-Gordan ones.

    Returns:
        float64 `[l1max + 1, l2max + 1, l3max + 1]`, zero where the sum is odd or the triangle rule fails.

    >>> round(float(gaunt_path_weights(1, 1, 1)[1, 1, 0] ** 2 * 4 * np.pi), 6)
    3.0
    """
    l1, l2, l3 = np.meshgrid(*(np.arange(n + 1) for n in (l1max, l2max, l3max)), indexing="ij")
    total, allowed = l1 + l2 + l3, (l1 + l2 + l3) % 2 == 0
    allowed &= (l3 <= l1 + l2) & (l1 <= l2 + l3) & (l2 <= l1 + l3)

    def log_factorial(n):
        return gammaln(np.where(allowed, n, 0) + 1.0)

    half = total // 2
    log_square = sum(log_factorial(total - 2 * l) for l in (l1, l2, l3)) - log_factorial(total + 1)
    log_square += 2 * (log_factorial(half) - sum(log_factorial(half - l) for l in (l1, l2, l3)))
    square = (2 * l1 + 1) * (2 * l2 + 1) * (2 * l3 + 1) / (4 * np.pi) * np.exp(log_square)
    return np.where(allowed, np.sqrt(square), 0.0)


@cached_table(maxsize=32)
def gaunt(l1max: int, l2max: int, l3max: int) -> np.ndarray:
    """Gaunt coefficients `int Y_a1 Y_a2 Y_a3`, by a quadrature that is exact for them.

    Returns:
        float64 `[(l1max + 1)^2, (l2max + 1)^2, (l3max + 1)^2]`; the selection rules are exact zeros.

    Raises:
        ValueError: for a negative degree.

    >>> round(float(gaunt(0, 0, 0)[0, 0, 0] ** 2 * 4 * np.pi), 6)
    1.0
    """
    for lmax in (l1max, l2max, l3max):
        num_coefficients(lmax)
    degree = l1max + l2max + l3max
    S1, S2 = to_grid_matrix(l1max, degree), to_grid_matrix(l2max, degree)
    pairs = (S1[:, None] * S2).reshape(-1, S1.shape[1])
    G = (pairs @ from_grid_matrix(l3max, degree)).reshape(len(S1), len(S2), -1)
    allowed = np.repeat(gaunt_path_weights(l1max, l2max, l3max) > 0, 2 * np.arange(l1max + 1) + 1, axis=0)
    allowed = np.repeat(allowed, 2 * np.arange(l2max + 1) + 1, axis=1)
    allowed = np.repeat(allowed, 2 * np.arange(l3max + 1) + 1, axis=2)
    return np.where(allowed & _orders_couple(l1max, l2max, l3max), G, 0.0)


def _orders_couple(l1max: int, l2max: int, l3max: int) -> np.ndarray:
    """Where the azimuthal integral does not vanish: `|m3| = ||m1| +- |m2||` and an even number of sines."""
    m1, m2, m3 = np.meshgrid(*(orders(n) for n in (l1max, l2max, l3max)), indexing="ij", sparse=True)
    a, b, c = abs(m1), abs(m2), abs(m3)
    sines = (m1 < 0).astype(int) + (m2 < 0) + (m3 < 0)
    return ((c == a + b) | (c == abs(a - b))) & (sines % 2 == 0)

"""Matrix groups: exponential and logarithm of symmetric matrices and of rotations, polar decomposition, invariant measure.

Every matrix of positive determinant is `A = exp(X) R`, X symmetric and R a rotation, in one way and smoothly: the polar (or
Cartan) decomposition gives the group global coordinates, where the exponential map of the group itself reaches only a part.

2 x 2 matrices have closed forms. Others go through eigenvalues or singular values, whose derivatives do not exist where two of
them are equal (at every rotation, for one), while those of the functions here do; they are written by divided differences.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least, floating, is_concrete

Matrices = Float[Array | np.ndarray, "*batch n n"]

_matmul = partial(jnp.matmul, precision="highest")


def sym_exp(x: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """Exponential of symmetric matrices; what is not symmetric in x is left out.

    Derivatives are right where eigenvalues are equal: those of first order for any n, of every order for n = 2.

    Args:
        x: `[..., n, n]`.

    Returns:
        Positive definite matrices `[..., n, n]`.

    Raises:
        ValueError: if the matrices are not square.

    >>> [f"{entry:.3f}" for entry in sym_exp(jnp.array([[0.0, 1.0], [1.0, 0.0]])).ravel()]
    ['1.543', '1.175', '1.175', '1.543']
    """
    x = symmetric_part(x)
    if x.shape[-1] == 2:
        return _exp_2x2(x)
    return _spectral(jnp.exp, _exp_difference, x)


def sym_log(x: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """Logarithm of positive definite matrices, the inverse of `sym_exp`; derivatives as there.

    Args:
        x: `[..., n, n]`.

    Returns:
        Symmetric matrices `[..., n, n]`, NaN where a traced matrix is not positive definite.

    Raises:
        ValueError: if the matrices are not square, or not positive definite.

    >>> print(sym_log(jnp.diag(jnp.array([1.0, jnp.e]))).round(3))
    [[0. 0.]
     [0. 1.]]
    """
    x = symmetric_part(x)
    if is_concrete(x) and x.size and not (lowest := np.linalg.eigvalsh(np.asarray(x, np.float64)).min()) > 0:
        raise ValueError(f"x has the eigenvalue {lowest:.3g}; a logarithm needs positive definite matrices")
    if x.shape[-1] == 2:
        x, scale = _scaled(x)
        determinant = x[..., 0, 0] * x[..., 1, 1] - x[..., 0, 1] ** 2
        return _log_2x2(x, determinant) + _diagonal(jnp.log(scale), 2)
    return _spectral(jnp.log, _log_difference, x)


def polar(a: Real[Array | np.ndarray, "*batch n n"]) -> tuple[Matrices, Matrices]:
    """The polar decomposition `A = exp(X) R` in logarithmic form, `X = 1/2 log(A A^T)`.

    Singular values are found without squaring A, whose condition may be large. Derivatives, with `A = U diag(s) W^T` and
    `M = U^T dA W`: `dR = U [(M_ij - M_ji) / (s_i + s_j)] W^T`; nothing is divided by a difference.

    Args:
        a: matrices of positive determinant `[..., n, n]`.

    Returns:
        Symmetric X `[..., n, n]`, of trace `log det A`, and rotations R `[..., n, n]`; NaN where the determinant of a traced
        matrix is not positive.

    Raises:
        ValueError: if the matrices are not square or a determinant is not positive.

    >>> x, r = polar(jnp.diag(jnp.array([-2.0, -0.5])))  # in SL(2), but not the exponential of any traceless matrix
    >>> print(jnp.diagonal(x).round(3) + 0.0, jnp.diagonal(r))
    [ 0.693 -0.693] [-1. -1.]
    """
    a = _square(a)
    if is_concrete(a) and a.size:
        scaled = np.asarray(a, np.float64) / np.abs(np.asarray(a, np.float64)).max((-2, -1), keepdims=True).clip(1e-300)
        if not (lowest := np.linalg.det(scaled).min()) > 0:
            raise ValueError(f"a has the determinant {lowest:.3g} (entries scaled to at most 1); it must be positive")
    if a.shape[-1] == 2:
        return _polar_2x2(a)
    x, r = _polar_svd(a)
    proper = jnp.linalg.det(r)[..., None, None] > 0
    return jnp.where(proper, x, jnp.nan), jnp.where(proper, r, jnp.nan)


def from_polar(log_p: Real[Array | np.ndarray, "*batch n n"], rotation: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """`A = exp(X) R`, the inverse of `polar`.

    Args:
        log_p: symmetric matrices `[..., n, n]`.
        rotation: `[..., n, n]`.

    Raises:
        ValueError: if the matrices are not square or not of the same size.

    >>> print(from_polar(jnp.zeros((2, 2)), planar_rotation(jnp.pi / 2)).round(3) + 0.0)
    [[ 0. -1.]
     [ 1.  0.]]
    """
    log_p, rotation = _square(log_p), _square(rotation)
    if log_p.shape[-1] != rotation.shape[-1]:
        raise ValueError(f"log_p is {log_p.shape} and rotation {rotation.shape}; both need matrices of one size")
    return _matmul(sym_exp(log_p), rotation)


def haar_density_log(x: Real[Array | np.ndarray, "*batch n n"]) -> Float[Array, "*batch"]:
    """Density of the invariant measure of positive definite matrices S in the coordinates `X = log S`.

    `prod_(i<j) sinh(|l_i - l_j| / 2) / (|l_i - l_j| / 2)`, l the eigenvalues of X. The measure is invariant under `S -> A S A^T`.
    Times that of rotations it is the Haar measure of the matrices `S^(1/2) R`. Note that X is twice the X of `polar`.

    Args:
        x: symmetric matrices `[..., n, n]`.

    Returns:
        `[...]`, 1 where all eigenvalues are equal.

    Raises:
        ValueError: if the matrices are not square.

    References:
        Terras, *Harmonic Analysis on Symmetric Spaces and Applications II*, 1988, section 4.1.

    >>> print(f"{haar_density_log(jnp.diag(jnp.array([1.0, -1.0]))):.4f}")
    1.1752
    """
    x = symmetric_part(x)
    n = x.shape[-1]
    if n == 2:
        return _sinhc(_deviator(x)[2])
    values = jnp.linalg.eigvalsh(x)
    first, second = np.triu_indices(n, 1)
    return jnp.prod(_sinhc(((values[..., first] - values[..., second]) / 2) ** 2), axis=-1)


# --- Rotations ---


def planar_rotation(angle: Real[Array | np.ndarray, "*batch"] | float) -> Float[Array, "*batch 2 2"]:
    """Rotations of the plane, counterclockwise where the second axis points up.

    >>> print(planar_rotation(jnp.pi / 2).round(3) + 0.0)
    [[ 0. -1.]
     [ 1.  0.]]
    """
    (angle,) = floating(angle)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)


def rotation_exp(x: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """Exponential of antisymmetric matrices, a rotation; what is not antisymmetric in x is left out.

    Raises:
        ValueError: if the matrices are not square.

    >>> print(rotation_exp(jnp.array([[0.0, -jnp.pi], [jnp.pi, 0.0]])).round(3) + 0.0)
    [[-1.  0.]
     [ 0. -1.]]
    """
    x = _square(x)
    x = (x - jnp.swapaxes(x, -1, -2)) / 2
    return planar_rotation(x[..., 1, 0]) if x.shape[-1] == 2 else jax.scipy.linalg.expm(x)


def rotation_angle(r: Real[Array | np.ndarray, "*batch 2 2"]) -> Float[Array, "*batch"]:
    """Angle of rotations of the plane, in `(-pi, pi]`.

    Raises:
        ValueError: if the matrices are not 2 x 2.

    >>> print(f"{rotation_angle(planar_rotation(3.0)):.3f}")
    3.000
    """
    r = _square(r)
    if r.shape[-1] != 2:
        raise ValueError(f"r has shape {r.shape}; only rotations of the plane have one angle")
    return jnp.arctan2(r[..., 1, 0] - r[..., 0, 1], r[..., 0, 0] + r[..., 1, 1])


def rotation_log(r: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """An antisymmetric logarithm of rotations, every angle in `[-pi, pi]`. A half turn has two; either may come out.

    Traced and differentiated for n = 2. In higher dimensions it is made on the host of a real Schur form, which is a rotation of
    planes: half turns are then as precise as any other.

    Args:
        r: `[..., n, n]`.

    Raises:
        ValueError: if the matrices are not square or no rotations, or are traced and larger than 2 x 2.

    >>> print(f"{abs(rotation_log(np.diag([-1.0, -1.0, 1.0]))[1, 0]):.4f}")
    3.1416
    """
    r = _square(r)
    n = r.shape[-1]
    if is_concrete(r) and r.size:
        off = np.abs(np.asarray(r @ jnp.swapaxes(r, -1, -2)) - np.eye(n)).max()
        if not off < 1e-3 or np.linalg.det(np.asarray(r)).min() < 0:
            raise ValueError(f"r differs from a rotation: R R^T is {off:.3g} from the identity, or its determinant is negative")
    if n == 2:
        angle = rotation_angle(r)
        zero = jnp.zeros_like(angle)
        return jnp.stack([jnp.stack([zero, -angle], -1), jnp.stack([angle, zero], -1)], -2)
    if not is_concrete(r):
        raise ValueError(f"r has shape {r.shape} and is traced; logarithms beyond 2 x 2 need its numbers")
    flat = [_log_by_schur(each) for each in np.asarray(r, np.float64).reshape(-1, n, n)]
    return jnp.asarray(np.reshape(flat, r.shape), r.dtype)


def haar_rotations(key: jax.Array, n: int, count: int, *, dtype: Any = float) -> Float[Array, "count n n"]:
    """Uniformly distributed rotations: the orthogonal factor of normal matrices, its signs fixed.

    Args:
        key: for the draws.
        n: dimension of space.
        count: rotations.
        dtype: of the numbers.

    Raises:
        ValueError: if `n` is below 1 or `count` negative.

    >>> haar_rotations(jax.random.key(0), 3, 5).shape
    (5, 3, 3)
    """
    check_at_least("n", n), check_at_least("count", count, 0)
    q, r = jnp.linalg.qr(jax.random.normal(key, (count, n, n), dtype))
    q = q * jnp.sign(jnp.diagonal(r, axis1=-2, axis2=-1))[:, None, :]
    return q.at[:, :, 0].multiply(jnp.sign(jnp.linalg.det(q))[:, None])


def _log_by_schur(r: np.ndarray) -> np.ndarray:
    """Every 2 x 2 block of the Schur form is a turn; eigenvalues -1 that stand alone come in pairs, each pair a half turn."""
    from scipy.linalg import schur

    form, basis = schur(r, output="real")
    log, place, alone, n = np.zeros_like(form), 0, [], len(form)
    while place < n:
        if place + 1 < n and abs(form[place + 1, place]) > 1e-12:
            angle = np.arctan2(form[place + 1, place] - form[place, place + 1], form[place, place] + form[place + 1, place + 1])
            log[place + 1, place], log[place, place + 1] = angle, -angle
            place += 2
            continue
        if form[place, place] < 0:
            alone.append(place)
        place += 1
    for i, j in zip(alone[::2], alone[1::2], strict=True):
        log[j, i], log[i, j] = np.pi, -np.pi
    return basis @ log @ basis.T


# --- 2 x 2 in closed form ---


def _deviator(x):
    """Half the difference of the diagonal, the entry beside it, and the square of half the difference of the eigenvalues."""
    gap, off = (x[..., 0, 0] - x[..., 1, 1]) / 2, x[..., 0, 1]
    return gap, off, gap**2 + off**2


def _combine(middle, slope, x):
    """`middle 1 + slope (x - tr x / 2)`."""
    gap, off, _ = _deviator(x)
    rows = [[middle + slope * gap, slope * off], [slope * off, middle - slope * gap]]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def _power_series(square, coefficients):
    total = jnp.full_like(square, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = c + square * total
    return total


_SINHC = tuple(1 / float(np.prod(np.arange(1.0, 2 * k + 2))) for k in range(9))
_COSH = tuple(1 / float(np.prod(np.arange(1.0, 2 * k + 1))) for k in range(9))
_ATANHC = tuple(1 / (2 * k + 1) for k in range(10))


def _choose(square, limit, series, function):
    """A series below the limit; above it a function of the root. Where one is not meant, it sees a harmless number."""
    small = square < limit
    root = jnp.sqrt(jnp.where(small, 1, square))
    return jnp.where(small, series(jnp.where(small, square, 0)), function(root))


def _sinhc(square):
    """`sinh(x) / x`, a function of the square of x."""
    return _choose(square, 0.25, lambda q: _power_series(q, _SINHC), lambda r: jnp.sinh(r) / r)


def _exp_2x2(x):
    mean, (_, _, square) = (x[..., 0, 0] + x[..., 1, 1]) / 2, _deviator(x)
    level = jnp.exp(jnp.where(square < 0.25, mean, 0))  # elsewhere the two eigenvalues are taken: neither factor overflows alone
    middle = _choose(
        square, 0.25, lambda q: level * _power_series(q, _COSH), lambda r: (jnp.exp(mean + r) + jnp.exp(mean - r)) / 2
    )
    slope = _choose(
        square, 0.25, lambda q: level * _power_series(q, _SINHC), lambda r: (jnp.exp(mean + r) - jnp.exp(mean - r)) / (2 * r)
    )
    return _combine(middle, slope, x)


def _log_2x2(x, determinant):
    """The determinant is given: that of the product of two factors is more precise than that of x."""
    mean, (_, _, square) = (x[..., 0, 0] + x[..., 1, 1]) / 2, _deviator(x)
    slope = _choose(
        square / mean**2,
        0.01,
        lambda u: _power_series(u, _ATANHC),
        lambda r: jnp.log(mean**2 * (1 + r) ** 2 / determinant) / (2 * r),
    )
    return _combine(jnp.log(determinant) / 2, slope / mean, x)


def _scaled(x):
    """Entries of at most 1, and the factor: determinants of tiny and of huge matrices are then numbers."""
    scale = jax.lax.stop_gradient(jnp.abs(x).max((-2, -1)))
    scale = jnp.where(scale > 0, scale, 1)
    return x / scale[..., None, None], scale


def _polar_2x2(a):
    """A plus the matrix of its cofactors is a multiple of R."""
    a, scale = _scaled(a)
    determinant = a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]
    proper = determinant > 0
    determinant = jnp.where(proper, determinant, jnp.nan)
    cos, sin = a[..., 0, 0] + a[..., 1, 1], a[..., 1, 0] - a[..., 0, 1]
    length = jnp.sqrt(jnp.where(proper, cos**2 + sin**2, 1))
    cos, sin = jnp.where(proper, cos / length, jnp.nan), jnp.where(proper, sin / length, jnp.nan)
    rotation = jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2)
    p = symmetric_part(_matmul(a, jnp.swapaxes(rotation, -1, -2)))
    return _log_2x2(p, determinant) + _diagonal(jnp.log(scale), 2), rotation


# --- Any n, by eigenvalues and singular values ---


def _exp_difference(a, b):
    """`(exp a - exp b) / (a - b)`."""
    return jnp.exp((a + b) / 2) * _sinhc(((a - b) / 2) ** 2)


def _log_difference(a, b):
    """`(log a - log b) / (a - b)`."""
    square = ((a - b) / (a + b)) ** 2
    ratio = _choose(square, 0.01, lambda u: _power_series(u, _ATANHC), lambda t: jnp.arctanh(t) / t)
    return 2 * ratio / (a + b)


def _pairs(values):
    shape = (*values.shape, values.shape[-1])
    return jnp.broadcast_to(values[..., :, None], shape), jnp.broadcast_to(values[..., None, :], shape)


def _conjugate(v, x, w=None):
    """`V X W^T`."""
    return _matmul(_matmul(v, x), jnp.swapaxes(v if w is None else w, -1, -2))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _spectral(function: Callable, difference: Callable, x: Matrices) -> Matrices:
    values, v = jnp.linalg.eigh(x)
    return _matmul(v * function(values)[..., None, :], jnp.swapaxes(v, -1, -2))


@_spectral.defjvp
def _(function, difference, primals, tangents):
    """Daleckii and Krein: in the basis of eigenvectors every entry is multiplied by a divided difference."""
    values, v = jnp.linalg.eigh(primals[0])
    out = _matmul(v * function(values)[..., None, :], jnp.swapaxes(v, -1, -2))
    inside = _conjugate(jnp.swapaxes(v, -1, -2), tangents[0])
    return out, _conjugate(v, difference(*_pairs(values)) * inside)


@jax.custom_jvp
def _polar_svd(a):
    return _from_svd(*jnp.linalg.svd(a))


def _from_svd(u, s, wt):
    return _matmul(u * jnp.log(s)[..., None, :], jnp.swapaxes(u, -1, -2)), _matmul(u, wt)


@_polar_svd.defjvp
def _(primals, tangents):
    u, s, wt = jnp.linalg.svd(primals[0])
    w = jnp.swapaxes(wt, -1, -2)
    m = _conjugate(jnp.swapaxes(u, -1, -2), tangents[0], wt)
    turned, (left, right) = jnp.swapaxes(m, -1, -2), _pairs(s)
    stretch = (m * right + left * turned) / (left + right)
    turn = (m - turned) / (left + right)
    return _from_svd(u, s, wt), (_conjugate(u, _log_difference(left, right) * stretch), _conjugate(u, turn, w))


# --- Shared by all ---


def symmetric_part(x: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """`(X + X^T) / 2`.

    Raises:
        ValueError: if the matrices are not square.

    >>> symmetric_part(jnp.array([[0.0, 2.0], [0.0, 1.0]])).tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    x = _square(x)
    return (x + jnp.swapaxes(x, -1, -2)) / 2


def _square(x):
    (x,) = floating(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or x.shape[-1] < 1:
        raise ValueError(f"an array has shape {x.shape}; it must hold square matrices [..., n, n]")
    # eigenvalues and determinants of 16-bit numbers are not computed anywhere
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _diagonal(value, n):
    return value[..., None, None] * jnp.eye(n, dtype=value.dtype).reshape((1,) * value.ndim + (n, n))

"""Fields on the sphere as 2-D Fourier series on a torus.

The trigonometric formula of `Y_lm(th, ph)` makes sense for `th` on the whole circle, where it is a trigonometric polynomial:
`Y_a = sum_{|u| <= l, v = +-m} y^a_uv e^{i(u th + v ph)}`. Products of fields are then products of series, 2-D convolutions of
their coefficients. Since a field is real, its series is known from `v >= 0`; since only `v = +-m` occurs, transforms run order
by order, `O(L^3)`.

Arrays `F [..., 2 U + 1, 2 V + 1]` are centred: `F[..., u + U, v + V]`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float
from scipy.fft import next_fast_len

from quire.common.equivariant.irreps import at_least_float32, degrees, lmax_of, num_coefficients, orders
from quire.common.equivariant.sphere_grid import PRECISION
from quire.common.equivariant.spherical_harmonics import legendre_table
from quire.common.tables import cached_table

SQRT2 = float(np.sqrt(2))

# --- Tables ---


@cached_table()
def polar_series(lmax: int) -> np.ndarray:
    """Fourier series in theta of `N P_l^m(cos theta)`, by an exact DFT: complex `[m, l, u + lmax]`."""
    num_coefficients(lmax)
    count = 2 * lmax + 2
    theta = 2 * np.pi * np.arange(count) / count
    u = np.arange(-lmax, lmax + 1)
    series = legendre_table(lmax, theta) @ np.exp(-1j * theta[:, None] * u) / count
    return np.where(np.abs(series) < 1e-15, 0, series)


@cached_table()
def polar_projection(lmax: int, u_max: int) -> np.ndarray:
    """`2 pi int_0^pi e^{i u th} N P_l^m(cos th) sin th dth`: from a series in theta back to degrees, complex `[m, l, u + u_max]`.

    All `|u| <= u_max` contribute to every degree: on the half circle of the sphere the exponentials are not orthogonal.
    """
    k = np.arange(-u_max, u_max + 1)[:, None] + np.arange(-lmax, lmax + 1)
    return 2 * np.pi * np.einsum("mlu,wu->mlw", polar_series(lmax), (_half_circle(k + 1) - _half_circle(k - 1)) / 2j)


def _half_circle(k: np.ndarray) -> np.ndarray:
    """`int_0^pi e^{i k t} dt`."""
    odd = k % 2 != 0
    return np.where(k == 0, np.pi, np.where(odd, 2j / np.where(odd, k, 1), 0))


def sh_to_fourier_table(lmax: int) -> np.ndarray:
    """`y^a_uv`, complex `[(lmax + 1)^2, 2 lmax + 1, 2 lmax + 1]`."""
    series = polar_series(lmax)
    table = np.zeros((num_coefficients(lmax), 2 * lmax + 1, 2 * lmax + 1), complex)
    for a, (l, m) in enumerate(zip(degrees(lmax), orders(lmax), strict=True)):
        for v, factor in _exponentials(int(m)):
            table[a, :, lmax + v] = factor * series[abs(m), l]
    return table


def fourier_to_sh_table(lmax: int, u_max: int) -> np.ndarray:
    """`z^a_uv = int_0^2pi int_0^pi e^{i(u th + v ph)} Y_a sin th dth dph`, complex `[(lmax + 1)^2, 2 u_max + 1, 2 u_max + 1]`.

    Raises:
        ValueError: if `u_max` is below `lmax`.
    """
    if u_max < lmax:
        raise ValueError(f"u_max is {u_max}, below lmax {lmax}: the table has no place for all orders")
    projection = polar_projection(lmax, u_max)
    table = np.zeros((num_coefficients(lmax), 2 * u_max + 1, 2 * u_max + 1), complex)
    for a, (l, m) in enumerate(zip(degrees(lmax), orders(lmax), strict=True)):
        for v, factor in _exponentials(int(m)):
            table[a, :, u_max - v] = factor * projection[abs(m), l]
    return table


def _exponentials(m: int) -> list[tuple[int, complex]]:
    """The azimuthal factor of order m as exponentials: pairs `(v, factor)`."""
    if m == 0:
        return [(0, 1.0)]
    if m > 0:
        return [(m, 1 / SQRT2), (-m, 1 / SQRT2)]
    return [(-m, -1j / SQRT2), (m, 1j / SQRT2)]


# --- Coefficients to half a series, order by order ---


@cached_table()
def _order_index(lmax: int, sign: int) -> np.ndarray:
    """Index of `x[l, sign m]`, int32 `[m, l]`; entries with `l < m` point at 0 and meet a zero of the table."""
    m, l = np.meshgrid(np.arange(lmax + 1), np.arange(lmax + 1), indexing="ij")
    return np.where(l >= m, l * l + l + sign * m, 0).astype(np.int32)


def half_series(x: Float[Array, "rows n"]) -> Complex[Array, "v u rows"]:
    """Series of real fields for `v >= 0`: `[v, u + lmax, rows]`; complex64 of half precision, which has no complex numbers."""
    lmax = lmax_of(x)
    x = at_least_float32(x)
    columns = x.T
    scale = np.where(np.arange(lmax + 1) > 0, 1 / SQRT2, 1.0)[:, None, None].astype(x.dtype)
    sines = np.where(np.arange(lmax + 1) > 0, 1 / SQRT2, 0.0)[:, None, None].astype(x.dtype)
    combined = jax.lax.complex(columns[_order_index(lmax, 1)] * scale, -columns[_order_index(lmax, -1)] * sines)
    table = polar_series(lmax).astype(combined.dtype)
    return jnp.einsum("mlu,mlr->mur", table, combined, precision=PRECISION)


def from_half_series(F: Complex[Array, "v u rows"], lmax: int) -> Float[Array, "rows n"]:
    """Coefficients up to `lmax` of real fields from their series for `0 <= v <= lmax`, `[v, u + u_max, rows]`."""
    u_max = F.shape[1] // 2
    table = polar_projection(lmax, u_max).astype(F.dtype)
    H = jnp.einsum("mlu,mur->mlr", table, F[: lmax + 1], precision=PRECISION).reshape((lmax + 1) ** 2, -1)
    l, m = degrees(lmax), orders(lmax)
    columns = H[(abs(m) * (lmax + 1) + l).astype(np.int32)]
    scale = np.where(m == 0, 1.0, SQRT2)[:, None].astype(columns.real.dtype)
    return (jnp.where((m < 0)[:, None], -columns.imag, columns.real) * scale).T


# --- Whole series ---


@jax.jit
def sh_to_fourier(x: Float[Array, "*batch n"]) -> Complex[Array, "*batch u v"]:
    """2-D Fourier series of fields on the sphere.

    Args:
        x: coefficients `[..., (lmax + 1)^2]`.

    Returns:
        complex `[..., 2 lmax + 1, 2 lmax + 1]`, centred.

    Raises:
        ValueError: if x does not hold real coefficients.

    >>> sh_to_fourier(jnp.ones((2, 9))).shape
    (2, 5, 5)
    """
    lmax_of(x)
    half = half_series(x.reshape(-1, x.shape[-1])).transpose(2, 1, 0)
    mirrored = jnp.conj(half[:, ::-1, :0:-1])
    return jnp.concatenate([mirrored, half], axis=-1).reshape(*x.shape[:-1], *half.shape[1:2] * 2)


@partial(jax.jit, static_argnums=1)
def fourier_to_sh(F: Complex[Array, "*batch u v"], lmax: int) -> Float[Array, "*batch n"]:
    """Coefficients up to `lmax` of (the real part of) functions given by their Fourier series; higher degrees are not computed.

    Args:
        F: complex `[..., 2 U + 1, 2 U + 1]`, centred.
        lmax: highest degree wanted.

    Returns:
        `[..., (lmax + 1)^2]`.

    Raises:
        ValueError: if F is not complex, its last axes are not odd and equal, or `lmax` lies outside `0 .. U`.

    >>> x = jnp.arange(9.0)
    >>> bool(jnp.allclose(fourier_to_sh(sh_to_fourier(x), 2), x, atol=1e-5))
    True
    """
    U = _half_width(F, "F")
    if not 0 <= lmax <= U:
        raise ValueError(f"lmax is {lmax}; a series with |u|, |v| <= {U} has degrees 0 to {U}")
    rows = F.reshape(-1, *F.shape[-2:])
    real_part = (rows + jnp.conj(rows[:, ::-1, ::-1])) / 2
    return from_half_series(real_part[:, :, U:].transpose(2, 1, 0), lmax).reshape(*F.shape[:-2], num_coefficients(lmax))


def _half_width(F: Array, name: str) -> int:
    if F.ndim < 2 or F.shape[-1] != F.shape[-2] or F.shape[-1] % 2 == 0 or not jnp.issubdtype(F.dtype, jnp.complexfloating):
        raise ValueError(f"{name} is {F.dtype} of shape {F.shape}; a centred series is complex with two odd, equal last axes")
    return F.shape[-1] // 2


@partial(jax.jit, static_argnames="fft")
def fourier_product(
    F1: Complex[Array, "*batch u1 v1"], F2: Complex[Array, "*batch u2 v2"], *, fft: bool = False
) -> Complex[Array, "*batch u v"]:
    """Series of the product of two functions: the full 2-D convolution of their series.

    Args:
        F1, F2: complex `[..., 2 U + 1, 2 U + 1]` with the same leading axes; the sizes may differ.
        fft: by zero-padded FFTs, `O(U^2 log U)`, instead of directly, `O(U^4)`.

    Returns:
        complex `[..., 2 (U1 + U2) + 1, 2 (U1 + U2) + 1]`.

    Raises:
        ValueError: if one is not a centred series, or the leading axes differ.

    >>> one = jnp.ones((1, 1), complex)
    >>> fourier_product(one, one).shape
    (1, 1)
    """
    U = _half_width(F1, "F1") + _half_width(F2, "F2")
    if F1.shape[:-2] != F2.shape[:-2]:
        raise ValueError(f"F1 has leading axes {F1.shape[:-2]} and F2 {F2.shape[:-2]}; they must be equal")
    size = 2 * U + 1
    if fft:
        shape = (next_fast_len(size),) * 2
        product = jnp.fft.ifft2(jnp.fft.fft2(F1, shape) * jnp.fft.fft2(F2, shape))
        return product[..., :size, :size]
    convolve = jax.vmap(lambda a, b: jax.scipy.signal.convolve(a, b, method="direct", precision=PRECISION))
    product = convolve(F1.reshape(-1, *F1.shape[-2:]), F2.reshape(-1, *F2.shape[-2:]))
    return product.reshape(*F1.shape[:-2], size, size)


# --- Values on the torus: what the FFT computes in between ---


def to_torus(half: Complex[Array, "v u rows"], size: int) -> Float[Array, "size size rows"]:
    """Values of real fields at `size x size` equally spaced points of the torus, from the series for `v >= 0`.

    Raises:
        ValueError: if the points are too few for the series.
    """
    u_max = half.shape[1] // 2
    if size < 2 * u_max + 1 or size < 2 * half.shape[0] - 1:
        raise ValueError(f"size is {size}; a series with |u| <= {u_max} needs {2 * u_max + 1} points")
    padded = jnp.zeros((half.shape[0], size, half.shape[2]), half.dtype)
    padded = padded.at[:, : u_max + 1].set(half[:, u_max:]).at[:, size - u_max :].set(half[:, :u_max])
    along_u = jnp.fft.ifft(padded, axis=1, norm="forward").transpose(1, 0, 2)
    return jnp.fft.irfft(along_u, n=size, axis=1, norm="forward")


def from_torus(values: Float[Array, "size size rows"], u_max: int, v_max: int) -> Complex[Array, "v u rows"]:
    """Series for `|u| <= u_max`, `0 <= v <= v_max` of real values on the torus; inverse of `to_torus`."""
    size = values.shape[0]
    along_v = jnp.fft.rfft(values, axis=1, norm="forward")[:, : v_max + 1].transpose(1, 0, 2)
    series = jnp.fft.fft(along_v, axis=1, norm="forward")
    return jnp.concatenate([series[:, size - u_max :], series[:, : u_max + 1]], axis=1) if u_max else series[:, :1]

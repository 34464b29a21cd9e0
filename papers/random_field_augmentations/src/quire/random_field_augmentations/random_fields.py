"""Gaussian random fields on a torus: white noise, filtered in Fourier space. Frequencies count waves a pixel."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least, floating

TAIL = 1e-4
"""Part of the variance that `fourier_modes` may leave out."""


def spectrum(shape: tuple[int, int], *, ell: float | None = None, gamma: float | None = None) -> Float[np.ndarray, "h w"]:
    """Power of every frequency `k`, scaled to a mean of 1, so that the variance of a pixel is that of the noise.

    Exactly one of the two is given:

        squared exponential, ell:  S(k) = exp(-2 pi^2 ell^2 |k|^2)
        power law, gamma:          S(k) = |k|^-gamma,  S(0) = 0

    Args:
        shape: height and width.
        ell: correlation length in pixels, whose covariance is `exp(-r^2 / (2 ell^2))` up to wrapping around. Infinite for fields
            that are constant.
        gamma: exponent; fields of 2 to 4 look like clouds.

    Returns:
        float64, frequencies in the order of `numpy.fft.fftfreq`.

    Raises:
        ValueError: unless exactly one of `ell` and `gamma` is given, for an `ell` that is not positive, a gamma that is negative
            or not finite, or one that leaves no frequency.
    """
    _check_kind(ell, gamma)
    height, width = (check_at_least("shape", side) for side in shape)
    square = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.fftfreq(width)[None] ** 2
    zero = square == 0
    positive = np.where(zero, 1, square)  # the constant part is set apart: its power is a limit
    if ell is not None:
        power = np.where(zero, 1.0, np.exp(-2 * np.pi**2 * ell**2 * positive))
    else:
        power = np.where(zero, 0.0, positive ** (-(gamma or 0.0) / 2))
        if not power.any():
            raise ValueError(f"shape is {shape}; a power law has no constant part, so it needs more than one pixel")
    return power / power.mean()


def _check_kind(ell: float | None, gamma: float | None) -> None:
    if (ell is None) == (gamma is None):
        raise ValueError(f"ell is {ell} and gamma {gamma}; exactly one of them must be given")
    if ell is not None and not ell > 0:
        raise ValueError(f"ell is {ell}; it must be positive")
    if gamma is not None and not 0 <= gamma < np.inf:
        raise ValueError(f"gamma is {gamma}; it must be finite and not negative")


def check_sigma(sigma: float | np.ndarray) -> None:
    """Standard deviations are finite and not negative.

    Raises:
        ValueError: otherwise.
    """
    if not (np.isfinite(sigma).all() and (np.asarray(sigma) >= 0).all()):
        raise ValueError(f"sigma is {sigma}; it must be finite and not negative")


def filter_white_noise(
    white: Real[Array | np.ndarray, "*batch h w"], spectrum: Real[Array | np.ndarray, "h w"], sigma: float = 1.0
) -> Float[Array, "*batch h w"]:
    """`sigma Re IFFT(FFT(white) sqrt(S))`: the field that given noise makes, without any randomness of its own.

    Args:
        white: independent standard normal numbers.
        spectrum: `S`, with a mean of 1; see `spectrum`.
        sigma: standard deviation of every pixel.

    Raises:
        ValueError: if the sides differ, or for a sigma that is negative or not finite.
    """
    check_sigma(sigma)
    if np.shape(white)[-2:] != np.shape(spectrum):
        raise ValueError(f"white has shape {np.shape(white)} and spectrum {np.shape(spectrum)}; the last two sides must agree")
    (white,) = floating(white)
    wide = white.astype(jnp.promote_types(white.dtype, jnp.float32))  # no FFT in half precision
    # a real field needs half of the frequencies only
    half = jnp.sqrt(jnp.asarray(spectrum, wide.dtype))[:, : wide.shape[-1] // 2 + 1]
    waves = jnp.fft.rfft2(wide)
    field = jnp.fft.irfft2(waves * jnp.broadcast_to(half, waves.shape), s=wide.shape[-2:])
    return (sigma * field).astype(white.dtype)


def gaussian_random_field(
    key: jax.Array,
    shape: tuple[int, int],
    *,
    ell: float | None = None,
    gamma: float | None = None,
    sigma: float = 1.0,
    pad: int = 0,
) -> Float[Array, "h w"]:
    """One field with mean 0 and standard deviation sigma at every pixel.

    Args:
        key: of the draw; one field a key.
        shape: height and width.
        ell, gamma: the kind of field, see `spectrum`.
        sigma: standard deviation of a pixel. The sample itself is not standardised: that would not be Gaussian any more, and a
            constant field has no variance in space.
        pad: pixels by which the torus is larger than the field in each direction, so that opposite edges need not agree;
            three times `ell` is ample.

    Raises:
        ValueError: see `spectrum`; for a sigma that is negative or not finite, or a negative pad.

    >>> gaussian_random_field(jax.random.key(0), (8, 6), ell=2.0, sigma=0.1).shape
    (8, 6)
    """
    check_at_least("pad", pad, 0)
    torus = shape[0] + pad, shape[1] + pad
    power = spectrum(torus, ell=ell, gamma=gamma)
    return filter_white_noise(jax.random.normal(key, torus), power, sigma)[: shape[0], : shape[1]]


def field_covariance(spectrum: Real[np.ndarray, "h w"], sigma: float = 1.0) -> Float[np.ndarray, "h w"]:
    """Covariance of two pixels by their distance in rows and columns on the torus; `sigma^2` at `[0, 0]`."""
    check_sigma(sigma)
    return sigma**2 * np.fft.ifft2(spectrum).real


class FourierModes(NamedTuple):
    """The few waves that make up a squared-exponential field, along each axis: real, scaled, the constant first.

    Attributes:
        rows: `[h, k]`.
        columns: `[w, k]`. The squares of every row of either sum to 1, up to `TAIL`.
    """

    rows: np.ndarray
    columns: np.ndarray


def fourier_modes(shape: tuple[int, int], ell: float, *, pad: int = 0) -> FourierModes:
    """The squared exponential is a product over the axes, and its high frequencies are empty: a field is two matrix products.

    White noise stays white in any orthonormal basis, so a field of `fields_from_modes` has the law of `gaussian_random_field`,
    but for at most `TAIL` of its variance.

    Args:
        shape: height and width.
        ell: correlation length in pixels; infinite for constant fields.
        pad: see `gaussian_random_field`.

    Raises:
        ValueError: for an ell that is not positive, a side below 1 or a negative pad.

    >>> [part.shape for part in fourier_modes((32, 32), 8.0, pad=24)]
    [(32, 9), (32, 9)]
    """
    _check_kind(ell, None)
    check_at_least("pad", pad, 0)
    lines = [_line_modes(check_at_least("shape", side), ell, side + pad) for side in shape]
    width = max(line.shape[1] for line in lines)
    return FourierModes(*(widened(line, width) for line in lines))


def _line_modes(side: int, ell: float, torus: int) -> Float[np.ndarray, "side k"]:
    """Waves on one axis of a torus, `sqrt(S) sqrt(2) cos`, then `sin`, by rising frequency."""
    waves = np.arange(1, torus // 2 + 1)
    power = np.concatenate([[1.0], np.exp(-2 * np.pi**2 * ell**2 * (waves / torus) ** 2)])
    both = np.where(np.arange(len(power)) == 0, 1, 2)  # a cosine and a sine, with one exception
    if torus % 2 == 0:
        both[-1:] = 1
    part = both * power / (both * power).sum()
    needed = 1 + int(np.argmax(np.cumsum(part) >= 1 - TAIL / 2))
    place = 2 * np.pi * np.arange(side)[:, None] * waves[None, : needed - 1] / torus
    scale = np.sqrt(both[1:needed] * power[1:needed])
    pairs = np.stack([np.cos(place) * scale, np.sin(place) * scale], -1).reshape(side, -1)
    return np.concatenate([np.ones((side, 1)), pairs], 1) / np.sqrt((both * power).sum())


def widened(line: Float[np.ndarray, "side k"], width: int) -> Float[np.ndarray, "side width"]:
    """The same waves with empty ones behind them, so that fields of several kinds share one program."""
    return np.pad(line, ((0, 0), (0, width - line.shape[1])))


def fields_from_modes(
    noise: Real[Array | np.ndarray, "*batch k l"],
    rows: Real[Array | np.ndarray, "h k"],
    columns: Real[Array | np.ndarray, "w l"],
    sigma: Real[Array | np.ndarray, "..."] | float = 1.0,
) -> Float[Array, "*batch h w"]:
    """`sigma rows noise columns^T`: fields out of a standard normal number for each pair of waves.

    Args:
        noise: standard normal numbers.
        rows, columns: see `fourier_modes`.
        sigma: standard deviations, one for all or one for each field of the batch.

    Raises:
        ValueError: if the noise has another number of waves.
    """
    noise, rows, columns, sigma = floating(noise, rows, columns, sigma)
    if noise.shape[-2:] != (rows.shape[-1], columns.shape[-1]):
        raise ValueError(f"noise has shape {noise.shape}; it needs {rows.shape[-1]} x {columns.shape[-1]} numbers a field")
    fields = jnp.einsum("hk,...kl,wl->...hw", rows, noise, columns)
    return fields * (sigma[..., None, None] if sigma.ndim else sigma)

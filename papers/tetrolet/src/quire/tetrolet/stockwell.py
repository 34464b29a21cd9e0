"""The Stockwell transform (1996): a spectrum at every place, with windows as wide as the wavelength."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Real

from quire.common.checks import at_least_float32, check_at_least, check_finite


def stockwell(x: Real[Array | np.ndarray, "*batch n"]) -> Complex[Array, "*batch n//2+1 n"]:
    """`S[f, t] = IFFT_m(X[m + f] exp(-2 pi^2 m^2 / f^2))[t]` for the frequencies f = 1 to n / 2; `S[0]` is the mean.

    Args:
        x: signals.

    Returns:
        Frequency by place. Its mean over places is `X[f] / n`.

    Raises:
        ValueError: for signals of no length, or numbers that are not finite.

    >>> s = stockwell(np.array([1.0, -1.0, 1.0, -1.0]))
    >>> jnp.abs(s).round(3)[:, 0].tolist()  # all of it at the highest frequency
    [0.0, 0.0, 1.0]
    """
    if not x.ndim or not x.shape[-1]:
        raise ValueError(f"x has shape {x.shape}; it needs signals [..., n], one number at least")
    check_finite("x", x)
    return _stockwell(x)


@jax.jit
def _stockwell(x: Array) -> Array:
    (x,) = at_least_float32(x)
    n = x.shape[-1]
    frequency = np.arange(1, n // 2 + 1)
    m = np.rint(np.fft.fftfreq(n) * n)  # signed
    windows = jnp.asarray(np.exp(-2 * np.pi**2 * m**2 / frequency[:, None] ** 2), x.dtype)
    shifted = jnp.fft.fft(x)[..., (np.arange(n) + frequency[:, None]) % n]
    spectrum = jnp.fft.ifft(shifted * windows.reshape(*[1] * (x.ndim - 1), *windows.shape))
    mean = jnp.broadcast_to(x.mean(axis=-1, keepdims=True), x.shape)[..., None, :]
    return jnp.concatenate([mean.astype(spectrum.dtype), spectrum], axis=-2)


def stockwell_features(x: Real[Array | np.ndarray, "batch n n"], size: int, frequencies: int) -> Float[Array, "batch features"]:
    """Sizes of the lowest frequencies along the rows and along the columns of images, averaged over squares of pixels.

    Args:
        x: images.
        size: squares along a side, a divisor of n.
        frequencies: how many, the mean among them.

    Returns:
        `2 * frequencies * size^2` numbers an image.

    Raises:
        ValueError: for sizes that do not fit.

    >>> stockwell_features(np.ones((3, 8, 8)), 4, 2).shape
    (3, 64)
    """
    if x.ndim != 3 or x.shape[1] != x.shape[2] or (check_at_least("size", size) and x.shape[1] % size):
        raise ValueError(f"x has shape {x.shape} and size is {size}; it needs [batch, n, n] with n a multiple of size")
    if not 1 <= frequencies <= x.shape[1] // 2 + 1:
        raise ValueError(f"frequencies is {frequencies}; signals of {x.shape[1]} have 1 to {x.shape[1] // 2 + 1}")
    part = x.shape[1] // size

    def along(images: Array | np.ndarray) -> Array:
        lowest = jnp.abs(stockwell(images)[..., :frequencies, :])  # [batch, row, frequency, place]
        return lowest.reshape(len(x), size, part, frequencies, size, part).mean(axis=(2, 5)).reshape(len(x), -1)

    return jnp.concatenate([along(x), along(jnp.swapaxes(jnp.asarray(x), 1, 2))], axis=1)

"""How alike two images are: peak signal-to-noise ratio and structural similarity.

References:
    Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity*, 2004.
"""

from functools import reduce
from operator import add

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive, floating


def psnr(a: Float[Array, "*shape"], b: Float[Array, "..."], *, peak: float = 1.0) -> Float[Array, ""]:
    """`10 log10(peak^2 / mean (a - b)^2)` in decibels; infinite for equal images. Bytes want a peak of 255.

    Raises:
        ValueError: if the shapes differ, there are no numbers, or the peak is not positive.

    >>> print(f"{psnr(jnp.zeros((2, 2)), jnp.full((2, 2), 0.1)):.1f}")
    20.0
    """
    _check_alike(a, b)
    check_positive("peak", peak)
    a, b = floating(a, b)
    return -10 * jnp.log10(jnp.mean((a - b) ** 2) / peak**2)


def gaussian_window(size: int, sigma: float = 1.5) -> Float[np.ndarray, "size size"]:
    """Weights that fall off as a Gaussian about `size // 2`, with sum 1.

    An even window has no middle: its largest weight then lies right of it.

    Raises:
        ValueError: if size is below 1 or sigma not positive.
    """
    check_at_least("size", size)
    check_positive("sigma", sigma)
    line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return np.outer(line, line) / line.sum() ** 2


def ssim(
    a: Float[Array, "n h w c"],
    b: Float[Array, "..."],
    *,
    window: int = 11,
    stride: int = 1,
    padding: int = 0,
    sigma: float = 1.5,
    peak: float = 1.0,
) -> Float[Array, " n"]:
    """Structural similarity `(2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2))`, averaged.

    Means, variances and the covariance are those under a Gaussian window, `C1 = (0.01 peak)^2` and `C2 = (0.03 peak)^2`.

    Args:
        a, b: images; bytes become floating, and want a peak of 255.
        window: side of the window.
        stride: of the window, in pixels.
        padding: zeros around the images; 0 keeps to windows that lie inside.
        sigma: width of the Gaussian, in pixels.
        peak: largest value that a pixel can have.

    Returns:
        One number an image, the mean over windows and channels; 1 for equal images.

    Raises:
        ValueError: if shapes differ, no window fits, or a size is out of range.
    """
    _check_alike(a, b)
    if a.ndim != 4:
        raise ValueError(f"a has shape {a.shape}; images need [n, h, w, c]")
    check_at_least("stride", stride)
    check_at_least("padding", padding, 0)
    check_positive("peak", peak)
    if min(a.shape[1:3]) + 2 * padding < window:
        raise ValueError(f"a window of {window} does not fit into images of shape {a.shape} with padding {padding}")
    a, b = floating(a, b)
    line = np.sqrt(np.diagonal(gaussian_window(window, sigma)))  # the window is the product of two lines
    blur = lambda x: _windows(_windows(x, line, stride, padding, 1), line, stride, padding, 2)  # noqa: E731
    mean_a, mean_b, aa, bb, ab = (blur(x) for x in (a, b, a * a, b * b, a * b))
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    structure = (2 * (ab - mean_a * mean_b) + c2) / (aa - mean_a**2 + bb - mean_b**2 + c2)
    return jnp.mean((2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * structure, axis=(1, 2, 3))


def _windows(x: Array, line: np.ndarray, stride: int, padding: int, axis: int) -> Array:
    """Sums under the weights of `line` along one axis, as shifted slices: a convolution is slow inside a loop."""
    x = jnp.pad(x, [(padding, padding) if i == axis else (0, 0) for i in range(x.ndim)])
    size = x.shape[axis]
    places = (size - len(line)) // stride + 1
    starts = [slice(i, i + (places - 1) * stride + 1, stride) for i in range(len(line))]
    return reduce(add, [float(w) * x[(slice(None),) * axis + (s,)] for w, s in zip(line, starts, strict=True)])


def _check_alike(a: Array, b: Array) -> None:
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; they need the same one, with pixels")

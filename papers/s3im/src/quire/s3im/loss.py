"""S3IM: structural similarity of virtual patches."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import floating
from quire.common.metrics.image import gaussian_window, ssim
from quire.s3im.virtual_patches import (
    Layout,
    check_orders,
    check_patch,
    check_windows,
    pixel_orders,
    virtual_images,
    window_places,
)

Method = Literal["auto", "windows", "convolution"]
METHODS: tuple[Method, ...] = get_args(Method)
C1, C2 = 0.01**2, 0.03**2


def s3im_loss(
    pred: Float[Array, "n c"],
    target: Float[Array, "n c"],
    *,
    kernel: int = 4,
    stride: int = 4,
    repeats: int = 10,
    patch: tuple[int, int] = (64, 64),
    key: jax.Array | None = None,
    perms: Int[Array | np.ndarray, "repeats n"] | None = None,
    layout: Layout = "code",
    method: Method = "auto",
) -> Float[Array, ""]:
    """`1 - SSIM` of the virtual patches that the pixels of a batch make in several random orders.

    Add it to the mean squared error with a weight of about 1. Give it fresh orders at every step.

    Args:
        pred, target: colours of the same pixels in 0..1, in any order.
        kernel, stride: of the windows; with equal ones every pixel counts once an order.
        repeats: orders, the first as the pixels come.
        patch: height and width; as many pixels as the batch.
        key: for the orders; not needed for one.
        perms: the orders themselves, in place of `key` and `repeats`.
        layout: `"code"`, one wide image as in the authors' code, or `"tiles"`, the mean over patches of the paper.
        method: `"windows"` gathers the pixels of each window; `"convolution"` makes images first; by default the former where
            windows do not overlap.

    Returns:
        At least 0, at most 2; 0 for equal colours. In float32 or wider.

    Raises:
        ValueError: if the shapes differ, the patch has another number of pixels, a size is out of range, both key and perms are
            given, or neither and there are several orders.

    >>> pred, target = jnp.full((16, 3), 0.4), jnp.full((16, 3), 0.5)
    >>> print(f"{s3im_loss(pred, target, repeats=1, patch=(4, 4)):.4f}")
    0.0479
    >>> print(f"{s3im_loss(target, target, repeats=3, patch=(4, 4), key=jax.random.key(0)):.4f}")
    0.0000

    References:
        Section 3.2. The authors compute variances as differences of means of squares; over gathered windows they are means of
        squared differences here, which do not cancel.
    """
    pred, target = _pixels(pred, target)
    check_patch(len(pred), patch)
    check_windows(repeats, patch, kernel, stride)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    if perms is None:
        perms = pixel_orders(key, repeats, len(pred))
    elif key is not None:
        raise ValueError("key and perms are both given; the orders come from one of them")
    check_orders(perms, len(pred))
    if method == "convolution" or (method == "auto" and stride != kernel):
        images = (virtual_images(x, jnp.asarray(perms), patch, layout) for x in (pred, target))
        return 1 - jnp.mean(ssim(*images, window=kernel, stride=stride, padding=(kernel - 1) // 2))
    pixels = window_pixels(jnp.asarray(perms), window_places(len(perms), patch, kernel, stride, layout))
    return 1 - window_similarity(pred, target, pixels, taps_of(kernel, pred.dtype))


def window_pixels(
    orders: Int[Array | np.ndarray, "repeats n"], places: Int[Array | np.ndarray, "windows taps"]
) -> Int[Array, "windows taps"]:
    """Which pixel every tap of every window sees: places in the orders looked up there; n stands for a zero of the border."""
    border = jnp.full(1, orders.shape[1], orders.dtype)
    return jnp.concatenate([orders.reshape(-1), border])[jnp.asarray(places)]


def taps_of(kernel: int, dtype=jnp.float32) -> Float[Array, " taps"]:
    """Weights of the taps of a window, row by row; they sum to 1."""
    return jnp.asarray(gaussian_window(kernel).ravel(), dtype)


def window_similarity(
    a: Float[Array, "n c"], b: Float[Array, "n c"], pixels: Int[Array, "windows taps"], taps: Float[Array, " taps"]
) -> Float[Array, ""]:
    """Structural similarity averaged over windows that are lists of pixels, and over channels.

    `(2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2))`, with means, variances and covariance under the
    weights of the taps. No image is made and nothing is convolved: two gathers and weighted sums.

    Args:
        a, b: colours.
        pixels: of every window; n stands for black.
        taps: their weights, of sum 1.
    """
    inside_a, inside_b = (jnp.concatenate([x, jnp.zeros((1, x.shape[1]), x.dtype)])[pixels] for x in (a, b))
    mean_a, mean_b = (jnp.einsum("t,wtc->wc", taps, x) for x in (inside_a, inside_b))
    off_a, off_b = inside_a - mean_a[:, None], inside_b - mean_b[:, None]
    aa, bb, ab = (jnp.einsum("t,wtc->wc", taps, x) for x in (off_a * off_a, off_b * off_b, off_a * off_b))
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return jnp.mean(luminance * (2 * ab + C2) / (aa + bb + C2))


def _pixels(pred: Array, target: Array) -> tuple[Array, Array]:
    pred, target = floating(pred, target)
    if pred.ndim != 2 or pred.shape != target.shape:
        raise ValueError(f"pred has shape {pred.shape} and target {target.shape}; both need the same [pixels, channels]")
    if not pred.shape[1]:
        raise ValueError(f"pred has shape {pred.shape}; at least one channel is needed")
    wide = jnp.promote_types(pred.dtype, jnp.float32)  # small differences of squares need 24 bits
    return pred.astype(wide), target.astype(wide)

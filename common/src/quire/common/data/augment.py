"""Augmentations that learners from two views of an image share: crops, mirror images, greys, blur.

What is random is drawn beforehand, on the host by `draw_crops` for example, and given as an argument: nothing is random here.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real

from quire.common.checks import check_at_least, floating

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey."""
NARROWEST = 0.05
"""Width of a Gaussian, in pixels, below which its neighbours weigh nothing, in double precision too."""


def draw_crops(
    draw: np.random.Generator,
    shape: Sequence[int],
    *,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[np.ndarray, "*shape 4"]:
    """Windows of random area, shape and place, each `(top, left, height, width)` in parts of the image.

    The area is uniform, the ratio of width to height uniform in its logarithm; a side that does not fit is cut to the image.

    Args:
        draw: NumPy's generator.
        shape: how many.
        area: smallest and largest, in parts of the image.
        ratio: smallest and largest.

    Raises:
        ValueError: for an area outside of 0..1, a ratio that is not positive, or bounds in the wrong order.

    >>> crops = draw_crops(np.random.default_rng(0), (2,))
    >>> crops.shape, bool((crops[:, :2] + crops[:, 2:] <= 1).all())
    ((2, 4), True)
    """
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"area is {area}; it needs two numbers in 0..1, the smaller one first and positive")
    if not 0 < ratio[0] <= ratio[1] < np.inf:
        raise ValueError(f"ratio is {ratio}; it needs two positive numbers, the smaller one first")
    size, shapes = draw.uniform(*area, shape), np.exp(draw.uniform(*np.log(ratio), shape))
    sides = np.minimum(np.stack([np.sqrt(size / shapes), np.sqrt(size * shapes)], -1), 1)
    return np.concatenate([draw.random((*shape, 2)) * (1 - sides), sides], -1).astype(np.float32)


def resized_crop(
    images: Real[Array | np.ndarray, "n h w c"], crops: Float[Array | np.ndarray, "n 4"], size: tuple[int, int] | None = None
) -> Float[Array, "n h2 w2 c"]:
    """The window of every image, scaled to one size by linear interpolation, smoothed where it shrinks.

    At the edge of a window, pixels beside it take part.

    Args:
        images: any range.
        crops: `(top, left, height, width)` in parts of the image, inside of it; see `draw_crops`.
        size: height and width of the result; those of the images by default.

    Raises:
        ValueError: if there is not one window for every image, or a size below 1.

    >>> image = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> resized_crop(image, jnp.array([[0.0, 0.5, 1.0, 0.5]]))[0, :, :, 0].tolist()
    [[0.75, 1.0], [2.75, 3.0]]
    """
    images, crops = floating(images, crops)
    if images.ndim != 4 or crops.shape != (len(images), 4):
        raise ValueError(f"images has shape {images.shape} and crops {crops.shape}; they need [n, h, w, c] and [n, 4]")
    before, after = images.shape[1:3], images.shape[1:3] if size is None else size
    for side in after:
        check_at_least("size", side)

    def one(image, crop):
        scale = jnp.array(after, crop.dtype) / (crop[2:] * jnp.array(before, crop.dtype))
        start = -crop[:2] * jnp.array(before, crop.dtype) * scale
        return jax.image.scale_and_translate(image, (*after, image.shape[-1]), (0, 1), scale, start, "linear")

    return jax.vmap(one)(images, crops)


def mirror(images: Real[Array | np.ndarray, "n h w c"], chosen: Bool[Array | np.ndarray, " n"]) -> Real[Array, "n h w c"]:
    """The chosen images with left and right exchanged, the others as they are.

    >>> mirror(jnp.arange(4).reshape(2, 1, 2, 1), jnp.array([True, False])).ravel().tolist()
    [1, 0, 2, 3]
    """
    return jnp.where(chosen[:, None, None, None], images[:, :, ::-1], images)


def luma(images: Real[Array | np.ndarray, "*batch 3"]) -> Float[Array, "*batch 1"]:
    """The grey value of every pixel, by the weights `LUMA`.

    Raises:
        ValueError: unless there are three channels.

    >>> print(luma(jnp.array([[1.0, 0.0, 0.0]])))
    [[0.299]]
    """
    (images,) = floating(images)
    if images.shape[-1:] != (3,):
        raise ValueError(f"images has shape {images.shape}; it needs three channels, red, green and blue, on its last axis")
    red, green, blue = (weight * images[..., i : i + 1] for i, weight in enumerate(LUMA))
    return red + green + blue


def greyed(images: Real[Array | np.ndarray, "n h w 3"], chosen: Bool[Array | np.ndarray, " n"]) -> Float[Array, "n h w 3"]:
    """The chosen images without colour, the others as they are.

    >>> greyed(jnp.ones((1, 1, 1, 3)), jnp.array([True])).shape
    (1, 1, 1, 3)
    """
    grey = luma(images)
    return jnp.where(chosen[:, None, None, None], grey, images)


def gaussian_blur(
    images: Real[Array | np.ndarray, "n h w c"], sigma: Float[Array | np.ndarray, " n"], *, radius: int
) -> Float[Array, "n h w c"]:
    """Every image smoothed by a Gaussian of its own width, cut off at `radius` pixels; the edge goes on outside.

    Args:
        images: any range.
        sigma: in pixels; a width below 0.05 leaves an image as it is.
        radius: of the window, the same for all.

    Raises:
        ValueError: if there is not one width for every image, or the radius is below 1.

    >>> gaussian_blur(jnp.ones((1, 4, 4, 1)), jnp.array([0.8]), radius=2)[0, 0, 0, 0].round(5).item()
    1.0
    """
    images, sigma = floating(images, sigma)
    if images.ndim != 4 or sigma.shape != images.shape[:1]:
        raise ValueError(f"images has shape {images.shape} and sigma {sigma.shape}; they need [n, h, w, c] and [n]")
    check_at_least("radius", radius)
    offset = jnp.arange(-radius, radius + 1, dtype=images.dtype)
    wide = sigma[:, None] > NARROWEST
    line = jnp.where(wide, jnp.exp(-0.5 * (offset[None] / jnp.where(wide, sigma[:, None], 1)) ** 2), offset[None] == 0)
    line = line / line.sum(1, keepdims=True)
    for axis in (1, 2):
        size = images.shape[axis]
        pads = [(radius, radius) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(images, pads, mode="edge")
        shifted = [jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(2 * radius + 1)]
        images = reduce(add, (line[:, i, None, None, None] * part for i, part in enumerate(shifted)))
    return images

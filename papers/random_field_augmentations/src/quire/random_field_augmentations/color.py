"""Local colours: brightness, contrast, saturation and hue that change from pixel to pixel."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import floating, is_concrete
from quire.random_field_augmentations.warp import NUM_GEOMETRIC, RandomFieldParams

YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From red, green, blue to luma and two chromas."""
RGB = np.linalg.inv(YIQ)


def local_color(images: Real[Array | np.ndarray, "*batch h w 3"], params: RandomFieldParams) -> Float[Array, "*batch h w 3"]:
    """Brightness, contrast, saturation, hue, in this order, and one clip to `[0, 1]` at the end.

        x <- x e^brightness
        x <- m + (x - m) e^contrast,     m the mean luma of the brightened image
        x <- g + (x - g) e^saturation,   g the luma of the pixel
        x <- x with its chroma (I, Q) turned by 2 pi hue

    Args:
        images: values in `[0, 1]`.
        params: fields `[..., h, w]`; those of the geometry are not looked at.

    Raises:
        ValueError: unless there are three channels, with values in `[0, 1]` (of an array that holds numbers), and fields of the
            same sides.
    """
    images, *fields = floating(images, *params[NUM_GEOMETRIC:])
    if images.shape[-1:] != (3,) or any(field.shape != images.shape[:-1] for field in fields):
        shapes = [field.shape for field in fields]
        raise ValueError(f"images has shape {images.shape} and fields {shapes}; they need [..., h, w, 3] and [..., h, w]")
    if is_concrete(images) and images.size:
        numbers = np.asarray(images)  # by NumPy: inside of a compiled function, JAX's own minimum would be traced
        least, most = numbers.min(), numbers.max()
        if not (least >= 0 and most <= 1):
            raise ValueError(f"images has values from {least} to {most}; they must lie in 0..1")
    return _changed(images, *fields)


@jax.jit
def _changed(images: Array, brightness: Array, contrast: Array, saturation: Array, hue: Array) -> Array:
    # In YIQ a grey has no chroma, so all but the hue are factors. The two products also keep XLA from reading the image anew for
    # every use of it, if it is the result of a warp.
    y, i, q = jnp.moveaxis(jnp.matmul(images, YIQ.T.astype(images.dtype), precision="highest"), -1, 0)
    y = y * jnp.exp(brightness)
    mean = y.mean((-2, -1), keepdims=True)
    y = mean + (y - mean) * jnp.exp(contrast)
    strength, angle = jnp.exp(brightness + contrast + saturation), 2 * np.pi * hue
    cos, sin = strength * jnp.cos(angle), strength * jnp.sin(angle)
    turned = jnp.stack([y, cos * i - sin * q, sin * i + cos * q], -1)
    return jnp.clip(jnp.matmul(turned, RGB.T.astype(images.dtype), precision="highest"), 0, 1)

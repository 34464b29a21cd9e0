"""Views of an image as the authors make them: mirror image, jitter of colours, loss of colour; a crop where one is wanted."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive, floating
from quire.common.data.augment import draw_crops, greyed, mirror, resized_crop
from quire.common.data.images import pixels
from quire.common.random import generator


@dataclass(frozen=True)
class Augmentation:
    """How views differ from their image. The defaults are the authors' for CIFAR-10, but for `per_batch`.

    Attributes:
        flip, jitter, grey: probabilities. The authors' loss of colour returns its input unchanged for CIFAR-10: grey 0.
        strength: of the jitter.
        smallest_area: of a random crop in parts of the image; 1 for no crop.
        per_batch: one draw for all images of a batch, as in the authors' code, instead of one each.

    Raises:
        ValueError: for a probability or an area out of its range, or a negative strength.
    """

    flip: float = 0.5
    jitter: float = 0.5
    grey: float = 0.5
    strength: float = 0.2
    smallest_area: float = 1.0
    per_batch: bool = False

    def __post_init__(self):
        for name in ("flip", "jitter", "grey"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a probability lies in 0..1")
        if not 0 <= self.strength < np.inf:
            raise ValueError(f"strength is {self.strength}; it must be finite and not negative")
        if check_positive("smallest_area", self.smallest_area) > 1:
            raise ValueError(f"smallest_area is {self.smallest_area}; it must not be above 1")


AUTHORS = Augmentation(grey=0.0, per_batch=True)
"""What the notebook for CIFAR-10 does: its two views of a batch are nearly equal."""
IMAGENET = Augmentation(flip=0.5, jitter=0.8, grey=0.2, strength=1.0)
"""What the notebooks for ImageNet do."""


class Draws(NamedTuple):
    """Random numbers of views, one row each.

    Attributes:
        chances: uniform in 0..1, `[rows, 3]`: mirror image, jitter, grey.
        amounts: uniform in -1..1, `[rows, 4]`: brightness, contrast, saturation, hue.
        crops: windows `[rows, 4]`.
    """

    chances: AnyArray
    amounts: AnyArray
    crops: AnyArray


def draw_views(key: jax.Array, rows: int, smallest_area: float = 1.0) -> Draws:
    """Random numbers for so many views, drawn on the host."""
    draw = generator(key)
    chances = draw.random((rows, 3), dtype=np.float32)
    amounts = draw.uniform(-1, 1, (rows, 4)).astype(np.float32)
    return Draws(chances, amounts, draw_crops(draw, (rows,), area=(smallest_area, 1.0)))


def augment(images: Real[Array | np.ndarray, "n h w 3"], draws: Draws, how: Augmentation) -> Float[Array, "n h w 3"]:
    """One view of every image: crop, mirror image, jitter, loss of colour.

    Args:
        images: bytes, or floats in `[0, 1]`.
        draws: a row for every image.
        how: probabilities and strength.

    Raises:
        ValueError: unless there are three channels and a row of draws for every image.

    >>> view = augment(np.full((2, 4, 4, 3), 128, np.uint8), draw_views(jax.random.key(0), 2), Augmentation())
    >>> view.shape
    (2, 4, 4, 3)
    """
    if images.ndim != 4 or images.shape[-1] != 3 or draws.chances.shape != (len(images), 3):
        raise ValueError(f"images has shape {images.shape} and draws {draws.chances.shape}; they need [n, h, w, 3] and [n, 3]")
    flip, jitter, grey = (draws.chances < jnp.array([[how.flip, how.jitter, how.grey]])).T
    images = pixels(images)
    if how.smallest_area < 1:
        images = jnp.clip(resized_crop(images, draws.crops), 0, 1)
    images = mirror(images, flip)
    if how.strength and how.jitter:
        images = jnp.where(jitter[:, None, None, None], jittered(images, draws.amounts, how.strength), images)
    return greyed(images, grey) if how.grey else images


def jittered(
    images: Real[Array | np.ndarray, "n h w 3"], amounts: Float[Array | np.ndarray, "n 4"], strength: float
) -> Float[Array, "n h w 3"]:
    """Brightness, contrast, saturation, hue, in this order, as TensorFlow has them.

        x <- x + 0.8 s b
        x <- m + (1 + 0.8 s c) (x - m), clipped
        saturation <- (1 + 0.8 s a) saturation
        hue <- hue + 0.2 s h

    with the mean m of every channel; saturation and hue are those of HSV. The authors clip at the end only.

    Args:
        images: in `[0, 1]`.
        amounts: `(b, c, a, h)` in -1..1.
        strength: s.
    """
    images, amounts = floating(images, amounts)
    brightness, contrast, saturation, hue = jnp.moveaxis(strength * amounts, 1, 0)[:, :, None, None]
    images = images + 0.8 * brightness[..., None]
    mean = images.mean((1, 2), keepdims=True)
    images = jnp.clip(mean + (1 + 0.8 * contrast[..., None]) * (images - mean), 0, 1)
    h, s, v = to_hsv(images)
    return from_hsv(h + 0.2 * hue, jnp.clip(s * (1 + 0.8 * saturation), 0, 1), v)


def to_hsv(images: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"], Float[Array, "*batch"]]:
    """Hue in turns, saturation and value in `[0, 1]`; a grey has the hue 0.

    >>> [x.item() for x in to_hsv(jnp.array([0.0, 0.5, 0.0]))]
    [0.3333333432674408, 1.0, 0.5]
    """
    red, green, blue = (images[..., i] for i in range(3))
    # one pair after the other: the derivative of a maximum over an axis looks for equals, which rounding may hide from it
    value, least = jnp.maximum(jnp.maximum(red, green), blue), jnp.minimum(jnp.minimum(red, green), blue)
    span = value - least
    safe = jnp.where(span > 0, span, 1)
    # by comparing the channels, never with `value`: a compiler may compute it anew and round otherwise, and at ties both agree
    of_red, of_green, of_blue = (green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe
    sixth = jnp.where((red >= green) & (red >= blue), of_red, jnp.where(green >= blue, of_green, of_blue))
    hue = jnp.where(span > 0, jnp.mod(sixth / 6, 1), 0)
    return hue, span / jnp.where(value > 0, value, 1), value


def from_hsv(hue: Float[Array, "*batch"], saturation: Float[Array, "*batch"], value: Float[Array, "*batch"]) -> Array:
    """The way back, `[*batch, 3]`; hues of any number of turns."""

    def channel(shift):
        k = jnp.mod(shift + 6 * hue, 6)
        return value * (1 - saturation * jnp.clip(jnp.minimum(k, 4 - k), 0, 1))

    return jnp.stack([channel(5), channel(3), channel(1)], -1)

"""Random views of images: crops, mirror images, other brightness and contrast, a square rubbed out. NumPy, all images at once.

A light form of what the authors train with, random resized crops of at least 0.7 of the area, RandAugment and random erasing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from quire.common.checks import check_at_least


@dataclass(frozen=True)
class Views:
    """How far a view may be from its image.

    Attributes:
        area: least share of the image in a crop, which is square.
        mirror: probability of a mirror image; 0 for signs that have a side, such as digits.
        brightness, contrast: largest relative change.
        erase: probability that a square of at most a third of the side is filled with the mean.
    """

    area: float = 0.7
    mirror: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    erase: float = 0.1

    def __post_init__(self):
        if not 0 < self.area <= 1 or not all(0 <= x <= 1 for x in (self.mirror, self.brightness, self.contrast, self.erase)):
            raise ValueError(f"views are {self}; area must lie in (0, 1], the others in [0, 1]")


def random_views(
    images: Num[np.ndarray, "n h w c"], draw: np.random.Generator, views: Views | None = None
) -> Float[np.ndarray, "n h w c"]:
    """One view of every image, float32 on the scale of the images.

    Args:
        images: any numbers.
        draw: of crops and changes.
        views: how far they may go.

    Raises:
        ValueError: without images.

    >>> random_views(np.ones((2, 8, 8, 1)), np.random.default_rng(0)).shape
    (2, 8, 8, 1)
    """
    views = Views() if views is None else views
    n = check_at_least("number of images", len(images))
    x = _cropped(np.asarray(images, np.float32), draw, views.area)
    x = np.where((draw.random(n) < views.mirror)[:, None, None, None], x[:, :, ::-1], x)
    bright, contrast = (1 + draw.uniform(-s, s, (n, 1, 1, 1)) for s in (views.brightness, views.contrast))
    mean = x.mean((1, 2, 3), keepdims=True)
    x = bright * (mean + contrast * (x - mean))
    return np.where(_squares(x.shape, draw, views.erase), mean, x).astype(np.float32)


def _cropped(x, draw, least_area):
    """A random square of each image, enlarged to its size by linear interpolation, one axis after the other."""
    size = np.sqrt(draw.uniform(least_area, 1, len(x)))[:, None]
    for _ in range(2):
        side = x.shape[1]
        start = draw.uniform(0, 1, size.shape) * (1 - size)
        place = np.clip((start + size * (np.arange(side) + 0.5) / side) * side - 0.5, 0, side - 1)
        low = np.minimum(place.astype(int), max(side - 2, 0))
        part = (place - low).astype(np.float32)[:, :, None, None]
        before, after = (x[np.arange(len(x))[:, None], i] for i in (low, np.minimum(low + 1, side - 1)))
        x = (before + part * (after - before)).swapaxes(1, 2)
    return x


def _squares(shape, draw, probability):
    """Where a square lies in each image, `[n, h, w, 1]`; in most images nowhere."""
    n, height, width = shape[:3]
    half = draw.uniform(0, 1 / 6, n) * min(height, width) * (draw.random(n) < probability)
    rows, columns = (draw.uniform(0, side, n)[:, None] - 0.5 - np.arange(side) for side in (height, width))
    inside = (np.abs(rows)[:, :, None] < half[:, None, None]) & (np.abs(columns)[:, None] < half[:, None, None])
    return inside[..., None]

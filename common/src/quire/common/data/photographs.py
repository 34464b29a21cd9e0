"""Photographs that come with scikit-image."""

from typing import NamedTuple

import numpy as np

PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee")


class Photograph(NamedTuple):
    """A name for tables, and pixels `[size, size, channels]` in 0..1, float32."""

    name: str
    pixels: np.ndarray


def photograph(name: str, size: int, *, crop: int | None = None) -> Photograph:
    """The middle of a photograph, averaged over blocks of pixels.

    Args:
        name: `"astronaut"`, `"camera"` (grey), `"chelsea"` or `"coffee"`.
        size: side of the result.
        crop: side of the square that is cut out of the middle; the largest multiple of `size` that fits by default.

    Raises:
        ValueError: for an unknown name, or a crop that is no multiple of `size` or does not fit.
        ImportError: without scikit-image (`pip install "quire-common[images]"`).
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"name is {name!r}; choose from {', '.join(PHOTOGRAPHS)}")
    from skimage import data

    pixels = getattr(data, name)()
    height, width = pixels.shape[:2]
    if not 1 <= size <= min(height, width):
        raise ValueError(f"size is {size}; it must be between 1 and {min(height, width)}")
    crop = min(height, width) // size * size if crop is None else crop
    if crop % size or not size <= crop <= min(height, width):
        raise ValueError(f"crop is {crop}; it must be a multiple of {size}, at most {min(height, width)}")
    top, left = (height - crop) // 2, (width - crop) // 2
    cut = pixels[top : top + crop, left : left + crop].reshape(size, crop // size, size, crop // size, -1)
    return Photograph(f"scikit-image {name}, {size} x {size}", cut.mean((1, 3)).astype(np.float32) / 255)

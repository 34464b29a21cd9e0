"""Images at a smaller size: what a preset of minutes learns from."""

import numpy as np
from jaxtyping import UInt8

from quire.common.checks import check_at_least


def averaged(images: UInt8[np.ndarray, "n h w c"], side: int) -> UInt8[np.ndarray, "n side side c"]:
    """Bytes averaged over blocks of pixels, so that a side is left.

    Args:
        images: bytes.
        side: height and width of the result.

    Raises:
        ValueError: if it does not divide the sides of the images, or is below 1.

    >>> averaged(np.array([[[[0], [2]], [[4], [6]]]], np.uint8), 1).ravel().tolist()
    [3]
    """
    check_at_least("side", side)
    n, height, width, channels = images.shape
    if height % side or width % side:
        raise ValueError(f"side is {side}; it must divide the sides of the images, {height} and {width}")
    blocks = images.reshape(n, side, height // side, side, width // side, channels)
    return np.round(blocks.mean((2, 4))).astype(np.uint8)

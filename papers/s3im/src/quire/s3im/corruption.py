"""Training images as a bad camera takes them."""

from typing import Literal, get_args

import jax
import numpy as np
from jaxtyping import Float

from quire.common.random import generator

Corruption = Literal["noise", "impulse", "blocks", "exposure"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)


def corrupt(images: Float[np.ndarray, "n h w c"], kind: Corruption, level: float, key: jax.Array) -> Float[np.ndarray, "n h w c"]:
    """Damaged copies, in 0..1.

    Args:
        images: colours in 0..1; left as they are.
        kind: `"noise"` adds a Gaussian number to every colour; `"impulse"` makes pixels black or white; `"blocks"` puts a square
            of one random grey into every image; `"exposure"` multiplies every image by a number.
        level: standard deviation; share of the pixels; side of the square over the shorter side of the image; standard
            deviation of the logarithm. 0 changes nothing.
        key: for the draws.

    Raises:
        ValueError: for an unknown kind, or a level out of range.

    >>> grey = np.full((1, 2, 2, 3), 0.5, np.float32)
    >>> print(np.round(corrupt(grey, "noise", 0.2, jax.random.key(0))[0, 0, 0], 2), grey[0, 0, 0])
    [0.53 0.47 0.63] [0.5 0.5 0.5]
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(CORRUPTIONS)}")
    if not (level >= 0 and (level <= 1 or kind in ("noise", "exposure"))):
        raise ValueError(f"level is {level}; {kind} needs a number in [0, {'inf' if kind in ('noise', 'exposure') else '1'}]")
    images, draw = np.array(images, np.float32), generator(key)
    n, height, width, _ = images.shape
    if kind == "noise":
        images += draw.normal(0, level, images.shape)
    elif kind == "exposure":
        images *= np.exp(draw.normal(0, level, (n, 1, 1, 1)))
    elif kind == "impulse":
        hit = draw.random((n, height, width)) < level
        images[hit] = draw.integers(0, 2, (int(hit.sum()), 1))
    else:
        side = round(level * min(height, width))
        for image in images:
            top, left = draw.integers(0, height - side + 1), draw.integers(0, width - side + 1)
            image[top : top + side, left : left + side] = draw.random()
    return np.clip(images, 0, 1).astype(np.float32)

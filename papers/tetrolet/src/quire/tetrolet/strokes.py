"""Drawn images whose edges run in all directions: a disc and a half-plane of other greys, and pen strokes over them."""

from itertools import pairwise

import jax
import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.random import generator

POINTS = 24
"""Points of the curve of a stroke."""


def strokes_and_edges(key: jax.Array, count: int, size: int = 64, strokes: int = 3) -> Float[np.ndarray, "count size size"]:
    """Grey images in `[0, 1]`, edges one pixel wide.

    Args:
        key: of the draws.
        count: of images.
        size: side in pixels.
        strokes: in each, quadratic curves 1.5 to 4 pixels wide.

    Raises:
        ValueError: for a size below 1, or a negative number of images or strokes.

    >>> x = strokes_and_edges(jax.random.key(0), 2, 16)
    >>> x.shape, bool((0 <= x).all() and (x <= 1).all())
    ((2, 16, 16), True)
    """
    check_at_least("count", count, 0)
    check_at_least("size", size)
    check_at_least("strokes", strokes, 0)
    draw = generator(key)
    y, x = np.mgrid[:size, :size] + 0.5
    number = lambda low, high: draw.uniform(low, high, (count, 1, 1))  # noqa: E731
    grey = lambda: number(0.1, 0.9)  # noqa: E731
    angle = number(0, 2 * np.pi)
    side = (x - number(0.3, 0.7) * size) * np.cos(angle) + (y - number(0.3, 0.7) * size) * np.sin(angle)
    image = _painted(np.broadcast_to(grey(), (count, size, size)), side, grey())
    disc = np.hypot(x - number(0.2, 0.8) * size, y - number(0.2, 0.8) * size) - number(0.12, 0.3) * size
    image = _painted(image, disc, grey())
    for _ in range(strokes):
        image = _painted(image, _to_curve(draw.uniform(0.05, 0.95, (count, 3, 2)) * size, x, y) - number(0.75, 2), grey())
    return image


def _painted(image: np.ndarray, distance: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Grey where the signed distance is negative, mixed within half a pixel of its zero."""
    cover = np.clip(0.5 - distance, 0, 1)
    return (1 - cover) * image + cover * grey


def _to_curve(controls: Float[np.ndarray, "count 3 2"], x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "count size size"]:
    """Distance to quadratic curves, as lines from point to point."""
    t = np.linspace(0, 1, POINTS)[:, None]
    weights = np.concatenate([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)
    points = np.einsum("pk,nkc->pnc", weights, controls)[..., None, None]  # [points, count, 2, 1, 1]
    nearest = np.full((controls.shape[0], *x.shape), np.inf)
    for a, b in pairwise(points):
        along = b - a
        squared = np.maximum((along**2).sum(axis=1), 1e-12)
        part = np.clip(((x - a[:, 0]) * along[:, 0] + (y - a[:, 1]) * along[:, 1]) / squared, 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - a[:, 0] - part * along[:, 0], y - a[:, 1] - part * along[:, 1]))
    return nearest

"""Drawn faces and birds of 16 x 16 pixels: six attributes that are known exactly, and much else that varies.

The outline of everything is soft: a pixel at distance d from it, in pixels, is covered by `clip(1/2 - d, 0, 1)`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Integer

from quire.common.checks import check_at_least
from quire.common.random import generator

SIDE = 16
FACE = ("blond", "long hair", "glasses", "smile", "hat", "beard")
BIRD = ("red body", "dark wing", "pale belly", "long beak", "crest", "striped wing")
"""Names of the attributes, each 0 or 1."""

SKIN, BLOND, DARK, BLUE = (0.95, 0.75, 0.6), (0.9, 0.78, 0.3), (0.22, 0.13, 0.08), (0.15, 0.25, 0.85)
RED, YELLOW, BLACK, PALE, ORANGE = (0.8, 0.2, 0.15), (0.85, 0.75, 0.2), (0.05, 0.05, 0.05), (0.95, 0.93, 0.85), (0.95, 0.55, 0.1)

Pixels = Float[np.ndarray, "n _ _"]
"""`[n, 1, 1]` for one number an image, `[n, 1, side]` and `[n, side, 1]` for coordinates, `[n, side, side]` for distances."""


class AttributeImages(NamedTuple):
    """Images uint8 `[n, 16, 16, 3]`, attributes uint8 `[n, 6]` of zeros and ones, and the names of the attributes."""

    images: Integer[np.ndarray, "n 16 16 3"]
    attributes: Integer[np.ndarray, "n 6"]
    names: tuple[str, ...]


Draw = Callable[[jax.Array, Integer[np.ndarray, "n 6"]], Integer[np.ndarray, "n 16 16 3"]]


def attribute_faces(key: jax.Array, n: int) -> AttributeImages:
    """n faces with independent attributes, each as often 0 as 1.

    >>> faces = attribute_faces(jax.random.key(0), 5)
    >>> faces.images.shape, faces.images.dtype.name, faces.attributes.shape
    ((5, 16, 16, 3), 'uint8', (5, 6))
    """
    return _drawn(key, n, draw_faces, FACE)


def attribute_birds(key: jax.Array, n: int) -> AttributeImages:
    """n birds with independent attributes, each as often 0 as 1."""
    return _drawn(key, n, draw_birds, BIRD)


def _drawn(key: jax.Array, n: int, draw: Draw, names: tuple[str, ...]) -> AttributeImages:
    check_at_least("n", n, 0)
    attributes = generator(key).integers(0, 2, (n, len(names)), dtype=np.uint8)
    return AttributeImages(draw(jax.random.fold_in(key, 1), attributes), attributes, names)


class Canvas:
    """Images that are painted on, one layer over the other.

    Args:
        key: of the background, where the centre is, and the noise at the end.
        attributes: of every image.
        centre: `(x, y)` about which things stand, in pixels.

    Raises:
        ValueError: unless the attributes are rows of six zeros and ones.
    """

    def __init__(self, key: jax.Array, attributes: Integer[np.ndarray, "n 6"], centre: tuple[float, float]):
        attributes = np.asarray(attributes)
        if attributes.ndim != 2 or attributes.shape[1] != 6 or not np.isin(attributes, (0, 1)).all():
            raise ValueError(f"attributes has shape {attributes.shape}; it needs rows of six zeros and ones")
        self.n, self.draw = len(attributes), generator(key)
        self.has = attributes.astype(bool).T[:, :, None, None]
        self.image = np.broadcast_to(self.draw.uniform(0.2, 0.8, (self.n, 1, 1, 3)), (self.n, SIDE, SIDE, 3)).copy()
        at = np.asarray(centre) + 0.6 * self.draw.standard_normal((self.n, 2))
        self.x = np.arange(SIDE)[None, None] - at[:, 0, None, None]
        self.y = np.arange(SIDE)[None, :, None] - at[:, 1, None, None]

    def varied(self, mean: float, std: float) -> Pixels:
        """A number for every image, normal."""
        return mean + std * self.draw.standard_normal((self.n, 1, 1))

    def paint(self, distance: Pixels, colour: np.ndarray | tuple[float, float, float], where: np.ndarray | bool = True) -> None:
        """Paint what lies at a negative distance.

        Args:
            distance: in pixels to the outline, negative inside.
            colour: RGB of all images, or `[n, 1, 1, 3]`.
            where: which images; all by default.
        """
        cover = (np.clip(0.5 - distance, 0, 1) * where)[..., None]
        self.image += cover * (np.asarray(colour) - self.image)

    def finished(self) -> Integer[np.ndarray, "n 16 16 3"]:
        """The images as bytes, with a little noise."""
        noisy = self.image + 0.02 * self.draw.standard_normal(self.image.shape)
        return np.round(255 * np.clip(noisy, 0, 1)).astype(np.uint8)


def ellipse(x: Pixels, y: Pixels, width: Pixels | float, height: Pixels | float) -> Pixels:
    """About the signed distance to an ellipse with these half axes."""
    return (np.hypot(x / width, y / height) - 1) * np.minimum(width, height)


def box(x: Pixels, y: Pixels, width: Pixels | float, height: Pixels | float) -> Pixels:
    """Signed distance (inside; outside a bound of it) to a box with these half sides."""
    return np.maximum(np.abs(x) - width, np.abs(y) - height)


def draw_faces(key: jax.Array, attributes: Integer[np.ndarray, "n 6"]) -> Integer[np.ndarray, "n 16 16 3"]:
    """Faces of given attributes, columns as `FACE`; background, place, size and tone of the skin vary.

    Raises:
        ValueError: unless the attributes are rows of six zeros and ones.
    """
    c = Canvas(key, attributes, (7.5, 8.0))
    blond, long, glasses, smile, hat, beard = c.has
    x, y, rx, ry = c.x, c.y, c.varied(4.4, 0.4), c.varied(5.4, 0.4)
    hair = np.where(blond[..., None], BLOND, DARK)
    skin = np.asarray(SKIN) * c.draw.uniform(0.7, 1.05, (c.n, 1, 1, 1))
    c.paint(ellipse(x, y + 0.8, rx + 1.0, ry + 0.6), hair)
    c.paint(np.maximum(box(x, y - 1.5, rx + 1.2, 5.5), 1 - np.abs(x)), hair, long)
    face = ellipse(x, y, rx, ry)
    c.paint(face, skin)
    c.paint(np.maximum(face, y + 2.9), hair)
    c.paint(np.maximum(face, 1.9 - y), hair, beard)
    for side in (-1, 1):
        eye = np.hypot(x - 2 * side, y + 0.7)
        c.paint(eye - 0.5, BLACK)
        c.paint(np.abs(eye - 1.6) - 0.35, BLACK, glasses)
    c.paint(box(x, y + 0.7, 0.6, 0.1), BLACK, glasses)
    curve = np.where(smile, -1, 1) * (x**2 / 4 - 0.6)
    c.paint(np.maximum(np.abs(y - 3.1 - curve) - 0.4, np.abs(x) - 2.3), (0.6, 0.1, 0.12))
    c.paint(np.maximum(ellipse(x, y + 3.2, rx + 1.3, 4.0), y + 3.3), BLUE, hat)
    c.paint(box(x, y + 3.3, rx + 1.8, 0.5), BLUE, hat)
    return c.finished()


def draw_birds(key: jax.Array, attributes: Integer[np.ndarray, "n 6"]) -> Integer[np.ndarray, "n 16 16 3"]:
    """Birds of given attributes, columns as `BIRD`; background, place, size and the brightness of the plumage vary.

    Raises:
        ValueError: unless the attributes are rows of six zeros and ones.
    """
    c = Canvas(key, attributes, (7.0, 8.5))
    red, dark, pale, long, crest, striped = c.has
    x, y, rx, ry = c.x, c.y, c.varied(4.6, 0.4), c.varied(3.2, 0.3)
    light = c.draw.uniform(0.75, 1.05, (c.n, 1, 1, 1))
    body = np.where(red[..., None], RED, YELLOW) * light
    wing = np.where(dark[..., None], (0.15, 0.15, 0.2), (0.45, 0.55, 0.75)) * light
    head_x, head_y = x - 3.2, y + 3.4
    c.paint(np.maximum(box(x + 5.2, y + 0.8, 2.0, 1.0), y + 2.4 + 0.4 * x), body)  # the tail
    c.paint(np.maximum(np.abs(head_x + 0.7) - 0.5 * (head_y + 5.0), head_y + 1.0), body, crest)
    trunk = ellipse(x, y, rx, ry)
    c.paint(trunk, body)
    c.paint(np.maximum(trunk, 1.2 - y), np.where(pale[..., None], PALE, (0.3, 0.2, 0.1)))
    c.paint(np.hypot(head_x, head_y) - 2.2, body)
    c.paint(np.hypot(head_x - 0.6, head_y + 0.4) - 0.5, BLACK)
    reach = np.where(long, 3.6, 1.6)
    c.paint(np.maximum(np.abs(head_y - 0.3) - 0.9 * (1 - (head_x - 1.8) / reach), 1.8 - head_x), ORANGE)
    feathers = ellipse(x + 1.2, y + 0.3, 2.9, 1.7)
    c.paint(feathers, wing)
    c.paint(np.maximum(feathers, 0.9 * np.cos(np.pi * (x + 1.2)) + 0.1), PALE, striped)
    c.paint(box(x, y - ry - 1.0, 0.3, 1.2), ORANGE)
    return c.finished()

"""Drawn images with several attributes that are known exactly: which shape, in which colour, how large, and where."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.random import generator

ATTRIBUTES = ("shape", "colour", "size", "position")
"""Columns of the labels."""

Pixels = Float[np.ndarray, "n _ _"]
"""Coordinates `[n, 1, width]` and `[n, height, 1]`, distances `[n, height, width]`, radii `[n, 1, 1]`, in pixels."""


def _disc(x: Pixels, y: Pixels, radius: Pixels) -> Pixels:
    return np.hypot(x, y) - radius


def _square(x: Pixels, y: Pixels, radius: Pixels) -> Pixels:
    return np.maximum(np.abs(x), np.abs(y)) - radius * (np.pi / 4) ** 0.5


def _triangle(x: Pixels, y: Pixels, radius: Pixels) -> Pixels:
    half = radius * (np.pi / 2) ** 0.5  # of its base and of its height
    return np.maximum(y - half, (np.abs(x) - (y + half) / 2) * 0.8**0.5)


def _cross(x: Pixels, y: Pixels, radius: Pixels) -> Pixels:
    long = radius * (9 * np.pi / 20) ** 0.5  # from the centre to the end of an arm, three times half its width
    wide, high = np.maximum(np.abs(x) - long, np.abs(y) - long / 3), np.maximum(np.abs(x) - long / 3, np.abs(y) - long)
    return np.minimum(wide, high)


OUTLINES = {"disc": _disc, "square": _square, "triangle": _triangle, "cross": _cross}
"""Signed distance to the outline, negative inside (next to a corner, a bound of it); the area is that of a disc of the radius."""


@dataclass(frozen=True)
class ShapeStyle:
    """What there is to draw. Lengths are fractions of the side of the image.

    Attributes:
        size: side of the square images in pixels.
        kinds: of shapes: disc, square, triangle, cross. Shapes of one radius have one area, so that ink tells no kind.
        colours: RGB in `[0, 1]`.
        radii: sizes.
        centres: positions as `(x, y)`, y downwards.
        jitter: a centre is moved by up to so much, both ways.
        background: grey value.
        noise: standard deviation of what is added to every number; nothing is clipped.

    Raises:
        ValueError: for an attribute without values, an unknown kind, or a number out of its range.
    """

    size: int = 24
    kinds: tuple[str, ...] = ("disc", "square", "triangle", "cross")
    colours: tuple[tuple[float, float, float], ...] = ((0.9, 0.2, 0.2), (0.2, 0.8, 0.2), (0.25, 0.35, 0.95), (0.9, 0.8, 0.1))
    radii: tuple[float, ...] = (2.2 / 24, 3.6 / 24, 5 / 24)
    centres: tuple[tuple[float, float], ...] = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
    jitter: float = 1 / 24
    background: float = 0.0
    noise: float = 0.1

    def __post_init__(self):
        check_at_least("size", self.size)
        for name in ("kinds", "colours", "radii", "centres"):
            check_at_least(f"number of {name}", len(getattr(self, name)))
        if unknown := sorted(set(self.kinds) - set(OUTLINES)):
            raise ValueError(f"kinds is {self.kinds}; {unknown[0]!r} is none of {', '.join(OUTLINES)}")
        if not min(self.radii) > 0 or not self.jitter >= 0 or not self.noise >= 0:
            raise ValueError(
                f"radii is {self.radii}, jitter {self.jitter}, noise {self.noise}; radii must be positive, the others at least 0"
            )
        for name, width in (("colours", 3), ("centres", 2)):
            if any(len(row) != width for row in getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; each needs {width} numbers")

    @property
    def classes(self) -> tuple[int, int, int, int]:
        """Number of values of each of `ATTRIBUTES`."""
        return len(self.kinds), len(self.colours), len(self.radii), len(self.centres)


DEFAULT_STYLE = ShapeStyle()


class Shapes(NamedTuple):
    """Images float32 `[n, size, size, 3]`, and labels int32 `[n, 4]`, a column for each of `ATTRIBUTES`."""

    images: Float[np.ndarray, "n size size 3"]
    labels: Int[np.ndarray, "n 4"]


def shapes(key: jax.Array, n: int, style: ShapeStyle = DEFAULT_STYLE, *, correlation: float = 0.0) -> Shapes:
    """n images of one shape each, their attributes independent and uniform.

    Args:
        key: for the labels, the jitter and the noise.
        n: images.
        style: what there is to draw.
        correlation: share of the images whose colour is told by their shape (shape modulo the number of colours): a harder set,
            where one attribute may be mistaken for another.

    Raises:
        ValueError: for a negative n, or a correlation outside `[0, 1]`.

    >>> drawn = shapes(jax.random.key(0), 100)
    >>> drawn.images.shape, drawn.labels.max(0).tolist()
    ((100, 24, 24, 3), [3, 3, 2, 3])
    """
    check_at_least("n", n, 0)
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation is {correlation}; it must lie between 0 and 1")
    rng = generator(key)
    labels = rng.integers(0, style.classes, (n, len(ATTRIBUTES)), dtype=np.int32)
    told = rng.random(n) < correlation
    labels[told, 1] = labels[told, 0] % len(style.colours)
    return Shapes(draw_shapes(jax.random.fold_in(key, 1), labels, style), labels)


def draw_shapes(
    key: jax.Array, labels: Int[np.ndarray, "n 4"], style: ShapeStyle = DEFAULT_STYLE
) -> Float[np.ndarray, "n size size 3"]:
    """Images of given attributes.

    A pixel at distance d from the outline is covered by `clip(1/2 - d, 0, 1)`, which is smooth at edges.

    Args:
        key: for the jitter and the noise.
        labels: a column for each of `ATTRIBUTES`.
        style: what there is to draw.

    Returns:
        float32.

    Raises:
        ValueError: for labels of another shape, or out of range.

    >>> image = draw_shapes(jax.random.key(0), np.array([[0, 0, 2, 0]]), ShapeStyle(noise=0.0))[0]
    >>> print(image[6, 6].tolist(), image[18, 18].tolist())
    [0.8999999761581421, 0.20000000298023224, 0.20000000298023224] [0.0, 0.0, 0.0]
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != len(ATTRIBUTES):
        raise ValueError(f"labels has shape {labels.shape}; it needs a column for each of {', '.join(ATTRIBUTES)}")
    for column, name, count in zip(labels.T, ATTRIBUTES, style.classes, strict=True):
        check_ids(f"label of {name}", column, count)
    rng, n = generator(key), len(labels)
    kind, colour, radius, place = labels.T.astype(int)
    centres = np.asarray(style.centres)[place] + rng.uniform(-style.jitter, style.jitter, (n, 2))
    steps = np.arange(style.size) + 0.5
    x = steps[None, None, :] - style.size * centres[:, 0, None, None]
    y = steps[None, :, None] - style.size * centres[:, 1, None, None]
    radii = style.size * np.asarray(style.radii)[radius][:, None, None]
    distance = np.empty((n, style.size, style.size))
    for number, name in enumerate(style.kinds):
        own = kind == number
        distance[own] = OUTLINES[name](x[own], y[own], radii[own])
    cover = np.clip(0.5 - distance, 0, 1)[..., None].astype(np.float32)
    paint = np.asarray(style.colours, np.float32)[colour][:, None, None, :]
    images = np.float32(style.background) * (1 - cover) + paint * cover
    return images + np.float32(style.noise) * rng.standard_normal(images.shape, dtype=np.float32)

"""Digits moved by random affine maps and homographies: tests of what a network learnt from digits at rest."""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least
from quire.common.data.images import ImageData, ImageSplit, digits, mnist_t10k, pixels
from quire.common.data.mnist import mnist
from quire.common.data.source import Source, open_or
from quire.common.data.warp import affine_warp, homography_from_points, homography_warp
from quire.common.random import generator


@dataclass(frozen=True)
class Movement:
    """Ranges that maps are drawn from, all of them uniformly; the defaults are those of affNIST, as far as they are known.

    Attributes:
        rotation: largest angle, in degrees.
        shear: largest shear.
        scale: smallest and largest factor, of x and of y.
        shift: largest shift along each axis, in pixels.
        jitter: largest shift of a corner by a homography along each axis, in pixels.

    Raises:
        ValueError: for ranges that are negative or hold no positive factor.
    """

    rotation: float = 20.0
    shear: float = 0.2
    scale: tuple[float, float] = (0.8, 1.2)
    shift: float = 4.0
    jitter: float = 6.0

    def __post_init__(self):
        for name in ("rotation", "shear", "shift", "jitter"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale is {self.scale}; it must hold a smallest and a largest positive factor")


def random_affine(
    key: jax.Array, count: int, movement: Movement = Movement()
) -> tuple[Float[np.ndarray, "count 2 2"], Float[np.ndarray, "count 2"]]:
    """Matrices `rotation @ shear @ scales` and shifts in pixels.

    Raises:
        ValueError: for a negative count.
    """
    check_at_least("count", count, 0)
    draw = generator(key)
    angle = np.deg2rad(draw.uniform(-movement.rotation, movement.rotation, count))
    shear = draw.uniform(-movement.shear, movement.shear, count)
    scale = draw.uniform(*movement.scale, (count, 2))
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones(count), np.zeros(count)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    slant = np.stack([np.stack([one, shear], -1), np.stack([zero, one], -1)], -2)
    matrix = turn @ slant * scale[:, None, :]
    return matrix.astype(np.float32), draw.uniform(-movement.shift, movement.shift, (count, 2)).astype(np.float32)


def affine_digits(
    key: jax.Array, images: Real[Array | np.ndarray, "n h w c"], movement: Movement = Movement(), *, fill: float = 0.0
) -> Float[Array, "n h w c"]:
    """Every image moved by an affine map of its own.

    Args:
        key: for the maps.
        images: `[n, h, w, c]`.
        movement: ranges.
        fill: value of the ground.
    """
    return _affine(images, *random_affine(key, len(images), movement), fill=fill)


def homography_digits(
    key: jax.Array, images: Real[Array | np.ndarray, "n h w c"], movement: Movement = Movement(), *, fill: float = 0.0
) -> Float[Array, "n h w c"]:
    """Every image moved by a homography of its own, which moves each corner by itself.

    Args, as for `affine_digits`.
    """
    n, h, w, _ = images.shape
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([w - 1, h - 1]) / 2
    source = np.broadcast_to(corners, (n, 4, 2)).astype(np.float32)
    target = source + generator(key).uniform(-movement.jitter, movement.jitter, (n, 4, 2)).astype(np.float32)
    return _homography(images, source, target, fill=fill)


_affine = jax.jit(affine_warp, static_argnames="fill")


@partial(jax.jit, static_argnames="fill")
def _homography(images, source, target, fill):
    return homography_warp(images, homography_from_points(source, target), fill=fill)


@dataclass(frozen=True)
class Digits:
    """Training digits at rest and test digits at rest and moved, `[n, side, side, 1]` in `[-1, 1]`.

    Attributes:
        name: as tables show it.
        train, clean, affine, homography: images and labels; the last three are of the same digits.
    """

    name: str
    train: ImageSplit
    clean: ImageSplit
    affine: ImageSplit
    homography: ImageSplit


@dataclass(frozen=True)
class DigitsConfig:
    """Which digits, how many, how large.

    Attributes:
        image_set: `"mnist"`, or `"mnist-t10k"`: its test images cut anew.
        num_train, num_test: images.
        frame: side in pixels that digits are padded to before they are moved.
        shrink: pixels along an axis that become one in the end; divides the frame.
        movement: ranges of the maps.

    Raises:
        ValueError: for an unknown set or a size out of range.
    """

    image_set: str = "mnist"
    num_train: int = 60_000
    num_test: int = 10_000
    frame: int = 40
    shrink: int = 1
    movement: Movement = Movement()

    def __post_init__(self):
        if self.image_set not in ("mnist", "mnist-t10k"):
            raise ValueError(f"image_set is {self.image_set!r}; it must be 'mnist' or 'mnist-t10k'")
        check_at_least("num_train", self.num_train), check_at_least("num_test", self.num_test)
        if self.frame < 28 or self.shrink < 1 or self.frame % self.shrink:
            raise ValueError(f"frame is {self.frame} and shrink {self.shrink}; a frame holds 28 pixels, and shrink divides it")


def open_digits(config: DigitsConfig, key: jax.Array) -> Source[Digits]:
    """The digits of a preset, moved by maps that the key draws.

    Without the files of MNIST's test set, scikit-learn's digits stand in for it, enlarged to 28 x 28; for the full MNIST nothing
    does.

    Raises:
        DatasetUnavailable: if the full MNIST is not on this machine and cannot be downloaded.
    """
    if config.image_set == "mnist":
        opened = open_or(mnist, stand_in_for="affNIST, homNIST")
    else:
        opened = open_or(mnist_t10k, enlarged_digits, stand_in_for="affNIST, homNIST")
    return Source(move_digits(opened.value, config, key), opened.stand_in_for)


def move_digits(data: ImageData, config: DigitsConfig, key: jax.Array) -> Digits:
    """Pad, move, shrink, and scale to `[-1, 1]`."""
    train, test = (
        framed(part.images[:count], config.frame)
        for part, count in ((data.train, config.num_train), (data.test, config.num_test))
    )
    labels = data.test.labels[: len(test)]
    keys = jax.random.split(key)
    moved = [f(k, test, config.movement) for f, k in ((affine_digits, keys[0]), (homography_digits, keys[1]))]
    clean, affine, homography = (ImageSplit(scaled(x, config.shrink), labels) for x in (test, *moved))
    at_rest = ImageSplit(scaled(train, config.shrink), data.train.labels[: len(train)])
    side = config.frame // config.shrink
    name = f"{data.name.split(',')[0]}, {len(train)} train / {len(test)} test, {side} x {side}"
    return Digits(name, at_rest, clean, affine, homography)


def framed(images: Real[np.ndarray, "n h w c"], frame: int) -> Float[np.ndarray, "n frame frame c"]:
    """Grey values in `[0, 1]` in the middle of a black frame."""
    grey = np.asarray(pixels(images), np.float32)
    h, w = frame - grey.shape[1], frame - grey.shape[2]
    return np.pad(grey, ((0, 0), (h // 2, h - h // 2), (w // 2, w - w // 2), (0, 0)))


def scaled(images: Real[Array | np.ndarray, "n h w c"], shrink: int) -> Float[np.ndarray, "n h2 w2 c"]:
    """Means over squares of pixels, from `[0, 1]` to `[-1, 1]`."""
    n, h, w, c = images.shape
    cells = np.asarray(images).reshape(n, h // shrink, shrink, w // shrink, shrink, c)
    return (2 * cells.mean((2, 4)) - 1).astype(np.float32)


def enlarged_digits() -> ImageData:
    """scikit-learn's digits, 28 x 28 by bilinear interpolation."""
    data = digits()
    parts = [
        ImageSplit(np.asarray(jax.image.resize(p.images, (len(p), 28, 28, 1), "bilinear")), p.labels)
        for p in (data.train, data.test)
    ]
    return ImageData(f"{data.name.split(',')[0]} enlarged, {len(parts[0])} train / {len(parts[1])} test", *parts, 10)

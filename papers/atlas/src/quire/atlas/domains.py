"""A family of tasks: the same classes in many domains, each a change of the images."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.atlas.config import ImageSet
from quire.common.data.images import ImageData, cifar10, cifar10_subset, digits, mnist_t10k, pixels
from quire.common.data.warp import affine_warp
from quire.common.random import generator

Images = Float[np.ndarray, "n h w c"]


def turned(images: Images, degrees: float) -> Images:
    """Images turned about their centre, counter-clockwise, zeros where nothing was."""
    from scipy.ndimage import rotate

    return rotate(images, degrees, axes=(1, 2), reshape=False, order=1)


def shifted(images: Images) -> Images:
    """A quarter of the image to the right; what leaves comes in again."""
    return np.roll(images, images.shape[2] // 4, axis=2)


ANGLES = (10, 20, 30, 45, 60)
DOMAINS: dict[str, Callable[[Images], Images]] = {
    "plain": lambda images: images,
    "rot90": lambda images: np.rot90(images, 1, (1, 2)),
    "rot180": lambda images: np.rot90(images, 2, (1, 2)),
    "rot270": lambda images: np.rot90(images, 3, (1, 2)),
    "invert": lambda images: 1 - images,
    "transpose": lambda images: np.swapaxes(images, 1, 2),
    "shift": shifted,
    "flip": lambda images: images[:, :, ::-1],
    "upside down": lambda images: images[:, ::-1],
} | {f"{angle} degrees": partial(turned, degrees=angle) for angle in ANGLES}
"""Changes of images with values in `[0, 1]`."""


class Part(NamedTuple):
    """Images of all domains `[domains, n, h, w, c]`, float32, and their labels `[n]`."""

    images: np.ndarray
    labels: Int[np.ndarray, " n"]


class Family(NamedTuple):
    """Domains by name, and three parts; the same image stands at the same place in every domain.

    Attributes:
        name: of the data, as tables show it.
        domains: names, in the order of the images.
        train, validation, test: parts; the test images are those of the data set.
        majority: accuracy of always answering the most frequent class.
    """

    name: str
    domains: tuple[str, ...]
    train: Part
    validation: Part
    test: Part
    majority: float

    def places(self, *names: str) -> np.ndarray:
        """Places of domains."""
        return np.array([self.domains.index(name) for name in names])


def load_family(image_set: ImageSet, domains: Sequence[str], num_validation: int) -> Family:
    """The domains of one set of images.

    Args:
        image_set: `"digits"`, `"mnist-t10k"`, `"cifar10-subset"` or `"cifar10"`.
        domains: names of `DOMAINS`.
        num_validation: training images that are kept for validation, the last ones.

    Raises:
        ValueError: for another set or domain, or if no training image is left.
        DatasetUnavailable: if the images are missing and cannot be downloaded.
    """
    loaders = {"digits": digits, "mnist-t10k": lambda: mnist_t10k(8000, 0), "cifar10-subset": cifar10_subset, "cifar10": cifar10}
    if image_set not in loaders:
        raise ValueError(f"image_set is {image_set!r}; it must be one of {', '.join(loaders)}")
    if unknown := [name for name in domains if name not in DOMAINS]:
        raise ValueError(f"domains holds {', '.join(unknown)}; there are {', '.join(DOMAINS)}")
    data: ImageData = loaders[image_set]()
    kept = len(data.train) - num_validation
    if num_validation < 1 or kept < 1:
        raise ValueError(f"num_validation is {num_validation}; it must be 1 to {len(data.train) - 1}")

    def part(images, labels):
        grey = np.asarray(pixels(images))
        return Part(np.stack([np.ascontiguousarray(DOMAINS[name](grey), np.float32) for name in domains]), labels)

    train = data.train
    return Family(
        data.name,
        tuple(domains),
        part(train.images[:kept], train.labels[:kept]),
        part(train.images[kept:], train.labels[kept:]),
        part(data.test.images, data.test.labels),
        data.majority,
    )


def few_shots(labels: Int[np.ndarray, " n"], shots: int, key: jax.Array) -> Int[np.ndarray, " m"]:
    """Indices of so many images of every class.

    Raises:
        ValueError: if a class has fewer.

    >>> few_shots(np.array([0, 0, 1, 1]), 2, jax.random.key(0)).tolist()
    [0, 1, 2, 3]
    """
    draw = generator(key)
    groups = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    if not 1 <= shots <= min(map(len, groups)):
        raise ValueError(f"shots is {shots}; the smallest class has {min(map(len, groups))} images, and at least 1 is needed")
    return np.sort(np.concatenate([draw.choice(group, shots, replace=False) for group in groups]))


def cropped(images: Images, key: jax.Array, *, smallest: float, flip: bool) -> Images:
    """Random resized crops, and mirror images if the classes allow it; all drawn on the host and read bilinearly.

    Args:
        images: each gets a crop of its own.
        key: for the crops.
        smallest: share of the side that the smallest crop keeps, in (0, 1].
        flip: mirror half of the images; digits must not be, 2 and 5 would meet.

    Raises:
        ValueError: for a share outside of (0, 1].
    """
    if not 0 < smallest <= 1:
        raise ValueError(f"smallest is {smallest}; it must lie in (0, 1]")
    draw, (n, height, width, _) = generator(key), images.shape
    share = draw.uniform(smallest, 1, n)
    mirror = np.where(draw.random(n) < 0.5, -1, 1) if flip else np.ones(n)
    # a crop around an offset of at most what it leaves out, enlarged to the whole image
    offset = draw.uniform(-1, 1, (n, 2)) * (1 - share)[:, None] * np.array([width, height]) / 2
    matrix = np.zeros((n, 2, 2), np.float32)
    matrix[:, 0, 0], matrix[:, 1, 1] = mirror / share, 1 / share
    shift = -np.einsum("nij,nj->ni", matrix, offset).astype(np.float32)
    return np.asarray(affine_warp(images, matrix, shift))

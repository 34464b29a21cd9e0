"""Labelled images of a sweep: generated, in memory, or streamed from photographs."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageData, ImageSplit, cifar10, digits, mnist_t10k
from quire.common.data.source import Source, open_or
from quire.common.random import generator
from quire.equiangular_basis.config import Sweep

Batches = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Images:
    """Images of a sweep.

    Attributes:
        name: as tables show it.
        sweep: the sizes that go with these images.
        num_classes: N.
        train, test: in memory; None where they are streamed.
        mean, std: of the training pixels.
        majority: share of the test images in the most frequent training class.
    """

    name: str
    sweep: Sweep
    num_classes: int
    train: ImageSplit | None
    test: ImageSplit | None
    mean: float
    std: float
    majority: float

    def test_batches(self, batch_size: int = 1000) -> Batches:
        """One pass through the test images; the last batch may be smaller."""
        if self.test is None:
            return imagenet_batches("val", image_size=self.sweep.image_size, batch_size=batch_size)
        return self.test.batches(batch_size)

    def train_stream(self, seed: int) -> Batches:
        """Endless augmented training batches, of streamed images."""
        return imagenet_batches("train", image_size=self.sweep.image_size, batch_size=self.sweep.training.batch_size, seed=seed)


def open_images(sweep: Sweep, key: jax.Array) -> Source[Images]:
    """The images of a sweep, or those of its fallback where they are not on this machine.

    Args:
        sweep: says which.
        key: of generated prototypes.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for an image set that there is not.
    """
    loaders = {
        "prototypes": lambda: _in_memory(prototypes(sweep.num_classes, sweep.num_train, sweep.patch, key), sweep),
        "digits": lambda: _in_memory(digits(sweep.num_train), sweep),
        "mnist-t10k": lambda: _in_memory(mnist_t10k(sweep.num_train), sweep),
        "cifar10": lambda: _in_memory(cifar10(), sweep),
        "imagenet-1k": lambda: _imagenet(sweep),
    }
    if sweep.image_set not in loaders:
        raise ValueError(f"image_set is {sweep.image_set!r}; it must be one of {', '.join(loaders)}")
    fallback = sweep.fallback
    return open_or(
        loaders[sweep.image_set],
        None if fallback is None else lambda: open_images(fallback, key).value,
        stand_in_for="" if sweep.image_set in ("imagenet-1k", "prototypes") else "ImageNet-1K",
    )


def _in_memory(data: ImageData, sweep: Sweep) -> Images:
    pixels = data.train.images.astype(np.float32)
    mean, std = float(pixels.mean()), float(pixels.std())
    return Images(data.name, sweep, data.num_classes, data.train, data.test, mean, std, data.majority)


def _imagenet(sweep: Sweep) -> Images:
    labels, test = ([label for _, label in imagenet_files(split)] for split in ("train", "val"))
    majority = float(np.mean(np.asarray(test) == np.bincount(labels).argmax()))
    # grey mean and deviation of its photographs, in bytes
    return Images(f"ImageNet-1K, {len(labels)} train", sweep, 1 + max(labels), None, None, 114.0, 58.0, majority)


def prototypes(classes: int, per_class: int, side: int, key: jax.Array, noise: float = 1.0) -> ImageData:
    """Very many classes: a random image each, and noisy copies of it; as many test images as training images, four at most.

    Args:
        classes: N.
        per_class: training images of a class.
        side: of the images, in pixels.
        key: of the draws.
        noise: its standard deviation; that of the pixels of a prototype is 1.

    >>> prototypes(3, 2, 4, jax.random.key(0)).train.images.shape
    (6, 4, 4, 1)
    """
    draw = generator(key)
    images = draw.standard_normal((classes, side, side, 1))

    def split(count):
        labels = np.repeat(np.arange(classes, dtype=np.int32), count)
        return ImageSplit(
            (images[labels] + noise * draw.standard_normal((len(labels), side, side, 1))).astype(np.float32), labels
        )

    train, test = split(per_class), split(min(per_class, 4))
    return ImageData(f"{classes} random prototypes, {len(train)} train / {len(test)} test", train, test, classes)

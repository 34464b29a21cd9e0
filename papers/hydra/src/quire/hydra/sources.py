"""Labelled images of a preset, with random views of those to train on: in memory, or streamed from photographs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageData, ImageSplit, cifar10, cifar10_subset, digits
from quire.common.data.source import Source, open_or
from quire.hydra.config import Preset
from quire.hydra.views import Views, random_views

CIFAR_CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Split = Literal["train", "test"]
Batches = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Images:
    """Images of a preset.

    Attributes:
        name: as tables show it.
        preset: the sizes that go with these images.
        num_classes: K.
        classes: their names, for figures.
        train, test: in memory, float32, standardised by the training pixels; None where they are streamed.
        mean, std: of the training pixels.
    """

    name: str
    preset: Preset
    num_classes: int
    classes: tuple[str, ...]
    train: ImageSplit | None
    test: ImageSplit | None
    mean: float
    std: float

    @property
    def in_memory(self) -> tuple[ImageSplit, ImageSplit]:
        """Images to train and to test on.

        Raises:
            ValueError: where they are streamed.
        """
        if self.train is None or self.test is None:
            raise ValueError(f"train and test are None; {self.name} is streamed")
        return self.train, self.test

    def ordered(self, split: Split, batch_size: int) -> Batches:
        """One pass through a split, `"train"` or `"test"`, as it is; the last batch may be smaller."""
        if self.train is not None and self.test is not None:
            return (self.train if split == "train" else self.test).batches(batch_size)
        name = "val" if split == "test" else split
        batches = imagenet_batches(name, image_size=self.preset.image_size, batch_size=batch_size, ordered=True)
        return ((self.standardised(images), labels) for images, labels in batches)

    def stream(self, seed: int) -> Batches:
        """Endless training batches of random crops, of streamed images only."""
        training, side = self.preset.training, self.preset.image_size
        batches = imagenet_batches("train", image_size=side, batch_size=training.batch_size, seed=seed)
        return ((self.standardised(images), labels) for images, labels in batches)

    def standardised(self, images: np.ndarray) -> np.ndarray:
        """Pixels of the set, with the mean 0 and the deviation 1 that the training pixels have."""
        return ((images.astype(np.float32) - self.mean) / self.std).astype(np.float32)

    def with_views(self, draw: np.random.Generator) -> np.ndarray:
        """The training images and behind them, copy by copy, `preset.views` random views of each, `[(1 + views) n, h, w, c]`."""
        how = Views(mirror=0.0) if self.preset.image_set == "digits" else Views()
        images = self.in_memory[0].images
        return np.concatenate([images, *(random_views(images, draw, how) for _ in range(self.preset.views))])


def open_images(preset: Preset) -> Source[Images]:
    """The images of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for an image set that there is not.
    """
    loaders = {"digits": _digits, "cifar10-subset": cifar10_subset, "cifar10": cifar10}
    if preset.image_set != "imagenet-1k" and preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be imagenet-1k or one of {', '.join(loaders)}")
    fallback = preset.fallback
    return open_or(
        lambda: _imagenet(preset) if preset.image_set == "imagenet-1k" else _in_memory(loaders[preset.image_set](), preset),
        None if fallback is None else lambda: open_images(fallback).value,
        stand_in_for="" if preset.image_set == "imagenet-1k" else "ImageNet-1K",
    )


def _digits() -> ImageData:
    return digits(1400)


def _in_memory(data: ImageData, preset: Preset) -> Images:
    train, test = _first(data.train, preset.num_train), _first(data.test, preset.num_test)
    mean, std = float(train.images.mean()), float(train.images.std())
    name = data.name if len(train) == len(data.train) else f"{data.name.split(',')[0]}, {len(train)} train / {len(test)} test"
    classes = CIFAR_CLASSES if preset.image_set.startswith("cifar10") else tuple(map(str, range(data.num_classes)))
    found = Images(name, preset, data.num_classes, classes, None, None, mean, std)
    train, test = (ImageSplit(found.standardised(split.images), split.labels) for split in (train, test))
    return replace(found, train=train, test=test)


def _first(split: ImageSplit, count: int) -> ImageSplit:
    return ImageSplit(split.images[:count], split.labels[:count]) if count else split


def _imagenet(preset: Preset) -> Images:
    labels = [label for _, label in imagenet_files("train")]
    imagenet_files("val")
    # grey mean and deviation of its photographs, in bytes
    classes = tuple(map(str, range(1 + max(labels))))
    return Images(f"ImageNet-1K, {len(labels)} train", preset, len(classes), classes, None, None, 114.0, 58.0)

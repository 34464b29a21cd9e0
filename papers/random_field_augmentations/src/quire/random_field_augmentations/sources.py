"""Images to learn from, and images of another kind that the representation never saw."""

from functools import cache
from itertools import islice

import numpy as np
from jaxtyping import Float

from quire.common.data.image_sizes import averaged
from quire.common.data.imagenet import imagenet_batches
from quire.common.data.images import ImageData, ImageSplit, cifar10, cifar10_subset, digits
from quire.common.data.source import Source, open_or
from quire.random_field_augmentations.config import Preset

GROUP = 100
"""Photographs that are read at a time."""


def open_images(preset: Preset) -> Source[ImageData]:
    """The images of a preset, uint8 `[n, side, side, 3]`.

    Raises:
        ValueError: for an image set that there is not, fewer images than the preset asks for, or a side that
            does not divide theirs.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    loaders = {"cifar10-subset": small_photographs, "cifar10": cifar10, "imagenet": lambda: _imagenet(preset)}
    if preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be one of {', '.join(loaders)}")
    stand_in_for = "" if preset.image_set == "imagenet" else "ImageNet"
    return open_or(lambda: _part(loaders[preset.image_set](), preset), stand_in_for=stand_in_for)


def _part(data: ImageData, preset: Preset) -> ImageData:
    parts = []
    for name, split, count in (("train", data.train, preset.num_train), ("test", data.test, preset.num_test)):
        if count > len(split):
            raise ValueError(f"num_{name} is {count}; {data.name} has {len(split)} such images")
        parts.append(ImageSplit(averaged(split.images[:count], preset.side), split.labels[:count]))
    name = f"{data.name.split(',')[0]}, {preset.num_train} train / {preset.num_test} test, {preset.side} x {preset.side}"
    return ImageData(name, *parts, data.num_classes)


@cache
def small_photographs() -> ImageData:
    """CIFAR-10's images, decoded once."""
    return cifar10_subset()


def test_images(count: int) -> tuple[str, Float[np.ndarray, "count 32 32 3"]]:
    """The first test images of CIFAR-10 with values in `[0, 1]`, and their name.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    data = small_photographs()
    return data.name.split(",")[0], data.test.images[:count] / np.float32(255)


def _imagenet(preset: Preset) -> ImageData:
    def first(split, count):
        batches = imagenet_batches(split, image_size=preset.side, batch_size=GROUP, ordered=split == "val")
        parts = list(islice(batches, -(-count // GROUP)))
        return ImageSplit(*(np.concatenate([part[i] for part in parts])[:count] for i in range(2)))

    return ImageData("ImageNet-1K, photographs", first("train", preset.num_train), first("val", preset.num_test), 1000)


def open_other(preset: Preset) -> Source[ImageData]:
    """Handwritten digits as grey images of the preset's side: out of distribution for whoever learned from photographs."""
    source = open_or(digits, stand_in_for="iNaturalist")
    large = [ImageSplit(enlarged(split.images, preset.side), split.labels) for split in (source.value.train, source.value.test)]
    return Source(ImageData(source.name, *large, source.value.num_classes), source.stand_in_for)


def enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """Grey images `[n, h, w, 1]` in `[0, 1]` as bytes `[n, side, side, 3]`, by the nearest pixel."""
    places = [np.arange(side) * old // side for old in images.shape[1:3]]
    return np.repeat(np.round(255 * images[:, places[0]][:, :, places[1]]).astype(np.uint8), 3, axis=-1)

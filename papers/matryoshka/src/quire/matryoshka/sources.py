"""Labelled images to train on, to search in and to query with: in memory, or streamed from photographs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageSplit, cifar10_subset, digits, mnist_t10k
from quire.common.data.source import Source, open_or
from quire.matryoshka.config import Preset

Split = Literal["train", "test"]
Batches = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Images:
    """Images of a preset.

    Attributes:
        name: as tables show it.
        preset: the sizes that go with these images.
        num_classes: C.
        arrays: training and test images in memory by split, float32, standardised by the training pixels; None where they are
            streamed, as bytes.
    """

    name: str
    preset: Preset
    num_classes: int
    arrays: dict[str, ImageSplit] | None

    def ordered(self, split: Split, batch_size: int) -> Batches:
        """One pass through a split, `"train"` or `"test"`, without augmentation; the last batch may be smaller."""
        if self.arrays is None:
            name = "val" if split == "test" else split
            return imagenet_batches(name, image_size=self.preset.image_size, batch_size=batch_size, ordered=True)
        return self.arrays[split].batches(batch_size)

    def augmented(self, batch_size: int, seed: int) -> Batches:
        """Endless training batches, shuffled, cropped and mirrored at random; of streamed images only."""
        return imagenet_batches("train", image_size=self.preset.image_size, batch_size=batch_size, seed=seed)


def open_images(preset: Preset) -> Source[Images]:
    """The images of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for an image set that there is not.
    """
    fallback = preset.fallback
    return open_or(
        lambda: _load(preset),
        None if fallback is None else lambda: _load(fallback),
        stand_in_for="" if preset.image_set == "imagenet-1k" else "ImageNet-1K",
    )


def _load(preset: Preset) -> Images:
    if preset.image_set == "imagenet-1k":
        files = imagenet_files("train")
        imagenet_files("val")
        return Images(f"ImageNet-1K, {len(files)} train", preset, 1 + max(label for _, label in files), None)
    loaders = {
        "digits": lambda: digits(preset.num_train),
        "mnist-t10k": lambda: mnist_t10k(preset.num_train, 0),
        "cifar10-subset": cifar10_subset,
    }
    if preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be imagenet-1k or one of {', '.join(loaders)}")
    data = loaders[preset.image_set]()
    train, test = (_resized(split.images, preset.image_size) for split in (data.train, data.test))
    mean, std = train.mean(), train.std()
    splits = {
        name: ImageSplit((images - mean) / std, split.labels)
        for name, images, split in (("train", train, data.train), ("test", test, data.test))
    }
    size = f", {preset.image_size} x {preset.image_size}" if data.train.images.shape[1] != preset.image_size else ""
    return Images(data.name + size, preset, data.num_classes, splits)


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    """Means over squares of pixels, `[n, side, side, channels]`, float32."""
    n, height, width, channels = images.shape
    if height % side or width % side:
        raise ValueError(f"image_size is {side}; it must divide {height} and {width}")
    return images.reshape(n, side, height // side, side, width // side, channels).mean((2, 4), dtype=np.float32)

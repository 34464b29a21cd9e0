"""Labelled images to train and to test on: in memory, or streamed from photographs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageData, ImageSplit, cifar10_subset, digits, mnist_t10k, pixels
from quire.common.data.source import Source, open_or
from quire.grassmann_class.config import Preset

Batches = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Images:
    """Images of a preset: in memory standardised by the training pixels, streamed ones in `[0, 1]`.

    Attributes:
        preset: the sizes that go with these images.
        name: as tables show it.
        num_classes: C.
        data: what is in memory; None where images are streamed.
        majority: accuracy on the test images of always answering the most frequent class of the training images.
    """

    preset: Preset
    name: str
    num_classes: int
    data: ImageData | None
    majority: float

    def ordered(self, split: str) -> Batches:
        """One pass through `"train"` or `"test"`, `eval_batch` at a time; the last batch may be smaller."""
        size = self.preset.eval_batch
        if self.data is None:
            name = "train" if split == "train" else "val"
            return _scaled(imagenet_batches(name, image_size=self.preset.image_size, batch_size=size, ordered=True))
        return {"train": self.data.train, "test": self.data.test}[split].batches(size)

    def shuffled(self, seed: int) -> Batches:
        """Endless training batches, cropped and mirrored at random; of streamed images only."""
        side, size = self.preset.image_size, self.preset.training.batch_size
        return _scaled(imagenet_batches("train", image_size=side, batch_size=size, seed=seed))

    def first(self, split: str, count: int) -> np.ndarray:
        """The first images of a split, as many as there are up to `count`."""
        parts, found = [], 0
        for images, _ in self.ordered(split):
            parts.append(images[: count - found])
            found += len(parts[-1])
            if found == count:
                break
        return np.concatenate(parts)


def open_images(preset: Preset) -> Source[Images]:
    """The images of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for an image set that there is not.
    """
    fallback = preset.fallback
    return open_or(
        lambda: _open(preset),
        None if fallback is None else lambda: _open(fallback),
        stand_in_for="" if preset.image_set == "imagenet-1k" else "ImageNet-1K",
    )


def _open(preset: Preset) -> Images:
    if preset.image_set == "imagenet-1k":
        labels, truth = ([label for _, label in imagenet_files(split)] for split in ("train", "val"))
        majority = float(np.mean(np.asarray(truth) == np.bincount(labels).argmax()))
        return Images(preset, f"ImageNet-1K, {len(labels)} train", 1 + max(labels), None, majority)
    loaders = {
        "digits": lambda: digits(preset.num_train),
        "mnist-t10k": lambda: mnist_t10k(preset.num_train),
        "cifar10-subset": cifar10_subset,
    }
    if preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be imagenet-1k or one of {', '.join(loaders)}")
    data = loaders[preset.image_set]()
    train, test = (np.asarray(pixels(split.images)) for split in (data.train, data.test))
    mean, std = train.mean(), train.std()
    splits = ImageSplit((train - mean) / std, data.train.labels), ImageSplit((test - mean) / std, data.test.labels)
    return Images(preset, data.name, data.num_classes, ImageData(data.name, *splits, data.num_classes), data.majority)


def _scaled(batches: Batches) -> Batches:
    return ((np.asarray(pixels(images)), labels) for images, labels in batches)


def rotations(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every image turned by 0, 1, 2 and 3 quarters, and by how many.

    >>> turned, quarters = rotations(np.arange(4.0).reshape(1, 2, 2, 1))
    >>> quarters, turned[1, ..., 0].tolist()
    (array([0, 1, 2, 3]), [[1.0, 3.0], [0.0, 2.0]])
    """
    turned = np.stack([np.rot90(images, turns, (1, 2)) for turns in range(4)], axis=1)
    return turned.reshape(-1, *images.shape[1:]), np.tile(np.arange(4), len(images))

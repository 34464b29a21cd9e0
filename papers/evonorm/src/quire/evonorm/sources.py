"""Images to search and to train on, in three parts: a search must not see the test images."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from quire.common.data.images import ImageData, cifar10, cifar10_subset, digits, pixels
from quire.common.data.source import Source, open_or

ImageSet = Literal["digits", "cifar10-subset", "cifar10"]


@dataclass(frozen=True)
class Images:
    """Images float32 `[n, h, w, c]` in `[0, 1]` with labels int32 `[n]`, in three parts.

    Attributes:
        name: as tables show it.
        train, validation, test: pairs `(images, labels)`.
        classes: how many.
    """

    name: str
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classes: int

    def standardised(self) -> "Images":
        """The same, less the mean of every channel over the training images, divided by their deviation."""
        pixels = self.train[0]
        mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
        parts = [((images - mean) / std, labels) for images, labels in (self.train, self.validation, self.test)]
        return replace(self, **dict(zip(("train", "validation", "test"), parts, strict=True)))


def open_images(name: ImageSet, *, stand_in_for: str = "") -> Source[Images]:
    """A set of images, the last fifth of its training part held out for validation.

    Where the subset of CIFAR-10 is missing, digits stand in.

    Args:
        name: `"digits"`, `"cifar10-subset"` or `"cifar10"`.
        stand_in_for: the data of the paper, where this set is not it.

    Raises:
        ValueError: for another name.
        DatasetUnavailable: if CIFAR-10 is missing and cannot be downloaded.

    >>> images = open_images("digits").value
    >>> len(images.train[1]), len(images.validation[1]), len(images.test[1]), images.train[0].shape[1:]
    (1150, 287, 360, (8, 8, 1))
    """
    loaders = {"digits": digits, "cifar10-subset": cifar10_subset, "cifar10": cifar10}
    if name not in get_args(ImageSet):
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(loaders)}")
    fallback = (lambda: _prepared(digits())) if name == "cifar10-subset" else None
    return open_or(
        lambda: _prepared(loaders[name]()), fallback, stand_in_for=stand_in_for, instead_of=stand_in_for or "CIFAR-10 subset"
    )


def _prepared(data: ImageData) -> Images:
    held = len(data.train) // 5
    kept = len(data.train) - held

    def part(split, where):
        return np.asarray(pixels(split.images[where])), split.labels[where]

    parts = part(data.train, slice(kept)), part(data.train, slice(kept, None)), part(data.test, slice(None))
    return Images(f"{data.name} ({held} of train held out)", *parts, data.num_classes)

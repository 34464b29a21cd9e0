"""Labelled images of a preset."""

from dataclasses import dataclass

import numpy as np

from quire.common.data.images import ImageData, cifar10, digits, mnist_t10k, pixels
from quire.common.data.source import Source, open_or
from quire.relative_representations.config import Images


@dataclass(frozen=True)
class LabelledImages:
    """Images in memory with the sizes that go with them.

    Attributes:
        config: the sizes.
        data: training and test images.
        mean, std: of the training pixels, in `[0, 1]`.
    """

    config: Images
    data: ImageData
    mean: float
    std: float

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.data.name


def open_images(config: Images) -> Source[LabelledImages]:
    """The images of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for an image set that there is not, or more anchors than training images.
    """
    loaders = {"digits": lambda: digits(config.num_train), "mnist-t10k": lambda: mnist_t10k(config.num_train), "cifar10": cifar10}
    if config.image_set not in loaders:
        raise ValueError(f"image_set is {config.image_set!r}; it must be one of {', '.join(loaders)}")
    fallback = config.fallback
    return open_or(
        lambda: _with_moments(config, loaders[config.image_set]()),
        None if fallback is None else lambda: open_images(fallback).value,
        stand_in_for="" if config.image_set == "cifar10" else "CIFAR-10",
    )


def _with_moments(config: Images, data: ImageData) -> LabelledImages:
    if max(config.anchor_counts) > len(data.train):
        raise ValueError(f"anchor_counts is {config.anchor_counts}; {data.name} has {len(data.train)} training images")
    values = np.asarray(pixels(data.train.images))
    return LabelledImages(config, data, float(values.mean()), float(values.std()))

"""Data of the presets: images in memory or streamed from files behind one interface, and texts as token ids."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageData, ImageSplit, cifar10, digits, pixels
from quire.common.data.source import Source, open_or
from quire.common.data.token_text import TokenText, token_text
from quire.flexround.config import LanguageSizes, VisionSizes

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels, as published models expect them."""


@dataclass(frozen=True)
class Images:
    """Labelled images, float32 and standardised by channel.

    Attributes:
        name: as tables show it.
        train: images and labels in memory, or None.
        calibrate: `(count, seed) -> images` of the training part.
        test: `batch_size -> iterator` over test batches.
        shape: of an image, `(height, width, channels)`.
        classes: number of them.
        majority: share of the most frequent class of the training part in the test part.
    """

    name: str
    train: ImageSplit | None
    calibrate: Callable[[int, int], Float[np.ndarray, "n h w c"]]
    test: Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]]
    shape: tuple[int, int, int]
    classes: int
    majority: float


def open_images(sizes: VisionSizes) -> Source[Images]:
    """The images of a preset; the small sets stand in for ImageNet-1K.

    Raises:
        DatasetUnavailable: if they are not on this machine and cannot be downloaded.
        ValueError: for another set.
    """
    openers = {
        "digits": lambda: _in_memory(digits(sizes.train_images)),
        "cifar10": lambda: _in_memory(cifar10()),
        "imagenet-1k": _imagenet,
    }
    if sizes.image_set not in openers:
        raise ValueError(f"image_set is {sizes.image_set!r}; it must be one of {', '.join(openers)}")
    return open_or(openers[sizes.image_set], stand_in_for="" if sizes.image_set == "imagenet-1k" else "ImageNet-1K")


def _in_memory(data: ImageData) -> Images:
    values = [np.asarray(pixels(split.images)) for split in (data.train, data.test)]
    mean, std = values[0].mean((0, 1, 2)), values[0].std((0, 1, 2))
    train, test = (ImageSplit((x - mean) / std, split.labels) for x, split in zip(values, (data.train, data.test), strict=True))

    def calibrate(count: int, seed: int):
        return train.images[np.random.default_rng(seed).choice(len(train), count, replace=False)]

    return Images(data.name, train, calibrate, test.batches, train.images.shape[1:], data.num_classes, data.majority)


def _imagenet(side: int = 224) -> Images:
    labels = [label for _, label in imagenet_files("train")]
    tested = np.array([label for _, label in imagenet_files("val")])

    def standardised(images):
        return ((images / np.float32(255) - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32)

    def calibrate(count: int, seed: int):
        return standardised(next(imagenet_batches("train", image_size=side, batch_size=count, seed=seed))[0])

    def ordered(batch_size: int):
        for images, labels in imagenet_batches("val", image_size=side, batch_size=batch_size):
            yield standardised(images), labels

    majority = float(np.mean(tested == np.bincount(labels).argmax()))
    return Images("ImageNet-1K", None, calibrate, ordered, (side, side, 3), max(labels) + 1, majority)


# --- Text ---


def open_text(sizes: LanguageSizes, key: jax.Array) -> Source[TokenText]:
    """The text of a preset: generated from the key, bytes of WikiText-2, or bytes of OpenWebText.

    Raises:
        DatasetUnavailable: if it is not on this machine and cannot be downloaded.
        ValueError: for another corpus.
    """
    return open_or(
        lambda: token_text(sizes.corpus, key, vocab_size=sizes.vocab_size, letters=sizes.letters),
        stand_in_for="C4 and WikiText-2" if sizes.corpus == "markov" else "C4",
    )

"""Images of the presets: in memory, or streamed from files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageData, ImageSplit, cifar10, digits, pixels
from quire.common.data.source import Source, open_or
from quire.next_vit.presets import Preset

Batches = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Images:
    """Labelled images, `[n, side, side, channels]`.

    Attributes:
        name: as tables show it.
        memory: training images in memory, or None.
        stream: `seed -> endless batches` of training images where they are not.
        test: `() -> batches` of test images, one pass.
        sample: the first training images, for the logistic regression.
    """

    name: str
    memory: ImageSplit | None
    stream: Callable[[int], Batches]
    test: Callable[[], Batches]
    sample: ImageSplit


def open_images(preset: Preset) -> Source[Images]:
    """The images of a preset.

    Raises:
        DatasetUnavailable: if they are not on this machine and cannot be downloaded.
        ValueError: for another set.
    """
    openers = {
        "digits": lambda: _in_memory(_doubled(digits()), preset),
        "cifar10": lambda: _in_memory(cifar10(), preset),
        "imagenet-1k": lambda: _imagenet(preset),
    }
    if preset.image_set not in openers:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be one of {', '.join(openers)}")
    return open_or(openers[preset.image_set], stand_in_for="" if preset.image_set == "imagenet-1k" else "ImageNet-1K")


def thumbnails(images: np.ndarray, side: int = 8) -> Float[np.ndarray, "n features"]:
    """Means over the cells of a `side x side` grid, flattened; what does not fill a cell is cut off.

    >>> thumbnails(np.arange(4.0).reshape(1, 2, 2, 1), side=1).tolist()
    [[1.5]]
    """
    n, h, w, channels = images.shape
    y, x = h // side, w // side
    cut = np.asarray(pixels(images[:, : y * side, : x * side]), np.float32)
    return cut.reshape(n, side, y, side, x, channels).mean((2, 4)).reshape(n, -1)


def _doubled(data: ImageData) -> ImageData:
    """Every pixel as a square of four."""
    train, test = (replace(part, images=part.images.repeat(2, 1).repeat(2, 2)) for part in (data.train, data.test))
    return replace(data, name=f"{data.name}, doubled to 16 x 16", train=train, test=test)


def _in_memory(data: ImageData, preset: Preset) -> Images:
    def stream(seed: int) -> Batches:
        raise ValueError(f"{data.name} is in memory; there is nothing to stream for seed {seed}")

    sample = ImageSplit(data.train.images[: preset.baseline_images], data.train.labels[: preset.baseline_images])
    return Images(data.name, data.train, stream, lambda: data.test.batches(500), sample)


def _imagenet(preset: Preset) -> Images:
    files = imagenet_files("train")
    imagenet_files("val")
    sizes: dict[str, Any] = {"image_size": preset.image_size, "batch_size": min(preset.training.batch_size, len(files))}
    parts, count = [], 0
    for images, labels in imagenet_batches("train", **sizes, seed=0):
        parts.append((images, labels))
        count += len(labels)
        if count >= min(preset.baseline_images, len(files)):
            break
    return Images(
        f"ImageNet-1K, {len(files)} train",
        None,
        lambda seed: imagenet_batches("train", **sizes, seed=seed),
        lambda: imagenet_batches("val", image_size=preset.image_size, batch_size=500),
        ImageSplit(*(np.concatenate(column) for column in zip(*parts, strict=True))),
    )


def seed_of(key: jax.Array) -> int:
    """A whole number for a stream, from a key."""
    return int(np.asarray(jax.random.key_data(key)).astype(np.uint64).sum())

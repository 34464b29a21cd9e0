"""Data of the presets, in memory or streamed from files behind one interface."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Array, Float

from quire.common.data.imagenet import imagenet_batches, imagenet_files
from quire.common.data.images import ImageData, ImageSplit, cifar10, digits, pixels
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.data.text import language_reference, wikitext2
from quire.crate.language_model import encode


@dataclass(frozen=True)
class Images:
    """Labelled images for training and test.

    Attributes:
        name: as tables show it.
        arrays: training images and labels in memory, or None.
        stream: `(batch_size, seed) -> endless iterator` over training batches, for sets that do not fit in memory.
        test: `batch_size -> iterator` over test batches.
        majority: most frequent training class.
        mean_image: `[h, w, c]` in `[0, 1]`, of the training set (of its first images for a stream).
        std: of all its pixels.
    """

    name: str
    arrays: tuple[np.ndarray, np.ndarray] | None
    stream: Callable[[int, int], Iterator[tuple[np.ndarray, np.ndarray]]]
    test: Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]]
    majority: int
    mean_image: np.ndarray
    std: float

    @property
    def mean(self) -> float:
        """Mean of all pixels."""
        return float(self.mean_image.mean())

    def sample(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first `count` test images and their labels, fewer if there are no more."""
        return next(iter(self.test(count)))

    def standardised(self, images: np.ndarray | Array) -> Float[Array, "*batch h w c"]:
        """Pixels minus the mean of all training pixels, over their standard deviation."""
        return (pixels(images) - self.mean) / self.std


def open_images(name: str, image_size: tuple[int, int], *, statistics_images: int = 10_000) -> Source[Images]:
    """The image set called `name`; the small ones stand in for ImageNet-1K.

    Args:
        name: `"digits"`, `"cifar10"` or `"imagenet-1k"`.
        image_size: `(height, width)`; photographs are cropped to it.
        statistics_images: images of a stream to take mean and deviation from.

    Raises:
        DatasetUnavailable: if it is not on this machine and cannot be downloaded.
        ValueError: for another name.
    """
    openers = {
        "digits": lambda: _in_memory(digits()),
        "cifar10": lambda: _in_memory(cifar10()),
        "imagenet-1k": lambda: _imagenet(image_size[0], statistics_images),
    }
    if name not in openers:
        raise ValueError(f"name is {name!r}; it must be one of {list(openers)}")
    return open_or(openers[name], stand_in_for="" if name == "imagenet-1k" else "ImageNet-1K")


def _in_memory(data: ImageData) -> Images:
    train, test = data.train, data.test
    values = np.asarray(pixels(train.images))
    return Images(
        name=data.name,
        arrays=(train.images, train.labels),
        stream=lambda batch_size, seed: _shuffled(train, batch_size, seed),
        test=test.batches,
        majority=int(np.bincount(train.labels).argmax()),
        mean_image=values.mean(0),
        std=float(values.std()),
    )


def _imagenet(side: int, statistics_images: int) -> Images:
    labels = [label for _, label in imagenet_files("train")]
    imagenet_files("val")
    size = min(100, len(labels))

    def stream(batch_size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return imagenet_batches("train", image_size=side, batch_size=batch_size, seed=seed)

    first = [np.asarray(pixels(images)) for images, _ in islice(stream(size, 0), -(-statistics_images // size))]
    return Images(
        name=f"ImageNet-1K, {len(labels)} train",
        arrays=None,
        stream=stream,
        test=lambda batch_size: imagenet_batches("val", image_size=side, batch_size=batch_size),
        majority=int(np.bincount(labels).argmax()),
        mean_image=np.mean([batch.mean(0) for batch in first], axis=0),
        std=float(np.std(np.stack(first))),
    )


def _shuffled(split: ImageSplit, batch_size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(split))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield split.images[chosen], split.labels[chosen]


# --- Text ---


@dataclass(frozen=True)
class Text:
    """Bytes for training and test, with the name that tables show."""

    name: str
    train: np.ndarray
    test: np.ndarray


def open_text(corpus: str, *, fallback: bool = False) -> Source[Text]:
    """The corpus called `corpus`.

    Args:
        corpus: `"wikitext-2"` or `"openwebtext"`.
        fallback: where the corpus is not on this machine, take the language reference that ships with Python instead of
            downloading; tables then name it.

    Raises:
        DatasetUnavailable: if it is missing, cannot be downloaded, and there is no fallback.
        ValueError: for another corpus.
    """
    openers = {"wikitext-2": _wikitext2, "openwebtext": _openwebtext}
    if corpus not in openers:
        raise ValueError(f"corpus is {corpus!r}; it must be one of {list(openers)}")
    return open_or(
        openers[corpus],
        _language_reference if fallback else None,
        stand_in_for="" if corpus == "openwebtext" else "OpenWebText",
        instead_of="WikiText-2" if corpus == "wikitext-2" else "OpenWebText",
    )


def _wikitext2() -> Text:
    train, test = encode(wikitext2("valid")), encode(wikitext2("test"))
    return Text(f"WikiText-2, {len(train)} bytes (valid) train / {len(test)} test", train, test)


def _openwebtext() -> Text:
    train, test = (np.memmap(provided("openwebtext", f"{split}.txt"), np.uint8, "r") for split in ("train", "test"))
    return Text(f"OpenWebText, {len(train)} bytes train", train, test)


def _language_reference() -> Text:
    train, test = map(encode, language_reference())
    name = f"Python language reference (pydoc), {len(train)} bytes train / {len(test)} test"
    return Text(name, train, test)

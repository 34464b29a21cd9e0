"""Labelled images: digits, CIFAR-10, MNIST."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.data.archives import gunzip, read_archive, read_npz
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


@dataclass(frozen=True)
class ImageSplit:
    """Labelled images.

    Attributes:
        images: `[n, height, width, channels]`, dtype and range as the loader says.
        labels: int32 `[n]`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One pass in order as `(images, labels)`; the last batch may be smaller.

        Raises:
            ValueError: for a batch size below 1.

        >>> split = ImageSplit(np.zeros((5, 2, 2, 1)), np.arange(5))
        >>> [labels.tolist() for _, labels in split.batches(2)]
        [[0, 1], [2, 3], [4]]
        """
        check_at_least("batch_size", batch_size)
        starts = range(0, len(self), batch_size)
        return ((self.images[i : i + batch_size], self.labels[i : i + batch_size]) for i in starts)


@dataclass(frozen=True)
class ImageData:
    """Training and test images with the name of the set, as tables show it."""

    name: str
    train: ImageSplit
    test: ImageSplit
    num_classes: int

    @property
    def majority(self) -> float:
        """Accuracy on the test images of always answering the most frequent class of the training images."""
        return float(np.mean(self.test.labels == np.bincount(self.train.labels).argmax()))


def pixels(images: np.ndarray | Array) -> Float[Array, "*batch h w c"]:
    """Grey values in `[0, 1]`: bytes over 255, floats as they are.

    >>> pixels(np.full((1, 1, 1), 51, np.uint8)).item()
    0.20000000298023224
    """
    images = jnp.asarray(images)
    return images / jnp.float32(255) if images.dtype == jnp.uint8 else images


def digits(num_train: int = 1437, *, seed: int = 0) -> ImageData:
    """scikit-learn's handwritten digits, grey values scaled to `[0, 1]` by 1/16, shuffled once and split.

    Args:
        num_train: training images; the other `1797 - num_train` are for the test.
        seed: of the shuffle.

    Returns:
        Images float32 `[n, 8, 8, 1]`, 10 classes.

    Raises:
        ValueError: if `num_train` leaves no image on one side.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    total = len(raw.target)
    if not 0 < num_train < total:
        raise ValueError(f"num_train is {num_train}; digits has {total} images, so it must be between 1 and {total - 1}")
    order = np.random.default_rng(seed).permutation(total)
    images = (raw.images[order, :, :, None] / 16).astype(np.float32)
    labels = raw.target[order].astype(np.int32)
    train, test = ImageSplit(images[:num_train], labels[:num_train]), ImageSplit(images[num_train:], labels[num_train:])
    return ImageData(f"scikit-learn digits, {len(train)} train / {len(test)} test", train, test, 10)


def cifar10_subset() -> ImageData:
    """12000 JPEG copies of CIFAR-10 images, every prefix of length 10 m balanced.

    Returns:
        Images uint8 `[n, 32, 32, 3]`, 10 classes, 10000 train and 2000 test.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    arrays = read_npz(fetch("cifar10-subset", "cifar10_jpeg_10k_2k.npz"))
    splits = [_jpegs(*(arrays[f"{split}_{part}"] for part in ("bytes", "offsets", "labels"))) for split in ("train", "test")]
    return ImageData("CIFAR-10 subset (JPEG), 10000 train / 2000 test", *splits, 10)


def _jpegs(stream: np.ndarray, offsets: np.ndarray, labels: np.ndarray) -> ImageSplit:
    from PIL import Image

    images = [np.asarray(Image.open(io.BytesIO(stream[a:b].tobytes())).convert("RGB")) for a, b in pairwise(offsets)]
    return ImageSplit(np.stack(images), labels.astype(np.int32))


def cifar10() -> ImageData:
    """CIFAR-10 (Krizhevsky 2009).

    Returns:
        Images uint8 `[n, 32, 32, 3]`, 10 classes, 50000 train and 10000 test.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    files = {Path(name).name: content for name, content in read_archive(fetch("cifar10", "cifar-10-binary.tar.gz")).items()}
    parts = [f"data_batch_{i}.bin" for i in range(1, 6)]
    if missing := [name for name in (*parts, "test_batch.bin") if name not in files]:
        raise DatasetCorrupt(f"cifar-10-binary.tar.gz lacks {missing[0]}; it holds {', '.join(sorted(files)) or 'nothing'}")
    train = _cifar_records(b"".join(files[name] for name in parts))
    return ImageData("CIFAR-10, 50000 train / 10000 test", train, _cifar_records(files["test_batch.bin"]), 10)


def _cifar_records(content: bytes) -> ImageSplit:
    if not content or len(content) % 3073:
        raise DatasetCorrupt(f"{len(content)} bytes are no records of a label and 32 x 32 x 3 pixels")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return ImageSplit(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), rows[:, 0].astype(np.int32))


def mnist_t10k(num_train: int = 6000, num_validation: int = 1000) -> ImageData:
    """The MNIST test images, cut anew into train and test; not comparable with the official 60k/10k protocol.

    Args:
        num_train: the first images.
        num_validation: images between the two that this loader leaves out.

    Returns:
        Images uint8 `[n, 28, 28, 1]`, 10 classes.

    Raises:
        ValueError: if no test image is left.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    first_test = num_train + num_validation
    if num_train < 1 or num_validation < 0 or first_test >= 10_000:
        raise ValueError(
            f"num_train is {num_train} and num_validation {num_validation}; they must leave some of the 10000 images"
        )
    images = read_idx(gunzip(fetch("mnist-t10k", "t10k-images-idx3-ubyte.gz")))[..., None]
    labels = read_idx(gunzip(fetch("mnist-t10k", "t10k-labels-idx1-ubyte.gz"))).astype(np.int32)
    train, test = ImageSplit(images[:num_train], labels[:num_train]), ImageSplit(images[first_test:], labels[first_test:])
    return ImageData(f"MNIST t10k, {len(train)} train / {len(test)} test", train, test, 10)


def read_idx(content: bytes) -> np.ndarray:
    """Array in the idx format of MNIST, uint8 only.

    Raises:
        DatasetCorrupt: if the header or the length is wrong.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DatasetCorrupt("this is not an idx file of unsigned bytes")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise DatasetCorrupt(f"this idx file ends within its header: {len(content)} of {header} bytes")
    shape = tuple(int(n) for n in np.frombuffer(content[4:header], ">u4"))
    if len(content) != header + np.prod(shape, dtype=np.int64):
        raise DatasetCorrupt(f"this idx file promises an array of shape {shape} and holds {len(content) - header} bytes")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)

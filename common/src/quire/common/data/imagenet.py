"""ImageNet-1K: photographs in folders, streamed in batches of crops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from quire.common.data.registry import provided
from quire.common.errors import DatasetCorrupt


def imagenet_files(split: Literal["train", "val"]) -> list[tuple[Path, int]]:
    """JPEG files of ImageNet-1K with their labels; classes are numbered in the order of their wnids.

    Raises:
        ValueError: for another split.
        DatasetUnavailable: if `imagenet-1k/<split>` is neither below `QUIRE_DATA` nor in the cache.
        DatasetCorrupt: if there is no image in it.
    """
    if split not in ("train", "val"):
        raise ValueError(f"split is {split!r}; it must be 'train' or 'val'")
    folder = provided("imagenet-1k", split)
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [(file, label) for label, path in enumerate(classes) for file in sorted(path.glob("*.JPEG"))]
    if not images:
        raise DatasetCorrupt(f"{folder} holds no image <wnid>/*.JPEG")
    return images


def imagenet_batches(
    split: Literal["train", "val"], *, image_size: int, batch_size: int, seed: int = 0, ordered: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of ImageNet-1K: shuffled random crops with flips for `train`, one ordered pass of central crops for `val`.

    Training crops cover 8 to 100 % of the image at aspect ratios 3/4 to 4/3; validation resizes the shorter side to
    `image_size * 256 / 224` and cuts the centre.

    Args:
        split: `"train"` repeats for ever, `"val"` ends (its last batch may be smaller).
        image_size: side of the crops in pixels.
        batch_size: images per batch.
        seed: of shuffles and crops.
        ordered: one ordered pass of central crops through the training set too: a database to search.

    Yields:
        Images uint8 `[batch, image_size, image_size, 3]` and labels int32 `[batch]`.

    Raises:
        ValueError: for another split, a size below 1, or a training batch larger than the set.
        DatasetUnavailable, DatasetCorrupt: see `imagenet_files`.
    """
    files = imagenet_files(split)
    if image_size < 1 or batch_size < 1:
        raise ValueError(f"image_size is {image_size} and batch_size {batch_size}; both must be at least 1")
    if split == "train" and batch_size > len(files):
        raise ValueError(f"batch_size is {batch_size}; there are {len(files)} training images")
    return _batches(files, split == "train" and not ordered, image_size, batch_size, seed)


def _batches(
    files: list[tuple[Path, int]], training: bool, image_size: int, batch_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    crop = _random_crop if training else _central_crop
    while True:
        order = rng.permutation(len(files)) if training else np.arange(len(files))
        whole = len(order) - len(order) % batch_size if training else len(order)
        for start in range(0, whole, batch_size):
            chosen = [files[i] for i in order[start : start + batch_size]]
            images = np.stack([crop(_photograph(file), image_size, rng) for file, _ in chosen])
            yield images, np.array([label for _, label in chosen], np.int32)
        if not training:
            return


def _photograph(file: Path) -> Image.Image:
    try:
        return Image.open(file).convert("RGB")
    except OSError as error:
        raise DatasetCorrupt(f"{file} cannot be read as an image ({error})") from None


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

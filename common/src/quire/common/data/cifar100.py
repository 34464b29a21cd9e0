"""CIFAR-100 (Krizhevsky 2009)."""

from pathlib import Path

import numpy as np

from quire.common.data.archives import read_archive
from quire.common.data.images import ImageData, ImageSplit
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


def cifar100() -> ImageData:
    """The set with its 100 fine classes.

    Returns:
        Images uint8 `[n, 32, 32, 3]`, 50000 train and 10000 test.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    files = {Path(name).name: content for name, content in read_archive(fetch("cifar100", "cifar-100-binary.tar.gz")).items()}
    if missing := {"train.bin", "test.bin"} - files.keys():
        raise DatasetCorrupt(f"cifar-100-binary.tar.gz lacks {', '.join(sorted(missing))}")
    train, test = (cifar100_records(files[f"{split}.bin"]) for split in ("train", "test"))
    return ImageData(f"CIFAR-100, {len(train)} train / {len(test)} test", train, test, 100)


def cifar100_records(content: bytes) -> ImageSplit:
    """Records of a coarse class, a fine class, and 32 x 32 pixels in three planes.

    Raises:
        DatasetCorrupt: if the length is not that of whole records.

    >>> split = cifar100_records(bytes([7, 42]) + bytes(3 * 1024))
    >>> split.images.shape, split.labels.tolist()
    ((1, 32, 32, 3), [42])
    """
    if not content or len(content) % 3074:
        raise DatasetCorrupt(f"{len(content)} bytes are no records of two labels and 32 x 32 x 3 pixels")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 3074)
    return ImageSplit(rows[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), rows[:, 1].astype(np.int32))

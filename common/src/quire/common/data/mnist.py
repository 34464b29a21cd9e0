"""MNIST with its official split."""

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.images import ImageData, ImageSplit
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


def mnist() -> ImageData:
    """MNIST (LeCun et al. 1998).

    Returns:
        Images uint8 `[n, 28, 28, 1]`, 10 classes, 60000 train and 10000 test.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    arrays = read_npz(fetch("mnist", "mnist.npz"))
    train, test = (_split(arrays, part) for part in ("train", "test"))
    return ImageData(f"MNIST, {len(train)} train / {len(test)} test", train, test, 10)


def _split(arrays: dict[str, np.ndarray], part: str) -> ImageSplit:
    try:
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    except KeyError as missing:
        raise DatasetCorrupt(f"mnist.npz lacks {missing}; it holds {', '.join(sorted(arrays))}") from None
    if images.dtype != np.uint8 or images.shape != (len(labels), 28, 28):
        raise DatasetCorrupt(f"x_{part} is {images.dtype} {images.shape}; it must be uint8 [{len(labels)}, 28, 28]")
    return ImageSplit(images[..., None], labels.astype(np.int32))

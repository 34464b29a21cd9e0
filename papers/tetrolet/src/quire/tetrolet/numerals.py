"""Handwritten numerals of several scripts, 32 x 32 pixels, ink 1 on paper 0."""

from collections.abc import Callable

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.images import ImageData, ImageSplit, digits, mnist_t10k
from quire.common.data.mnist import mnist
from quire.common.data.registry import fetch
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt

SIDE = 32
PAPER_SETS = "the paper's ten databases"


def load_numerals(script: str) -> ImageData:
    """Numerals of one script.

    Args:
        script: `"bangla"`, `"devanagari"` or `"telugu"` of CMATERdb (Das et al. 2012); `"mnist-t10k"` and `"mnist"`, with a frame
            of two pixels; or `"digits"`, scikit-learn's, drawn four times as large. Grey values are cut at one half.

    Returns:
        Images float32 `[n, 32, 32, 1]`, 10 classes.

    Raises:
        ValueError: for another script.
        DatasetUnavailable, DatasetCorrupt: as for every data set.

    >>> data = load_numerals("digits")
    >>> data.train.images.shape, np.unique(data.test.images).tolist()
    ((1437, 32, 32, 1), [0.0, 1.0])
    """
    loaders: dict[str, Callable[[], ImageData]] = {
        **{name: lambda name=name: _cmaterdb(name) for name in ("bangla", "devanagari", "telugu")},
        "mnist-t10k": lambda: _changed(mnist_t10k(8000, 0), _framed),
        "mnist": lambda: _changed(mnist(), _framed),
        "digits": lambda: _changed(digits(), _enlarged),
    }
    if script not in loaders:
        raise ValueError(f"script is {script!r}; it must be one of {', '.join(loaders)}")
    return loaders[script]()


def open_numerals(scripts: tuple[str, ...]) -> dict[str, Source[ImageData]]:
    """The sets of several scripts by name; scikit-learn's digits, once, where one is not on this machine.

    Raises:
        ValueError, DatasetCorrupt: as `load_numerals`.
    """
    sources = {
        script: open_or(lambda script=script: load_numerals(script), lambda: load_numerals("digits"), stand_in_for=PAPER_SETS)
        for script in scripts
    }
    by_name = {source.value.name: (script, source) for script, source in sources.items()}
    return {("digits" if source.name.startswith("scikit-learn") else script): source for script, source in by_name.values()}


def _cmaterdb(script: str) -> ImageData:
    parts = [_split(f"{script}-{part}.npz") for part in ("training", "testing")]
    return ImageData(f"CMATERdb {script.capitalize()}, {len(parts[0])} train / {len(parts[1])} test", *parts, 10)


def _split(file: str) -> ImageSplit:
    arrays = read_npz(fetch("cmaterdb-numerals", file), "images", "labels")
    images, labels = arrays["images"], arrays["labels"]
    if images.dtype != np.uint8 or images.shape != (len(labels), SIDE, SIDE, 3) or not np.isin(labels, range(10)).all():
        raise DatasetCorrupt(
            f"{file} holds images {images.dtype} {images.shape}; it needs uint8 [n, 32, 32, 3] and labels 0 to 9"
        )
    return ImageSplit((images[..., :1] < 128).astype(np.float32), labels.astype(np.int32))


def _changed(data: ImageData, change: Callable[[np.ndarray], np.ndarray]) -> ImageData:
    train, test = (ImageSplit((change(part.images) >= 0.5).astype(np.float32), part.labels) for part in (data.train, data.test))
    return ImageData(data.name, train, test, data.num_classes)


def _framed(images: np.ndarray) -> np.ndarray:
    return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))) / 255


def _enlarged(images: np.ndarray) -> np.ndarray:
    """By linear interpolation: pixels repeated would be blank inside of every block."""
    from scipy.ndimage import zoom

    factor = SIDE // images.shape[1]
    return zoom(images, (1, factor, factor, 1), order=1, mode="nearest", grid_mode=True)

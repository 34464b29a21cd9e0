"""The images of a preset."""

from functools import cache

from quire.common.data.image_sizes import averaged
from quire.common.data.images import ImageData, ImageSplit, cifar10, cifar10_subset
from quire.common.data.source import Source, open_or
from quire.g_simclr.config import Preset


def open_images(preset: Preset) -> Source[ImageData]:
    """Photographs of ten classes, uint8 `[n, side, side, 3]`.

    Raises:
        ValueError: for an image set that there is not, fewer images than the preset asks for, or a side that does not divide
            theirs.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    loaders = {"cifar10-subset": small_set, "cifar10": cifar10}
    if preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be one of {', '.join(loaders)}")
    return open_or(lambda: _part(loaders[preset.image_set](), preset))


def _part(data: ImageData, preset: Preset) -> ImageData:
    counts = {"num_train": preset.num_train, "num_coded": preset.num_coded, "num_oracle": preset.num_oracle}
    wanted = max(counts, key=lambda name: counts[name])
    parts = []
    for name, split, count in ((wanted, data.train, counts[wanted]), ("num_test", data.test, preset.num_test)):
        if count > len(split):
            raise ValueError(f"{name} is {count}; {data.name} has {len(split)} such images")
        parts.append(ImageSplit(averaged(split.images[:count], preset.side), split.labels[:count]))
    return ImageData(f"{data.name.split(',')[0]}, {preset.side} x {preset.side}", *parts, data.num_classes)


@cache
def small_set() -> ImageData:
    """CIFAR-10's images, decoded once."""
    return cifar10_subset()

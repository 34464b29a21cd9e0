"""Labelled images to train on, a gallery to search, and queries."""

from dataclasses import dataclass

from quire.bt2.comparison import Labels
from quire.bt2.config import Preset
from quire.common.data.cifar100 import cifar100
from quire.common.data.images import ImageData, ImageSplit, cifar10_subset, digits
from quire.common.data.source import Source, open_or


@dataclass(frozen=True)
class RetrievalImages:
    """Images of an upgrade.

    Attributes:
        name: as tables show it.
        num_classes: of the new models.
        train: for training; the old model takes those of its classes.
        gallery, queries: parts of the test images.
    """

    name: str
    num_classes: int
    train: ImageSplit
    gallery: ImageSplit
    queries: ImageSplit

    @property
    def labels(self) -> Labels:
        """Classes of queries and gallery."""
        return Labels(self.queries.labels, self.gallery.labels)


def open_images(preset: Preset) -> Source[RetrievalImages]:
    """The images of a preset.

    Raises:
        ValueError: for an image set that there is not, numbers of classes or of gallery images that it does not have.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    loaders = {"digits": lambda: digits(preset.num_train), "cifar10-subset": cifar10_subset, "cifar100": cifar100}
    if preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be one of {', '.join(loaders)}")
    stand_in_for = "" if preset.image_set == "cifar100" else "CIFAR-100"
    return open_or(lambda: _parted(loaders[preset.image_set](), preset), stand_in_for=stand_in_for)


def _parted(data: ImageData, preset: Preset) -> RetrievalImages:
    """The first test images are the gallery."""
    count = preset.num_gallery or len(data.test) // 2
    if not 2 <= preset.old_classes < data.num_classes:
        raise ValueError(f"old_classes is {preset.old_classes}; it must lie between 2 and {data.num_classes - 1}")
    if not 1 <= count < len(data.test):
        raise ValueError(f"num_gallery is {count}; it must leave some of the {len(data.test)} test images")
    gallery, queries = (ImageSplit(data.test.images[part], data.test.labels[part]) for part in (slice(count), slice(count, None)))
    name = f"{data.name.split(',')[0]}, {len(data.train)} train / {len(gallery)} gallery / {len(queries)} queries"
    return RetrievalImages(name, data.num_classes, data.train, gallery, queries)

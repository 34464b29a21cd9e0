"""Images of the experiments: rotated digits at small scale, CIFAR and ImageNet32 as in the paper."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.cifar100 import cifar100
from quire.common.data.images import ImageData, ImageSplit, cifar10, digits, mnist_t10k
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.stationary_representations.config import Scenario, Stationarity

TURNS = 4
LOCAL, HELD_OUT = range(5), range(5, 10)
"""Digits that are learned, and digits that are searched."""


@dataclass(frozen=True)
class ScenarioImages:
    """Images of a scenario; labels of every part count from 0.

    Attributes:
        name: as tables show it.
        scenario: the sizes that go with these images.
        local: what the tasks are cut from.
        other: what replacing models are trained on.
        gallery, queries: held-out classes, to search among and to search with.
    """

    name: str
    scenario: Scenario
    local: ImageSplit
    other: ImageSplit
    gallery: ImageSplit
    queries: ImageSplit

    def __post_init__(self):
        slots, classes = self.scenario.architecture.num_slots, 2 + int(self.local.labels.max()) + int(self.other.labels.max())
        if classes > slots:
            raise ValueError(f"num_slots is {slots}; {classes} classes of both sets need a slot each")


@dataclass(frozen=True)
class PlainImages:
    """Images of the networks that are trained apart, and the sizes that go with them."""

    config: Stationarity
    data: ImageData

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.data.name


def open_scenario(scenario: Scenario) -> Source[ScenarioImages]:
    """The images of a scenario, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for an image set that there is not.
    """
    loaders = {
        "digits": lambda: rotated_scenario(digits(1200), scenario),
        "mnist-t10k": lambda: rotated_scenario(mnist_t10k(), scenario),
        "cifar100": lambda: _cifar_scenario(scenario),
    }
    fallback = scenario.fallback
    return open_or(
        loaders[_known(scenario.image_set, loaders)],
        None if fallback is None else lambda: open_scenario(fallback).value,
        stand_in_for="" if scenario.image_set == "cifar100" else "CIFAR-100, ImageNet32 and CIFAR-10",
    )


def open_images(config: Stationarity) -> Source[PlainImages]:
    """Training and test images of the networks that are trained apart, or those of the fallback.

    Raises:
        DatasetUnavailable, ValueError: as `open_scenario`.
    """
    loaders = {
        "digits": lambda: digits(config.num_train),
        "mnist-t10k": lambda: mnist_t10k(config.num_train),
        "cifar100": cifar100,
    }
    load, fallback = loaders[_known(config.image_set, loaders)], config.fallback
    return open_or(
        lambda: PlainImages(config, load()),
        None if fallback is None else lambda: open_images(fallback).value,
        stand_in_for="" if config.image_set == "cifar100" else "CIFAR-100",
    )


def _known(name: str, loaders: dict) -> str:
    if name not in loaders:
        raise ValueError(f"image_set is {name!r}; it must be one of {', '.join(loaders)}")
    return name


# --- Rotated digits ---


def rotated_scenario(data: ImageData, scenario: Scenario) -> ScenarioImages:
    """Classes are a digit and a quarter turn: five digits to learn, mirrored for the replacing models, five others to search."""
    local = turned(data.train, LOCAL, scenario.per_class)
    other = turned(data.train, LOCAL, scenario.per_class, mirrored=True)
    gallery = turned(data.train, HELD_OUT, scenario.gallery_per_class)
    queries = turned(data.test, HELD_OUT, scenario.queries_per_class)
    name = (
        f"{data.name.split(',')[0]} in {TURNS} orientations, {len(local)} train / {len(gallery)} gallery / {len(queries)} queries"
    )
    return ScenarioImages(name, scenario, local, other, gallery, queries)


def turned(split: ImageSplit, digits: Sequence[int], per_class: int, mirrored: bool = False) -> ImageSplit:
    """The first images of every digit in four orientations, each a class of its own: `4 place + quarter turns`.

    Args:
        split: images of digits.
        digits: which ones, in the order of their places.
        per_class: images of a digit.
        mirrored: left and right exchanged.

    Raises:
        ValueError: if there are not that many.

    >>> split = ImageSplit(np.arange(8.0).reshape(2, 2, 2, 1), np.array([3, 5]))
    >>> found = turned(split, [5], 1)
    >>> found.images[1, :, :, 0].tolist(), found.labels.tolist()
    ([[5.0, 7.0], [4.0, 6.0]], [0, 1, 2, 3])
    """
    images, labels = [], []
    for place, digit in enumerate(digits):
        found = split.images[split.labels == digit][:per_class]
        if len(found) < per_class:
            raise ValueError(f"per_class is {per_class}; there are {len(found)} images of the digit {digit}")
        upright = found[:, :, ::-1] if mirrored else found
        images += [np.rot90(upright, turns, axes=(1, 2)) for turns in range(TURNS)]
        labels += [np.full(per_class, TURNS * place + turns, np.int32) for turns in range(TURNS)]
    return ImageSplit(np.concatenate(images), np.concatenate(labels))


# --- The paper's data ---


def imagenet32(classes: int) -> ImageSplit:
    """Training images of the first classes of ImageNet32, from the ten files of its npz edition.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    images, labels = [], []
    for number in range(1, 11):
        arrays = read_npz(provided("imagenet32", f"train_data_batch_{number}.npz"), "data", "labels")
        place = arrays["labels"].astype(np.int32) - 1  # they count from 1
        images.append(arrays["data"][place < classes])
        labels.append(place[place < classes])
    pixels = np.concatenate(images).reshape(-1, 3, 32, 32)
    return ImageSplit(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), np.concatenate(labels))


def _cifar_scenario(scenario: Scenario) -> ScenarioImages:
    tasks, search = cifar100(), cifar10()
    local = first_of_each(tasks.train, scenario.per_class)
    other = imagenet32(max((each.classes for each in scenario.replacements), default=1))
    gallery = first_of_each(search.test, scenario.gallery_per_class)
    queries = first_of_each(search.train, scenario.queries_per_class)
    name = f"CIFAR-100, {len(local)} train; CIFAR-10, {len(gallery)} gallery / {len(queries)} queries; ImageNet32, {len(other)}"
    return ScenarioImages(name, scenario, local, other, gallery, queries)


def first_of_each(split: ImageSplit, per_class: int) -> ImageSplit:
    """The first images of every class, in the order of the set.

    >>> first_of_each(ImageSplit(np.zeros((4, 1, 1, 1)), np.array([1, 0, 1, 1])), 2).labels.tolist()
    [1, 0, 1]
    """
    kept = np.sort(np.concatenate([np.flatnonzero(split.labels == label)[:per_class] for label in np.unique(split.labels)]))
    return ImageSplit(split.images[kept], split.labels[kept])

"""Two tasks from one labelled set: its first classes are the source, its last ones are new."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least
from quire.common.data.cifar100 import cifar100
from quire.common.data.images import ImageData, cifar10_subset, digits, mnist_t10k, pixels
from quire.common.random import generator

LOADERS: dict[str, Callable[[], ImageData]] = {
    "digits": digits,
    "mnist-t10k": mnist_t10k,
    "cifar10-subset": cifar10_subset,
    "cifar100": cifar100,
}


class Pool(NamedTuple):
    """Images `[n, h, w, c]` in [0, 1] and their labels `[n]`, counted from 0."""

    images: Float[np.ndarray, "n h w c"]
    labels: Int[np.ndarray, " n"]


class Tasks(NamedTuple):
    """The two tasks, with as many classes each."""

    source: Pool
    new: Pool
    classes: int
    name: str


def load_tasks(image_set: str) -> Tasks:
    """All images of a set, split by class.

    Raises:
        DatasetUnavailable: if they are missing and cannot be downloaded.
        ValueError: for a set that there is not.
    """
    if image_set not in LOADERS:
        raise ValueError(f"image_set is {image_set!r}; it must be one of {', '.join(LOADERS)}")
    data = LOADERS[image_set]()
    images = np.concatenate([np.asarray(pixels(part.images)) for part in (data.train, data.test)])
    labels = np.concatenate([data.train.labels, data.test.labels])
    half = data.num_classes // 2
    source, new = labels < half, (half <= labels) & (labels < 2 * half)
    name = data.name.split(",")[0]
    return Tasks(Pool(images[source], labels[source]), Pool(images[new], labels[new] - half), half, name)


def split_source(
    pool: Pool, key: jax.Array, test_share: float = 1 / 3
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Indices to train on and to test on, at random."""
    order = generator(key).permutation(len(pool.labels)).astype(np.int32)
    cut = round(len(order) * test_share)
    return order[cut:], order[:cut]


def split_new(
    pool: Pool, key: jax.Array, labels: int, validation: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " validation"], Int[np.ndarray, " test"]]:
    """Indices to learn from, to choose by and to test on: so many of every class, and all others.

    Raises:
        ValueError: if a class has too few.
    """
    check_at_least("labels", labels)
    check_at_least("validation", validation)
    order = generator(key).permutation(len(pool.labels)).astype(np.int32)
    by_class = [order[pool.labels[order] == label] for label in np.unique(pool.labels)]
    least = min(map(len, by_class))
    if labels + validation >= least:
        raise ValueError(f"labels + validation is {labels + validation}; the smallest class has {least} images")
    cuts = [np.split(index, [labels, labels + validation]) for index in by_class]
    train, held, test = (np.concatenate(part) for part in zip(*cuts, strict=True))
    return train, held, test

"""Numerals drawn for one seed, and features of them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.data.images import ImageData
from quire.common.random import generator
from quire.tetrolet.config import Recognition
from quire.tetrolet.filter_banks import separable, slantlet_matrix, wavelet_matrix
from quire.tetrolet.numerals import SIDE
from quire.tetrolet.stockwell import stockwell_features
from quire.tetrolet.transform import features, haar2d, tetrolet

Images = Float[np.ndarray, "n 32 32"]
Rows = Float[np.ndarray, "n dim"]
PART = 250
"""Images that are transformed at once: one program serves all numbers of images."""


class Task(NamedTuple):
    """Features and labels to train on, those for validation last, and to test on."""

    train: Rows
    train_labels: Int[np.ndarray, " n"]
    test: Float[np.ndarray, "m dim"]
    test_labels: Int[np.ndarray, " m"]
    num_validation: int

    def validation(self) -> "Task":
        """What there is to train on alone, the last of it to test on."""
        fit = len(self.train) - self.num_validation
        return Task(self.train[:fit], self.train_labels[:fit], self.train[fit:], self.train_labels[fit:], 0)

    @property
    def majority(self) -> float:
        """Accuracy of always answering the most frequent class."""
        return float(np.mean(self.test_labels == np.bincount(self.train_labels).argmax()))

    def accuracy(self, predict: Callable[[Rows, np.ndarray, Rows], np.ndarray]) -> float:
        """Share of the test rows that a classifier gets right."""
        return float(np.mean(predict(self.train, self.train_labels, self.test) == self.test_labels))


def draw_tasks(
    data: ImageData, function: Callable[[Images], Rows], config: Recognition, num_train: int, keys: jax.Array
) -> list[Task]:
    """A task for every key: other training images out of a pool, the same test images; features centred by the training mean.

    Args:
        data: numerals.
        function: features of images.
        config: sizes of the pool, of validation and test; less where there are not so many images.
        num_train: images to train on.
        keys: of the draws.
    """
    pool, test = (np.random.default_rng(0).permutation(len(part)) for part in (data.train, data.test))
    pool, test = pool[: config.pool], test[: config.num_test]
    rows, test_rows = in_parts(function, data.train.images[pool, :, :, 0]), in_parts(function, data.test.images[test, :, :, 0])
    found = []
    for key in keys:
        drawn = generator(key).permutation(len(pool))[:num_train]
        mean, labels = rows[drawn].mean(axis=0), data.train.labels[pool[drawn]]
        found.append(Task(rows[drawn] - mean, labels, test_rows - mean, data.test.labels[test], config.num_validation))
    return found


def in_parts(function: Callable[[Images], Rows], x: Images) -> Rows:
    """The function of `PART` images at a time, blank ones behind the last."""
    parts = np.pad(x, ((0, -len(x) % PART), (0, 0), (0, 0))).reshape(-1, PART, *x.shape[1:])
    return np.concatenate([np.asarray(function(part)) for part in parts])[: len(x)]


def _corner(matrix: np.ndarray, x: Images, size: int) -> Rows:
    return np.asarray(separable(matrix[:size], x)).reshape(len(x), -1)


TRANSFORMS: dict[str, Callable[[Images, int], Rows]] = {
    "tetrolet": lambda x, level: np.asarray(features(tetrolet(x, level))),
    "tetrolet and details": lambda x, level: np.asarray(features(tetrolet(x, level), details=True)),
    "Haar": lambda x, level: np.asarray(features(haar2d(x, level))),
    "Daubechies": lambda x, level: _corner(wavelet_matrix(SIDE, level, "daubechies"), x, SIDE >> level),
    "slantlet": lambda x, level: _corner(slantlet_matrix(SIDE, level + 1), x, SIDE >> level),
    "Stockwell": lambda x, level: np.asarray(stockwell_features(x, SIDE >> level + 1, 2)),
    "pixels": lambda x, level: x.reshape(len(x), -1),
}
"""Features of images at a level, as many numbers for each, but for two."""
WHOLE = ("tetrolet and details", "pixels")
"""Features as many as pixels at all levels."""


def at_level(name: str, level: int) -> Callable[[Images], Rows]:
    """One of `TRANSFORMS`, as a function of images alone."""
    return lambda x: TRANSFORMS[name](x, level)

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


class Task(NamedTuple):
    """Images and labels: `num_validation` of the training images come last."""

    train: Images
    train_labels: Int[np.ndarray, " n"]
    test: Images
    test_labels: Int[np.ndarray, " m"]
    num_validation: int

    def seen_by(self, function: Callable[[Images], Rows]) -> "Task":
        """The same with features in place of images, centred by the mean of the training images."""
        train, test = np.asarray(function(self.train)), np.asarray(function(self.test))
        mean = train.mean(axis=0)
        return self._replace(train=train - mean, test=test - mean)

    def validation(self) -> "Task":
        """The training images alone, the last of them to test on."""
        fit = len(self.train) - self.num_validation
        x, y = self.train, self.train_labels
        return Task(x[:fit], y[:fit], x[fit:], y[fit:], 0)

    @property
    def majority(self) -> float:
        """Accuracy of always answering the most frequent class."""
        return float(np.mean(self.test_labels == np.bincount(self.train_labels).argmax()))

    def accuracy(self, predict: Callable[[Rows, np.ndarray, Rows], np.ndarray]) -> float:
        """Share of test images that a classifier gets right."""
        return float(np.mean(predict(self.train, self.train_labels, self.test) == self.test_labels))


def draw_task(data: ImageData, config: Recognition, key: jax.Array) -> Task:
    """Training images drawn anew for every key, test images always the same first ones of a fixed shuffle."""
    train = generator(key).permutation(len(data.train))[: config.num_train]
    test = np.random.default_rng(0).permutation(len(data.test))[: config.num_test]
    return Task(
        data.train.images[train, :, :, 0],
        data.train.labels[train],
        data.test.images[test, :, :, 0],
        data.test.labels[test],
        config.num_validation,
    )


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
"""Features of images at a level: as many numbers for each, but for details and pixels, where a picture has 1024."""

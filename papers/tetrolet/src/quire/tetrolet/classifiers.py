"""Classifiers of feature vectors, all called alike: training rows, their labels, rows to classify."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from quire.common.metrics.probe import knn_predict
from quire.tetrolet.mqdf import MQDF

Rows = Float[np.ndarray, "n dim"]
Classes = Int[np.ndarray, " n"]
Setting = TypeVar("Setting")


def svm(
    train: Rows, labels: Classes, test: Float[np.ndarray, "m dim"], *, width: float = 1.0, penalty: float = 10.0
) -> Int[np.ndarray, " m"]:
    """A support vector machine with a Gaussian kernel, by scikit-learn; the kernel by matrix products, which is most of the time.

    Args:
        train, labels, test: feature vectors, and the classes of the first.
        width: factor on the gamma that scikit-learn takes by itself, `1 / (dim variance)`.
        penalty: C.
    """
    from sklearn.svm import SVC

    gamma = width / (train.shape[1] * max(float(train.var()), np.finfo(np.float32).tiny))
    model = SVC(C=penalty, kernel="precomputed").fit(_kernel(train, train, gamma), labels)
    return model.predict(_kernel(test, train, gamma))


def _kernel(a: Float[np.ndarray, "m dim"], b: Rows, gamma: float) -> Float[np.ndarray, "m n"]:
    """`exp(-gamma |a - b|^2)` of centred rows, in their own precision."""
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    return np.exp(-gamma * np.maximum(squares, 0))


def forest(
    train: Rows, labels: Classes, test: Float[np.ndarray, "m dim"], *, trees: int = 100, seed: int = 0
) -> Int[np.ndarray, " m"]:
    """A random forest, by scikit-learn."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(trees, random_state=seed).fit(train, labels).predict(test)


def nearest(train: Rows, labels: Classes, test: Float[np.ndarray, "m dim"]) -> Int[np.ndarray, " m"]:
    """The class of the nearest training row."""
    return np.asarray(knn_predict(test, train, labels, num_classes=int(labels.max()) + 1))


def mqdf(train: Rows, labels: Classes, test: Float[np.ndarray, "m dim"], *, axes: int = 20) -> Int[np.ndarray, " m"]:
    """The modified quadratic discriminant function."""
    return MQDF(axes).fit(train, labels).predict(test)


def best(settings: Iterable[Setting], accuracy: Callable[[Setting], float]) -> Setting:
    """The first setting of the highest accuracy on validation data.

    >>> best([1, 2, 3], lambda setting: {1: 0.8, 2: 0.9, 3: 0.9}[setting])
    2
    """
    return max(settings, key=accuracy)

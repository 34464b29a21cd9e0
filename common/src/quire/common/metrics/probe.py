"""Probes: what a fixed representation gives to a nearest-neighbour vote or to a linear map."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Int, Real

from quire.common.checks import check_at_least, check_finite, check_ids, floating
from quire.common.retrieval.search import lift_euclidean, top_k_inner


def knn_predict(
    queries: Real[Array | np.ndarray, "q dim"],
    database: Real[Array | np.ndarray, "n dim"],
    labels: Int[Array | np.ndarray, " _"],
    *,
    k: int = 1,
    num_classes: int,
    block: int | None = None,
) -> Int[Array, " q"]:
    """Class of every query by the vote of its k nearest rows; scale rows to unit length for cosine.

    Nearest in Euclidean distance. The smaller class wins a tied vote.

    Args:
        queries, database: one vector a row.
        labels: class of every row of the database.
        k: how many vote.
        num_classes: number of classes.
        block: see `top_k_inner`.

    Raises:
        ValueError: see `top_k_inner`; if there is not one label for every row; for labels out of range or features that are not
            finite (of arrays that hold numbers).

    >>> knn_predict(np.array([[0.9]]), np.array([[0.0], [1.0]]), np.array([0, 1]), num_classes=2).tolist()
    [1]
    """
    if labels.shape != database.shape[:1]:
        raise ValueError(f"labels has shape {labels.shape}; it needs one for each of the {len(database)} rows of the database")
    check_at_least("num_classes", num_classes)
    check_ids("labels", labels, num_classes)
    check_finite("queries", queries)
    check_finite("database", database)
    return _vote(queries, database, labels, k, num_classes, block)


@partial(jax.jit, static_argnames=("k", "num_classes", "block"))
def _vote(queries, database, labels, k, num_classes, block):
    queries, database = floating(queries, database)
    origin = database.mean(axis=0, keepdims=True)  # so that squares of large offsets do not drown the differences
    _, nearest = top_k_inner(*lift_euclidean(queries - origin, database - origin), k, block)
    return jax.nn.one_hot(labels[nearest], num_classes).sum(axis=1).argmax(axis=-1)


def ridge_probe(
    train: Real[np.ndarray, "n dim"], labels: Int[np.ndarray, " n"], test: Real[np.ndarray, "m dim"], *, ridge: float = 1e-3
) -> Int[np.ndarray, " m"]:
    """Classes of `test` by ridge regression on one-hot labels: a linear probe in closed form.

    Features are standardised by the training set; a constant feature is dropped.

    Args:
        train, test: features.
        labels: classes of the training rows.
        ridge: penalty as a fraction of n.

    Raises:
        ValueError: for a ridge that is not positive, no rows, features that are not finite, or shapes that do not fit.

    >>> ridge_probe(np.array([[0.0], [1.0]]), np.array([3, 7]), np.array([[0.9]])).tolist()
    [7]
    """
    train, test, labels = np.asarray(train, np.float64), np.asarray(test, np.float64), np.asarray(labels)
    if not ridge > 0:
        raise ValueError(f"ridge is {ridge}; it must be positive")
    if (
        train.ndim != 2
        or test.ndim != 2
        or not len(train)
        or labels.shape != train.shape[:1]
        or train.shape[1:] != test.shape[1:]
    ):
        raise ValueError(f"train, labels and test have shapes {train.shape}, {labels.shape}, {test.shape}; see the docstring")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise ValueError("train or test has features that are not finite")
    classes, target = np.unique(labels, return_inverse=True)
    mean, spread = train.mean(0), train.std(0)
    varied = spread > 1e-12 * np.maximum(np.abs(mean), 1)
    x, z = ((a[:, varied] - mean[varied]) / spread[varied] for a in (train, test))
    onehot = np.eye(len(classes))[target]
    weights = np.linalg.solve(x.T @ x + ridge * len(x) * np.eye(x.shape[1]), x.T @ (onehot - onehot.mean(0)))
    return classes[(z @ weights + onehot.mean(0)).argmax(1)]

"""What embeddings of every size are worth: nearest neighbours, linear probes, few shots, groups of classes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from quire.common.checks import check_at_least, check_ids
from quire.common.layers.nested import check_sizes
from quire.common.metrics.probe import ridge_probe
from quire.common.random import generator
from quire.common.retrieval.evaluate import list_metrics, template_search
from quire.matryoshka.adaptive_retrieval import nearest_at_sizes

Features = Float[np.ndarray, "_ dim"]
Labels = Integer[np.ndarray, " _"]
Sample = tuple[Features, Labels]
"""Embeddings and classes."""

MAX_SCORES = 2**22
"""Scores held at once in a search."""


def neighbour_accuracy(database: Sample, queries: Sample, sizes: Sequence[int]) -> Float[np.ndarray, " sizes"]:
    """Accuracy of the single nearest neighbour by prefixes of every size, cut and then scaled to unit length.

    Args:
        database, queries: embeddings and classes.
        sizes: increasing; also those that no loss was applied to.

    Raises:
        ValueError: for sizes that do not increase or exceed the dimension, or an empty database.
    """
    (rows, classes), (points, truth) = database, queries
    check_at_least("number of rows", len(rows))
    chunk = max(1, MAX_SCORES // len(rows))
    found = [nearest_at_sizes(points[i : i + chunk], rows, tuple(sizes))[..., 0] for i in range(0, len(points), chunk)]
    return (classes[np.concatenate(found, axis=1)] == truth).mean(1)


def probe_accuracy(database: Sample, queries: Sample, sizes: Sequence[int]) -> Float[np.ndarray, " sizes"]:
    """Accuracy of a linear map fitted to the prefix of each size (ridge regression on classes).

    Args:
        database, queries: embeddings and classes.
        sizes: increasing; also those that no loss was applied to.

    Raises:
        ValueError: for sizes that do not increase or exceed the dimension.
    """
    (rows, classes), (points, truth) = database, queries
    sizes = check_sizes(sizes, min(rows.shape[1], points.shape[1]))
    return np.array([np.mean(ridge_probe(rows[:, :m], classes, points[:, :m]) == truth) for m in sizes])


def template_accuracy(
    database: Sample, queries: Sample, sizes: Sequence[int], shots: int | None = None, key: jax.Array | None = None
) -> Float[np.ndarray, " sizes"]:
    """Accuracy of the nearest class mean by prefixes: of all of the database, or of a few examples of every class.

    Args:
        database, queries: embeddings and classes.
        sizes: of the prefixes.
        shots: examples of each class, drawn at random; all for None.
        key: for the draw.

    Raises:
        ValueError: if a class has fewer examples than `shots`, or `shots` comes without a key.
    """
    rows, classes = database
    if shots is not None:
        chosen = _draw_shots(classes, check_at_least("shots", shots), key)
        rows, classes = rows[chosen], classes[chosen]
    points, truth = queries
    sizes = check_sizes(sizes, min(rows.shape[1], points.shape[1]))
    used = [np.arange(rows.shape[1]) < m for m in sizes]  # zeros beyond change no angle: one program for all
    return np.array([template_search(rows * first, classes, points * first, truth) for first in used])


def _draw_shots(classes: Labels, shots: int, key: jax.Array | None) -> np.ndarray:
    if key is None:
        raise ValueError(f"shots is {shots} and key None; a draw needs a key")
    found, counts = np.unique(classes, return_counts=True)
    if counts.min() < shots:
        raise ValueError(f"shots is {shots}; class {found[counts.argmin()]} has {counts.min()} examples")
    draw = generator(key)
    return np.concatenate([draw.permutation(np.flatnonzero(classes == c))[:shots] for c in found])


def superclasses(class_means: Float[np.ndarray, "classes dim"], count: int) -> Integer[np.ndarray, " classes"]:
    """Groups of classes whose means are near: average linkage, cut where `count` groups are left.

    Raises:
        ValueError: unless there are at least two classes and `1 <= count <= classes`.

    >>> superclasses(np.array([[0.0], [0.1], [5.0]]), 2).tolist()
    [0, 0, 1]
    """
    if not 1 <= count <= len(class_means) or len(class_means) < 2:
        raise ValueError(f"count is {count}; it must lie between 1 and the {len(class_means)} classes, which are at least 2")
    from scipy.cluster.hierarchy import fcluster, linkage  # half a second to import

    groups = fcluster(linkage(class_means, "average"), count, "maxclust")
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]  # numbered in the order of their first class


def superclass_accuracy(
    predictions: Integer[np.ndarray, "*sizes n"], truth: Labels, groups: Integer[np.ndarray, " classes"]
) -> Float[np.ndarray, "*sizes"]:
    """Share of predictions in the right group of classes.

    Raises:
        ValueError: for a class that has no group.
    """
    for name, classes in (("predictions", predictions), ("truth", truth)):
        check_ids(name, classes, len(groups))
    return (groups[predictions] == groups[truth]).mean(-1)


def mean_precision(found: Integer[np.ndarray, "q k"], classes: Labels, truth: Labels, places: int) -> float:
    """mAP@k of lists of rows: the mean over queries of `(1 / k) sum_{j <= k} [hit at j] precision at j`."""
    return float(list_metrics(jnp.asarray(classes[np.asarray(found)[:, :places]] == truth[:, None]))["mAP"])

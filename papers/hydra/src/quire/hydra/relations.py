"""Which classes are related: read off gates, class means or anything else with a vector for each class."""

import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating
from quire.common.layers.nested import unit_rows
from quire.common.metrics.rank_correlation import spearman
from quire.hydra.gates import pair_indices


def class_relations(vectors: Float[AnyArray, "classes dim"]) -> Float[Array, "classes classes"]:
    """Cosines between the vectors of classes, after their mean is taken off: of single-class gates, for instance.

    Raises:
        ValueError: unless there is one row a class.

    >>> print(", ".join(f"{x:.2f}" for x in class_relations(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))[0]))
    1.00, 0.99, -1.00
    """
    if vectors.ndim != 2 or vectors.size == 0:
        raise ValueError(f"vectors has shape {vectors.shape}; it must be [classes, dim], with at least one of each")
    (vectors,) = floating(vectors)
    unit = unit_rows(vectors - vectors.mean(0, keepdims=True))
    return unit @ unit.T


def class_means(x: Num[np.ndarray, "n ..."], labels: Int[np.ndarray, " n"], num_classes: int) -> Float[np.ndarray, "classes dim"]:
    """Mean of the samples of every class, flattened; float64.

    Raises:
        ValueError: if a label is out of range or a class has no sample.

    >>> class_means(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    check_ids("labels", labels, num_classes)
    counts = np.bincount(labels, minlength=num_classes)
    if len(labels) != len(x) or not counts.all():
        raise ValueError(f"labels are {len(labels)} for {len(x)} samples, by class {counts.tolist()}; each class needs a sample")
    flat = np.reshape(x, (len(x), -1)).astype(np.float64)
    return np.stack([flat[labels == c].mean(0) for c in range(num_classes)])


def pair_openness(pair_gates: Float[AnyArray, "pairs dim"], num_classes: int) -> Float[np.ndarray, "classes classes"]:
    """Share of the coordinates that are open for each pair of classes, of gates in the order of `all_pair_gates`.

    Raises:
        ValueError: if there are not K (K + 1) / 2 gates.

    >>> pair_openness(np.array([[1.0, 1.0], [0.5, 0.0], [1.0, 0.0]]), 2).tolist()
    [[1.0, 0.25], [0.25, 0.5]]
    """
    i, j = pair_indices(num_classes)
    if len(pair_gates) != len(i):
        raise ValueError(f"pair_gates has {len(pair_gates)} rows; {num_classes} classes make {len(i)} pairs")
    share = np.zeros((num_classes, num_classes))
    share[i, j] = share[j, i] = np.asarray(pair_gates).mean(1)
    return share


def nearest_classes(relations: Float[np.ndarray, "classes classes"], count: int) -> list[tuple[int, int]]:
    """The most related pairs of different classes, best first.

    Raises:
        ValueError: if there are not so many pairs.

    >>> nearest_classes(np.array([[1.0, 0.2, 0.9], [0.2, 1.0, 0.1], [0.9, 0.1, 1.0]]), 2)
    [(0, 2), (0, 1)]
    """
    i, j = np.triu_indices(len(relations), 1)
    if not 1 <= count <= len(i):
        raise ValueError(f"count is {count}; {len(relations)} classes make {len(i)} pairs")
    best = np.argsort(-np.asarray(relations)[i, j], kind="stable")[:count]
    return [(int(i[k]), int(j[k])) for k in best]


def agreement(
    first: Float[np.ndarray, "classes classes"],
    second: Float[np.ndarray, "classes classes"],
    draw: np.random.Generator,
    permutations: int = 999,
) -> tuple[float, float]:
    """Spearman's rho of two relations over all pairs of classes, and how often permuted classes agree as well (Mantel's test).

    Args:
        first, second: symmetric.
        draw: of the permutations of the classes of `second`.
        permutations: how many; the smallest probability is one over one more.

    Returns:
        rho and p; NaN and 1 where one relation is constant.

    Raises:
        ValueError: for relations of different or fewer than three classes, or no permutation.
    """
    check_at_least("permutations", permutations)
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape or first.ndim != 2 or first.shape[0] != first.shape[1] or len(first) < 3:
        raise ValueError(f"relations have shapes {first.shape} and {second.shape}; they need [k, k], k at least 3")
    i, j = np.triu_indices(len(first), 1)
    rho = spearman(first[i, j], second[i, j])
    if np.isnan(rho):
        return rho, 1.0
    a, b = (_centred_ranks(x[i, j]) for x in (first, second))
    ranks = np.zeros(second.shape)
    ranks[i, j] = ranks[j, i] = b
    orders = draw.permuted(np.broadcast_to(np.arange(len(first)), (permutations, len(first))), axis=1)
    as_good = np.sum(ranks[orders[:, i], orders[:, j]] @ a >= a @ b - 1e-9 * abs(a @ b))
    return rho, float((1 + as_good) / (1 + permutations))


def _centred_ranks(x):
    from scipy.stats import rankdata

    return rankdata(x) - (len(x) + 1) / 2

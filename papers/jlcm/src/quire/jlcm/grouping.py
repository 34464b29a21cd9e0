"""Neurons in groups of like weights: a statistic of every row, clusters of it, and the order in which groups are contiguous."""

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.quant.codebooks import kmeans
from quire.common.quant.scalar_codebooks import assign_1d, kmeans_1d

Statistic = Literal["log_absmax", "log_std", "percentiles", "sorted"]

FLOOR = 1e-6
"""Of the largest number of a layer: what a neuron without weights counts as, which has no logarithm."""

LEVELS = 16
"""Quantiles that stand for the sorted weights of a neuron."""


class Groups(NamedTuple):
    """Groups of neurons.

    Attributes:
        labels: of every neuron, in the order of the model.
        perm: `order[i]` is the neuron that becomes the i-th; groups are contiguous then, neurons in a group stay in order.
        sizes: neurons of each group, none empty.
        centres: of the statistic, `[groups]` or `[groups, numbers]`.
    """

    labels: Int[np.ndarray, " neurons"]
    perm: Int[np.ndarray, " neurons"]
    sizes: tuple[int, ...]
    centres: np.ndarray


def neuron_stats(weights: Float[Array | np.ndarray, "neurons *in"], kind: Statistic = "log_absmax") -> np.ndarray:
    """What describes the distribution of each neuron's weights, on the host.

    `log_absmax` is `log max_j |W_ij|` and `log_std` the logarithm of the standard deviation, `[neurons]`; `percentiles` are the
    5th and the 95th, `sorted` the quantiles at `LEVELS` levels, `[neurons, numbers]`.

    Args:
        weights: one neuron a row; further axes are taken together.
        kind: of the statistic. The paper's abstract names none.

    Raises:
        ValueError: for an unknown kind, no weights, or weights that are not finite.

    >>> neuron_stats(np.array([[1.0, -np.e], [0.5, 1.0]])).tolist()
    [1.0, 0.0]
    """
    if kind not in get_args(Statistic):
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(get_args(Statistic))}")
    w = np.asarray(weights)
    w = w if jnp.issubdtype(w.dtype, jnp.floating) and w.dtype.itemsize > 2 else w.astype(np.float32)
    if w.ndim < 2 or w.size == 0 or not np.isfinite(w).all():
        raise ValueError(f"weights have shape {w.shape}; they need [neurons, in], not empty, and finite numbers")
    w = w.reshape(len(w), -1)
    if kind in ("log_absmax", "log_std"):
        spread = np.abs(w).max(1) if kind == "log_absmax" else w.std(1)
        return np.log(np.maximum(spread, FLOOR * spread.max() if spread.max() > 0 else 1))
    levels = (0.05, 0.95) if kind == "percentiles" else (np.arange(LEVELS) + 0.5) / LEVELS
    return np.quantile(w, levels, axis=1).T


def group_neurons(stats: Float[np.ndarray, "neurons *numbers"], g: int) -> Groups:
    """Clusters of neurons by k-means of their statistic, the best ones where it is one number and neurons are few.

    With fewer different statistics than g there are fewer groups.

    Args:
        stats: from `neuron_stats`.
        g: number of groups, 1 to neurons.

    Raises:
        ValueError: for g out of range.

    >>> found = group_neurons(np.array([0.1, 3.0, 0.2, 2.9]), 2)
    >>> found.perm.tolist(), found.sizes
    ([0, 2, 1, 3], (2, 2))
    """
    stats = np.asarray(stats)
    if not 1 <= g <= len(stats):
        raise ValueError(f"g is {g}; it must be between 1 and the {len(stats)} neurons")
    if stats.ndim == 1:
        centres = kmeans_1d(stats, g).centres
        labels = np.asarray(assign_1d(stats, centres))
    else:
        order = np.argsort(np.ptp(stats, axis=1), kind="stable")
        start = stats[order[((np.arange(g) + 0.5) * len(stats) / g).astype(int)]]
        centres, labels, _ = map(np.asarray, kmeans(jnp.asarray(stats), g, start=jnp.asarray(start)))
    used, labels = np.unique(labels, return_inverse=True)
    return _groups(labels.reshape(-1).astype(np.int32), centres[used])


def random_groups(sizes: tuple[int, ...], rng: np.random.Generator) -> Groups:
    """The control: groups of these sizes whose neurons are drawn, so that there are as many codebooks and no likeness."""
    labels = rng.permutation(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    return _groups(labels, np.zeros(len(sizes)))


def _groups(labels: np.ndarray, centres: np.ndarray) -> Groups:
    return Groups(labels, np.argsort(labels, kind="stable"), tuple(np.bincount(labels).tolist()), centres)

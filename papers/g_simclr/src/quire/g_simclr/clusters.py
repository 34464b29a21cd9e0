"""k-means as the pseudo labels are made by it: k-means++, Lloyd's iterations, the best of several starts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import at_least_float32, check_at_least, check_finite
from quire.common.quant.codebooks import assign, kmeans_start
from quire.common.random import generator


class KMeansState(NamedTuple):
    """Centres `[k, dim]`, the nearest of them for every row `[n]`, and the sum of squared distances to them."""

    centers: Array
    labels: Array
    inertia: Array


def lloyd(
    x: Real[Array | np.ndarray, "n dim"], centers: Real[Array | np.ndarray, "k dim"], n_iter: int
) -> tuple[KMeansState, Float[Array, " n_iter"]]:
    """Lloyd's iterations from given centres, then one more assignment. A cluster without rows keeps its centre.

    Args:
        x: one vector a row, at least one.
        centers: at least one.
        n_iter: iterations; 0 only assigns.

    Returns:
        The state, and the inertia before every update.

    Raises:
        ValueError: without rows or centres, for different dimensions, a negative `n_iter`, or numbers that are not finite (of
            arrays that hold numbers).

    >>> state, inertia = lloyd(np.array([[0.0], [0.2], [5.0]]), np.array([[0.0], [4.0]]), 1)
    >>> print(state.centers.ravel(), inertia.round(2))
    [0.1 5. ] [1.04]
    """
    check_at_least("n_iter", n_iter, 0)
    if x.ndim != 2 or centers.ndim != 2 or x.shape[1] != centers.shape[1] or not len(x) or not len(centers):
        raise ValueError(
            f"x has shape {x.shape} and centers {centers.shape}; they need [n, dim] and [k, dim], n and k at least 1"
        )
    check_finite("x", x)
    check_finite("centers", centers)
    return _lloyd(*at_least_float32(x, centers), n_iter)


@partial(jax.jit, static_argnames="n_iter")
def _lloyd(x: Array, centers: Array, n_iter: int) -> tuple[KMeansState, Array]:
    def nearest(centers):
        labels = assign(x, centers)
        return labels, jnp.sum((x - centers[labels]) ** 2)

    def step(centers, _):
        labels, inertia = nearest(centers)
        count = jax.ops.segment_sum(jnp.ones(len(x), x.dtype), labels, len(centers))[:, None]
        sums = jax.ops.segment_sum(x, labels, len(centers))
        return jnp.where(count > 0, sums / jnp.maximum(count, 1), centers), inertia

    centers, history = jax.lax.scan(step, centers, None, length=n_iter)
    return KMeansState(centers, *nearest(centers)), history


def kmeans(key: jax.Array, x: Real[Array | np.ndarray, "n dim"], k: int, *, n_iter: int = 50, n_init: int = 10) -> KMeansState:
    """The best of several runs of Lloyd's iterations, each from a start by k-means++.

    Scikit-learn's defaults, but for the number of iterations, which is fixed here.

    Args:
        key: of the starts.
        x: one vector a row.
        k: number of centres, at most n. For pseudo labels it is the size of a batch.
        n_iter: iterations of a run.
        n_init: runs, side by side.

    Raises:
        ValueError: for a k outside 1..n, `n_init` below 1, and as `lloyd`.

    >>> state = kmeans(jax.random.key(0), np.array([[0.0], [0.2], [5.0], [5.2]]), 2)
    >>> print(np.sort(state.centers.ravel()), state.inertia.round(2))
    [0.1 5.1] 0.04
    """
    check_at_least("n_init", n_init)
    if x.ndim != 2 or not 1 <= k <= len(x):
        raise ValueError(f"k is {k} for x of shape {x.shape}; it must be between 1 and the number of rows")
    check_finite("x", x)
    seeds = generator(key).integers(2**31, size=n_init)
    starts = np.stack([kmeans_start(np.asarray(x), k, jax.random.key(int(seed))) for seed in seeds])
    check_at_least("n_iter", n_iter, 0)
    states, _ = _from_starts(*at_least_float32(x, starts), n_iter)
    best = int(np.argmin(states.inertia))
    return jax.tree.map(lambda leaf: leaf[best], states)


@partial(jax.jit, static_argnames="n_iter")
def _from_starts(x: Array, starts: Array, n_iter: int) -> tuple[KMeansState, Array]:
    return jax.lax.map(lambda centers: _lloyd(x, centers, n_iter), starts)

"""Codebooks: k-means, nearest codewords, product quantisation.

References:
    Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++); Jegou et al. 2011 (product quantisation, asymmetric distances).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_finite, check_ids, floating
from quire.common.random import generator


class Clusters(NamedTuple):
    """Centres `[k, dim]`, the nearest one of every row, and the weighted sum of squared distances to them."""

    centres: Array
    labels: Array
    inertia: Array


def assign(x: Float[Array, "n dim"], centres: Float[Array, "k dim"], block: int = 8192) -> Int[Array, " n"]:
    """Index of the nearest centre of every row; the first of equally near ones.

    Args:
        x: one vector a row.
        centres: at least one.
        block: rows compared at once, which bounds memory at `block * k`.

    Raises:
        ValueError: if dimensions differ, there is no centre, block is below 1, or a number is not finite (of arrays that hold
            numbers).

    >>> assign(jnp.array([[0.1], [0.9]]), jnp.array([[0.0], [1.0]])).tolist()
    [0, 1]
    """
    if len(centres) == 0 or x.shape[1] != centres.shape[1] or block < 1:
        raise ValueError(f"x, centres and block are {x.shape}, {centres.shape}, {block}; see the docstring")
    check_finite("x", x)
    check_finite("centres", centres)
    return _nearest(x, centres, block)


@partial(jax.jit, static_argnames="block")
def _nearest(x: Array, centres: Array, block: int) -> Int[Array, " n"]:
    # about a common origin, so that squares of large offsets do not drown the differences
    origin = centres.mean(0)
    centred = centres - origin[None]
    half = 0.5 * jnp.sum(centred**2, axis=1)

    def nearest(rows):
        return jnp.argmax((rows - origin[None]) @ centred.T - half[None], axis=1).astype(jnp.int32)

    if len(x) <= block:
        return nearest(x)
    count = -(-len(x) // block)
    padded = jnp.pad(x, ((0, count * block - len(x)), (0, 0))).reshape(count, block, -1)
    return jax.lax.map(nearest, padded).reshape(-1)[: len(x)]


def kmeans_start(x: np.ndarray, k: int, key: jax.Array, weights: np.ndarray | Array | None = None) -> np.ndarray:
    """k rows by k-means++: each drawn with a probability in proportion to its squared distance from those before.

    Rows that coincide with all centres so far are drawn only when no other is left.
    """
    x, rng = np.asarray(x), generator(key)
    x = x if np.issubdtype(x.dtype, np.inexact) else x.astype(float)  # differences of bytes would wrap around
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, float)
    chosen = [int(rng.choice(len(x), p=weights / weights.sum()))]
    distance = ((x - x[chosen[0]]) ** 2).sum(1, dtype=float)
    for _ in range(k - 1):
        mass = distance * weights
        chosen.append(int(rng.choice(len(x), p=mass / mass.sum())) if mass.sum() > 0 else int(rng.integers(len(x))))
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(1, dtype=float))
    return x[np.array(chosen)]


def kmeans(
    x: Float[Array, "n dim"],
    k: int,
    *,
    key: jax.Array | None = None,
    start: Float[Array, "k dim"] | None = None,
    iters: int = 25,
    weights: Float[Array, " n"] | None = None,
) -> Clusters:
    """k-means by Lloyd's iterations. A cluster that loses all its rows takes over the row that is worst served.

    Args:
        x: one vector a row.
        k: number of centres; at most n.
        key: for the start by `kmeans_start`.
        start: first centres, instead of `key`.
        iters: iterations; 0 only assigns.
        weights: how much every row counts; all the same by default.

    Raises:
        ValueError: for k outside 1..n, negative iterations, weights that are negative or all zero, numbers that are not finite,
            or unless exactly one of key and start is given.

    >>> x = jnp.array([[0.0], [0.2], [5.0], [5.2]])
    >>> print(kmeans(x, 2, start=x[:2]).centres.ravel())
    [0.1 5.1]
    """
    if not 1 <= k <= len(x) or iters < 0:
        raise ValueError(f"k is {k} and iters {iters}; they need 1..{len(x)} (the rows of x) and at least 0")
    if (key is None) == (start is None):
        raise ValueError("give either key or start, and not both")
    if start is not None and start.shape != (k, x.shape[1]):
        raise ValueError(f"start has shape {start.shape}; it needs {(k, x.shape[1])}")
    (x,) = floating(x)
    if not isinstance(x, jax.core.Tracer) and not np.isfinite(np.asarray(x)).all():
        raise ValueError("x has numbers that are not finite")
    mass = jnp.ones(len(x), x.dtype) if weights is None else jnp.asarray(weights, x.dtype)
    if not isinstance(mass, jax.core.Tracer) and (mass.shape != (len(x),) or (mass < 0).any() or not (mass > 0).any()):
        raise ValueError(f"weights has shape {mass.shape}; it needs one weight that is not negative a row, not all zero")
    centres = jnp.asarray(start if key is None else kmeans_start(np.asarray(x), k, key, weights), x.dtype)
    return _lloyd(x, centres, mass, iters)


@partial(jax.jit, static_argnames="iters")
def _lloyd(x: Array, centres: Array, weights: Array, iters: int) -> Clusters:
    k = len(centres)

    def squared(centres, labels):
        return jnp.sum((x - centres[labels]) ** 2, axis=1)

    def step(centres, _):
        labels = assign(x, centres)
        mass = jax.ops.segment_sum(weights, labels, k)
        sums = jax.ops.segment_sum(x * weights[:, None], labels, k)
        means = sums / jnp.where(mass > 0, mass, 1)[:, None]
        # the i-th empty cluster moves to the row that is i-th worst served
        worst = jax.lax.top_k(squared(centres, labels) * weights, k)[1]
        rank = jnp.cumsum(mass <= 0) - 1
        return jnp.where((mass > 0)[:, None], means, x[worst[jnp.maximum(rank, 0)]]), None

    centres, _ = jax.lax.scan(step, centres, None, length=iters)
    labels = assign(x, centres)
    return Clusters(centres, labels, jnp.sum(squared(centres, labels) * weights))


class ProductCodebook(NamedTuple):
    """Centres of every group of consecutive dimensions, `[groups, k, group_dim]`."""

    centres: Float[Array, "groups k group_dim"]


def product_fit(x: Float[Array, "n dim"], group_dim: int, k: int, *, key: jax.Array, iters: int = 10) -> ProductCodebook:
    """Product quantiser: k-means in every group of `group_dim` consecutive dimensions, all groups side by side.

    Args:
        x: training vectors, n at least k.
        group_dim: dimensions a group; must divide `dim`.
        k: centres a group.
        key: for the starts, k distinct rows shared by all groups.
        iters: Lloyd iterations.

    Raises:
        ValueError: if `group_dim` does not divide the dimension, k lies outside 1..n, or a number is not finite.
    """
    check_finite("x", x)
    parts = _groups(*floating(x), group_dim)
    if not 1 <= k <= len(x):
        raise ValueError(f"k is {k}; it must be between 1 and the {len(x)} rows of x")
    start = parts[:, np.sort(generator(key).choice(len(x), k, replace=False))]
    return ProductCodebook(_centres_of_groups(parts, start, iters))


@partial(jax.jit, static_argnames="iters")
def _centres_of_groups(parts: Array, start: Array, iters: int) -> Float[Array, "groups k group_dim"]:
    ones = jnp.ones(parts.shape[1], parts.dtype)
    return jax.vmap(lambda rows, centres: _lloyd(rows, centres, ones, iters).centres)(parts, start)


def product_encode(codebook: ProductCodebook, x: Float[Array, "n dim"]) -> Int[Array, "n groups"]:
    """Index of the nearest centre in every group.

    Raises:
        ValueError: if the dimension is not that of the codebook, or a number is not finite.
    """
    groups, _, group_dim = codebook.centres.shape
    if x.shape[1] != groups * group_dim:
        raise ValueError(f"x has dimension {x.shape[1]}; the codebook has {groups} groups of {group_dim}")
    check_finite("x", x)
    return jax.vmap(assign)(_groups(x, group_dim), codebook.centres).T


def product_decode(codebook: ProductCodebook, codes: Int[Array, "n groups"]) -> Float[Array, "n dim"]:
    """The vectors that codes stand for.

    Raises:
        ValueError: unless there is a code for every group, below the number of its centres.
    """
    _check_codes(codebook, codes)
    centres = codebook.centres[jnp.arange(codebook.centres.shape[0])[None], codes]
    return centres.reshape(len(codes), -1)


def product_score(
    codebook: ProductCodebook, codes: Int[Array, "n groups"], queries: Float[Array, "q dim"]
) -> Float[Array, "q n"]:
    """Inner products of exact queries with coded vectors (asymmetric): a table a group and query, then one look-up a code.

    Raises:
        ValueError: if the dimension of the queries is not that of the codebook; for codes as `product_decode`.
    """
    groups, _, group_dim = codebook.centres.shape
    if queries.shape[1] != groups * group_dim:
        raise ValueError(f"queries have dimension {queries.shape[1]}; the codebook has {groups} groups of {group_dim}")
    _check_codes(codebook, codes)
    tables = jnp.einsum("qgd,gkd->gqk", queries.reshape(len(queries), groups, group_dim), codebook.centres)

    def add(total, part):
        table, code = part
        return total + table[:, code], None

    total = jnp.zeros((len(queries), len(codes)), tables.dtype)
    return jax.lax.scan(add, total, (tables, codes.T))[0]


def _check_codes(codebook: ProductCodebook, codes: Array) -> None:
    groups, size, _ = codebook.centres.shape
    if codes.ndim != 2 or codes.shape[1] != groups:
        raise ValueError(f"codes has shape {codes.shape}; the codebook needs [n, {groups}]")
    check_ids("codes", codes, size)


def _groups(x: Array, group_dim: int) -> Array:
    """`[n, groups * group_dim]` as `[groups, n, group_dim]`."""
    if group_dim < 1 or x.shape[1] % group_dim:
        raise ValueError(f"group_dim is {group_dim}; it must divide the dimension {x.shape[1]}")
    return jnp.moveaxis(x.reshape(len(x), -1, group_dim), 1, 0)

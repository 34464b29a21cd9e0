"""Search with short prefixes, rank again with long ones: adaptive retrieval and the funnel (section 4.3)."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Num

from quire.common.checks import check_at_least, floating
from quire.common.layers.nested import check_sizes, truncate
from quire.common.retrieval.search import lift_euclidean, rerank, top_k_inner

Queries = Num[Array | np.ndarray, "q dim"]
Database = Num[Array | np.ndarray, "n dim"]
Candidates = Integer[Array | np.ndarray, "q c"]
Found = tuple[Float[Array, "q k"], Integer[Array, "q k"]]
"""Squared distances of normalised prefixes, and rows of the database, nearest first."""


def _lifted(queries: Queries, database: Database, size: int) -> tuple[Array, Array]:
    return lift_euclidean(*(truncate(x, size) for x in floating(queries, database)))


def _distances(lifted_queries: Array, scores: Array) -> Array:
    """`|q - x|^2 = |q|^2 - 2 score`, at least zero."""
    squares = jnp.sum(lifted_queries[:, :-1] ** 2, axis=1, keepdims=True)
    return jnp.maximum(squares - 2 * scores, 0)


def nearest(queries: Queries, database: Database, size: int, k: int, block: int | None = None) -> Found:
    """Exact nearest neighbours by the Euclidean distance of prefixes, cut to `size` numbers and then scaled to unit length.

    Args:
        queries, database: embeddings.
        size: numbers of each that are used.
        k: how many neighbours.
        block: rows of the database at once, see `top_k_inner`.

    Raises:
        ValueError: for a size or a k that there is not.

    >>> distances, index = nearest(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 2.0], [3.0, 0.0]]), 2, 2)
    >>> distances.tolist(), index.tolist()
    ([[0.0, 2.0]], [[1, 0]])
    """
    queries, database = _lifted(queries, database, size)
    scores, index = top_k_inner(queries, database, k, block)
    return _distances(queries, scores), index


def rank_again(queries: Queries, database: Database, candidates: Candidates, size: int) -> Found:
    """Each query's candidates by the distance of normalised prefixes of `size` numbers; the earlier one wins a tie.

    Raises:
        ValueError: for a size that there is not, or shapes that do not fit.
    """
    queries, database = _lifted(queries, database, size)
    scores, index = rerank(queries, database, candidates, candidates.shape[1])
    return _distances(queries, scores), index


def adaptive_retrieval(queries: Queries, database: Database, d_s: int, d_r: int, shortlist: int) -> Found:
    """A shortlist by `d_s` dimensions, ranked again by `d_r`.

    Args:
        queries, database: embeddings.
        d_s, d_r: dimensions of the search and of the ranking, the first no more than the second.
        shortlist: K, how many rows are ranked again and returned.

    Raises:
        ValueError: for dimensions or a shortlist that there are not, or `d_s` above `d_r`.
    """
    if d_s > d_r:
        raise ValueError(f"d_s is {d_s} and d_r {d_r}; the ranking needs at least the dimensions of the search")
    return rank_again(queries, database, nearest(queries, database, d_s, shortlist)[1], d_r)


def funnel(
    queries: Queries,
    database: Database,
    sizes: Sequence[int],
    shortlists: Sequence[int],
    start: Candidates,
) -> Found:
    """From stage to stage fewer candidates and more dimensions: cut to `s_i` rows, rank them again by `m_i` dimensions.

    Args:
        queries, database: embeddings.
        sizes: m_1 < m_2 < ...
        shortlists: s_1 >= s_2 >= ...
        start: candidates of every query, best first, at least `s_1`: `nearest` with the fewest dimensions.

    Returns:
        Distances and rows, as many as the last shortlist.

    Raises:
        ValueError: for sizes that do not increase, shortlists that grow, or are longer than what they are cut from.
    """
    sizes = check_sizes(sizes, queries.shape[1])
    lengths = (start.shape[1], *shortlists)
    if len(shortlists) != len(sizes) or min(lengths) < 1 or any(a < b for a, b in pairwise(lengths)):
        raise ValueError(
            f"shortlists is {tuple(shortlists)} for sizes {sizes} and {start.shape[1]} candidates; it needs one for each size, "
            "none longer than the one before"
        )
    found = rank_again(queries, database, start[:, : shortlists[0]], sizes[0])
    for size, length in zip(sizes[1:], shortlists[1:], strict=True):
        found = rank_again(queries, database, found[1][:, :length], size)
    return found


def flops_per_query(rows: int, size: int, sizes: Sequence[int] = (), shortlists: Sequence[int] = ()) -> int:
    """Multiplications and additions of scores: `2 (n D_s + sum_i s_i m_i)`.

    Args:
        rows: n, of the database.
        size: dimensions of the first search.
        sizes, shortlists: of the stages after it.

    Raises:
        ValueError: for numbers below 1, or another number of shortlists than of sizes.

    >>> flops_per_query(1_281_167, 2048) / flops_per_query(1_281_167, 16, [2048], [200])  # doctest: +ELLIPSIS
    125.4...
    """
    for name, numbers in (("rows", [rows]), ("size", [size]), ("sizes", sizes), ("shortlists", shortlists)):
        for number in numbers:
            check_at_least(name, number)
    return 2 * (rows * size + sum(s * m for s, m in zip(shortlists, sizes, strict=True)))


@partial(jax.jit, static_argnames=("sizes", "k"))
def nearest_at_sizes(queries: Queries, database: Database, sizes: tuple[int, ...], k: int = 1) -> Integer[Array, "sizes q k"]:
    """The rows that `nearest` finds at every one of several sizes, in one pass over the dimensions.

    `<q_{1:m'}, x_{1:m'}> = <q_{1:m}, x_{1:m}> + <q_{m+1:m'}, x_{m+1:m'}>`, and so for the squares: each block of dimensions is
    multiplied once, and what differs between the sizes is the scaling to unit length.

    Args:
        queries, database: embeddings.
        sizes: increasing.
        k: how many neighbours.

    Raises:
        ValueError: for sizes that do not increase or exceed the dimension, or a k that there is not.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 4.0], [0.9, 4.0]])
    >>> nearest_at_sizes(x[2:], x[:2], (1, 2)).tolist()
    [[[0]], [[1]]]
    """
    queries, database = floating(queries, database)
    sizes = check_sizes(sizes, min(queries.shape[1], database.shape[1]))
    if not 1 <= k <= len(database):
        raise ValueError(f"k is {k}; it must be between 1 and the {len(database)} rows of the database")
    products, found = 0, []
    for start, stop in pairwise((0, *sizes)):
        products += queries[:, start:stop] @ database[:, start:stop].T
        lengths = [jnp.linalg.norm(x[:, :stop], axis=1) for x in (queries, database)]
        query_scale, scale = (jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1), 0) for length in lengths)
        halved_squares = jnp.where(scale > 0, 0.5, 0)
        found.append(jax.lax.top_k(products * query_scale[:, None] * scale[None] - halved_squares[None], k)[1])
    return jnp.stack(found)

"""Exact search by inner product or distance: the best k of a database in blocks, and a shortlist scored again."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quire.common.checks import floating


@partial(jax.jit, static_argnames=("k", "block"))
def top_k_inner(
    queries: Float[Array, "q dim"], database: Float[Array, "n dim"], k: int, block: int | None = None
) -> tuple[Float[Array, "q k"], Int[Array, "q k"]]:
    """The k rows of the database with the largest inner product, best first; the smaller index wins a tie.

    Args:
        queries: one query a row.
        database: what is searched.
        k: how many.
        block: rows of the database scored at once (at least k are), which bounds memory at `q * block` scores; all by default.

    Returns:
        Floating-point scores and row indices (int32). A score that is NaN sorts first, as `lax.top_k` has it, and shows.

    Raises:
        ValueError: if k is not between 1 and the number of rows, the dimensions differ, or block is below 1.

    >>> scores, index = top_k_inner(jnp.eye(2), jnp.array([[0.0, 2.0], [1.0, 1.0], [3.0, 0.0]]), 2)
    >>> index.tolist()
    [[2, 1], [0, 1]]
    """
    (num_queries, dim), size = queries.shape, len(database)
    if database.shape[1] != dim:
        raise ValueError(f"database has dimension {database.shape[1]}; queries have {dim}")
    if not 1 <= k <= size:
        raise ValueError(f"k is {k}; it must be between 1 and the {size} rows of the database")
    if block is not None and block < 1:
        raise ValueError(f"block is {block}; it must be at least 1")
    queries, database = floating(queries, database)
    block = size if block is None else max(block, k)
    if block >= size:
        return tuple(jax.lax.top_k(queries @ database.T, k))
    blocks = -(-size // block)
    padded = jnp.pad(database, ((0, blocks * block - size), (0, 0))).reshape(blocks, block, dim)

    def merge(best, part):
        rows, start = part
        index = start + jnp.arange(block, dtype=jnp.int32)
        scores = jnp.where(index < size, queries @ rows.T, -jnp.inf)
        # the best so far come first: they have the smaller indices, which win ties, against what fills the last block too
        scores = jnp.concatenate([best[0], scores], axis=1)
        index = jnp.concatenate([best[1], jnp.broadcast_to(index, (num_queries, block))], axis=1)
        scores, place = jax.lax.top_k(scores, k)
        return (scores, jnp.take_along_axis(index, place, axis=1)), None

    starts = jnp.arange(1, blocks, dtype=jnp.int32) * block
    return jax.lax.scan(merge, tuple(jax.lax.top_k(queries @ padded[0].T, k)), (padded[1:], starts))[0]


def lift_euclidean(
    queries: Float[Array, "q dim"], database: Float[Array, "n dim"]
) -> tuple[Float[Array, "q dim+1"], Float[Array, "n dim+1"]]:
    """Vectors with one more number, whose inner products order the database by Euclidean distance.

    `<(q, 1), (x, -|x|^2 / 2)> = (|q|^2 - |q - x|^2) / 2`, so `top_k_inner` and `rerank` of them find the nearest rows.

    >>> queries, database = lift_euclidean(jnp.array([[0.9]]), jnp.array([[0.0], [1.0], [5.0]]))
    >>> top_k_inner(queries, database, 1)[1].tolist()
    [[1]]
    """
    queries, database = floating(queries, database)
    ones = jnp.ones((len(queries), 1), queries.dtype)
    halved_norms = -0.5 * jnp.sum(database**2, axis=1, keepdims=True)
    return jnp.concatenate([queries, ones], axis=1), jnp.concatenate([database, halved_norms], axis=1)


@partial(jax.jit, static_argnames="k")
def rerank(
    queries: Float[Array, "q dim"], database: Float[Array, "n dim"], candidates: Int[Array, "q c"], k: int
) -> tuple[Float[Array, "q k"], Int[Array, "q k"]]:
    """The k best of each query's own candidates by inner product, best first; the earlier candidate wins a tie.

    Args:
        queries: one query a row.
        database: where candidates point to.
        candidates: rows of the database, a shortlist for every query; one that does not exist scores NaN and sorts first.
        k: how many to keep.

    Returns:
        Scores and rows of the database.

    Raises:
        ValueError: if k is not between 1 and the number of candidates, or shapes do not fit.

    >>> rerank(jnp.ones((1, 1)), jnp.array([[0.0], [1.0], [2.0]]), jnp.array([[0, 1]]), 1)[1].tolist()
    [[1]]
    """
    if database.shape[1] != queries.shape[1] or len(candidates) != len(queries):
        raise ValueError(
            f"queries, database and candidates have shapes {queries.shape}, {database.shape}, {candidates.shape}; "
            "they need [q, dim], [n, dim], [q, c]"
        )
    if not 1 <= k <= candidates.shape[1]:
        raise ValueError(f"k is {k}; it must be between 1 and the {candidates.shape[1]} candidates of a query")
    queries, database = floating(queries, database)
    known = (candidates >= 0) & (candidates < len(database))
    scores = jnp.einsum("qd,qcd->qc", queries, database[jnp.where(known, candidates, 0)])
    scores, place = jax.lax.top_k(jnp.where(known, scores, jnp.nan), k)
    return scores, jnp.take_along_axis(candidates, place, axis=1)

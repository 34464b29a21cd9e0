"""Baselines: the single-vector heuristic, which searches document tokens, and one pooled vector a document."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from quire.common.retrieval.search import top_k_inner


def nearest_tokens(
    queries: Float[ArrayLike, "q d"], tokens: Float[ArrayLike, "t d"], k: int, *, block: int | None = 16384
) -> Int[Array, "q k"]:
    """The k tokens with the largest inner product with every query token, best first; the earlier token wins a tie."""
    return top_k_inner(jnp.asarray(queries), jnp.asarray(tokens), k, block)[1]


def sv_heuristic(
    query: Float[ArrayLike, "m d"], tokens: Float[ArrayLike, "t d"], owners: Int[ArrayLike, " t"], k: int, *, dedup: bool = True
) -> Int[np.ndarray, " list"]:
    """Documents of the k nearest document tokens of every query token, as PLAID gathers candidates.

    Rank by rank: those of all nearest tokens, then those of all second nearest, and so on.

    Args:
        query: its tokens.
        tokens: of all documents.
        owners: document of every token.
        k: document tokens fetched for every query token.
        dedup: keep only the first mention of a document; without, the list has `m k` entries.

    Raises:
        ValueError: if k is not between 1 and t, or dimensions differ.

    >>> sv_heuristic(jnp.eye(2), jnp.array([[2.0, 0], [1, 1], [0, 3]]), jnp.array([0, 0, 1]), 2, dedup=False).tolist()
    [0, 1, 0, 0]
    """
    return rank_by_rank(np.asarray(owners)[np.asarray(nearest_tokens(query, tokens, k))], dedup)


def rank_by_rank(documents: Int[np.ndarray, "m k"], dedup: bool) -> Int[np.ndarray, " list"]:
    """The lists of all query tokens as one: first all first entries, then all second ones; each document once if `dedup`."""
    listed = documents.T.ravel()
    if not dedup:
        return listed
    _, first = np.unique(listed, return_index=True)
    return listed[np.sort(first)]


@partial(jax.jit, static_argnames="count")
def mean_pool(tokens: Float[ArrayLike, "t d"], owners: Int[ArrayLike, " t"], count: int) -> Float[Array, "n d"]:
    """Mean token of every set: an encoding of one block. Zeros for a set without tokens.

    >>> mean_pool(jnp.array([[1.0], [3.0], [5.0]]), jnp.array([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    sums = jax.ops.segment_sum(tokens, owners, count)
    sizes = jax.ops.segment_sum(jnp.ones(jnp.shape(owners), sums.dtype), owners, count)
    return sums / jnp.maximum(sizes, 1)[:, None]

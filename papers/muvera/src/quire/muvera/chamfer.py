"""Chamfer similarity, also called MaxSim: every query token with its best document token, summed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import floating, is_concrete
from quire.muvera.token_sets import TokenSets

Side = tuple[Array, Array]
"""Tokens of many sets, and the set of each."""


def chamfer(
    query: Float[Array, "*batch m d"],
    document: Float[Array, "*batch n d"],
    query_mask: Bool[Array, "*batch m"] | None = None,
    document_mask: Bool[Array, "*batch n"] | None = None,
    *,
    normalize: bool = False,
) -> Float[Array, "*batch"]:
    """Similarity of two sets of tokens; not symmetric.

        CH(Q, P) = sum over q in Q of max over p in P of <q, p>;  NCH = CH / |Q|

    Args:
        query, document: tokens, one pair of sets or a batch of pairs.
        query_mask, document_mask: which tokens are real; all by default.
        normalize: NCH instead of CH.

    Raises:
        ValueError: for a document without tokens, shapes that do not fit, or a query without tokens that is to be normalised.

    >>> float(chamfer(jnp.eye(2), jnp.array([[1.0, 0.0], [0.6, 0.8]])))
    1.7999999523162842
    """
    if query.shape[-1] != document.shape[-1] or query.shape[:-2] != document.shape[:-2]:
        raise ValueError(f"query and document have shapes {query.shape} and {document.shape}; see the docstring")
    _check_tokens("document", document, document_mask)
    if normalize:
        _check_tokens("query", query, query_mask)
    scores = jnp.einsum("...md,...nd->...mn", *floating(query, document))
    if document_mask is not None:
        scores = jnp.where(document_mask[..., None, :], scores, -jnp.inf)
    best = scores.max(-1)
    if query_mask is not None:
        best = jnp.where(query_mask, best, 0)
    total = best.sum(-1)
    if not normalize:
        return total
    return total / (query.shape[-2] if query_mask is None else query_mask.sum(-1))


def _check_tokens(name: str, tokens: Array, mask: Array | None) -> None:
    if mask is not None and mask.shape != tokens.shape[:-1]:
        raise ValueError(f"{name}_mask has shape {mask.shape}; {name} needs {tokens.shape[:-1]}")
    if not tokens.shape[-2] or (mask is not None and is_concrete(mask) and not np.asarray(mask).any(-1).all()):
        raise ValueError(f"{name} has no tokens; it needs at least 1")


@partial(jax.jit, static_argnames=("count", "block"))
def best_matches(
    vectors: Float[Array, "q d"], tokens: Float[Array, "t d"], owners: Int[Array, " t"], count: int, block: int = 4096
) -> Float[Array, "n q"]:
    """Largest inner product of every vector with a token of every document.

    Args:
        vectors: query tokens, of one query or many.
        tokens: of all documents, one after the other.
        owners: document of every token, 0 .. count - 1; others are dropped.
        count: how many documents, n.
        block: tokens compared at once, which bounds memory at `block * q` scores.

    Returns:
        -inf for a document without tokens.
    """

    def add(best, part):
        rows, place = part
        return best.at[place].max(rows @ vectors.T, mode="drop"), None

    start = jnp.full((count, len(vectors)), -jnp.inf, jnp.result_type(vectors, tokens))
    return jax.lax.scan(add, start, _in_blocks(tokens, owners, count, block))[0]


def _in_blocks(tokens: Array, owners: Array, count: int, block: int) -> Side:
    """Tokens `[blocks, block, d]` and owners `[blocks, block]`; what fills the last block belongs to no set."""
    block = min(block, max(1, len(tokens)))
    blocks = max(1, -(-len(tokens) // block))
    spare = blocks * block - len(tokens)
    parts = jnp.pad(tokens, ((0, spare), (0, 0))).reshape(blocks, block, -1)
    return parts, jnp.pad(owners, (0, spare), constant_values=count).reshape(blocks, block)


def chamfer_matrix(queries: TokenSets, documents: TokenSets, *, block: int = 2048) -> Float[Array, "q n"]:
    """Chamfer similarity of every query with every document.

    Args:
        queries, documents: sets of tokens.
        block: tokens of either side compared at once, which bounds memory beside the result at `block * (block + n)`.

    Raises:
        ValueError: if the tokens have different dimensions, or a document has none; for a block below 1.
    """
    if queries.dim != documents.dim:
        raise ValueError(f"queries have dimension {queries.dim}; documents have {documents.dim}")
    if len(documents) and not documents.lengths.all():
        raise ValueError(f"document {int(np.argmin(documents.lengths))} has no tokens; it needs at least 1")
    if block < 1:
        raise ValueError(f"block is {block}; it must be at least 1")
    sides = ((jnp.asarray(side.tokens), jnp.asarray(side.owners)) for side in (queries, documents))
    return _chamfer_matrix(*sides, len(queries), len(documents), block)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _chamfer_matrix(queries: Side, documents: Side, num_queries: int, num_documents: int, block: int) -> Float[Array, "q n"]:
    def add(total, part):
        vectors, place = part
        best = best_matches(vectors, *documents, num_documents, block)
        return total.at[place].add(best.T, mode="drop"), None

    start = jnp.zeros((num_queries, num_documents), jnp.result_type(queries[0], documents[0]))
    return jax.lax.scan(add, start, _in_blocks(*queries, num_queries, block))[0]


@jax.jit
def rerank_chamfer(
    query: Float[Array, "m d"], query_mask: Bool[Array, " m"], tokens: Float[Array, "c n d"], mask: Bool[Array, "c n"]
) -> Float[Array, " c"]:
    """Chamfer similarity of one query with the padded documents of its shortlist."""
    best = jnp.where(mask[None], jnp.einsum("md,cnd->mcn", query, tokens), -jnp.inf).max(-1)
    return jnp.where(query_mask[:, None], best, 0).sum(0)

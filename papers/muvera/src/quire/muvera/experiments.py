"""The experiments behind the claims: sets of random tokens, and one search over a collection that several claims share."""

from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.data.source import Source
from quire.common.random import generator
from quire.muvera.ball_carving import ball_carve
from quire.muvera.chamfer import chamfer_matrix
from quire.muvera.config import FillingConfig, SearchConfig
from quire.muvera.encoding import (
    FDEConfig,
    FDEParams,
    document_fde,
    encode_documents,
    encode_queries,
    query_fde,
    sample_fde_params,
)
from quire.muvera.mips import QuantisedMIPS
from quire.muvera.partition import SimHash
from quire.muvera.recall import target_ranks
from quire.muvera.single_vector import mean_pool, nearest_tokens, rank_by_rank
from quire.muvera.token_collections import TokenCollection, open_collection, unit
from quire.muvera.token_sets import TokenSets

# --- Sets of random tokens ---


def random_sets(
    draw: np.random.Generator, sets: int, most: int, dim: int
) -> tuple[Float[np.ndarray, "n m d"], Bool[np.ndarray, "n m"]]:
    """Random unit vectors, 1 to `most` in every set; which of them belong to it."""
    return unit(draw.standard_normal((sets, most, dim))), np.arange(most) < draw.integers(1, most + 1, (sets, 1))


def filling_pairs(key: jax.Array, config: FillingConfig) -> tuple[Float[np.ndarray, "n q d"], Float[np.ndarray, "n p d"]]:
    """Documents of random unit tokens, and queries of noisy copies of their first tokens, float32."""
    c, draw = config, generator(key)
    documents = unit(draw.standard_normal((c.pairs, c.document_tokens, c.dim)))
    sources = documents[:, : c.query_tokens]
    queries = unit(sources + c.noise / c.dim**0.5 * draw.standard_normal(sources.shape))
    return queries.astype(np.float32), documents.astype(np.float32)


@jax.jit
def errors_by_bits(
    directions: Float[Array, "r d k"], queries: Float[Array, "n q d"], documents: Float[Array, "n p d"], truth: Float[Array, " n"]
) -> Float[Array, "bits 2"]:
    """Mean absolute error of the estimate of NCH for 0, 1, .., k bits, filled and not filled; no projection.

    A hyperplane whose normal is zero splits nothing, so one program serves every number of bits.
    """
    repetitions, _, k = directions.shape
    scale = repetitions * queries.shape[1]

    def errors(bits):
        params = FDEParams(SimHash(jnp.where(jnp.arange(k)[None, None] < bits, directions, 0)))
        asked = query_fde(params, queries)
        filled = (document_fde(params, documents, fill_empty=fill) for fill in (True, False))
        return jnp.stack([jnp.mean(jnp.abs(truth - jnp.sum(asked * f, axis=1) / scale)) for f in filled])

    return jax.lax.map(errors, jnp.arange(k + 1))


# --- Searching a collection ---


@dataclass(frozen=True, eq=False)
class Exact:
    """What does not depend on the draws: exact similarities, and the baselines.

    Attributes:
        source: the collection.
        targets: best document of every query.
        lists: candidates of every query by each baseline, by its name.
        carved: Chamfer similarity `[q, n]` with the query as it is ("none"), carved at every tau, and as one group.
        kept: share of the query vectors that carving keeps, by tau.
    """

    source: Source[TokenCollection]
    targets: Int[np.ndarray, " q"]
    lists: dict[str, list[Int[np.ndarray, " _"]]]
    carved: dict[str, Float[np.ndarray, "q n"]]
    kept: dict[str, float]

    @property
    def collection(self) -> TokenCollection:
        return self.source.value

    @property
    def ranks(self) -> dict[str, Float[np.ndarray, " q"]]:
        """Places of the targets in the lists of the baselines."""
        return {name: target_ranks(lists, self.targets) for name, lists in self.lists.items()}


POOLED, SV, SV_DEDUP = "mean pooling", "SV heuristic", "SV heuristic, deduplicated"
NO_CARVING, ONE_GROUP = "no carving", "one group"


@cache
def search_exactly(config: SearchConfig) -> Exact:
    """Open the collection; exact Chamfer similarities and the baselines' lists."""
    source = open_collection(config.collection, config.dim)
    collection = source.value
    queries, documents = collection.queries, collection.documents
    variants = {NO_CARVING: queries}
    variants |= {f"tau = {tau:g}": carve_all(queries, tau) for tau in config.taus}
    variants[ONE_GROUP] = carve_all(queries, -np.inf)
    every = TokenSets.of([np.asarray(side.tokens) for side in variants.values()])
    every = TokenSets(every.tokens, np.concatenate([side.lengths for side in variants.values()]))
    similarity = np.asarray(chamfer_matrix(every, documents)).reshape(len(variants), len(queries), -1)
    targets = similarity[0].argmax(1)
    return Exact(
        source,
        targets,
        baseline_lists(collection, config.sv_tokens),
        dict(zip(variants, similarity, strict=True)),
        {name: len(side.tokens) / len(queries.tokens) for name, side in variants.items()},
    )


def carve_all(queries: TokenSets, tau: float) -> TokenSets:
    """Every query carved into balls."""
    tokens, mask = queries.padded()
    carved = _carve_padded(jnp.asarray(tokens), jnp.asarray(tau, tokens.dtype), jnp.asarray(mask))
    return TokenSets(np.asarray(carved.sums)[np.asarray(carved.mask)], np.asarray(carved.mask).sum(1))


_carve_padded = jax.jit(jax.vmap(ball_carve, (0, None, 0)))


def baseline_lists(collection: TokenCollection, sv_tokens: int) -> dict[str, list[Int[np.ndarray, " _"]]]:
    """Candidates of every query by mean pooling and by the single-vector heuristic.

    The pooled documents are scaled to unit length, without which they find less.
    """
    queries, documents = collection.queries, collection.documents
    asked, pooled = (unit(np.asarray(mean_pool(side.tokens, side.owners, len(side)))) for side in (queries, documents))
    found = nearest_tokens(jnp.asarray(queries.tokens), jnp.asarray(documents.tokens), min(sv_tokens, len(documents.tokens)))
    lists = documents.owners[np.asarray(found)]
    each = [lists[start : start + length] for start, length in zip(queries.starts, queries.lengths, strict=True)]
    return {
        POOLED: list(np.argsort(-asked @ pooled.T, axis=1, kind="stable")),
        SV: [rank_by_rank(one, False) for one in each],
        SV_DEDUP: [rank_by_rank(one, True) for one in each],
    }


def encode_sides(
    collection: TokenCollection, config: FDEConfig, key: jax.Array
) -> tuple[Float[Array, "q dim"], Float[Array, "n dim"]]:
    """Encodings of all queries and documents under one draw."""
    params = sample_fde_params(key, config)
    encode = (encode_queries, partial(encode_documents, fill_empty=config.fill_empty))
    sides = (collection.queries, collection.documents)
    asked, documents = (
        f(params, jnp.asarray(side.tokens), jnp.asarray(side.owners), len(side)) for f, side in zip(encode, sides, strict=True)
    )
    return asked, documents


def fde_order(collection: TokenCollection, config: FDEConfig, key: jax.Array) -> Int[np.ndarray, "q n"]:
    """Documents of every query by falling inner product of the encodings."""
    asked, documents = encode_sides(collection, config, key)
    return ordered(asked @ documents.T)


def ordered(scores: Float[Array, "q n"]) -> Int[np.ndarray, "q n"]:
    """Documents of every query by falling score."""
    return np.argsort(-np.asarray(scores), axis=1, kind="stable")


def recall_after_reranking(
    exact: Float[np.ndarray, "q n"], carved: Float[np.ndarray, "q n"], candidates: Int[np.ndarray, "q c"], kept: int
) -> float:
    """Share of the exact best `kept` documents that re-ranking the candidates by the carved similarity returns."""
    scores = np.take_along_axis(carved, candidates, 1)
    returned = np.take_along_axis(candidates, np.argsort(-scores, axis=1, kind="stable")[:, :kept], 1)
    best = np.argsort(-exact, axis=1, kind="stable")[:, :kept]
    return float(np.mean([np.isin(b, r).mean() for b, r in zip(best, returned, strict=True)]))


def quantised_ranks(
    asked: Float[Array, "q dim"],
    documents: Float[Array, "n dim"],
    targets: Int[np.ndarray, " q"],
    config: SearchConfig,
    key: jax.Array,
) -> tuple[Float[np.ndarray, " q"], float]:
    """Places of the targets when documents are product-quantised, and the compression."""
    index = QuantisedMIPS.fit(documents, centres=config.centres, group_dim=config.group_dim, key=key, iters=config.iters)
    return target_ranks(list(ordered(index.scores(asked))), targets), index.compression

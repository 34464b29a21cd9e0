"""The retrieval pipeline: encode, fetch candidates by inner product, re-rank them by Chamfer similarity."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.muvera.ball_carving import ball_carve
from quire.muvera.chamfer import rerank_chamfer
from quire.muvera.encoding import FDEConfig, FDEParams, encode_documents, encode_queries, query_fde, sample_fde_params
from quire.muvera.mips import MIPS, ExactMIPS
from quire.muvera.token_sets import TokenSets


class Found(NamedTuple):
    """Documents, best first, and their Chamfer similarity (without re-ranking: NaN)."""

    doc_ids: Int[np.ndarray, " k"]
    scores: Float[np.ndarray, " k"]


@dataclass(frozen=True)
class MuveraIndex:
    """Documents ready to be searched.

    Attributes:
        config: shape of the encodings.
        params: the draws that documents and queries share.
        documents: their tokens, for re-ranking.
        doc_ids: the caller's id of every document.
        mips: the index over their encodings.
    """

    config: FDEConfig
    params: FDEParams
    documents: TokenSets
    doc_ids: Int[np.ndarray, " n"]
    mips: MIPS

    @staticmethod
    def build(
        tokens: Float[np.ndarray, "t d"],
        doc_ids: Int[np.ndarray, " t"],
        config: FDEConfig,
        *,
        mips: Callable[[Float[Array, "n dim"]], MIPS] = ExactMIPS,
        chunk: int = 4096,
    ) -> "MuveraIndex":
        """Encode the documents and index the encodings.

        Args:
            tokens: of all documents, unit vectors.
            doc_ids: document of every token, any integers.
            config: shape of the encodings; its seed makes the draws.
            mips: `ExactMIPS`, `QuantisedMIPS.fit` or `GraphMIPS`, with their options bound.
            chunk: documents encoded at once.

        Raises:
            ValueError: for tokens of another dimension than the configuration's, no tokens, or ids that do not fit.
        """
        documents, names = TokenSets.grouped(tokens, doc_ids)
        if not len(documents):
            raise ValueError("tokens are empty; an index needs at least 1 document")
        params = sample_fde_params(jax.random.key(config.seed), config)
        encodings = encode_in_chunks(params, documents, fill_empty=config.fill_empty, chunk=chunk)
        return MuveraIndex(config, params, documents, names, mips(encodings))

    def candidates(self, queries: TokenSets, n_candidates: int) -> Int[np.ndarray, "q n_candidates"]:
        """Ids of the documents that the encodings of many queries fetch, best first.

        Raises:
            ValueError: if `n_candidates` is not between 1 and the number of documents.
        """
        encodings = encode_queries(self.params, jnp.asarray(queries.tokens), jnp.asarray(queries.owners), len(queries))
        return self.doc_ids[self.mips.search(encodings, n_candidates)]

    def search(
        self,
        query: Float[np.ndarray, "m d"],
        n_candidates: int,
        k: int,
        *,
        rerank: bool = True,
        tau: float | None = None,
    ) -> Found:
        """The best documents for one query.

        Args:
            query: its tokens, unit vectors.
            n_candidates: documents fetched by their encodings.
            k: documents to return.
            rerank: order the candidates by Chamfer similarity.
            tau: carve the query into balls of this cosine for re-ranking; the paper uses 0.7.

        Raises:
            ValueError: unless 1 <= k <= n_candidates <= number of documents.
        """
        if not 1 <= k <= n_candidates <= len(self.documents):
            raise ValueError(f"k is {k} of {n_candidates} candidates of {len(self.documents)} documents; each needs the next")
        tokens, mask = _padded(query)
        candidates = self.mips.search(query_fde(self.params, tokens, mask)[None], n_candidates)[0]
        if not rerank:
            return Found(self.doc_ids[candidates[:k]], np.full(k, np.nan))
        if tau is not None:
            _, tokens, mask = ball_carve(tokens, tau, mask)
        scores = np.asarray(rerank_chamfer(tokens, mask, *self.documents.padded(candidates)))
        order = np.argsort(-scores, kind="stable")[:k]
        return Found(self.doc_ids[candidates[order]], scores[order])


def _padded(query: Float[np.ndarray, "m d"], multiple: int = 32) -> tuple[Array, Array]:
    """Tokens filled up to a multiple of ColBERT's 32, so that queries of many lengths share programs; which are real."""
    m = len(query)
    spare = max(multiple, -(-m // multiple) * multiple) - m
    return jnp.asarray(np.pad(np.asarray(query), ((0, spare), (0, 0)))), jnp.arange(m + spare) < m


def encode_in_chunks(
    params: FDEParams, documents: TokenSets, *, fill_empty: bool = True, chunk: int = 4096
) -> Float[Array, "n dim"]:
    """`encode_documents`, a number of documents at a time, which bounds memory.

    Args:
        params: shared draws.
        documents: their tokens.
        fill_empty: as for `document_fde`.
        chunk: documents encoded at once.

    Raises:
        ValueError: for a chunk below 1; as `encode_documents` does.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    if chunk >= len(documents):
        tokens, owners = jnp.asarray(documents.tokens), jnp.asarray(documents.owners)
        return encode_documents(params, tokens, owners, len(documents), fill_empty=fill_empty)
    starts = range(0, len(documents), chunk)
    ends = np.append(documents.starts, len(documents.tokens))
    most = max(int(ends[min(s + chunk, len(documents))] - ends[s]) for s in starts)
    parts = []
    for start in starts:
        here = slice(ends[start], ends[min(start + chunk, len(documents))])
        spare = most - (here.stop - here.start)
        count = min(chunk, len(documents) - start)
        tokens = np.pad(documents.tokens[here], ((0, spare), (0, 0)))
        owners = np.pad(documents.owners[here] - start, (0, spare), constant_values=count)
        parts.append(encode_documents(params, jnp.asarray(tokens), jnp.asarray(owners), count, fill_empty=fill_empty))
    return jnp.concatenate(parts)

"""Collections of token sets to search: Cranfield, the language reference, ColBERT's tokens, and one that misleads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.data.retrieval_sets import BEIRSet, colbert_tokens, cranfield
from quire.common.data.source import Source, open_or
from quire.common.data.text import language_reference
from quire.common.random import generator
from quire.muvera.token_sets import TokenSets
from quire.muvera.token_vectors import Encoder, words


@dataclass(frozen=True, eq=False)
class TokenCollection:
    """Documents and queries as sets of unit vectors.

    Attributes:
        name: as tables show it.
        documents, queries: their tokens; no set is empty.
        relevant: documents that count as right for every query, or None where nobody judged.
    """

    name: str
    documents: TokenSets
    queries: TokenSets
    relevant: Sequence[Int[np.ndarray, " _"]] | None = None


def cranfield_tokens(dim: int, key: jax.Array) -> TokenCollection:
    """Cranfield with the vectors of `token_vectors.Encoder`; documents and queries without tokens are left out.

    Args:
        dim: d.
        key: for the randomised singular vectors.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    texts = cranfield()
    encoder = Encoder(texts.documents, dim, key)
    documents, queries = encoder(texts.documents), encoder(texts.queries)
    kept, asked = np.flatnonzero(documents.lengths), np.flatnonzero(queries.lengths)
    place = np.full(len(documents), -1)
    place[kept] = np.arange(len(kept))
    judged = texts.relevant()
    relevant = [place[judged[i]][place[judged[i]] >= 0] for i in asked]
    return TokenCollection(
        f"Cranfield ({len(kept)} abstracts, {len(asked)} queries), PPMI tokens of {dim} dimensions",
        TokenSets(documents.tokens, documents.lengths[kept]),
        TokenSets(queries.tokens, queries.lengths[asked]),
        relevant,
    )


def beir_tokens(name: BEIRSet) -> TokenCollection:
    """ColBERTv2's tokens of a collection of BEIR.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    documents, queries = (TokenSets(*colbert_tokens(name, side)) for side in ("documents", "queries"))
    return TokenCollection(f"{name}, ColBERTv2 tokens ({len(documents)} documents, {len(queries)} queries)", documents, queries)


def reference_tokens(dim: int, key: jax.Array, *, least: int = 20, query_words: int = 20) -> TokenCollection:
    """Paragraphs of the language reference that ships with Python; queries are the beginnings of others.

    Args:
        dim: d.
        key: for the randomised singular vectors.
        least: words of a paragraph.
        query_words: words of a query, stop words included.
    """
    paragraphs, others = ([p for p in side.split("\n\n") if len(words(p)) >= least] for side in language_reference())
    encoder = Encoder(paragraphs, dim, key)
    sides = (encoder(paragraphs), encoder([" ".join(words(text)[:query_words]) for text in others]))
    documents, queries = (TokenSets(side.tokens, side.lengths[side.lengths > 0]) for side in sides)
    name = f"Python language reference ({len(documents)} paragraphs, {len(queries)} beginnings of others), PPMI tokens of {dim}"
    return TokenCollection(f"{name} dimensions", documents, queries)


CollectionName = Literal["cranfield"] | BEIRSet
COLBERT = "ColBERTv2 tokens of BEIR"


def open_collection(name: CollectionName, dim: int) -> Source[TokenCollection]:
    """`cranfield`, or the language reference where Cranfield is not at hand; any other name is a collection of BEIR.

    Args:
        name: of the collection.
        dim: d of the vectors that are made here.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    key = jax.random.key(0)
    if name == "cranfield":
        return open_or(lambda: cranfield_tokens(dim, key), lambda: reference_tokens(dim, key), stand_in_for=COLBERT)
    return open_or(lambda: beir_tokens(name))


def needles(
    key: jax.Array, dim: int, *, queries: int = 40, tokens: int = 16, distractors: int = 40, others: int = 48
) -> TokenCollection:
    """The mechanism that misleads the single-vector heuristic: many documents match two tokens very well, one matches all well.

    For every query one target, with a token at cosine .75 to each of the query's, and distractors with two at .95 and random
    ones instead of the rest. Every document has further random tokens.

    Args:
        key: for the draws.
        dim: d.
        queries: how many.
        tokens: of a query.
        distractors: for every query.
        others: random tokens that every document has besides.

    Returns:
        The first document of each group of `1 + distractors` is the target of a query; `relevant` says so.
    """
    draw = generator(key)
    asked = unit(draw.standard_normal((queries, tokens, dim)))
    size = 1 + distractors
    sets = unit(draw.standard_normal((queries, size, tokens + others, dim)))
    sets[:, 0, :tokens] = near(draw, asked, 0.75)
    copied = draw.permuted(np.broadcast_to(np.arange(tokens), (queries, distractors, tokens)), axis=-1)[..., :2]
    sets[:, 1:, :2] = near(draw, np.take_along_axis(asked[:, None], copied[..., None], axis=2), 0.95)
    lengths = np.full(queries * size, tokens + others)
    return TokenCollection(
        f"generated ({queries * size} documents of {tokens + others} tokens, {queries} queries of {tokens}, {dim} dimensions)",
        TokenSets(sets.reshape(-1, dim).astype(np.float32), lengths),
        TokenSets(asked.reshape(-1, dim).astype(np.float32), np.full(queries, tokens)),
        [np.array([i * size]) for i in range(queries)],
    )


def unit(x: Float[np.ndarray, "*batch d"]) -> Float[np.ndarray, "*batch d"]:
    """Vectors of unit length, from vectors that are not zero."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def near(draw: np.random.Generator, x: Float[np.ndarray, "*batch d"], cosine: float) -> Float[np.ndarray, "*batch d"]:
    """A random unit vector at the given cosine to each unit vector."""
    noise = draw.standard_normal(x.shape)
    aside = unit(noise - (noise * x).sum(-1, keepdims=True) * x)
    return (cosine * x + (1 - cosine**2) ** 0.5 * aside).astype(np.float32)

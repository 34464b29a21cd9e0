"""What a pre-trained model is worth: how well the bag of words can be read off, and zero-shot search by each part."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.checks import check_at_least
from quire.common.layers.nested import unit_rows
from quire.common.metrics.ranking import ranking_metrics
from quire.common.retrieval.sparse import Entries, top_entries
from quire.common.train.seeds import over_seeds
from quire.dupmae.model import DupMAE
from quire.dupmae.retriever import encode
from quire.dupmae.sources import SPECIALS, Corpus, Texts

PARTS = ("CLS", "OT", "CLS + OT")


class Encoded(NamedTuple):
    """Sentence vectors `[..., n, dim]` and pooled logits `[..., n, vocab]`."""

    cls: Float[Array, "*runs n dim"]
    pooled: Float[Array, "*runs n vocab"]


class EncodedCorpus(NamedTuple):
    """Queries and passages of a corpus."""

    queries: Encoded
    passages: Encoded


def encode_corpus(graph: nnx.GraphDef, state: Any, corpus: Corpus) -> EncodedCorpus:
    """Queries and passages by the models of a state `[runs, ...]`."""
    run = partial(_encoded, graph, corpus.preset.chunk, corpus.preset.one_by_one, state)
    return EncodedCorpus(*(run(Texts(*texts), texts.mask) for texts in (corpus.queries, corpus.passages)))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _encoded(graph, chunk, one_by_one, state, texts, mask):
    """One program for all arms."""

    def of_model(model: DupMAE, texts: Texts, mask: Array) -> Encoded:
        return Encoded(*encode(model, texts.tokens, mask, chunk=chunk))

    return over_seeds(graph, of_model, one_by_one=one_by_one)(state, texts, mask)


@partial(jax.jit, static_argnames="n")
def ranked_words(scores: Real[Array, "*batch vocab"], n: int) -> Int[Array, "*batch n"]:
    """Ids of the n words with the highest scores, specials left out.

    Raises:
        ValueError: for an n that is not between 1 and the number of words.
    """
    return top_entries(scores[..., SPECIALS:], n).index + SPECIALS


def bag_recall(found: Int[np.ndarray | Array, "#n k"], texts: Texts) -> Float[np.ndarray, " n"]:
    """Share of each text's different words that are among the found ones.

    Args:
        found: ids, for every text or one list for all.
        texts: the texts.

    Raises:
        ValueError: without texts.
    """
    check_at_least("number of texts", len(texts.tokens))
    found = np.broadcast_to(np.asarray(found), (len(texts.tokens), np.shape(found)[-1]))
    words = [np.unique(row[places >= 0]) for row, places in zip(texts.tokens, texts.word_ids, strict=True)]
    return np.array([np.isin(own, row).mean() for own, row in zip(words, found, strict=True)])


def frequent_words(texts: Texts, n: int) -> Int[np.ndarray, "1 n"]:
    """The n most frequent ordinary tokens: what one would guess of any text."""
    counts = np.bincount(texts.tokens[texts.word_ids >= 0])
    return np.argsort(-counts, kind="stable")[None, :n]


def centred_entries(pooled: Float[Array, "n vocab"], mean: Float[Array, "vocab"], top_n: int) -> Entries:
    """The largest entries above what a passage has on average, of unit length: words that are special to the text."""
    words = top_entries(pooled - mean[None], top_n)
    return Entries(words.index, unit_rows(words.value))


def search_scores(encoded: EncodedCorpus, top_n: int) -> dict[str, Float[Array, "q p"]]:
    """Scores without any fine-tuning: cosine of sentence vectors, inner products of centred word entries, and their sum.

    Args:
        encoded: of one model.
        top_n: words that a text keeps.

    Raises:
        ValueError: for a `top_n` that is not between 1 and the vocabulary.
    """
    queries, passages = encoded
    dense = unit_rows(queries.cls) @ unit_rows(passages.cls).T
    mean = passages.pooled.mean(0)
    sides = [centred_entries(side.pooled, mean, top_n).dense(len(mean)) for side in (queries, passages)]
    words = sides[0] @ sides[1].T
    return dict(zip(PARTS, (dense, words, dense + words), strict=True))


@partial(jax.jit, static_argnames="documents")
def of_documents(
    scores: Real[np.ndarray | Array, "q p"], owner: Int[np.ndarray | Array, " p"], documents: int
) -> Float[Array, "q d"]:
    """A document is as good as its best passage; one without passages comes last."""
    best = jnp.full((len(scores), documents), jnp.finfo(jnp.float32).min)
    return best.at[:, owner].max(jnp.asarray(scores, jnp.float32))


def evaluate_retrieval(
    scores: Real[np.ndarray | Array, "q d"], relevant: Bool[np.ndarray | Array, "q d"], k: int = 10
) -> dict[str, float]:
    """`mrr@k`, `recall@k` and `ndcg@k`, means over queries with a relevant document.

    Raises:
        ValueError: for a k beyond the documents, or shapes that differ.

    >>> found = evaluate_retrieval(jnp.array([[1.0, 3.0, 2.0]]), jnp.array([[False, False, True]]), 2)
    >>> {name: round(x, 3) for name, x in found.items()}
    {'mrr@2': 0.5, 'recall@2': 1.0, 'ndcg@2': 0.631}
    """
    found = _metrics(scores, relevant, k)
    return {f"{name}@{k}": float(found[f"{name}@{k}"]) for name in ("mrr", "recall", "ndcg")}


@partial(jax.jit, static_argnames="k")
def _metrics(scores, relevant, k):
    return ranking_metrics(scores.astype(jnp.float32), relevant, (k,))

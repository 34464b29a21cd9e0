"""The run that the empirical claims share: all arms and seeds pre-trained, words read off, passages searched."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.claims import shared
from quire.common.claims.left_out import NotTested
from quire.common.train.seeds import over_seeds, stack
from quire.dupmae.config import Preset
from quire.dupmae.evaluation import (
    PARTS,
    EncodedCorpus,
    bag_recall,
    encode_corpus,
    evaluate_retrieval,
    frequent_words,
    of_documents,
    ranked_words,
    search_scores,
)
from quire.dupmae.lexical import bm25_scores, tf_idf_scores
from quire.dupmae.retriever import DupMAERetriever
from quire.dupmae.sources import Corpus, open_corpus
from quire.dupmae.training import Arm, build_retriever, fine_tune, pretrain

ARMS = ("MLM", "DupMAE")


class Run(NamedTuple):
    """Results; arrays have a leading axis of seeds.

    Attributes:
        corpus: the texts.
        stand_in_for: what they stand in for.
        recall: of the bag of words, by arm.
        guess: the same by the most frequent words, for every seed alike.
        search: `[parts, metrics]` by arm, see `PARTS` and `METRICS`.
        lexical: metrics of TF-IDF and BM25.
        losses: `[steps]` by arm.
        models: graph and state by arm.
        encoded: of the corpus, by arm.
    """

    corpus: Corpus
    stand_in_for: str
    recall: dict[str, Float[np.ndarray, "*seeds"]]
    guess: Float[np.ndarray, "*seeds"]
    search: dict[str, Float[np.ndarray, "*seeds parts metrics"]]
    lexical: dict[str, Float[np.ndarray, "*seeds metrics"]]
    losses: dict[str, Float[np.ndarray, "*seeds steps"]]
    models: dict[str, tuple[nnx.GraphDef, Any]]
    encoded: dict[str, EncodedCorpus]


METRICS = ("mrr@10", "recall@10", "ndcg@10")


@shared
def run_all(preset: Preset, keys: jax.Array) -> Run:
    """Train and evaluate everything, all seeds at once."""
    return measured(preset, keys)


@shared
def run_collection(preset: Preset, keys: jax.Array) -> Run:
    """The same on the collection with judgements.

    Raises:
        DatasetUnavailable: if it is not on this machine, or the preset has none.
    """
    if preset.collection is None:
        raise NotTested("the texts of this preset have judgements of their own")
    return measured(preset.collection, keys)


def measured(preset: Preset, keys: jax.Array) -> Run:
    """Train every arm, read off words, search."""
    source = open_corpus(preset)
    corpus, seeds = source.value, len(keys)
    models, losses = trained(corpus, keys)
    encoded = {name: jax.device_get(encode_corpus(graph, state, corpus)) for name, (graph, state) in models.items()}
    bag, texts = corpus.preset.bag, corpus.passages
    recall = {
        name: np.array([bag_recall(found, texts).mean() for found in np.asarray(ranked_words(x.passages.pooled, bag))])
        for name, x in encoded.items()
    }
    guess = np.full(seeds, bag_recall(frequent_words(corpus.train, bag), texts).mean())
    search = {name: np.stack([searched(corpus, _of_seed(x, i)) for i in range(seeds)]) for name, x in encoded.items()}
    rivals = {name: np.tile(row, (seeds, 1)) for name, row in lexical(corpus).items()}
    return Run(corpus, source.stand_in_for, recall, guess, search, rivals, losses, models, encoded)


def trained(corpus: Corpus, keys: jax.Array) -> tuple[dict[str, tuple[nnx.GraphDef, Any]], dict[str, np.ndarray]]:
    """Graph and state, and losses, of every arm; RetroMAE, whose queries differ, is a program of its own."""
    arms = {"MLM": Arm(0.0, 0.0), "DupMAE": Arm(1.0, corpus.preset.bow_weight)}
    graph, states, losses = pretrain(corpus, arms, keys)
    models = {name: (graph, jax.tree.map(lambda x, i=i: x[i], states)) for i, name in enumerate(arms)}
    curves = dict(zip(arms, losses, strict=True))
    if corpus.preset.retromae:
        graph, states, losses = pretrain(corpus, {"RetroMAE": Arm(1.0, 0.0)}, keys, "retromae")
        models["RetroMAE"], curves["RetroMAE"] = (graph, jax.tree.map(lambda x: x[0], states)), losses[0]
    return models, curves


def searched(corpus: Corpus, encoded: EncodedCorpus) -> Float[np.ndarray, "parts metrics"]:
    """Metrics of one model's zero-shot search by each part."""
    scores = _search(encoded, corpus.preset.top_n)
    return np.array([judged(corpus, scores[part]) for part in PARTS])


_search = jax.jit(search_scores, static_argnums=1)


def fine_tuned(run: Run, key: jax.Array) -> dict[str, dict[str, float]]:
    """Metrics of every arm's retriever before and after contrastive fine-tuning, scored by inner products of both parts.

    Args:
        run: of one seed.
        key: of the batches.
    """
    corpus = run.corpus
    models = {name: nnx.merge(graph, jax.tree.map(jax.device_put, state)) for name, (graph, state) in run.models.items()}
    before = [build_retriever(corpus.preset, model, key) for model in models.values()]
    graph, states, _ = fine_tune(corpus, list(models.values()), key)
    stages = {"before": stack([nnx.split(x)[1] for x in before]), "after": states}
    run_retrievers = over_seeds(graph, _retrieve, one_by_one=corpus.preset.one_by_one)
    sides = [(texts.tokens, texts.mask) for texts in (corpus.queries, corpus.passages)]
    found = {}
    for stage, state in stages.items():
        for name, scores in zip(models, run_retrievers(state, *sides), strict=True):
            found[f"{name}, {stage}"] = dict(zip(METRICS, judged(corpus, scores), strict=True))
    return found


def _retrieve(retriever: DupMAERetriever, queries: tuple, passages: tuple) -> jax.Array:
    return retriever.score(retriever.encode(*queries), retriever.encode(*passages))


def judged(corpus: Corpus, scores: Any) -> list[float]:
    """Metrics of scores of passages."""
    documents = of_documents(jnp.asarray(scores, jnp.float32), corpus.owner, corpus.relevant.shape[1])
    return list(evaluate_retrieval(documents, corpus.relevant).values())


def lexical(corpus: Corpus) -> dict[str, Float[np.ndarray, " metrics"]]:
    """Metrics of TF-IDF and BM25 on the words that the models see; on all words too where the texts have more."""
    asked, passages = corpus.written(corpus.queries), corpus.written(corpus.passages)
    documents = [""] * corpus.relevant.shape[1]
    for owner, text in zip(corpus.owner, passages, strict=True):
        documents[owner] += " " + text
    sides = {"": (asked, documents)}
    if corpus.full is not None:
        sides[", all words"] = (list(corpus.full[1]), list(corpus.full[0]))
    return {
        f"{name}{suffix}": np.array(list(evaluate_retrieval(scores(*texts), corpus.relevant).values()))
        for suffix, texts in sides.items()
        for name, scores in (("TF-IDF", tf_idf_scores), ("BM25", bm25_scores))
    }


def _of_seed(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i], tree)

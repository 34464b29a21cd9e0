"""What the claims share: one set of codes, one set of senses, all seeds of a run at once."""

from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.common.data.sense_induction import semeval2013
from quire.common.data.word_questions import word_similarity
from quire.common.metrics.clustering import adjusted_rand_index
from quire.common.random import generator
from quire.common.text.tf_idf import tf_idf
from quire.common.train.seeds import fold_keys
from quire.text_vectors.annotated_senses import agreement
from quire.text_vectors.code_retrieval import code_distances, cosines, ndcg, reranked, tie_averaged_precision
from quire.text_vectors.code_training import autoencoder_codes, paragraph_vectors, starts
from quire.text_vectors.config import Preset, Senses
from quire.text_vectors.context_clustering import first_component_side
from quire.text_vectors.disambiguated_skipgram import DSGWeights
from quire.text_vectors.hashing import hyperplane_codes, itq_codes, latent_semantics, sign_codes
from quire.text_vectors.inference import fit_documents
from quire.text_vectors.news_documents import Documents, open_documents
from quire.text_vectors.paragraph_vectors import PVWeights, document_codes
from quire.text_vectors.sense_similarity import correlations, rated_pairs, similarities
from quire.text_vectors.sense_text import UNKNOWN, SenseText, open_text
from quire.text_vectors.sense_training import fit_clusters, fit_senses, occurrence_probabilities
from quire.text_vectors.senses import prune, sense_priors

# --- Codes ---


@shared
def coded_documents(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Codes of all documents by every method, the real vectors, and codes of documents of other classes; train before test."""
    config = preset.codes
    source = open_documents(config, keys[0])
    documents, n = source.value, len(source.value.train[1])
    counts = np.concatenate([documents.train[0], documents.test[0]])
    features = tf_idf(counts, n, sublinear=True)
    binary, real = paragraph_vectors(counts, config, keys, binary=(True, False))
    (both,) = paragraph_vectors(counts, config, keys, real_dim=config.real_dim)
    real = np.asarray(real.docs)
    lsa = latent_semantics(features, config.bits)
    codes = {
        "BPV": np.asarray(jax.vmap(document_codes)(binary)),
        "autoencoder": autoencoder_codes(counts, features, n, config, keys),
        "hyperplanes of tf-idf": np.stack([hyperplane_codes(features, config.bits, key) for key in keys]),
        "ITQ of LSA": np.stack([itq_codes(lsa, config.bits, key) for key in keys]),
        "signs of PV": sign_codes(real),
        "ITQ of PV": np.stack([itq_codes(x, config.bits, key) for x, key in zip(real, keys, strict=True)]),
        "hyperplanes of PV": np.stack([hyperplane_codes(x, config.bits, key) for x, key in zip(real, keys, strict=True)]),
        "Real-Binary": np.asarray(jax.vmap(document_codes)(both)),
    }
    relevant = documents.test[1][:, None] == documents.train[1][None]
    return {
        "documents": documents,
        "stand_in_for": source.stand_in_for,
        "tf-idf cosine": np.full(len(keys), ndcg(cosines(features[n:], features[:n]), relevant).mean()),
        "codes": codes,
        "precision": {name: _mean_precisions(x, n, relevant) for name, x in codes.items()},
        "vectors": np.asarray(both.docs),
        "other": _other_domain(documents, binary, preset, keys),
    }


def _mean_precisions(codes: np.ndarray, n: int, relevant: np.ndarray) -> np.ndarray:
    """Mean average precision, in expectation over ties, of the documents from number n on over those before: one a seed."""
    return np.array([tie_averaged_precision(code_distances(x[n:], x[:n]), relevant).mean() for x in codes])


def _other_domain(documents: Documents, weights: PVWeights, preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Codes of unseen documents of other classes, by trained and by random word vectors, by hyperplanes, and at random."""
    config, (counts, _) = preset.codes, documents.other
    begin = starts(keys, len(counts), config.bits)
    shuffled = weights._replace(out_w=jnp.asarray(_shuffled(np.asarray(weights.out_w), keys)))

    def fitted(weights, start):
        found = fit_documents(weights, jnp.asarray(counts), start, steps=config.infer_steps)
        return document_codes(weights._replace(docs=found))

    codes = jax.jit(jax.vmap(fitted))
    n = len(documents.train[1])
    features = tf_idf(np.concatenate([documents.train[0], counts]), n, sublinear=True)[n:]
    return {
        "BPV": np.asarray(codes(weights, begin)),
        "BPV, words shuffled": np.asarray(codes(shuffled, begin)),
        "hyperplanes of tf-idf": np.stack([hyperplane_codes(features, config.bits, key) for key in keys]),
        "random codes": (begin > 0).astype(np.uint8),
    }


def _shuffled(out_w: np.ndarray, keys: jax.Array) -> np.ndarray:
    """Rows of W in another order: the same numbers, which say nothing about the words any more."""
    return np.stack([generator(key).permutation(w) for key, w in zip(fold_keys(keys, 7), out_w, strict=True)])


def distances_of_tests(found: dict[str, Any], name: str) -> tuple[AnyArray, np.ndarray]:
    """Hamming distances of test from training documents, and which of these share the class."""
    documents, codes = found["documents"], found["codes"][name]
    n = len(documents.train[1])
    return code_distances(codes[n:], codes[:n]), documents.test[1][:, None] == documents.train[1][None]


def leave_one_out(codes: np.ndarray, labels: np.ndarray) -> AnyArray:
    """Average precision of every document over all others."""
    n = len(labels)
    others = ~np.eye(n, dtype=bool)
    distances = code_distances(codes, codes)[others].reshape(n, n - 1)
    return tie_averaged_precision(distances, (labels[:, None] == labels[None])[others].reshape(n, n - 1))


def rerank_quality(found: dict[str, Any], shortlist: int) -> dict[str, float]:
    """Mean NDCG@10 of codes, of the short list ranked anew, of the real vectors, and of tf-idf."""
    n = len(found["documents"].train[1])
    distances, relevant = distances_of_tests(found, "Real-Binary")
    vectors = found["vectors"]
    scores = {
        "re-ranked": reranked(distances, vectors[n:], vectors[:n], shortlist),
        "codes": -distances,
        "real vectors": cosines(vectors[n:], vectors[:n]),
    }
    quality = {name: float(ndcg(x, relevant).mean()) for name, x in scores.items()}
    return quality | {"tf-idf cosine": float(found["tf-idf cosine"])}


# --- Senses ---


@shared
def sense_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Disambiguated skip-gram and its rivals on a generated text a seed: indices of pseudo-words, priors, tables."""
    config = preset.senses
    texts = [open_text(config, key) for key in keys]
    weights = fit_senses(texts, config, keys)
    probs = occurrence_probabilities(weights, texts, config)
    found = {
        "DSG": [p.argmax(1) for p in probs],
        "MSSG": fit_clusters(texts, config, keys),
        "principal component": [component_sides(text, config) for text in texts],
        "principal component of rare words": [component_sides(text, config, rare=True) for text in texts],
    }
    return {
        "name": texts[0].name,
        "weights": jax.tree.map(np.asarray, weights),
        "scores": {name: np.stack(list(map(indices_of_words, texts, x))) for name, x in found.items()},
        "prior": np.stack([sense_priors(p, text.tokens[text.places], text.vocab) for p, text in zip(probs, texts, strict=True)]),
        "kind": np.stack([kinds_of_words(text) for text in texts]),
    }


@shared
def real_sense_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Disambiguated skip-gram of a real text: indices of pseudo-words, and what people judged, of every seed."""
    config = preset.real_senses
    assert config is not None  # the claims ask only then
    texts = [open_text(config, key) for key in keys]
    weights = fit_senses(texts, config, keys)
    probs = occurrence_probabilities(weights, texts, config)
    of_seeds = [jax.tree.map(lambda x, i=i: x[i], weights) for i in range(len(keys))]
    priors = [sense_priors(p, text.tokens[text.places], text.vocab) for p, text in zip(probs, texts, strict=True)]
    judged, rated = semeval2013(), word_similarity()
    return {
        "name": texts[0].name,
        "DSG": np.stack([indices_of_words(text, p.argmax(1)) for text, p in zip(texts, probs, strict=True)]),
        "principal component": np.stack([indices_of_words(text, component_sides(text, config)) for text in texts]),
        "agreement": _stacked([agreement(w, judged, text.words) for w, text in zip(of_seeds, texts, strict=True)]),
        "similarity": _stacked(list(map(rated_similarity, of_seeds, priors, texts, repeat(config), repeat(rated)))),
    }


def _stacked(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def rated_similarity(weights: DSGWeights, prior: np.ndarray, text: SenseText, config: Senses, rated: list) -> dict[str, float]:
    """100 times the rank correlation of every similarity with people's ratings, and the number of pairs."""
    a, b, ratings = rated_pairs(rated, text.words)
    found = similarities(weights.sense, prior, config.kept_prior, a, b)
    return correlations(found, ratings) | {"pairs": float(len(a))}


def indices_of_words(text: SenseText, found: np.ndarray) -> np.ndarray:
    """Adjusted Rand index of every pseudo-word, by id."""
    center, known = text.tokens[text.places], text.origin >= 0
    rows = [center == word for word in np.unique(center[known])]
    return np.array([adjusted_rand_index(text.origin[row], found[row]) for row in rows])


def component_sides(text: SenseText, config: Senses, *, rare: bool = False) -> np.ndarray:
    """Two clusters of the contexts of each pseudo-word without a model; 0 for other words."""
    center, context = text.windows(config.window)
    sides = np.zeros(len(center), int)
    for word in np.unique(center[text.origin >= 0]):
        sides[center == word] = first_component_side(context[center == word], text.vocab, UNKNOWN, rare=rare)
    return sides


def kinds_of_words(text: SenseText) -> np.ndarray:
    """2 for a pseudo-word, 1 for another word that occurs, else 0."""
    center = text.tokens[text.places]
    pseudo = np.unique(center[text.origin >= 0])
    return np.where(np.isin(np.arange(text.vocab), pseudo), 2, np.bincount(center, minlength=text.vocab) > 0)


def senses_kept(found: dict[str, np.ndarray], threshold: float) -> tuple[float, float]:
    """Mean number of senses kept of pseudo-words and of other words that occur."""
    kept = prune(found["prior"], threshold).sum(1)
    return float(kept[found["kind"] == 2].mean()), float(kept[found["kind"] == 1].mean())

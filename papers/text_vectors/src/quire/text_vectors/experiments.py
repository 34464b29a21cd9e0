"""What the claims share: one set of codes, one set of senses, all seeds of a run at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import shared
from quire.text_vectors.autoencoder import tf_idf
from quire.text_vectors.code_retrieval import code_distances, cosines, ndcg, reranked, tie_averaged_precision
from quire.text_vectors.code_training import autoencoder_codes, paragraph_vectors, starts
from quire.text_vectors.config import Preset
from quire.text_vectors.hashing import hyperplane_codes, itq_codes, latent_semantics, sign_codes
from quire.text_vectors.inference import fit_documents
from quire.text_vectors.news_documents import Documents, open_documents
from quire.text_vectors.paragraph_vectors import PVWeights, document_codes
from quire.text_vectors.sense_text import SenseText, open_text
from quire.text_vectors.sense_training import fit_clusters, fit_senses, occurrence_probabilities
from quire.text_vectors.senses import mean_rand_index, prune, sense_priors


@shared
def coded_documents(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Codes of all documents by every method, the real vectors, and codes of documents of other classes; train before test."""
    config = preset.codes
    source = open_documents(config, keys[0])
    documents, n = source.value, len(source.value.train[1])
    counts = np.concatenate([documents.train[0], documents.test[0]])
    features = tf_idf(counts, n)
    binary = paragraph_vectors(counts, config, keys)
    real = np.asarray(paragraph_vectors(counts, config, keys, binary=False).docs)
    both = paragraph_vectors(counts, config, keys, real_dim=config.real_dim)
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
    return {
        "documents": documents,
        "stand_in_for": source.stand_in_for,
        "features": np.broadcast_to(features, (len(keys), *features.shape)),
        "codes": codes,
        "vectors": np.asarray(both.docs),
        "other": _other_domain(documents, binary, preset, keys),
    }


def _other_domain(documents: Documents, weights: PVWeights, preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Codes of unseen documents of other classes, by trained and by random word vectors, by hyperplanes, and at random."""
    config, (counts, _) = preset.codes, documents.other
    begin = starts(keys, len(counts), config.bits)
    random = jax.tree.map(lambda x: x, weights)._replace(out_w=jnp.asarray(_shuffled(np.asarray(weights.out_w), keys)))

    def fitted(weights, start):
        found = fit_documents(weights, jnp.asarray(counts), start, steps=config.infer_steps)
        return document_codes(weights._replace(docs=found))

    codes = jax.jit(jax.vmap(fitted))
    features = tf_idf(np.concatenate([documents.train[0], counts]), len(documents.train[0]))[len(documents.train[0]) :]
    return {
        "BPV": np.asarray(codes(weights, begin)),
        "BPV, words shuffled": np.asarray(codes(random, begin)),
        "hyperplanes of tf-idf": np.stack([hyperplane_codes(features, config.bits, key) for key in keys]),
        "random codes": (begin > 0).astype(np.uint8),
    }


def _shuffled(out_w: np.ndarray, keys: jax.Array) -> np.ndarray:
    """Rows of W in another order: the same numbers, which say nothing about the words any more."""
    return np.stack([np.random.default_rng(i).permutation(w) for i, w in enumerate(out_w)])


def precision_of_tests(found: dict[str, Any], name: str) -> np.ndarray:
    """Average precision of every test document over the training documents, in expectation over ties."""
    distances, relevant = distances_of_tests(found, name)
    return tie_averaged_precision(distances, relevant)


def distances_of_tests(found: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Hamming distances of test from training documents, and which of these share the class."""
    documents, codes = found["documents"], found["codes"][name]
    n = len(documents.train[1])
    return code_distances(codes[n:], codes[:n]), documents.test[1][:, None] == documents.train[1][None]


def leave_one_out(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Average precision of every document over all others."""
    n = len(labels)
    others = ~np.eye(n, dtype=bool)
    distances = code_distances(codes, codes)[others].reshape(n, n - 1)
    return tie_averaged_precision(distances, (labels[:, None] == labels[None])[others].reshape(n, n - 1))


def rerank_quality(found: dict[str, Any], shortlist: int) -> dict[str, float]:
    """Mean NDCG@10 of codes, of the short list ranked anew, of the real vectors, and of tf-idf."""
    n = len(found["documents"].train[1])
    distances, relevant = distances_of_tests(found, "Real-Binary")
    vectors, features = found["vectors"], found["features"]
    scores = {
        "re-ranked": reranked(distances, vectors[n:], vectors[:n], shortlist),
        "codes": -distances,
        "real vectors": cosines(vectors[n:], vectors[:n]),
        "tf-idf cosine": cosines(features[n:], features[:n]),
    }
    return {name: float(ndcg(x, relevant).mean()) for name, x in scores.items()}


@shared
def sense_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Both models on a text a seed: adjusted Rand indices, priors, and what the notebook looks at, of every seed."""
    config = preset.senses
    texts = [open_text(config, key) for key in keys]
    weights = fit_senses(texts, config, keys)
    probs = occurrence_probabilities(weights, texts, config)
    clusters = fit_clusters(texts, config, keys)
    scored = [_scores(text, p, c, config.window) for text, p, c in zip(texts, probs, clusters, strict=True)]
    return {
        "name": texts[0].name,
        "weights": jax.tree.map(np.asarray, weights),
        "scores": {name: np.array([score[name] for score in scored]) for name in scored[0]},
    }


def _scores(text: SenseText, probs: np.ndarray, clusters: np.ndarray, window: int) -> dict[str, np.ndarray]:
    center, context = text.windows(window)
    known = text.origin >= 0
    pseudo = np.unique(center[known])
    trivial = np.zeros(len(center), int)
    for word in pseudo:
        trivial[center == word] = first_component_side(context[center == word], text.vocab)
    of_method = {"DSG": probs.argmax(1), "MSSG": clusters, "principal component": trivial}
    indices = {
        name: np.array([mean_rand_index(center[rows], text.origin[rows], x[rows]) for rows in (center == w for w in pseudo)])
        for name, x in of_method.items()
    }
    kind = np.where(np.isin(np.arange(text.vocab), pseudo), 2, np.bincount(center, minlength=text.vocab) > 0)
    return indices | {"prior": sense_priors(probs, center, text.vocab), "kind": kind}


def first_component_side(context: np.ndarray, vocab: int) -> np.ndarray:
    """Sides of the first principal component of bags of context words `[n, C]`: two clusters without a model."""
    from sklearn.decomposition import PCA

    bags = np.zeros((len(context), vocab), np.float32)
    np.add.at(bags, (np.arange(len(context))[:, None], context), 1)
    bags[:, 0] = 0
    return (PCA(1, svd_solver="covariance_eigh", random_state=0).fit_transform(bags)[:, 0] > 0).astype(int)


def senses_kept(scores: dict[str, np.ndarray], threshold: float) -> tuple[float, float]:
    """Mean number of senses kept of pseudo-words and of other words that occur."""
    kept = prune(scores["prior"], threshold).sum(1)
    return float(kept[scores["kind"] == 2].mean()), float(kept[scores["kind"] == 1].mean())

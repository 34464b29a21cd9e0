"""The claims of the paper, in its order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.claims.left_out import NotTested
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.text_vectors import brute_force, figures
from quire.text_vectors.code_retrieval import precision_recall
from quire.text_vectors.config import Preset
from quire.text_vectors.disambiguated_skipgram import DSGWeights, fine_loss, pretraining_loss
from quire.text_vectors.experiments import (
    coded_documents,
    distances_of_tests,
    leave_one_out,
    real_sense_runs,
    rerank_quality,
    sense_runs,
    senses_kept,
)
from quire.text_vectors.paper import paper
from quire.text_vectors.paragraph_vectors import PVWeights, pair_loss

# --- Binary paragraph vectors ---


@paper.claim(
    "C1",
    says="Losses and gradients of all models are those of their definitions",
    source="chapters on both models",
    metric="largest error / largest reference, float64",
    holds=all_of(below(1e-10), below(1e-4, of="float32")),
    exact=True,
)
def are_the_definitions(preset: Preset, key: jax.Array) -> Measurement:
    """Three paragraph vector models and both stages of disambiguated skip-gram, example by example in NumPy."""
    draw = generator(key)
    d, long, p, w, wide, b, words = (
        draw.standard_normal(x) for x in ((6, 7), (6, 10), (10, 7), (14, 7), (14, 11), (14,), (14, 4))
    )
    paragraphs = PVWeights(d, w, b), PVWeights(long, w, b, p), PVWeights(d, wide, b, words=words)
    own = DSGWeights(*(draw.standard_normal(x) for x in ((14, 3, 5), (14, 5), (14,), (14, 5, 3), (14, 3))))
    common = own._replace(ctx_w=own.ctx_w[0], ctx_b=own.ctx_b[0])
    doc, word, context = draw.integers(0, 6, 9), draw.integers(0, 14, 9), draw.integers(0, 14, (9, 4))
    uniform = draw.uniform(0.05, 0.95, (9, 3))
    expected: list[tuple[float, PVWeights | np.ndarray]] = [
        brute_force.paragraph(x, doc, word, c) for x, c in zip(paragraphs, (None, None, context), strict=True)
    ]
    expected.append(brute_force.disambiguated(own, word, context, uniform, 0.7))
    expected.append(brute_force.pretraining(common, word, context, 0.1))

    def error(dtype: Any) -> list[float]:
        inputs = jax.tree.map(lambda x: jnp.asarray(x, dtype), (paragraphs, own, common, uniform))
        found = _losses_and_slopes(*inputs, doc, word, context)
        leaves = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
        return [max_relative_error(a, b) for a, b in leaves]

    return identity(error, "9 examples of random tables")


@jax.jit
def _losses_and_slopes(paragraphs, own, common, uniform, doc, word, context):
    found = [jax.value_and_grad(pair_loss)(x, doc, word, c) for x, c in zip(paragraphs, (None, None, context), strict=True)]

    def of_senses(weights, loss, *rest):
        return jax.value_and_grad(lambda sense: loss(weights._replace(sense=sense), word, context, context, *rest))(weights.sense)

    return [*found, of_senses(own, fine_loss, uniform, 0.7), of_senses(common, pretraining_loss, 0.1)]


def _retrieval(preset: Preset, key: jax.Array, figure: Any = None) -> Measurement:
    found = coded_documents(preset, key)
    precisions = {name: float(x) for name, x in found["precision"].items()}
    documents = found["documents"]
    chance = float((documents.test[1][:, None] == documents.train[1][None]).mean())
    return Measurement(
        precisions["BPV"],
        f"{found['documents'].name}, {preset.codes.bits} bits",
        baselines={name: x for name, x in precisions.items() if name not in ("BPV", "Real-Binary")},
        extras={"Real-Binary": precisions["Real-Binary"], "chance": chance},
        stand_in_for=found["stand_in_for"],
        figure=figure(found, precisions, chance),
    )


@paper.claim(
    "C2",
    says="Codes of binary paragraph vectors find documents better than hashing that does not look at the data",
    source="abstract of Binary Paragraph Vectors",
    metric="MAP of test queries, codes alone",
    holds=every_seed(beats("hyperplanes of tf-idf", by=0.05)),
    trivial="hyperplanes of tf-idf",
)
def better_than_hyperplanes(preset: Preset, key: jax.Array) -> Measurement:
    """The full Hamming ranking, in expectation over ties."""
    return _retrieval(
        preset, key, lambda found, precisions, chance: figures.bars(precisions, "MAP", chance, ours=("BPV", "Real-Binary"))
    )


@paper.claim(
    "C2b",
    says="Codes of binary paragraph vectors are better than those of an autoencoder of the same length",
    source="abstract of Binary Paragraph Vectors",
    metric="MAP of test queries, codes alone",
    holds=every_seed(beats("autoencoder")),
    trivial="hyperplanes of tf-idf",
    expect="not reproduced",
    because=(
        "An autoencoder with the same rounding, which sees a document's words at once, learns better codes from so few documents "
        "and passes: one encoder serves all documents, while every paragraph vector has its own bits to find. Principal "
        "components of tf-idf, turned, do as well as the autoencoder."
    ),
)
def better_than_an_autoencoder(preset: Preset, key: jax.Array) -> Measurement:
    """The same codes."""

    def curves(found, precisions, chance):
        names = ("BPV", "autoencoder", "ITQ of LSA", "hyperplanes of tf-idf")
        return figures.precision_recall({name: precision_recall(*distances_of_tests(found, name)) for name in names})

    return _retrieval(preset, key, curves)


@paper.claim(
    "C3",
    says="Ranking the nearest codes anew by real vectors finds better documents than codes alone",
    source="section on Real-Binary PV-DBOW",
    metric="NDCG@10, short list ranked anew",
    holds=every_seed(beats("codes", by=0.05)),
    trivial="tf-idf cosine",
)
def reranking_helps(preset: Preset, key: jax.Array) -> Measurement:
    """One model gives both. Cosines of tf-idf are not compressed, and stand beside."""
    found = coded_documents(preset, key)
    quality = rerank_quality(found, preset.codes.shortlist)
    return Measurement(
        quality["re-ranked"],
        f"{found['documents'].name}, {preset.codes.real_dim} numbers and {preset.codes.bits} bits",
        baselines={name: x for name, x in quality.items() if name != "re-ranked"},
        stand_in_for=found["stand_in_for"],
        figure=figures.bars(quality, "NDCG@10", ours=("re-ranked",)),
    )


@paper.claim(
    "C4",
    says="A trained model gives useful codes to documents of a domain that it has not seen",
    source="section on transfer",
    metric="MAP, every document over the others",
    holds=all_of(every_seed(beats("hyperplanes of tf-idf")), every_seed(above(3, of="gain / its standard error"))),
    trivial="hyperplanes of tf-idf",
)
def transfers(preset: Preset, key: jax.Array) -> Measurement:
    """Other classes, the same words; all is frozen but the rows of the new documents."""
    found = coded_documents(preset, key)
    labels = found["documents"].other[1]
    precision = {name: leave_one_out(codes, labels) for name, codes in found["other"].items()}
    gain = precision["BPV"] - precision["hyperplanes of tf-idf"]
    means = {name: float(x.mean()) for name, x in precision.items()}
    return Measurement(
        means["BPV"],
        f"{len(labels)} posts of other classes, codes of a model of {found['documents'].name}",
        baselines={name: x for name, x in means.items() if name != "BPV"},
        extras={
            "gain / its standard error": float(gain.mean() / (gain.std(ddof=1) / len(gain) ** 0.5)),
            "standard error": float(precision["BPV"].std(ddof=1) / len(gain) ** 0.5),
        },
        stand_in_for=found["stand_in_for"],
        figure=figures.bars(means, "MAP", ours=("BPV",)),
    )


# --- Disambiguated skip-gram ---


@paper.claim(
    "C5",
    says="Disambiguated skip-gram tells the senses of a word apart",
    source="abstract of Disambiguated skip-gram model",
    metric="mean adjusted Rand index of pseudo-words",
    holds=all_of(every_seed(above(0.5)), every_seed(beats("principal component"))),
    trivial="principal component",
)
def separates_senses(preset: Preset, key: jax.Array) -> Measurement:
    """The likeliest sense of every occurrence against the word that it was."""
    return _separation(sense_runs(preset, key))


@paper.claim(
    "C5e",
    says="It tells them apart better than a component of the contexts does in which rare words weigh more",
    source="abstract of Disambiguated skip-gram model",
    metric="mean adjusted Rand index of pseudo-words",
    holds=on_average(beats("principal component of rare words")),
    trivial="principal component of rare words",
    expect="not reproduced",
    because="one rare word of a topic says nearly all about a context of this text, and no step of training is needed to hear it",
)
def separates_better_than_rare_words(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs against the strongest rival without a model."""
    return _separation(sense_runs(preset, key))


def _separation(found: dict[str, Any]) -> Measurement:
    scores = found["scores"]
    return Measurement(
        float(scores["DSG"].mean()),
        found["name"],
        baselines={name: float(x.mean()) for name, x in scores.items() if name != "DSG"},
        figure=figures.by_word(scores["DSG"], scores["principal component"]),
        stand_in_for="SemEval 2007, 2010 and 2013, WWSI",
    )


@paper.claim(
    "C6",
    says="Pruning by the prior keeps more senses of words that have several",
    source="section on pruning",
    metric="senses kept of a pseudo-word",
    holds=on_average(at_least(0.5, of="more than of other words")),
    trivial="all senses",
)
def pruning_sees_ambiguity(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs. That a higher threshold keeps less is true by definition."""
    config, found = preset.senses, sense_runs(preset, key)
    pseudo, plain = senses_kept(found, config.kept_prior)
    thresholds = np.linspace(0, 0.6, 31)
    curves = np.array([senses_kept(found, threshold) for threshold in thresholds])
    return Measurement(
        pseudo,
        f"{found['name']}, priors of at least {config.kept_prior}",
        baselines={"other words": plain, "all senses": float(config.senses)},
        extras={"more than of other words": pseudo - plain},
        figure=figures.kept_senses(thresholds, curves[:, 0], curves[:, 1]),
        stand_in_for="English Wikipedia",
    )


# --- Real text ---


def _real(preset: Preset, key: jax.Array) -> dict[str, Any]:
    if preset.real_senses is None:
        raise NotTested("minutes of training on real text; the preset standard has it")
    return real_sense_runs(preset, key)


@paper.claim(
    "C5b",
    says="Disambiguated skip-gram tells the senses of a word apart in real text",
    source="abstract of Disambiguated skip-gram model",
    metric="mean adjusted Rand index of pseudo-words",
    holds=all_of(on_average(at_least(0.08)), every_seed(above(3, of="index / its standard error"))),
    trivial="principal component",
)
def separates_senses_of_real_text(preset: Preset, key: jax.Array) -> Measurement:
    """Random pairs of words, each pair under one name."""
    found = _real(preset, key)
    index = found["DSG"]
    return Measurement(
        float(index.mean()),
        found["name"],
        baselines={"principal component": float(found["principal component"].mean())},
        extras={"index / its standard error": float(index.mean() / (index.std(ddof=1) / len(index) ** 0.5))},
        stand_in_for="English Wikipedia",
    )


@paper.claim(
    "C5c",
    says="The senses that it finds agree with those that people give",
    source="word-sense induction on SemEval-2013",
    metric="mean adjusted Rand index of 50 lemmas or fewer",
    holds=on_average(beats("principal component")),
    trivial="principal component",
)
def agrees_with_people(preset: Preset, key: jax.Array) -> Measurement:
    """All words of a sentence are the context; one sense for all has an index of 0."""
    found = _real(preset, key)
    score = found["agreement"]
    return Measurement(
        float(score["model"]),
        f"SemEval-2013 task 13, {score['words']:.0f} lemmas; senses of {found['name']}",
        baselines={"principal component": float(score["principal component"])},
        stand_in_for="SemEval 2007, 2010 and 2013, WWSI",
    )


@paper.claim(
    "C5d",
    says="Similarities of senses rank pairs of words as people do",
    source="section on word similarity",
    metric="100 Spearman's rank correlation, avgSimP",
    holds=on_average(beats("one vector")),
    trivial="one vector",
)
def ranks_pairs_as_people(preset: Preset, key: jax.Array) -> Measurement:
    """WordSim-353; a word's mean vector is what it would have without senses."""
    found = _real(preset, key)
    score = {name: float(x) for name, x in found["similarity"].items()}
    return Measurement(
        score["avgSimP"],
        f"WordSim-353, {score['pairs']:.0f} pairs; senses of {found['name']}",
        baselines={name: score[name] for name in ("one vector", "avgSim")},
        stand_in_for="WordSim-353, SimLex-999 and SCWS after training on English Wikipedia",
    )

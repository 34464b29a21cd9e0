"""What the thesis states, measured: C1 to C6."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, all_of, beats, below, every_seed, shared
from quire.common.claims.identity import identity
from quire.common.claims.left_out import NotTested
from quire.common.random import generator
from quire.word_embeddings import benchmark, brute_force, figures
from quire.word_embeddings.config import Config, ReplayConfig
from quire.word_embeddings.corpora import open_text
from quire.word_embeddings.experiments import (
    compare_on_markers,
    compare_on_news,
    open_news,
    ppmi_share,
    ppmi_vectors,
    random_vectors,
    segmentation_scores,
    similarities,
    train_english,
    train_grammar,
)
from quire.word_embeddings.glove import replay_glove
from quire.word_embeddings.models import MODELS, Model, NSConfig, NSParams
from quire.word_embeddings.paper import paper
from quire.word_embeddings.sequential import replay
from quire.word_embeddings.theory import (
    glove_target,
    optimise_sgns,
    sgns_loss,
    shifted_pmi,
    softmax_skipgram_loss,
    weighted_cross_entropy,
)

paper.benchmark = benchmark.benchmark

PPMI = "PPMI-SVD"


class Kept:
    """What all seeds of a run have in common; not a tree of arrays, so that it is not cut by seed."""

    def __init__(self, run: Any):
        self.run = run


# --- C1, C2: exact ---


@paper.claim(
    "C1",
    says="The six trainers and GloVe are the authors' algorithms, update after update",
    source="chapter 3, and the authors' code",
    metric="largest error of a parameter, float64",
    holds=all_of(below(1e-9), below(5e-6, of="float32")),
    exact=True,
    seeds=1,
)
def replays(config: Config, key: jax.Array) -> Measurement:
    """Random examples, against the algorithm row by row in NumPy; tests add the traces of the authors' program to both."""
    c = config.replay
    draw = generator(key)
    traces = {model: _trace(c, model, draw) for model in MODELS}
    truth = {
        model: brute_force.replay(model, [x for x in start if x is not None], *examples, cfg.rate)
        for model, (cfg, start, examples) in traces.items()
    }
    pairs = draw.integers(0, c.vocab_size, (c.examples, 2)).astype(np.int32)
    counts, table = 200 * draw.random(c.examples) + 0.1, draw.uniform(-0.5, 0.5, (2 * c.vocab_size, c.dim + 1))
    glove_truth = brute_force.replay_glove(pairs, counts, c.vocab_size, table, 2, 0.05, 100.0, 0.75)

    def errors(dtype: Any) -> dict[str, float]:
        found = {}
        for model, (cfg, start, examples) in traces.items():
            after = replay(jax.tree.map(lambda x: jnp.asarray(x, dtype), start), cfg, *examples).params
            rows = zip([x for x in after if x is not None], truth[model], strict=True)
            found[figures.NAMES[model]] = float(np.max([np.abs(x - table.values).max() for x, table in rows]))
        glove = replay_glove(jnp.asarray(table, dtype), pairs, jnp.asarray(counts, dtype), 2)
        return found | {"GloVe": float(np.abs(glove.table - glove_truth[0]).max())}

    return identity(errors, f"{c.examples} random examples of {c.vocab_size} words a model, d = {c.dim}, w = {c.window}")


def _trace(
    c: ReplayConfig, model: Model, draw: np.random.Generator
) -> tuple[NSConfig, NSParams, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A trainer, its start, which has larger numbers than in training so that scores saturate, and examples."""
    cfg = NSConfig(model, c.dim, c.window, c.negatives, lr=0.05)
    embed, out = (draw.uniform(-1, 1, shape) for shape in ((c.vocab_size, c.dim), cfg.out_shape(c.vocab_size)))
    start = NSParams(embed, out, None if cfg.hidden_shape is None else draw.uniform(-1, 1, cfg.hidden_shape))
    target = draw.integers(0, c.vocab_size, c.examples).astype(np.int32)
    context = draw.integers(0, c.vocab_size, (c.examples, cfg.contexts)).astype(np.int32)
    negative = draw.integers(0, c.vocab_size, (c.examples, c.negatives)).astype(np.int32)
    return cfg, start, (target, context, np.where(negative == target[:, None], -1, negative))


@paper.claim(
    "C2",
    says="Skip-gram and GloVe factorise the same matrix of pointwise mutual information",
    source="chapter 3: Skip-gram and GloVe",
    metric="|score - (PMI - log K)| after training",
    holds=all_of(
        below(1e-2),
        below(1e-2, of="loss above its minimum / minimum"),
        below(1e-10, of="softmax Skip-gram - weighted cross entropy"),
        below(1e-10, of="softmax Skip-gram at Q = P - weighted entropy"),
        below(1e-10, of="GloVe with log-count biases - PMI"),
    ),
    exact=True,
)
def same_matrix(config: Config, key: jax.Array) -> Measurement:
    """Free scores trained on random counts, and identities of the losses, relative; float64."""
    c = config.replay
    draw = generator(key)
    counts = 1.0 + draw.poisson(20 * draw.random((8, 8)))
    scores = draw.standard_normal(counts.shape)
    trained: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def errors(dtype: Any) -> dict[str, float]:
        x, s = jnp.asarray(counts, dtype), jnp.asarray(scores, dtype)
        pmi = shifted_pmi(x, c.sgns_negatives)
        found = optimise_sgns(x, c.sgns_negatives, c.sgns_steps)
        trained["pmi, score"] = np.asarray(pmi), np.asarray(found)
        minimum = sgns_loss(pmi, x, c.sgns_negatives)
        p = counts / counts.sum(1, keepdims=True)
        entropy = -np.sum(counts * np.log(p))
        cross = -np.sum(counts.sum(1) * np.sum(p * np.asarray(jax.nn.log_softmax(s)), axis=1))
        gaps = {
            "score": jnp.abs(found - pmi).max(),
            "loss above its minimum / minimum": (sgns_loss(found, x, c.sgns_negatives) - minimum) / minimum,
            "softmax Skip-gram - weighted cross entropy": jnp.maximum(
                jnp.abs(softmax_skipgram_loss(s, x) - cross), jnp.abs(weighted_cross_entropy(x, s) - cross)
            )
            / cross,
            "softmax Skip-gram at Q = P - weighted entropy": (softmax_skipgram_loss(jnp.log(x), x) - entropy) / entropy,
            "GloVe with log-count biases - PMI": jnp.abs(glove_target(x) - shifted_pmi(x)).max(),
        }
        return {name: abs(float(gap)) for name, gap in gaps.items()}

    measured = identity(errors, f"counts of {len(counts)} words, K = {c.sgns_negatives}", single=False)
    return replace(measured, figure=figures.factorisation_figure(*trained["pmi, score"], c.sgns_negatives))


# --- C3: a real corpus ---


@shared
def english_runs(config: Config, keys: jax.Array) -> dict[str, Any]:
    """CBOW and C&W, and their similarity to the ratings `[seeds, snapshots]`; PPMI-SVD."""
    c = config.english
    judged = open_text(c.corpus, c.min_count).value
    runs = {model: train_english(c, model, list(keys)) for model in ("cbow", "cw")}
    ppmi = ppmi_vectors(c.corpus, c.min_count, c.window, c.dim)
    found = {model: similarities(np.asarray(run.params.embed), judged) for model, run in runs.items()}
    return {
        "similarity": found,
        "kept": Kept(runs),
        "ppmi": float(similarities(ppmi, judged)),
        "random": np.array([similarities(random_vectors(*ppmi.shape, key), judged) for key in keys]),
        "words": tuple(int(n) for n in runs["cbow"].words),
        "figure": figures.learning_figure(
            runs["cbow"].words,
            {"CBOW": found["cbow"], "C&W": found["cw"]},
            {PPMI: float(similarities(ppmi, judged))},
            ylabel="Spearman correlation with ratings",
        ),
    }


@paper.claim(
    "C3",
    says="On a small corpus a simple model of the context (CBOW) beats a neural network that scores the window (C&W)",
    source="chapter 3, section on corpora; Lai et al. 2016, section 4",
    metric="Spearman correlation of cosines with human ratings, MEN",
    holds=beats("C&W"),
    trivial=PPMI,
)
def simple_models_on_small_corpora(config: Config, key: jax.Array) -> Measurement:
    """Less than an epoch of under two million words. The direction alone; singular vectors of counts stand beside it."""
    c = config.english
    source, found = open_text(c.corpus, c.min_count), english_runs(config, key)
    return Measurement(
        float(found["similarity"]["cbow"][-1]),
        source.name,
        baselines={PPMI: found["ppmi"], "C&W": float(found["similarity"]["cw"][-1]), "random vectors": float(found["random"])},
        series={"CBOW": (found["words"], found["similarity"]["cbow"]), "C&W": (found["words"], found["similarity"]["cw"])},
        stand_in_for=source.stand_in_for,
        figure=found["figure"],
    )


# --- C4: words that can stand in for each other ---


@shared
def grammar_runs(config: Config, keys: jax.Array) -> dict[str, Any]:
    """Shares of same-class neighbours `[seeds, snapshots]` of Order, CBOW and C&W, and the vectors of the first seed."""
    run = train_grammar(config.grammar, list(keys), ("order", "cbow", "cw"))
    shares = {model: run.shares(model) for model in run.fitted}
    ppmi = np.array([ppmi_share(config.grammar, grammar) for grammar in run.grammars])
    words = run.fitted["cbow"].words
    return {
        "shares": shares,
        "ppmi": ppmi,
        "words": tuple(int(n) for n in words),
        "kept": Kept(run),
        "figure": figures.learning_figure(
            words,
            {figures.NAMES[model]: curve for model, curve in shares.items()},
            {PPMI: float(ppmi.mean())},
            ylabel="nearest neighbour of the same class",
        ),
    }


@paper.claim(
    "C4",
    says="Predicting a word from its context finds words that can stand in for each other; scoring the window does not",
    source="chapter 3, relation of context and target; Lai et al. 2016, section 4",
    metric="words whose nearest neighbour is of their class, Order",
    holds=all_of(every_seed(beats("C&W", by=0.3)), every_seed(beats("C&W", by=0.3, of="CBOW"))),
    trivial="chance",
)
def substitutes(config: Config, key: jax.Array) -> Measurement:
    """A text of word classes that follow one another; words of a class are exchangeable."""
    c, found = config.grammar, grammar_runs(config, key)
    last = {model: float(curve[-1]) for model, curve in found["shares"].items()}
    return Measurement(
        last["order"],
        f"generated, {c.tokens} words, {c.classes} classes of {c.words}",
        baselines={
            "chance": (c.words - 1) / (c.classes * c.words - 1),
            "C&W": last["cw"],
            PPMI: float(found["ppmi"]),
        },
        extras={"CBOW": last["cbow"]},
        series={figures.NAMES[model]: (found["words"], curve) for model, curve in found["shares"].items()},
        stand_in_for="analogies on Wikipedia",
        figure=found["figure"],
    )


# --- C5: documents ---


@shared
def marker_runs(config: Config, keys: jax.Array) -> dict[str, Any]:
    """Accuracies by method `[seeds]`, and the networks of all seeds."""
    found = compare_on_markers(config.markers, list(keys))
    figure = figures.bars_figure(
        {name: 100 * values for name, values in found.accuracy.items()}, ("chance", 50.0), "test accuracy (%)"
    )
    return {"accuracy": found.accuracy, "kept": Kept(found), "figure": figure}


@paper.claim(
    "C5",
    says="RCNN beats convolution and bags of words where a wide context decides the class",
    source="chapter 5; Lai et al. 2015, section 4",
    metric="test accuracy",
    unit="%",
    holds=every_seed(beats("CNN", by=10)),
    trivial="chance",
)
def wide_context(config: Config, key: jax.Array) -> Measurement:
    """Which of two marker words comes first. A plain recurrent network, which also sees everything, stands beside it."""
    c, found = config.markers, marker_runs(config, key)
    accuracy = {name: 100 * float(value) for name, value in found["accuracy"].items()}
    return Measurement(
        accuracy.pop("RCNN"),
        f"generated, {c.train} / {c.test} texts of {c.length} words, markers {c.gap[0]} to {c.gap[1]} apart",
        baselines={"chance": 50.0, **accuracy},
        stand_in_for="20 Newsgroups",
        figure=found["figure"],
    )


@shared
def news_runs(config: Config, keys: jax.Array) -> dict[str, np.ndarray]:
    """Accuracies by method `[seeds]`."""
    assert config.news is not None  # the claim asks only then
    return dict(compare_on_news(config.news, config.english, list(keys)).accuracy)


@paper.claim(
    "C5b",
    says="RCNN classifies news posts as well as convolution, or better",
    source="Lai et al. 2015, table 2",
    metric="test accuracy",
    unit="%",
    holds=beats("CNN", by=-1),
    trivial="bag of words",
)
def news_posts(config: Config, key: jax.Array) -> Measurement:
    """Four super-classes, from Skip-gram vectors."""
    if config.news is None:
        raise NotTested("networks on news posts exceed its cost; use --preset standard")
    accuracy = {name: 100 * float(value) for name, value in news_runs(config, key).items()}
    return Measurement(
        accuracy.pop("RCNN"), open_news(config.news)[0].name, baselines=accuracy, stand_in_for="20News by date, all"
    )


# --- C6: Chinese ---


@shared
def chinese_runs(config: Config, keys: jax.Array) -> dict[str, np.ndarray]:
    """Boundary F1 by vectors `[seeds]`."""
    assert config.chinese is not None  # the claim asks only then
    return segmentation_scores(config.chinese, list(keys))


@paper.claim(
    "C6",
    says="Vectors of characters that were trained with words segment better than those of characters alone",
    source="chapter 4",
    metric="F1 of word boundaries",
    holds=beats("characters alone"),
    trivial="random vectors",
)
def joint_vectors(config: Config, key: jax.Array) -> Measurement:
    """A window tagger over frozen vectors."""
    if config.chinese is None:
        raise NotTested("two more trainers and a tagger exceed its cost; use --preset standard")
    scores = {name: float(value) for name, value in chinese_runs(config, key).items()}
    return Measurement(
        scores.pop("joint"), "UD Chinese-GSDSimp, 500 / 500 sentences", baselines=scores, stand_in_for="People's Daily and MSR"
    )

"""The paper's claims, measured: D1 to D6."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, all_of, at_most, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.layers.bert import BertConfig
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.dupmae import brute_force, figures
from quire.dupmae.config import Preset
from quire.dupmae.cost import step_macs, step_times
from quire.dupmae.evaluation import PARTS
from quire.dupmae.experiment import METRICS, Run, run_all, run_collection
from quire.dupmae.model import DupMAE, load_dupmae
from quire.dupmae.objective import Masked, dupmae_loss
from quire.dupmae.paper import paper
from quire.dupmae.random_model import authors_weights, random_batch
from quire.dupmae.retriever import concatenated, represent, score, score_on_queries_words

# --- D1, D2: exact ---

TINY = BertConfig(vocab_size=23, dim=8, depth=2, num_heads=2, mlp_dim=12, max_length=9)


@paper.claim(
    "D1",
    says="Masked words, the sentence from its vector, and its bag of words: the loss of a step",
    source="section 3, equations 1 to 8",
    metric="largest error / largest entry, float64",
    holds=all_of(at_most(1e-8), at_most(2e-4, of="float32")),
    exact=True,
)
def objective(preset: Preset, key: jax.Array) -> Measurement:
    """A random model and texts of several lengths, against place by place in NumPy; tests add the authors' outputs."""
    draw = generator(key)
    weights, batch = authors_weights(TINY, draw), random_batch(TINY, draw)
    double, inputs = {name: x.astype(float) for name, x in weights.items()}, batch._asdict()
    expected = brute_force.losses(double, TINY.num_heads, inputs, 0.1)
    expected["RetroMAE"] = brute_force.losses(double, TINY.num_heads, inputs, 0.1, retromae=True)["total"]

    def errors(dtype: Any) -> dict[str, float]:
        abstract = nnx.eval_shape(lambda: DupMAE(TINY, rngs=nnx.Rngs(0)))
        model = load_dupmae(abstract, {name: x.astype(dtype) for name, x in weights.items()})
        found = _loss_forms(model, batch._replace(bow=batch.bow.astype(dtype)))
        return {f"error, {name}": max_relative_error(found[name], x) for name, x in expected.items()}

    return identity(errors, f"3 random texts, {TINY.depth} layers of {TINY.dim}")


@nnx.jit
def _loss_forms(model: DupMAE, batch: Masked) -> dict[str, jax.Array]:
    total, parts = dupmae_loss(model, batch, chunk=4)
    retromae, _ = dupmae_loss(model, batch, bow_weight=0.0, queries="retromae")
    return parts | {"total": total, "RetroMAE": retromae}


@paper.claim(
    "D2",
    says="Dense and sparse scores together are the inner product of concatenated vectors",
    source="section 3.3",
    metric="largest error / largest score, float64",
    holds=all_of(at_most(1e-10), at_most(1e-5, of="float32")),
    exact=True,
)
def scores(preset: Preset, key: jax.Array) -> Measurement:
    """Random texts: gathered, compared and concatenated forms, and pair by pair in NumPy; passages sparse and whole."""
    draw, dim, reduced, vocab, top_n = generator(key), 24, 8, 120, 30
    cls, pooled = draw.standard_normal((2, 9, dim)), draw.standard_normal((2, 9, vocab)) + 1.0
    reduction = draw.standard_normal((dim, reduced))
    sides = [list(zip(c @ reduction, mu, strict=True)) for c, mu in zip(cls, pooled, strict=True)]
    expected = [
        np.array([[brute_force.score(q, p, top_n, passage_sparse=sparse) for p in sides[1]] for q in sides[0]])
        for sparse in (True, False)
    ]

    def error(dtype: Any) -> list[float]:
        found = _score_forms(*(jnp.asarray(x, dtype) for x in (cls, pooled, reduction)), top_n)
        return [max_relative_error(x, expected[i]) for x, i in zip(found, (0, 0, 0, 1), strict=True)]

    return identity(error, f"9 queries, 9 passages of {reduced} numbers and {top_n} of {vocab} words")


@partial(jax.jit, static_argnums=3)
def _score_forms(cls, pooled, reduction, top_n):
    vocab = pooled.shape[-1]
    queries, passages = (represent(cls[i], pooled[i], reduction, top_n) for i in (0, 1))
    inner = concatenated(queries, vocab) @ concatenated(passages, vocab).T
    whole = score_on_queries_words(queries, passages.dense, pooled[1])
    return score(queries, passages), score(queries, passages, vocab=vocab), inner, whole


# --- D3, D4: what pre-training does ---

GUESS = "most frequent words"


def _fields(run: Run) -> dict[str, Any]:
    c = run.corpus.preset.encoder
    return {"data": f"{run.corpus.name}; {c.depth} x {c.dim}", "stand_in_for": run.stand_in_for}


@paper.claim(
    "D3",
    says="The vectors of ordinary tokens come to carry the bag of words",
    source="section 3.2",
    metric="share of a text's words among the best of mu",
    holds=every_seed(beats("MLM", by=0.2)),
    trivial=GUESS,
)
def bag_of_words(preset: Preset, key: jax.Array) -> Measurement:
    """Held-out texts, uncorrupted, as they are encoded for search; with and without the two decoding tasks."""
    run = run_all(preset, key)
    others = {name: float(x) for name, x in run.recall.items() if name != "DupMAE"}
    return Measurement(
        float(run.recall["DupMAE"]),
        **_fields(run),
        baselines={GUESS: float(run.guess), **others},
        figure=figures.bag_figure(run.recall, float(run.guess)),
    )


def _by_part(run: Run, metric: int) -> dict[str, float]:
    """A metric of every arm by what is searched with."""
    rows = {arm: zip(PARTS, values[:, metric], strict=True) for arm, values in run.search.items()}
    return {f"{arm}, {part}": float(x) for arm, pairs in rows.items() for part, x in pairs}


TF_IDF = "TF-IDF"


def _zero_shot(preset: Preset, key: jax.Array) -> Measurement:
    run = run_all(preset, key)
    metric = METRICS.index("mrr@10")
    by_part = _by_part(run, metric)
    value = by_part.pop("DupMAE, CLS + OT")
    others = {name: x for name, x in by_part.items() if not name.startswith("DupMAE")}
    own = {name: x for name, x in by_part.items() if name.startswith("DupMAE")}
    further = {
        f"{METRICS[i]}, {arm}, {part}": float(run.search[arm][j, i])
        for i in (1, 2)
        for arm in run.search
        for j, part in enumerate(PARTS)
    }
    return Measurement(
        value,
        **_fields(run),
        baselines={name: float(row[metric]) for name, row in run.lexical.items()} | others,
        extras=own | {"better part of DupMAE": max(own.values())} | further,
        figure=figures.search_figure(run.search, {name: float(row[metric]) for name, row in run.lexical.items()}),
    )


_SEARCH: dict[str, Any] = {"source": "Tables 1 and 2", "metric": "MRR@10 without fine-tuning", "trivial": TF_IDF}


@paper.claim(
    "D4",
    says="Both parts together find passages better than a plainly pre-trained model does, and no worse than either part",
    holds=all_of(
        on_average(beats("MLM, CLS + OT", by=0.1)),
        on_average(beats("better part of DupMAE", by=-0.02)),
    ),
    **_SEARCH,
)
def zero_shot(preset: Preset, key: jax.Array) -> Measurement:
    """The models of D3; a query shares half of its words with the passage that it continues."""
    return _zero_shot(preset, key)


@paper.claim(
    "D4b",
    says="They find passages better than counting words does",
    holds=on_average(beats(TF_IDF, by=0.0)),
    expect="not reproduced",
    because=(
        "A query is made of words of its own passage, which is all that counting needs, and a model of one narrow layer that has "
        "read little has no meanings to add: it has learnt to count."
    ),
    **_SEARCH,
)
def beats_counting(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs."""
    return _zero_shot(preset, key)


# --- D5: cost ---


@paper.claim(
    "D5",
    says="The two decoding tasks cost little",
    source="section 3.2",
    metric="multiplications of a step, DupMAE / MLM, at the larger depth",
    holds=all_of(below(1.2), below(1.5, of="at the smaller depth")),
    exact=True,
    seeds=1,
)
def decoding_cost(preset: Preset, key: jax.Array) -> Measurement:
    """Counted from the traced step with its gradient. One more layer and head would be (L + 2) / (L + 1)."""
    depths = (1, *preset.depths)
    ratios = {depth: step_macs(preset, depth, decoders=True) / step_macs(preset, depth, decoders=False) for depth in depths}
    _, small, large = depths
    times = step_times(preset, small, key) if preset.timings else {}
    return Measurement(
        ratios[large],
        f"{preset.training.batch_size} texts of {preset.encoder.max_length} tokens, {preset.encoder.vocab_size} ids, "
        f"layers of {preset.encoder.dim}; L = {small} and {large}",
        extras={"at the smaller depth": ratios[small], "at L = 1": ratios[1]}
        | {f"one more layer and head at L = {depth}": (depth + 2) / (depth + 1) for depth in (small, large)}
        | {f"milliseconds, {name}, L = {small}": value for name, value in times.items()},
    )


# --- D6: a collection with judgements ---

BM25 = "BM25, all words"


def _collection(preset: Preset, key: jax.Array) -> Measurement:
    run = run_collection(preset, key)
    metric = METRICS.index("ndcg@10")
    by_part = _by_part(run, metric)
    value = by_part.pop("DupMAE, CLS + OT")
    counted = {name: float(row[metric]) for name, row in run.lexical.items()}
    return Measurement(
        value,
        **_fields(run),
        baselines=counted | {name: x for name, x in by_part.items() if not name.startswith("DupMAE")},
        extras={name: x for name, x in by_part.items() if name.startswith("DupMAE")},
        figure=figures.search_figure(run.search, counted, metric, "nDCG@10"),
    )


_JUDGED: dict[str, Any] = {"source": "Tables 1 and 2", "metric": "nDCG@10 without fine-tuning", "trivial": BM25, "seeds": 1}


@paper.claim(
    "D6",
    says="Pre-trained on a collection, both parts find what people judged relevant better than a plain model's do",
    holds=on_average(beats("MLM, CLS + OT")),
    **_JUDGED,
)
def collection(preset: Preset, key: jax.Array) -> Measurement:
    """Abstracts in windows, of their most frequent words; BM25 beside it on these words and on all."""
    return _collection(preset, key)


@paper.claim(
    "D6b",
    says="They find it better than BM25 does",
    holds=on_average(beats(BM25)),
    expect="not reproduced",
    because=(
        "BM25 sees every word of the collection, and rare words decide; the model sees only the most frequent ones, and even on "
        "these it has at most learnt to count."
    ),
    **_JUDGED,
)
def beats_bm25(preset: Preset, key: jax.Array) -> Measurement:
    """The same run."""
    return _collection(preset, key)

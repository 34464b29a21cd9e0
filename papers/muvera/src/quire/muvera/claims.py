"""What the paper states, measured: C1 to C6."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_most, below, every_seed, on_average, shared
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.muvera import benchmark, brute_force, figures
from quire.muvera.ball_carving import ball_carve
from quire.muvera.chamfer import chamfer
from quire.muvera.config import BoundConfig, Config
from quire.muvera.encoding import FDEConfig, FDEParams, document_fde, query_fde, sample_fde_params
from quire.muvera.experiments import (
    NO_CARVING,
    ONE_GROUP,
    POOLED,
    SV,
    SV_DEDUP,
    baseline_lists,
    encode_sides,
    errors_by_bits,
    fde_order,
    filling_pairs,
    ordered,
    quantised_ranks,
    random_sets,
    recall_after_reranking,
    search_exactly,
)
from quire.muvera.paper import paper
from quire.muvera.recall import candidates_needed, one_recall, target_ranks
from quire.muvera.token_collections import needles, unit

paper.benchmark = benchmark.benchmark


# --- C1, C2: exact ---


@paper.claim(
    "C1",
    says="Without projection the estimate never exceeds the normalised Chamfer similarity",
    source="Lemma A.3",
    metric="largest excess of the estimate, float64",
    holds=all_of(
        at_most(1e-6),
        at_most(1e-6, of="float32"),
        at_most(1e-6, of="error at one document token"),
        above(0.5, of="excess for p = -q without filling"),
    ),
    exact=True,
)
def one_sided(config: Config, key: jax.Array) -> Measurement:
    """Random sets, every repetition alone and all together; and the cases in which the bound is tight or must break."""
    c = config.bound
    draw = generator(key)
    sets = (*random_sets(draw, c.pairs, c.query_tokens, c.dim), *random_sets(draw, c.pairs, c.document_tokens, c.dim))
    params = sample_fde_params(key, FDEConfig(c.dim, c.repetitions, c.simhash_bits))

    found = {}

    def excess(dtype):
        found[dtype] = _excess(params, *(jnp.asarray(x, dtype if x.dtype != bool else bool) for x in sets))
        return float(found[dtype][0])

    data = f"{c.pairs} pairs of random sets, d = {c.dim}, k = {c.simhash_bits}, R = 1 and {c.repetitions}"
    names = ("error at one document token", "excess for p = -q without filling")
    measured = identity(excess, data)
    extras = {name: float(value) for name, value in zip(names, found[jnp.float32][1:], strict=True)}
    return replace(measured, extras={**measured.extras, **extras})


@jax.jit
def _excess(params: FDEParams, queries, query_mask, documents, document_mask):
    """Largest excess over repetitions and their mean; error where a document is one token; excess of `p = -q`, not filled."""

    repetitions, n = len(params.directions), len(queries)
    first = jnp.broadcast_to(jnp.arange(documents.shape[1]) == 0, document_mask.shape)

    def excess(asked, queries, query_mask, documents, document_mask, fill_empty):
        encoded = document_fde(params, documents, document_mask, fill_empty=fill_empty)
        each = jnp.sum((asked * encoded).reshape(len(queries), repetitions, -1), axis=-1) / query_mask.sum(1, keepdims=True)
        truth = chamfer(queries, documents, query_mask, document_mask, normalize=True)
        return jnp.concatenate([each, each.mean(1, keepdims=True)], axis=1) - truth[:, None]

    alone = jnp.broadcast_to(jnp.arange(queries.shape[1]) == 0, query_mask.shape)
    asked = query_fde(params, jnp.concatenate([queries, queries]), jnp.concatenate([query_mask, alone]))
    random = (asked[:n], queries, query_mask, documents, document_mask)
    single = (asked[:n], queries, query_mask, documents, first)
    every = excess(*(jnp.concatenate(pair) for pair in zip(random, single, strict=True)), True)
    opposite = excess(asked[n:], queries, alone, -queries[:, :1], jnp.ones((n, 1), bool), False)
    return every.max(), jnp.abs(every[n:]).max(), opposite.max()


@paper.claim(
    "C2",
    says="Encodings, Chamfer similarity and ball carving are what their definitions say",
    source="sections 2 and 3, and the authors' code",
    metric="largest error / largest entry, float64",
    holds=all_of(at_most(1e-6), at_most(2e-5, of="float32")),
    exact=True,
)
def definitions(config: Config, key: jax.Array) -> Measurement:
    """Fast forms against token-by-token ones, filled and not, projected inside and at the end; tests add the authors' outputs."""
    c = config.bound
    draw = generator(key)
    query, document = (draw.standard_normal((n, c.dim)).astype(np.float32) for n in (c.query_tokens, c.document_tokens))

    def error(dtype):
        return _definition_errors(c, query, document, key, dtype)

    return identity(error, f"random tokens, d = {c.dim}, k = {c.simhash_bits}, R = {c.repetitions}, projected to {c.proj_dim}")


def _definition_errors(c: BoundConfig, query: np.ndarray, document: np.ndarray, key: jax.Array, dtype: Any) -> list[float]:
    params = sample_fde_params(key, FDEConfig(c.dim, c.repetitions, c.simhash_bits, proj_dim=c.proj_dim, final_dim=c.final_dim))
    directions, inner = np.asarray(params.directions, float), np.asarray(params.inner, float)
    assert params.final is not None  # final_dim asks for one
    sketch = [np.asarray(x) for x in params.final.sketch]
    query, document = unit(query.astype(float)), unit(document.astype(float))
    expected = [brute_force.chamfer(query, document), brute_force.carve(query, CARVED_AT)]
    for projection in (None, inner):
        for tokens, fill in ((query, False), (document, True), (document, False)):
            blocks = brute_force.encode(tokens, directions, projection, document=tokens is document, fill_empty=fill)
            expected.append(blocks if projection is None else brute_force.sketch(blocks, *sketch, c.final_dim))
    values = _fast_forms(params, jnp.asarray(query, dtype), jnp.asarray(document, dtype))
    return [max_relative_error(value, reference) for value, reference in zip(values, expected, strict=True)]


CARVED_AT = 0.2
"""tau of C2: low enough that random tokens share groups."""


@jax.jit
def _fast_forms(params: FDEParams, query: jax.Array, document: jax.Array) -> list[jax.Array]:
    """What the package computes for the quantities of `brute_force`."""
    values = [chamfer(query, document), ball_carve(query, CARVED_AT).labels]
    for draws in (FDEParams(params.partition), params):
        values.append(query_fde(draws, query))
        values += [document_fde(draws, document, fill_empty=fill) for fill in (True, False)]
    return values


# --- C3: why empty clusters are filled ---


@paper.claim(
    "C3",
    says="More hyperplanes make the estimate better, but only if empty clusters are filled",
    source="section 2; Theorem 2.1",
    metric="mean |NCH - estimate| at the largest k, filled",
    holds=all_of(
        every_seed(below(0.0, of="largest rise from one k to the next, filled")),
        every_seed(at_most(0.6, of="error / error at the smaller k, filled")),
        every_seed(above(0.0, of="rise at large k, not filled")),
    ),
    trivial="k = 0 (mean-pooled document)",
    seeds=5,
)
def filling(config: Config, key: jax.Array) -> Measurement:
    """Queries of noisy copies of document tokens, no projection. The errors of unrelated sets hardly fall."""
    c = config.filling
    pair_key, plane_key = jax.random.split(key)
    queries, documents = map(jnp.asarray, filling_pairs(pair_key, c))
    directions = sample_fde_params(plane_key, FDEConfig(c.dim, c.repetitions, c.max_bits)).directions
    truth = chamfer(queries, documents, normalize=True)
    filled, empty = np.asarray(errors_by_bits(directions, queries, documents, truth)).T
    small, middle = c.compared
    bits = list(range(c.max_bits + 1))
    return Measurement(
        float(filled[-1]),
        f"{c.pairs} pairs: {c.document_tokens} random tokens, {c.query_tokens} of them noisy; d = {c.dim}, R = {c.repetitions}",
        baselines={"k = 0 (mean-pooled document)": float(filled[0]), "not filled": float(empty[-1])},
        extras={
            "largest rise from one k to the next, filled": float(np.diff(filled).max()),
            "error / error at the smaller k, filled": float(filled[-1] / filled[small]),
            "rise at large k, not filled": float(empty[-1] - empty[middle]),
        },
        series={"filled": (bits, filled.tolist()), "not filled": (bits, empty.tolist())},
        figure=figures.filling_figure(bits, filled, empty),
    )


# --- C4a: the mechanism ---


@paper.claim(
    "C4a",
    says="Encodings need 2 to 4 times fewer candidates than the single-vector heuristic",
    source="figure 4; abstract",
    metric="candidates for 1Recall@N = 0.9",
    holds=all_of(
        every_seed(at_most(0.25, of="candidates / those of the deduplicated SV heuristic")),
        every_seed(below(1.0, of="candidates / those of mean pooling")),
    ),
    trivial=POOLED,
)
def fewer_candidates(config: Config, key: jax.Array) -> Measurement:
    """Documents that match two query tokens very well stand in the way of one that matches all of them well."""
    c = config.needles
    data_key, draw_key = jax.random.split(key)
    collection = needles(data_key, c.dim, queries=c.queries, tokens=c.tokens, distractors=c.distractors, others=c.others)
    assert collection.relevant is not None  # one document a query
    targets = np.concatenate(collection.relevant)
    lists = {f"FDE {c.fde.label}": list(fde_order(collection, c.fde, draw_key)), **baseline_lists(collection, c.sv_tokens)}
    ranks = {name: target_ranks(found, targets) for name, found in lists.items()}
    needed = {name: candidates_needed(r) for name, r in ranks.items()}
    value, *_ = needed.values()
    return Measurement(
        value,
        collection.name,
        baselines={name: needed[name] for name in (POOLED, SV, SV_DEDUP)},
        extras={
            "candidates / those of the deduplicated SV heuristic": value / needed[SV_DEDUP],
            "candidates / those of mean pooling": value / needed[POOLED],
        },
        stand_in_for="ColBERTv2 tokens of MS MARCO",
        figure=figures.recall_figure(ranks),
    )


# --- C4b, C5, C6: a collection of texts ---


@shared
def climbed(config: Config, keys: jax.Array) -> dict[str, Any]:
    """Places of the targets for every encoding of the ladder `[seeds, q]`, and what C5 says of all seeds together."""
    c = config.search
    exact = search_exactly(c)
    ranks = {fde.label: [] for fde in c.ladder}
    for key in keys:
        for fde in c.ladder:
            ranks[fde.label].append(target_ranks(list(fde_order(exact.collection, fde, key)), exact.targets))
    ranks = {label: np.stack(rows) for label, rows in ranks.items()}
    recalls = {label: [100 * one_recall(row, c.shortlist) for row in rows] for label, rows in ranks.items()}
    return {
        "ranks": ranks,
        "recalls": recalls,
        "rise": float(np.diff([np.mean(row) for row in recalls.values()]).min()),
        "deviation": max(float(np.std(row, ddof=1)) if len(row) > 1 else 0.0 for row in recalls.values()),
    }


@paper.claim(
    "C4b",
    says="Encodings stand in for Chamfer similarity better than one pooled vector",
    source="figures 3 and 4",
    metric="candidates for 1Recall@N = 0.9",
    holds=every_seed(below(0.85, of="candidates / those of mean pooling")),
    trivial=POOLED,
    seeds=5,
)
def beats_pooling(config: Config, key: jax.Array) -> Measurement:
    """One encoding of the ladder. With static tokens the deduplicated heuristic may need as few."""
    exact = search_exactly(config.search)
    label = config.search.pooled_rival.label
    ranks = {f"FDE {label}": climbed(config, key)["ranks"][label], **exact.ranks}
    needed = {name: candidates_needed(r) for name, r in ranks.items()}
    value = needed[f"FDE {label}"]
    return Measurement(
        value,
        exact.source.name,
        baselines={name: needed[name] for name in (POOLED, SV, SV_DEDUP)},
        extras={
            "candidates / those of mean pooling": value / needed[POOLED],
            "candidates / those of the deduplicated SV heuristic": value / needed[SV_DEDUP],
        },
        stand_in_for=exact.source.stand_in_for,
        figure=figures.recall_figure(ranks),
    )


@paper.claim(
    "C5",
    says="Recall grows with the dimension of the encoding, and the draw hardly matters",
    source="Tables 1 and 2",
    metric="1Recall@N of the largest encoding, N of the preset",
    unit="%",
    holds=all_of(
        on_average(above(0.0, of="smallest rise of the mean along the ladder")),
        on_average(at_most(3.0, of="largest standard deviation over draws")),
    ),
    trivial=POOLED,
    seeds=5,
)
def grows_with_dimension(config: Config, key: jax.Array) -> Measurement:
    """The ladder of encodings; every seed draws hyperplanes and projections anew. The paper's deviation is below .3 points."""
    run, exact, c = climbed(config, key), search_exactly(config.search), config.search
    percent = {label: 100 * one_recall(ranks, c.shortlist) for label, ranks in run["ranks"].items()}
    pooled = 100 * one_recall(exact.ranks[POOLED], c.shortlist)
    dims = [fde.fde_dim for fde in c.ladder]
    return Measurement(
        list(percent.values())[-1],
        f"{exact.source.name}; N = {c.shortlist}",
        baselines={POOLED: pooled},
        extras={
            **{f"FDE {label}": value for label, value in percent.items()},
            "smallest rise of the mean along the ladder": run["rise"],
            "largest standard deviation over draws": run["deviation"],
        },
        series={"1Recall@N": (dims, list(percent.values()))},
        stand_in_for=exact.source.stand_in_for,
        figure=figures.ladder_figure(dims, run["recalls"], pooled, c.shortlist),
    )


@paper.claim(
    "C6",
    says="Ball carving of the query and product quantisation of the encodings cost next to no recall",
    source="section 3.2, figures 5 and 6",
    metric="recall of the exact best documents after re-ranking, carved",
    unit="%",
    holds=all_of(
        every_seed(at_most(2.0, of="points lost by carving")),
        every_seed(at_most(5.0, of="points of 1Recall lost by quantisation")),
    ),
    trivial=ONE_GROUP,
)
def carving_and_quantisation(config: Config, key: jax.Array) -> Measurement:
    """The same candidates re-ranked by queries carved at several tau; the trivial query is the sum of its tokens."""
    exact, c = search_exactly(config.search), config.search
    draw_key, code_key = jax.random.split(key)
    asked, documents = encode_sides(exact.collection, c.quantised, draw_key)
    order = ordered(asked @ documents.T)
    best = exact.carved[NO_CARVING]
    percent = {
        name: 100 * recall_after_reranking(best, similarity, order[:, : c.reranked], c.kept)
        for name, similarity in exact.carved.items()
    }
    of_codes, compression = quantised_ranks(asked, documents, exact.targets, c, code_key)
    before, after = (100 * one_recall(r, c.reranked) for r in (target_ranks(list(order), exact.targets), of_codes))
    judged = f"tau = {c.judged_tau:g}"
    return Measurement(
        percent[judged],
        f"{exact.source.name}; FDE {c.quantised.label}, best {c.kept} of {c.reranked} candidates",
        baselines={ONE_GROUP: percent[ONE_GROUP], NO_CARVING: percent[NO_CARVING]},
        extras={
            **{f"carved, {name}": value for name, value in percent.items() if name.startswith("tau")},
            **{f"tokens kept, {name}": 100 * share for name, share in exact.kept.items() if name.startswith("tau")},
            "points lost by carving": percent[NO_CARVING] - percent[judged],
            f"1Recall@{c.reranked}": before,
            f"1Recall@{c.reranked}, PQ-{c.centres}-{c.group_dim}": after,
            "points of 1Recall lost by quantisation": before - after,
            "compression": compression,
        },
        stand_in_for=exact.source.stand_in_for,
        figure=figures.carving_figure(percent, exact.kept),
    )

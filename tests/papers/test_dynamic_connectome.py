"""Dynamic connectomes: golden vectors, affinities, factors, motifs, communities, generated data, degenerate inputs, presets."""

from dataclasses import replace

import jax
import jaxtyping
import numpy as np
import pytest

from quire.common.errors import DatasetUnavailable
from quire.common.graphs.block_hierarchy import nested_description_length
from quire.common.graphs.block_model import gamma_prior_weights, group_counts
from quire.common.tensors.nonnegative import cp_tensor, nonnegative_cp
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent
from quire.dynamic_connectome import (
    PRESETS,
    DynamicConnectome,
    Factors,
    affinity_tensor,
    by_strength,
    core_consistency,
    differential_affinity,
    explained,
    fit_weighted_sbm,
    generated_worms,
    louvain,
    motif_communities,
    motif_matrix,
    ncp_hals,
    ncp_mu,
    ncp_starts,
    nmi,
    overlapping_groups,
    pairs,
    rank_table,
    rates,
    resampled,
    silenced,
    stability,
    standardised,
    static_correlation,
    top_pairs,
    weighted_blocks,
    weighted_lfr,
    weighted_sbm_dl,
)
from quire.dynamic_connectome.affinity import smoothed, together
from quire.dynamic_connectome.benchmark_graphs import best_level
from quire.dynamic_connectome.brute_force import partitions
from quire.dynamic_connectome.exactness import errors
from quire.dynamic_connectome.recovery import known_factors
from quire.dynamic_connectome.worms import circuit_terms, in_circuit, open_worms

KEY = jax.random.key(0)
TERMS = {"adjacency": "adjacency", "partition": "partition_dl", "edges": "edges_dl", "degrees": "degree_dl_exact"} | {
    "weights": "recs",
    "weight_sums": "recs_dl",
    "total": "total_exact",
}


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("dynamic_connectome")


@pytest.fixture
def as_users_call():
    """Without the checks of types and shapes that only tests have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# --- Golden vectors ---


@pytest.mark.parametrize("x64", [True, False])
def test_golden_affinity(vectors, x64):
    case, dtype, tolerance = vectors.case("aff"), (np.float32, np.float64)[x64], (1e-4, 1e-9)[x64]
    with jax.enable_x64(x64):
        traces, dt = case["traces"].astype(dtype), float(case["dt"])
        assert_close(rates(traces, dt), case["derivative"], tolerance)
        for kind in ("geomean", "min"):
            assert_close(differential_affinity(traces, dt, kind), case[f"affinity_{kind}"], tolerance)


@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("name", ["hals", "mu", "masked_mu"])
def test_golden_sweeps(vectors, name, x64):
    case, dtype, tolerance = vectors.case("ntf"), (np.float32, np.float64)[x64], (1e-4, 1e-9)[x64]
    with jax.enable_x64(x64):
        x = case["X"].astype(dtype)
        start = [case[f"init{mode}"].astype(dtype) for mode in range(x.ndim)]
        mask = np.broadcast_to(case["mask_worm_pair"] != 0, x.shape) if name == "masked_mu" else None
        expected = case[f"{name}_relerr"]
        factors, errors = nonnegative_cp(x, start, len(expected), method="hals" if name == "hals" else "mu", mask=mask)
        np.testing.assert_allclose(errors, expected, rtol=tolerance)
        assert_close(factors, tuple(case[f"{name}_factor{mode}"] for mode in range(x.ndim)), tolerance)


def graphs(vectors):
    return sorted({name.split("/")[0] for name in vectors.arrays if name.startswith("sbm")})


def graph(vectors, name, dtype=np.float64):
    """Adjacency, weights and planted groups."""
    case = vectors.case(name)
    w = np.zeros((int(case["N"]),) * 2)
    w[tuple(case["edges"].T)] = case["weights"]
    w = (w + w.T).astype(dtype)
    return (w > 0).astype(dtype), w, case["planted"]


@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("deg_corr", [0, 1])
def test_golden_description_lengths(vectors, deg_corr, x64):
    dtype, tolerance = (np.float32, np.float64)[x64], (1e-4, 1e-9)[x64]
    with jax.enable_x64(x64):
        for name in graphs(vectors):
            a, w, planted = graph(vectors, name, dtype)
            case = vectors.case(f"{name}/dc{deg_corr}")
            terms = weighted_sbm_dl(a, w, planted, bool(deg_corr))
            for term, key in TERMS.items():
                np.testing.assert_allclose(terms[term], case[key], rtol=tolerance, err_msg=f"{name} {term}")
            moved = weighted_sbm_dl(a, w, case["moved_partition"], bool(deg_corr))
            np.testing.assert_allclose(moved["total"], case["moved_total_exact"], rtol=tolerance)
            np.testing.assert_allclose(gamma_prior_weights(group_counts(a, w, planted)), case["recs_gamma_prior"], rtol=tolerance)
            best = weighted_sbm_dl(a, w, case["best_flat_partition"], bool(deg_corr))
            np.testing.assert_allclose(best["total"], case["best_flat_total_exact"], rtol=tolerance)
            np.testing.assert_allclose(nmi(planted, case["best_flat_partition"]), case["best_flat_nmi"], rtol=tolerance)
            # What the peer's cached counts of partitions miss is all that separates its numbers from the exact ones.
            missing = case["degree_dl_exact"] - case["degree_dl_peer"]
            np.testing.assert_allclose(terms["total"] - missing, case["total_peer"], rtol=tolerance)
            levels = nested_description_length(a, w, hierarchy(vectors, name), degree_corrected=bool(deg_corr))
            np.testing.assert_allclose(levels, case["nested_levels_exact"], rtol=tolerance, atol=tolerance)
            levels[0] -= missing
            np.testing.assert_allclose(levels, case["nested_levels_peer"], rtol=tolerance, atol=tolerance)
            np.testing.assert_allclose(levels.sum(), case["nested_total_peer"], rtol=tolerance)


def hierarchy(vectors, name):
    """The planted groups, two groups of these, one group of those, and one more level."""
    planted = vectors[f"{name}/planted"]
    groups = len(np.unique(planted))
    halves = (np.arange(groups) >= (groups + 1) // 2).astype(int)
    return [planted, halves, np.array([0, 0]), np.array([0])]


@pytest.mark.parametrize("deg_corr", [False, True])
def test_search_reaches_the_peers_optimum(vectors, deg_corr):
    """At most the description length of graph-tool's minimiser, best of five."""
    found = [graph(vectors, name) for name in graphs(vectors)]
    room = max(len(a) for a, _, _ in found), max(int(a.sum()) // 2 for a, _, _ in found)
    for name, (a, w, planted) in zip(graphs(vectors), found, strict=True):
        best = fit_weighted_sbm(a, w, KEY, deg_corr, nested=False, restarts=24, room=room)
        case = vectors.case(f"{name}/dc{int(deg_corr)}")
        assert best.fit.total <= case["best_flat_total_exact"] + 1e-6
        assert nmi(planted, best.labels) >= case["best_flat_nmi"] - 1e-6


# --- Affinities ---


def test_affinity_of_lines():
    """Rates 1, 4 and -9 per frame, in seconds of half a frame: 2, 8 and -18."""
    traces = np.arange(4.0) * np.array([[1.0], [4.0], [-9.0]])
    for kind, together_ in (("geomean", 4.0), ("min", 2.0)):
        a = np.asarray(differential_affinity(traces, 0.5, kind))
        np.testing.assert_allclose(a[0, 1], together_, rtol=1e-6)
        assert (a[0, 2] == 0).all() and (a[1, 2] == 0).all()
        np.testing.assert_allclose(a[2, 2], 18, rtol=1e-6)


def test_affinity_is_symmetric_blind_to_levels_and_to_the_sign_of_all():
    traces = np.random.default_rng(0).normal(size=(4, 20))
    for kind in ("geomean", "min"):
        a = np.asarray(differential_affinity(traces, 1.0, kind))
        np.testing.assert_array_equal(a, a.transpose(1, 0, 2))
        np.testing.assert_allclose(differential_affinity(3 - traces, 1.0, kind), a, rtol=1e-4, atol=1e-5)
        assert ((a > 0) == (np.gradient(traces, axis=1)[:, None] * np.gradient(traces, axis=1)[None] > 0)).all()


def test_affinity_at_the_edge():
    traces = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    for kind in ("geomean", "min"):
        assert_degenerate(lambda x, k=kind: differential_affinity(x, 0.5, k), traces, axes=(0, 1))
    assert_degenerate(lambda x: standardised(rates(x)), traces, axes=(0, 1))
    assert_dtypes(differential_affinity, traces, dtypes=("uint8", "bfloat16"))
    assert_jit_consistent(differential_affinity, traces)
    assert_vmap_consistent(differential_affinity, np.stack([traces, 2 * traces]))


def walks(animals=3, neurons=5, frames=30, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"N{i}" for i in range(neurons)]
    return [np.cumsum(rng.normal(size=(neurons, frames)), axis=1) for _ in range(animals)], [list(names) for _ in range(animals)]


def test_tensor_by_its_steps():
    traces, names = walks()
    found = affinity_tensor(traces, names, dt=0.5, sigma=1.5, pool=4)
    assert found.x.shape == (7, 3, 10) and found.mask.all() and found.names == tuple(names[0])
    g = np.gradient(smoothed(traces[1], 1.5), 0.5, axis=1)
    g = g / g.std(1, keepdims=True)
    first, second = pairs(5)
    a = np.where(g[first] * g[second] > 0, np.sqrt(np.abs(g[first] * g[second])), 0)[:, :28].reshape(10, 7, 4).mean(-1).T
    np.testing.assert_allclose(found.x[:, 1], a / np.linalg.norm(a), rtol=1e-4, atol=1e-6)
    raw = affinity_tensor(traces, names, dt=0.5, sigma=1.5, pool=4, normalise=False)
    np.testing.assert_allclose(raw.x[:, 1], a, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.x, axis=(0, 2)), 1, rtol=1e-5)


def test_missing_neurons_are_masked_in_any_order():
    """One animal lacks N2, another has it as NaN; rows come in any order."""
    traces, names = walks()
    whole = affinity_tensor(traces, names)
    order = [4, 0, 3, 1]
    traces[0], names[0] = traces[0][order], [names[0][i] for i in order]
    traces[1] = np.where(np.arange(5)[:, None] == 2, np.nan, traces[1])
    found = affinity_tensor(traces, names, least_animals=1)
    first, second = pairs(5)
    lacks = (first == 2) | (second == 2)
    np.testing.assert_array_equal(found.mask, [~lacks, ~lacks, np.ones(10, bool)])
    assert (found.x[:, :2][:, :, lacks] == 0).all()
    seen, expected = found.x[:, 0][:, ~lacks], whole.x[:, 0][:, ~lacks]
    np.testing.assert_allclose(seen / np.linalg.norm(seen), expected / np.linalg.norm(expected), rtol=1e-4, atol=1e-6)
    assert (
        affinity_tensor(traces, names, least_animals=2).names == affinity_tensor(traces, names).names == ("N0", "N1", "N3", "N4")
    )


def test_constant_neurons_have_no_affinity():
    traces, names = walks(1)
    traces[0][1] = 7.0
    x = affinity_tensor(traces, names).x
    first, second = pairs(5)
    assert np.isfinite(x).all() and (x[:, 0][:, (first == 1) | (second == 1)] == 0).all()
    assert (affinity_tensor([np.zeros((3, 5))], [["A", "B", "C"]]).x == 0).all()


# --- Factors ---


def low_rank(shape=(10, 4, 12), rank=2, seed=0):
    """Three factors whose supports are apart, and their tensor."""
    rng = np.random.default_rng(seed)
    factors = [rng.uniform(0.2, 1, (size, rank)) * (np.arange(size)[:, None] % rank == np.arange(rank)) for size in shape]
    return factors, np.asarray(cp_tensor(factors))


@pytest.mark.parametrize("fit", [ncp_hals, ncp_mu])
def test_factors_of_what_was_seen(fit):
    _, x = low_rank()
    mask = np.random.default_rng(0).uniform(size=x.shape[1:]) < 0.8
    found = fit(np.where(mask, x, np.nan), 2, KEY, mask, iters=150, starts=2)
    assert found.error < 1e-2 and found.weights[0] >= found.weights[1]
    rebuilt = cp_tensor((found.time * found.weights, found.animals, found.pairs))
    np.testing.assert_allclose(rebuilt, x, atol=0.05 * x.max())
    for factor in found.modes:
        np.testing.assert_allclose(np.linalg.norm(factor, axis=0), 1, rtol=1e-5)


def test_how_many_terms():
    _, x = low_rank()
    rows = rank_table(x, (1, 2, 3), KEY, 40, 2)
    assert rows[0].explained < 0.9 < 0.999 < rows[1].explained
    assert rows[1].core_consistency > 99 and rows[1].stability > 0.99
    one = ncp_hals(x, 1, KEY, iters=40, starts=2)
    np.testing.assert_allclose(rows[0].explained, explained(one), rtol=1e-4)  # zero columns leave the others alone
    twice = replace(ncp_hals(x, 2, KEY, iters=40, starts=2), time=np.ones((10, 2)))
    assert core_consistency(x, twice) < 99


def test_stability_is_of_permuted_terms():
    _, x = low_rank()
    a, b = ncp_starts(x, 2, KEY, iters=40, starts=2)
    flipped = replace(b, time=b.time[:, ::-1], animals=b.animals[:, ::-1], pairs=b.pairs[:, ::-1])
    np.testing.assert_allclose(stability([a, flipped]), stability([a, b]), rtol=1e-5)


# --- Motifs and communities ---


def test_motifs():
    w = motif_matrix(np.array([1.0, 0.2, 0.04, 0.0, 0.5, 0.06]), 4, 0.05)
    assert w[0].tolist() == [0, 1.0, 0.2, 0] and w[1].tolist() == [1.0, 0, 0, 0.5] and w[2, 3] == 0.06
    np.testing.assert_array_equal(w, w.T)
    assert (motif_matrix(np.zeros(3), 3) == 0).all()
    np.testing.assert_array_equal(silenced(w, [0, 2]), [[0, 0.5], [0.5, 0]])
    assert top_pairs(np.array([0.1, 0.9, 0.5]), "ABC", 2) == [("A", "C"), ("B", "C")]
    assert by_strength(w, np.array([0, 0, 1, -1])).tolist() == [0, 0, 1, -1]


def test_neurons_without_edges_have_no_community():
    w, labels = weighted_blocks(KEY, 16, 2, 0.9, 12)
    padded = np.pad(w, (0, 2))
    found = motif_communities(padded, KEY, groups=4, restarts=2)
    assert found.labels[-2:].tolist() == [-1, -1] and nmi(labels, found.labels[:-2]) > 0.9
    assert found.evidence > 0 and len(found.hierarchy.levels) >= 2
    assert best_level(found, np.append(labels, [0, 1])) >= nmi(labels, found.labels[:-2])
    nothing = motif_communities(np.zeros((3, 3)), KEY)
    assert nothing.labels.tolist() == [-1] * 3 and nothing.evidence == 0 and not nothing.degree_corrected


def test_degree_model_is_chosen_by_length():
    """A hub and its spokes: degrees explain what groups would have to."""
    w, _ = weighted_blocks(KEY, 16, 2, 0.9, 12)
    for model in ("auto", True, False):
        fits = {m: fit_weighted_sbm(w > 0, w, KEY, m, nested=False, groups=4, restarts=2).fit.total for m in (True, False)}
        found = fit_weighted_sbm(w > 0, w, KEY, model, nested=False, groups=4, restarts=2)
        expected = min(fits, key=fits.get) if model == "auto" else model
        assert found.degree_corrected == expected


def test_silencing_a_group_takes_its_evidence():
    w, labels = weighted_blocks(KEY, 16, 2, 0.9, 12)
    options = {"groups": 4, "restarts": 2, "nested": False, "room": (16, 120)}
    whole = motif_communities(w, KEY, **options).evidence
    assert motif_communities(silenced(w, np.flatnonzero(labels == 1)), KEY, **options).evidence < 0.2 * whole


def test_modularity_finds_cliques():
    w = np.kron(np.eye(3), np.ones((4, 4))) - np.eye(12) + 0.01 * (1 - np.eye(12))
    assert nmi(np.repeat(range(3), 4), louvain(w, KEY)) == 1


def test_static_correlation_by_its_definition():
    traces, _ = walks(2)
    for of, x in (("levels", traces), ("rates", [np.gradient(t, axis=1) for t in traces])):
        expected = np.maximum(np.mean([np.corrcoef(t) for t in x], axis=0), 0)[pairs(5)]
        np.testing.assert_allclose(static_correlation(traces, of, 0), expected, rtol=1e-4, atol=1e-5)


# --- Generated data ---


def test_overlapping_groups_move_together_where_they_are_active():
    truth = overlapping_groups(KEY)
    increments = [np.diff(t, axis=1) for t in truth.traces]
    assert truth.members.sum(1).tolist() == [10] * 3 and (truth.members.sum(0) == 2).sum() == 6
    assert (truth.animals.sum(1) == 5).all()
    for k in range(3):
        inside = truth.windows[k, 1:]
        for animal, x in enumerate(increments):
            c = np.corrcoef(x[truth.members[k]][:, inside])[np.triu_indices(10, 1)].mean()
            assert c > 0.5 if truth.animals[k, animal] else c < 0.4
    time, animals = known_factors(truth, 4)
    assert time.shape == (60, 3) and animals.shape == (6, 3) and set(np.unique(animals)) == {0, 1}


def test_benchmark_graphs_have_their_mixing():
    found = {"edges": [], "weights": [], "degree": []}
    for seed in range(4):
        w, labels = weighted_lfr(jax.random.key(seed), mix_edges=0.4, mix_weights=0.2)
        inside, edges = labels[:, None] == labels[None], w > 0
        np.testing.assert_array_equal(w, w.T)
        found["edges"].append(1 - edges[inside].sum() / edges.sum())
        found["weights"].append(1 - w[inside].sum() / w.sum())
        found["degree"].append(edges.sum() / len(w))
    assert abs(np.mean(found["edges"]) - 0.4) < 0.05 and abs(np.mean(found["degree"]) - 25) < 3
    assert abs(np.mean(found["weights"]) - 0.2) < 0.1


def test_estimator_on_the_stand_in():
    """Two animals, one of which lacks a neuron: the circuit moves together."""
    animals = generated_worms(2, 200).animals
    traces, names = [a.traces[:12] for a in animals], [a.neurons[:12] for a in animals]
    traces[1], names[1] = traces[1][1:], names[1][1:]
    found = DynamicConnectome(2, pool=2, groups=3, restarts=2, iters=30, starts=2, least_animals=1).fit(traces, names)
    assert found.tensor.x.shape == (100, 2, 66) and not found.tensor.mask.all()
    assert len(found.motifs) == len(found.communities) == 2 and found.motifs[0].shape == (12, 12)
    assert found.factors.time.shape == (100, 2)


def test_circuit():
    assert in_circuit(("AVAL", "AIBR")) and not in_circuit(("AVAL", "AVBL")) and not in_circuit(("RIML", "AVER"))
    names = ("AIBL", "AVAL", "AVAR", "AVEL", "RID")
    column = np.where(np.isin(np.arange(10), [0, 1, 2, 4, 5]), 1.0, 0.1)  # pairs of the first four, RID's apart
    one = np.ones((1, 2))
    assert circuit_terms(Factors(one[0], one, one, np.stack([column, column[::-1]], axis=1), one[0]), names) == [0]


def test_partitions_of_a_number():
    assert [partitions(5, m) for m in range(6)] == [0, 1, 3, 5, 6, 7] and partitions(0, 0) == 1


def test_identities_hold_for_another_key():
    with jax.enable_x64():
        assert max(errors(jax.random.key(9), np.float64).values()) < 1e-9


# --- Presets ---


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_real(name):
    """Shapes of the factorisation at every scale, traced."""
    r, search = PRESETS[name].recovery, PRESETS[name].search
    assert r.step * (r.groups - 1) + r.size <= r.neurons and r.groups * r.window <= r.frames
    p = r.neurons * (r.neurons - 1) // 2
    assert search.room[0] >= max(r.neurons, PRESETS[name].blocks.nodes) and search.room[1] >= p
    shape = r.frames // r.pool, r.animals, p
    start = [jax.ShapeDtypeStruct((size, r.rank), np.float32) for size in shape]
    x = jax.ShapeDtypeStruct(shape, np.float32)
    factors, errors = jax.eval_shape(lambda x, *s: nonnegative_cp(x, s, r.iters), x, *start)
    assert [f.shape for f in factors] == [s.shape for s in start] and errors.shape == (r.iters,)


def test_missing_recordings(as_users_call, monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: None)
    source = open_worms(PRESETS["quick"].worms)
    assert source.stand_in_for == "neuropal worms" and "generated" in source.name
    with pytest.raises(DatasetUnavailable, match="celegans-neuropal"):
        open_worms(PRESETS["paper"].worms)
    with pytest.raises(ValueError, match="data_set is 'mice'"):
        open_worms(replace(PRESETS["quick"].worms, data_set="mice"))


# --- Errors ---

X = np.ones((4, 2, 3))
W4 = 1 - np.eye(4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rates(np.ones((2, 2))), "at least 3 frames"),
        (lambda: rates(np.ones((2, 5)), 0.0), "dt is 0.0"),
        (lambda: differential_affinity(np.ones((2, 5)), 1.0, "max"), "kind is 'max'"),
        (lambda: together(np.ones(3), np.ones(3), ""), "kind is ''"),
        (lambda: affinity_tensor([], []), "0 animals"),
        (lambda: affinity_tensor([np.ones((2, 5))], [["A"]]), "animal 0 has traces"),
        (lambda: affinity_tensor([np.ones((2, 2))], [["A", "B"]]), "at least 3"),
        (lambda: affinity_tensor([np.ones((2, 5))], [["A", "A"]]), "a name twice"),
        (lambda: affinity_tensor([np.ones((1, 5))], [["A"]]), "a pair needs 2"),
        (lambda: affinity_tensor([np.ones((2, 5)), np.ones((2, 6))], [["A", "B"]] * 2), "same frames"),
        (lambda: affinity_tensor([np.ones((2, 5))], [["A", "B"]], pool=6), "pool is 6"),
        (lambda: affinity_tensor([np.ones((2, 5))], [["A", "B"]], sigma=-1.0), "sigma is -1"),
        (lambda: affinity_tensor([np.full((2, 5), np.inf)], [["A", "B"]]), "infinite"),
        (lambda: resampled(np.ones((1, 3)), np.array([0.0, 0.0, 1.0]), 4), "ascending"),
        (lambda: resampled(np.ones((1, 3)), np.arange(3.0), 2), "frames is 2"),
        (lambda: ncp_hals(X, 0, KEY), "rank is 0"),
        (lambda: ncp_hals(-X, 1, KEY), "negative number"),
        (lambda: ncp_hals(X[0], 1, KEY), "x has shape"),
        (lambda: ncp_hals(X, 1, KEY, np.ones((3, 2), bool)), "mask has shape"),
        (lambda: ncp_hals(X, 1, KEY, iters=0), "iters is 0"),
        (lambda: ncp_hals(X, 1, KEY, starts=0), "starts is 0"),
        (lambda: rank_table(X, (1,), KEY, starts=1), "starts is 1"),
        (lambda: stability([]), "results is 0"),
        (lambda: motif_matrix(np.ones(4), 3), "f_a has shape"),
        (lambda: motif_matrix(-np.ones(3), 3), "negative or not finite"),
        (lambda: motif_matrix(np.ones(3), 3, 2.0), "threshold is 2"),
        (lambda: silenced(W4, [4]), "neurons runs from 4"),
        (lambda: fit_weighted_sbm(W4, W4, KEY, "both"), "deg_corr is 'both'"),
        (lambda: weighted_sbm_dl(W4, -W4, np.zeros(4, int)), "positive on every edge"),
        (lambda: weighted_sbm_dl(W4, W4, np.array([0, 0, 0, -1])), "labels runs from -1"),
        (lambda: louvain(-W4, KEY), "not negative"),
        (lambda: static_correlation([np.ones((2, 5))], "ranks"), "of is 'ranks'"),
        (lambda: static_correlation([np.ones((2, 5)), np.ones((3, 5))]), "all animals need the same"),
        (lambda: overlapping_groups(KEY, neurons=20), "neurons is 20"),
        (lambda: overlapping_groups(KEY, absent=6), "absent is 6"),
        (lambda: weighted_lfr(KEY, mix_edges=1.0), "mix_edges is 1"),
        (lambda: weighted_lfr(KEY, 20), "nodes is 20"),
    ],
)
def test_errors(as_users_call, call, words):
    with pytest.raises(ValueError, match=words):
        call()

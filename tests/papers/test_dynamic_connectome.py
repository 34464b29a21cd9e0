"""Dynamic connectomes: golden vectors, affinities, factors, motifs, communities, generated data, degenerate inputs, presets."""

import jax
import numpy as np
import pytest

from quire.common.graphs.block_hierarchy import nested_description_length
from quire.common.graphs.block_model import gamma_prior_weights, group_counts
from quire.common.tensors.nonnegative import nonnegative_cp
from quire.common.testing import assert_close
from quire.dynamic_connectome import differential_affinity, fit_weighted_sbm, nmi, rates, weighted_sbm_dl

KEY = jax.random.key(0)
TERMS = {"adjacency": "adjacency", "partition": "partition_dl", "edges": "edges_dl", "degrees": "degree_dl_exact"} | {
    "weights": "recs",
    "weight_sums": "recs_dl",
    "total": "total_exact",
}


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("dynamic_connectome")


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
        best = fit_weighted_sbm(a, w, KEY, deg_corr, nested=False, room=room)
        case = vectors.case(f"{name}/dc{int(deg_corr)}")
        assert best.fit.total <= case["best_flat_total_exact"] + 1e-6
        assert nmi(planted, best.labels) >= case["best_flat_nmi"] - 1e-6

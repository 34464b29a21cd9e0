"""The paper's claims, measured."""

from contextlib import contextmanager
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.common.claims import Measurement, all_of, at_least, at_most, below, every_seed, shared
from quire.common.claims.identity import identity
from quire.common.graphs.basis import Output, enumerate_basis, graphs_of_degree, orbit_count, p_in_q, place_red
from quire.common.graphs.contraction import EDGE_BANK, NODE_BANK, contraction_plan, expressive_degree, failures
from quire.common.graphs.evaluate import evaluate
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import NodePrototype, PPGNPlusPlus, read_only_first
from quire.common.graphs.refinement import equal_share, fwl2, wl1
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import Build, fit_seeds, fold_keys, stack
from quire.equivariant_polynomials import figures
from quire.equivariant_polynomials.config import Preset
from quire.equivariant_polynomials.features import missing_polynomials, polynomial_features
from quire.equivariant_polynomials.molecules import molecule_errors
from quire.equivariant_polynomials.paper import paper
from quire.equivariant_polynomials.regression import TrainingConfig, clique_task, l1_loss
from quire.equivariant_polynomials.separation import (
    families,
    indistinguishable_fraction,
    scaled_features,
    untrained_embeddings,
)

COUNTS: dict[Output, tuple[int, ...]] = {"invariant": (1, 2, 11, 52), "node": (1, 5, 32, 199), "edge": (2, 15, 117, 877)}
"""Basis elements of degree 0, 1, 2, 3 for large n."""

MISSING = (
    "ab,ac,ad,bc,cd->bd",
    "ab,ac,ad,bc,bd,cd->",
    "ab,ac,ad,bc,bd,cd->a",
    "ab,ac,ad,bc,bd,cd->ba",
    "ab,bc,bd,be,cd,ce->ed",
    "ab,bd,be,cd,ce,de->ca",
    "ab,bd,be,cd,ce,de->ac",
    "ab,bd,be,cd,ce,de->cb",
    "ab,bd,be,cd,ce,de->bc",
    "ab,ad,ae,bc,cd,de->eb",
    "ab,ad,ae,bc,cd,de->be",
    "ac,ad,ae,bc,bd,be->dc",
)
"""What PPGN++ misses up to degree 6."""

KNOWN_DEGREE = 6
"""Up to which `MISSING` is complete."""


@contextmanager
def _exact():
    """float64, operation by operation: hundreds of different einsums share the programs of their few primitives."""
    with jax.enable_x64(), jax.disable_jit():
        yield


@paper.claim(
    "C1",
    says="The polynomials P_H of non-isomorphic multigraphs are a basis of the equivariant polynomials",
    source="theorem 1",
    metric="wrong counts and missing rank, summed",
    holds=at_most(0),
    exact=True,
)
def is_a_basis(preset: Preset, key: jax.Array) -> Measurement:
    """Enumeration against orbit counts and the known table; rank of all elements of degree 2 and less on 6 x 6 matrices."""
    wrong = 0
    for output, known in COUNTS.items():
        for degree in range(preset.count_degree + 1):
            counts = {len(enumerate_basis(degree, output)), orbit_count(degree, output), *known[degree : degree + 1]}
            wrong += len(counts) > 1
    # More matrices than the 14 invariants, of which elements with isolated red nodes are multiples.
    X = generator(key).standard_normal((40, 6, 6))
    lacking = {}
    for output in COUNTS:
        basis = [h for degree in range(3) for h in enumerate_basis(degree, output)]
        shape = {"invariant": (), "node": (6,), "edge": (6, 6)}[output]
        columns = [np.broadcast_to(_numpy_value(h, X), (len(X), *shape)).ravel() for h in basis]
        values = np.stack(columns, 1)
        values /= np.linalg.norm(values, axis=0)
        lacking[output] = len(basis) - int(np.linalg.matrix_rank(values))
    return Measurement(
        float(wrong + sum(lacking.values())),
        "all multigraphs of degree 3 and less; random 6 x 6 matrices",
        extras={"wrong counts": wrong} | {f"rank missing, {output}": count for output, count in lacking.items()},
    )


def _numpy_value(graph: MultiGraph, X: np.ndarray) -> np.ndarray:
    """`P_H` in float64."""
    with _exact():
        return np.asarray(evaluate(graph, jnp.asarray(X, jnp.float64)))


def random_multigraph(rng: np.random.Generator) -> MultiGraph:
    """Up to four nodes and five edges, loops and parallels included; zero to two red nodes; no isolated node unless red."""
    m, degree = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    edges = rng.integers(0, m, (degree, 2))
    used = sorted(set(edges.ravel().tolist()))
    red = rng.permutation(len(used))[: rng.integers(0, 3)]
    return MultiGraph(len(used), tuple((used.index(r), used.index(s)) for r, s in edges), tuple(red.tolist()))


@paper.claim(
    "C2",
    says="P_H is permutation equivariant, and is the sum of Q over all quotients of H",
    source="section 3.1, equations 5 to 7",
    metric="largest error / largest reference, float64, 20 random multigraphs",
    holds=at_most(1e-10),
    exact=True,
)
def equivariant_and_convertible(preset: Preset, key: jax.Array) -> Measurement:
    """Random matrices and permutations; P against the sum of Q over set partitions."""

    def errors(dtype):
        rng, moving, converting = generator(key), [], []
        for _ in range(20):
            graph, X, g = random_multigraph(rng), rng.standard_normal((6, 6)), rng.permutation(6)
            with _exact():
                P, moved = (np.asarray(evaluate(graph, jnp.asarray(x, dtype))) for x in (X, X[np.ix_(g, g)]))
                Q = sum(n * np.asarray(evaluate(h, jnp.asarray(X, dtype), distinct=True)) for h, n in p_in_q(graph).items())
            moving.append(max_relative_error(moved, P[np.ix_(*[g] * P.ndim)] if P.ndim else P))
            converting.append(max_relative_error(Q, P))
        return {"equivariance": float(np.max(moving)), "P from Q": float(np.max(converting))}

    return identity(errors, "random multigraphs and 6 x 6 matrices", single=False)


@cache
def _failure_table(degree: int) -> dict[str, list[int]]:
    """Per degree: all connected simple multigraphs with red nodes, and how many each bank cannot compute."""
    table: dict[str, list[int]] = {"all": [], "message passing": [], "PPGN++": []}
    for d in range(1, degree + 1):
        graphs = graphs_of_degree(d, simple=True, connected=True)
        table["all"].append(sum(len(place_red(g, count, simple=True)) for g in graphs for count in (0, 1, 2)))
        table["message passing"].append(sum(len(failures(NODE_BANK, d, count)) for count in (0, 1, 2)))
        table["PPGN++"].append(sum(len(failures(EDGE_BANK, d, count)) for count in (0, 1, 2)))
    return table


@paper.claim(
    "C3",
    says="PPGN++ computes strictly more polynomials than message passing: degree 4 (node outputs: 5) against 2",
    source="section 4.2, theorem 3",
    metric="disagreements with the expected degrees, numbers of failures and failing multigraphs",
    holds=at_most(0),
    exact=True,
    seeds=1,
)
def hierarchy(preset: Preset, key: jax.Array) -> Measurement:
    """The contraction algorithm on every connected simple multigraph with up to six edges."""
    degree = preset.table_degree
    degrees = {
        "edge output, PPGN++": (expressive_degree(EDGE_BANK, "edge", degree), 4),
        "node output, PPGN++": (expressive_degree(EDGE_BANK, "node", degree), 5),
        "node output, message passing": (expressive_degree(NODE_BANK, "node", degree), 2),
    }
    table = _failure_table(degree)
    known = {h for s in MISSING if (h := MultiGraph.from_spec(s).canonical(undirected=True)).degree <= degree}
    found = {h for h in missing_polynomials(degree) if h.degree <= KNOWN_DEGREE}
    wrong = sum(got != min(expected, degree) for got, expected in degrees.values()) + len(found ^ known)
    return Measurement(
        float(wrong),
        f"{sum(table['all'])} connected simple multigraphs with up to {degree} edges",
        extras={name: got for name, (got, _) in degrees.items()},
        figure=figures.failing_shares(
            {"all": table["all"], "message passing cannot": table["message passing"], "PPGN++ cannot": table["PPGN++"]}
        ),
    )


@paper.claim(
    "C4",
    says="Every computable polynomial is computed by the bank's contractions alone",
    source="section 4.1, theorem 2",
    metric="largest error / largest reference over all plans, float64",
    holds=at_most(1e-9),
    exact=True,
    seeds=1,
)
def plans_execute(preset: Preset, key: jax.Array) -> Measurement:
    """Plans against one einsum: all connected simple multigraphs, and all directed ones up to degree 2."""
    graphs = [h for d in range(3) for h in enumerate_basis(d, "edge")]
    for d in range(1, preset.plan_degree + 1):
        graphs += [
            h
            for g in graphs_of_degree(d, simple=True, connected=True)
            for count in (0, 1, 2)
            for h in place_red(g, count, simple=True)
        ]
    graphs = list(dict.fromkeys(graphs))
    X = generator(key).standard_normal((6, 6))
    plans = {h: plan for h in graphs if (plan := contraction_plan(h, EDGE_BANK))}

    def errors(dtype):
        with _exact():
            x = jnp.asarray(X, dtype)
            return [max_relative_error(plan(x), evaluate(h, x)) for h, plan in plans.items()]

    return identity(
        errors,
        f"{len(plans)} multigraphs, a random 6 x 6 matrix",
        single=False,
        extras={"plans": len(plans), "elements": len(graphs)},
    )


@shared
def equal_pairs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Shares of pairs of graphs of one family that colours, polynomials and untrained networks `[seeds]` cannot tell apart."""
    source = families(preset.families)
    sets, graphs = source.value, missing_polynomials(6)
    ends = np.cumsum([len(A) for A in sets.values()])
    pairs = [len(A) * (len(A) - 1) // 2 for A in sets.values()]
    reads = {"PPGN++ alone": 1, "PPGN++(5)": 1 + len(missing_polynomials(5)), "PPGN++(6)": 1 + len(graphs)}
    inputs = scaled_features(sets, graphs)
    outputs = untrained_embeddings(inputs, list(reads.values()), keys, depth=preset.sr_depth, width=preset.sr_width)

    def equal(rows):
        """Rows `[graphs of all families, ...]`."""
        return np.average([indistinguishable_fraction(part) for part in np.split(rows, ends[:-1])], weights=pairs)

    shares: dict[str, Any] = {
        "WL-1 colours": np.average([equal_share(wl1(A)) for A in sets.values()], weights=pairs),
        "2-FWL colours": np.average([equal_share(fwl2(A)) for A in sets.values()], weights=pairs),
        "sorted entries of the degree-5 polynomial": equal(np.sort(inputs[0][:, 1].reshape(ends[-1], -1))),
    }
    shares |= {name: np.array([equal(rows) for rows in rows]) for name, rows in zip(reads, outputs, strict=True)}
    return {"shares": shares, "data": f"{', '.join(sets)}: {sum(pairs)} pairs", "stand_in_for": source.stand_in_for}


@paper.claim(
    "C5",
    says="PPGN++ cannot split strongly regular graphs; with one polynomial of degree 5 it splits all",
    source="section 6.1, figure 4",
    metric="share of equal pairs with the degree-5 polynomial, untrained, float64",
    holds=all_of(
        every_seed(at_most(0.0)),
        every_seed(at_most(0.0, of="with all 12 polynomials")),
        every_seed(at_least(1.0, of="PPGN++ alone")),
    ),
    trivial="WL-1 colours",
)
def splits_strongly_regular(preset: Preset, key: jax.Array) -> Measurement:
    """Untrained networks; equal means closer than 1e-8 of the largest output norm.

    Besides colours, the entries of the degree-5 polynomial, sorted, without a network.
    """
    found = equal_pairs(preset, key)
    shares = {name: float(share) for name, share in found["shares"].items()}
    value, full = shares.pop("PPGN++(5)"), shares.pop("PPGN++(6)")
    return Measurement(
        value,
        found["data"],
        baselines=shares,
        extras={"with all 12 polynomials": full},
        stand_in_for=found["stand_in_for"],
        figure=figures.bars(
            {
                "WL-1": shares["WL-1 colours"],
                "2-FWL": shares["2-FWL colours"],
                "sorted entries": shares["sorted entries of the degree-5 polynomial"],
                "PPGN++": shares["PPGN++ alone"],
                "PPGN++(5)": value,
                "PPGN++(6)": full,
            },
            "share of equal pairs",
            "PPGN++(5)",
        ),
    )


@shared
def regression_errors(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Test errors `[seeds]` of the three networks on the K4 task, one data set and one order of batches per seed.

    The rate is the best of all three networks on the grid 1e-3, 2e-3, 3e-3, 5e-3, 1e-2; the running mean of the parameters takes
    the noise of the last step out of each. PPGN++ with and without polynomials is one program: without, it reads A alone.
    """
    count, cut = preset.graphs, preset.graphs - preset.test_graphs
    A, y = stack([clique_task(key, count, preset.nodes) for key in fold_keys(keys, 1)])
    order = stack([epoch_indices(key, cut, preset.batch_size, preset.steps) for key in fold_keys(keys, 2)])
    F = np.log1p(jax.jit(polynomial_features, static_argnums=1)(A, missing_polynomials(6)))
    top = F[:, :cut].max((1, 3, 4), keepdims=True)
    F = np.concatenate([A[:, :, None], F / np.where(top > 0, top, 1)], 2)
    reads = iter([1] * len(keys) + [13] * len(keys))  # a network is built for one key after the other

    def node(rngs):
        return NodePrototype(1, preset.node_width, preset.depth, 1, rngs=rngs)

    def pair(rngs):
        return read_only_first(PPGNPlusPlus(13, preset.width, preset.depth, 1, rngs=rngs), next(reads))

    by_node = _test_errors(preset, node, A[:, :, None], y, order, keys)
    blind = np.where(np.arange(F.shape[2])[:, None, None] < 1, F, 0)
    both = (np.concatenate(halves) for halves in ((blind, F), (y, y), (order, order)))
    plain, featured = np.split(_test_errors(preset, pair, *both, jnp.concatenate([keys, keys])), 2)
    zero = np.abs(y[:, cut:]).mean((1, 2))
    squares = [_least_squares(*rows, cut) for rows in zip(F, y, strict=True)]
    return {
        "zero": zero,
        "least squares": np.array(squares),
        "message passing": by_node,
        "PPGN++": plain,
        "PPGN++(6)": featured,
    }


def _test_errors(preset: Preset, build: Build, Z: np.ndarray, y: np.ndarray, order: np.ndarray, keys: jax.Array) -> np.ndarray:
    """Mean absolute errors `[runs]` after training on all but the last graphs of each run, on those."""
    cut = preset.graphs - preset.test_graphs
    mask, sizes = np.ones((*Z.shape[:2], 1, *Z.shape[3:]), np.float32), np.full(Z.shape[:2], preset.nodes, np.int32)
    train, test = ([a[:, part] for a in (Z, mask, sizes, y)] for part in (slice(cut), slice(cut, None)))
    tx = optax.adam(preset.learning_rate)
    graph, state, _ = fit_seeds(
        build, tx, l1_loss, take_batch, (tuple(train), order), steps=preset.steps, keys=keys, ema=preset.ema
    )
    return np.asarray(jax.jit(jax.vmap(lambda state, batch: l1_loss(nnx.merge(graph, state), batch)))(state, tuple(test)))


def _least_squares(F: np.ndarray, y: np.ndarray, cut: int) -> float:
    """Test error of a linear map of the sums of the channels `[graphs, channels, n, n]`, without a network."""
    columns = np.concatenate([F.sum((2, 3), dtype=np.float64), np.ones((len(F), 1))], 1)
    weights = np.linalg.lstsq(columns[:cut], y[:cut], rcond=None)[0]
    return float(np.abs(columns[cut:] @ weights - y[cut:]).mean())


@paper.claim(
    "C6",
    says="Polynomial features raise the accuracy of PPGN++",
    source="section 6.2, tables 1 and 2",
    metric="test MAE / test MAE of PPGN++ without features",
    holds=below(0.5),
    seeds=6,
    trivial="least squares on the features",
)
def features_help(preset: Preset, key: jax.Array) -> Measurement:
    """Residual number of 4-cliques of random graphs, Adam on the L1 loss; `paper` trains the ladder on ZINC-12k besides."""
    errors = {name: float(value) for name, value in regression_errors(preset, key).items()}
    plain = errors["PPGN++"]
    return Measurement(
        errors["PPGN++(6)"] / plain,
        f"{preset.graphs} random graphs of {preset.nodes} nodes, residual K4 count",
        baselines={
            "predicting 0": errors["zero"] / plain,
            "least squares on the features": errors["least squares"] / plain,
            "PPGN++": 1.0,
            "message passing": errors["message passing"] / plain,
        },
        extras={f"MAE of {name}": value for name, value in errors.items()} | _on_molecules(preset, key),
        stand_in_for="" if preset.molecules else "ZINC-12k and Alchemy-12k",
        figure=figures.bars(
            {n: errors[n] for n in ("zero", "least squares", "message passing", "PPGN++", "PPGN++(6)")}, "test MAE", "PPGN++(6)"
        ),
    )


def _on_molecules(preset: Preset, key: jax.Array) -> dict[str, float]:
    if not preset.molecules:
        return {}
    config = TrainingConfig(epochs=preset.epochs, batch_size=preset.batch_size)
    errors = molecule_errors(preset.molecules, config, key, width=preset.width, depth=preset.depth)
    return {f"{preset.molecules} MAE of {name}": value for name, value in errors.items()}

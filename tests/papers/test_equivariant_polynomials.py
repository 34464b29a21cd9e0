"""Equivariant polynomials: golden vectors, properties, converters, features, errors, claims."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.errors import DatasetCorrupt
from quire.common.graphs.basis import Output, enumerate_basis, graphs_of_degree, orbit_count, place_red
from quire.common.graphs.contraction import EDGE_BANK, NODE_BANK, contraction_plan, is_computable
from quire.common.graphs.dense import random_graphs, rook_4x4, shrikhande
from quire.common.graphs.evaluate import as_diagonal, evaluate, evaluate_by_loops, evaluate_by_slices
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import PPGNPlusPlus, append_identity, read_only_first
from quire.common.testing import assert_close
from quire.common.train.finite import TrainingDiverged
from quire.equivariant_polynomials import claims
from quire.equivariant_polynomials.config import Preset
from quire.equivariant_polynomials.convert import load_ppgn
from quire.equivariant_polynomials.features import missing_polynomials, normalise_features, occurring, polynomial_features
from quire.equivariant_polynomials.molecules import MoleculeEncoder, molecule_errors, molecule_splits
from quire.equivariant_polynomials.regression import TrainingConfig, clique_task, train_regression
from quire.equivariant_polynomials.separation import indistinguishable_fraction, scaled_features, untrained_embeddings

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-9), (jnp.float32, 1e-4)], ids=["f64", "f32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("equivariant_polynomials")


@PRECISIONS
def test_golden_polynomials(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        X = jnp.asarray(vectors["X"], dtype)
        for k, spec in enumerate(json.loads(str(vectors["H_specs"]))):
            H = MultiGraph(spec["m"], tuple(map(tuple, spec["edges"])), tuple(spec["red"]))
            assert_close(evaluate(H, X), vectors[f"P_{k}"], tolerance)
            assert_close(evaluate(H, X, distinct=True), vectors[f"Q_{k}"], tolerance)
        Xc = jnp.asarray(vectors["Xc"], dtype)
        assert_close(evaluate(MultiGraph(3, ((0, 1), (1, 2), (2, 0)), (0,), (0, 1, 0)), Xc), vectors["Pc_0"], tolerance)
        assert_close(evaluate(MultiGraph(3, ((0, 1), (0, 1), (1, 2)), (0, 2), (0, 1, 1)), Xc), vectors["Pc_1"], tolerance)


def test_golden_enumeration_and_decisions(vectors):
    specs, degrees = vectors["enum_spec"], vectors["enum_degree"]
    known = {MultiGraph.from_spec(str(s)).canonical(undirected=True) for s in specs}
    found = {
        h
        for d in sorted(set(degrees.tolist()))
        for g in graphs_of_degree(d, True, True)
        for count in (0, 1, 2)
        for h in place_red(g, count, simple=True)
    }
    assert found == known and len(known) == len(specs)
    for spec, edge, node in zip(specs, vectors["enum_edge_model"], vectors["enum_node_model"], strict=True):
        H = MultiGraph.from_spec(str(spec))
        assert (is_computable(H, EDGE_BANK), is_computable(H, NODE_BANK)) == (bool(edge), bool(node)), spec


def test_golden_orbit_counts(vectors):
    """Rows of the golden table: invariant, node and edge outputs; columns: degrees."""
    outputs: tuple[Output, ...] = ("invariant", "node", "edge")
    for output, known in zip(outputs, vectors["orbit_counts"], strict=True):
        assert [len(enumerate_basis(d, output)) for d in range(min(3, len(known)))] == known[:3].tolist()
        assert [orbit_count(d, output) for d in range(len(known))] == known.tolist()


def test_golden_features(vectors):
    graphs = [MultiGraph.from_spec(str(s)) for s in vectors["sr_poly_specs"]]
    with jax.enable_x64():
        F = np.asarray(polynomial_features(jnp.asarray(vectors["sr16622_adj"], jnp.float64), graphs))
        assert_close(F.sum((2, 3)), vectors["sr16622_poly_sum"], 1e-9)
        assert_close(np.linalg.norm(F, axis=(2, 3)), vectors["sr16622_poly_frob"], 1e-9)
        assert_close(normalise_features(jnp.asarray(vectors["polynorm_in"])), vectors["polynorm_out"], 1e-9)
    assert {g.canonical(undirected=True) for g in graphs} == set(missing_polynomials(6))


@PRECISIONS
def test_golden_ppgn(vectors, dtype, tolerance):
    state = {name.removeprefix("ppgn."): x for name, x in vectors.arrays.items() if name.startswith("ppgn.")}
    with jax.enable_x64(dtype == jnp.float64):
        model = load_ppgn(state, dtype=dtype)
        Z, mask = (jnp.asarray(vectors[name], dtype) for name in ("ppgn_in", "ppgn_mask"))
        assert_close(model(Z, mask, jnp.asarray(vectors["ppgn_n"], jnp.int32)), vectors["ppgn_out"], tolerance)
        first = model.blocks[0](append_identity(jnp.moveaxis(Z, 1, -1)), jnp.moveaxis(mask, 1, -1))
        assert_close(jnp.moveaxis(first, -1, 1), vectors["ppgn_block0_out"], tolerance)
    with pytest.raises(ValueError, match=r"missing: fc_layers\.1\.fc\.bias"):
        load_ppgn({n: x for n, x in state.items() if n != "fc_layers.1.fc.bias"})


def test_forms_agree():
    X = np.random.default_rng(0).standard_normal((4, 4))
    with jax.enable_x64():
        x = jnp.asarray(X)
        for spec in ("ab,ac,ad,bc,bd,cd->ab", "ab,aa,bc->a", "ab,bc,ca->"):
            H = MultiGraph.from_spec(spec)
            assert_close(evaluate(H, x), evaluate_by_loops(H, X), 1e-10)
            assert_close(evaluate_by_slices(H, x), evaluate_by_loops(H, X), 1e-10)
            if plan := contraction_plan(H, EDGE_BANK):
                assert_close(plan(x), evaluate_by_loops(H, X), 1e-10)


def test_features_are_equivariant_and_ignore_padding():
    A = random_graphs(jax.random.key(0), 3, 6)
    padded = jnp.pad(A, ((0, 0), (0, 2), (0, 2)))
    mask = jnp.pad(jnp.ones((3, 1, 6, 6)), ((0, 0), (0, 0), (0, 2), (0, 2)))
    graphs = missing_polynomials(5) + missing_polynomials(6)[1:4]
    F = polynomial_features(A, graphs)
    assert_close(polynomial_features(padded, graphs, mask)[..., :6, :6], F, 1e-5)
    order = np.array([3, 1, 5, 0, 4, 2])
    assert_close(polynomial_features(A[:, order][:, :, order], graphs), F[..., order, :][..., order], 1e-5)
    assert as_diagonal(jnp.ones(3)).shape == (3, 3)


def test_networks_that_read_their_first_channels_only():
    """What they ignore changes nothing, and their weights have the spread of a network of so many channels."""
    Z, rest = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 1, 4, 4)), jnp.float32)
    mask, sizes = jnp.ones((3, 1, 4, 4)), jnp.full(3, 4, jnp.int32)
    model = read_only_first(PPGNPlusPlus(5, 16, 1, 2, rngs=nnx.Rngs(0)), 1)
    others = jnp.concatenate([rest] * 4, 1)
    assert_close(model(jnp.concatenate([Z, others], 1), mask, sizes), model(jnp.concatenate([Z, 0 * others], 1), mask, sizes), 0)
    block = model.blocks[0]
    for linear, read in ((block.mlp1.convs[0], 4), (block.mlp2.convs[0], 2), (block.skip, 18)):
        kernel = np.asarray(linear.kernel[...])
        assert (np.abs(kernel).max(1) > 0).sum() == read
        assert 0.9 < np.abs(kernel).max() / (6 / (read + 16)) ** 0.5 <= 1 + 1e-6
    with pytest.raises(ValueError, match="channels is 6; it must lie between 1 and the 5"):
        read_only_first(model, 6)


def test_untrained_networks_of_several_families():
    """Two families in one padded batch: the pair is split by polynomials only, and by each network as alone."""
    sets = {"four": np.stack([rook_4x4(), shrikhande()]), "three": np.ones((2, 3, 3), np.uint8)}
    keys, sizes = jax.random.split(jax.random.key(0), 2), dict(depth=2, width=4, out=3)
    outputs = untrained_embeddings(scaled_features(sets, missing_polynomials(5)), [1, 2], keys, **sizes)
    assert outputs.shape == (2, 2, 4, 3)
    assert [[indistinguishable_fraction(e[:2]) for e in each] for each in outputs] == [[1, 1], [0, 0]]
    alone = untrained_embeddings(scaled_features({"three": sets["three"]}, missing_polynomials(5)), [2], keys[:1], **sizes)
    assert_close(alone[0, 0], outputs[1, 0, 2:], 1e-10)


@pytest.mark.parametrize("degree", [4, 5])
def test_the_hierarchy_is_as_known_up_to_any_degree(degree):
    assert claims.hierarchy(Preset(table_degree=degree), jax.random.key(0)).value == 0


def test_networks_without_features_never_see_them(monkeypatch):
    """Weights of zero would learn to read a feature that is not zero."""
    seen = []
    monkeypatch.setattr(claims, "_test_errors", lambda preset, build, Z, y, order, keys: seen.append(Z) or np.zeros(len(keys)))
    claims.regression_errors(Preset(graphs=30, test_graphs=4, nodes=6, steps=2, batch_size=4), jax.random.key(0))
    of_nodes, of_pairs = seen
    assert of_nodes.shape == (1, 30, 1, 6, 6) and of_pairs.shape == (2, 30, 13, 6, 6)
    assert not of_pairs[0, :, 1:].any() and of_pairs[1, :, 1:].any()
    np.testing.assert_array_equal(of_pairs[:, :, 0], [of_nodes[0, :, 0]] * 2)


def test_recipe_trains():
    A, y = clique_task(jax.random.key(0), 24, 6)
    batch = (A[:, None], jnp.ones((24, 1, 6, 6)), jnp.full(24, 6, jnp.int32), y)
    model = PPGNPlusPlus(1, 4, 1, 1, rngs=nnx.Rngs(0))
    history = train_regression(model, batch, batch, TrainingConfig(epochs=8, batch_size=8, patience=0), jax.random.key(1))
    assert history[-1]["validation"] < history[0]["validation"]
    with pytest.raises(ValueError, match="train is empty"):
        MoleculeEncoder.fit([])
    with pytest.raises(ValueError, match="train holds 24 graphs; a batch needs 128"):
        train_regression(model, batch, batch, TrainingConfig(), jax.random.key(1))
    short = TrainingConfig(epochs=1, batch_size=8)
    nothing, broken = jax.tree.map(lambda a: a[:0], batch), (*batch[:3], jax.device_put(np.full(y.shape, np.nan, np.float32)))
    with pytest.raises(ValueError, match="validation holds no graph"):
        train_regression(model, batch, nothing, short, jax.random.key(1))
    with jax.debug_nans(False):
        with pytest.raises(TrainingDiverged, match="the loss became nan"):
            train_regression(model, broken, batch, short, jax.random.key(1))
        assert np.isfinite(jax.tree.leaves(nnx.state(model))[0]).all()
        with pytest.raises(TrainingDiverged, match="the validation error became nan in epoch 0"):
            train_regression(model, batch, broken, short, jax.random.key(1))


@pytest.mark.parametrize(("count", "n"), [(10, 3), (4, 8), (10, 1)])
def test_a_clique_task_without_cliques_is_refused(count, n):
    with pytest.raises(ValueError, match=f"count is {count} and n {n}"):
        clique_task(jax.random.key(0), count, n)


def test_features_are_normalised_whatever_their_size():
    F = np.random.default_rng(0).integers(0, 3, (2, 3, 3)).astype(np.float32) + np.eye(3, dtype=np.float32)
    expected = normalise_features(jnp.asarray(F))
    np.testing.assert_allclose(np.linalg.norm(expected, axis=(1, 2)), 1, rtol=1e-6)
    for scale in (1e-30, 1e30):
        np.testing.assert_allclose(normalise_features(jnp.asarray(F * np.float32(scale))), expected, rtol=1e-5)
    half = normalise_features(jnp.asarray(F * 300, jnp.float16))
    np.testing.assert_allclose(half, expected, atol=1e-3)
    assert half.dtype == jnp.float16
    assert np.isfinite(jax.grad(lambda F: normalise_features(F).sum())(jnp.zeros((2, 2, 2)))).all()
    with jax.debug_nans(False):
        assert jnp.isnan(normalise_features(jnp.asarray(F).at[0, 1, 2].set(jnp.nan))).all()


def test_targets_do_not_broadcast(as_installed):
    A, y = clique_task(jax.random.key(0), 8, 6)
    inputs = A[:, None], jnp.ones((8, 1, 6, 6)), jnp.full(8, 6, jnp.int32)
    model, config = PPGNPlusPlus(1, 4, 1, 1, rngs=nnx.Rngs(0)), TrainingConfig(epochs=1, batch_size=8)
    for train, validation in (((*inputs, y[:, 0]), (*inputs, y)), ((*inputs, y), (*inputs, y[:, 0]))):
        with pytest.raises(ValueError, match=r"targets have shape \(8,\) and outputs \(8, 1\)"):
            train_regression(model, train, validation, config, jax.random.key(1))
    with pytest.raises(ValueError, match=r"train has arrays of \[4, 8\] graphs"):
        train_regression(model, (*inputs, y[:4]), (*inputs, y), config, jax.random.key(1))


def test_no_nodes_give_no_polynomials(as_installed):
    for spec, shape in (("ab,bc->ac", (0, 0)), ("ab,bc->a", (0,)), ("ab,bc,ca->", ())):
        graph = MultiGraph.from_spec(spec)
        for function in (evaluate, evaluate_by_slices):
            assert function(graph, jnp.zeros((0, 0))).shape == shape
        assert evaluate_by_loops(graph, np.zeros((0, 0))).shape == shape


def test_errors(as_installed):
    for name, value in {"learning_rate": 0.0, "min_learning_rate": -1.0, "epochs": 0, "batch_size": 0, "patience": -1}.items():
        with pytest.raises(ValueError, match=name):
            TrainingConfig(**{name: value})
    with pytest.raises(ValueError, match="max_degree is -1"):
        missing_polynomials(-1)
    with pytest.raises(ValueError, match="tol is nan"):
        indistinguishable_fraction(np.ones((2, 2)), float("nan"))
    with pytest.raises(ValueError, match=r"X has shape \(2, 3\)"):
        evaluate_by_loops(MultiGraph.from_spec("ab->"), np.ones((2, 3)))
    for function in (normalise_features, lambda F: occurring([MultiGraph.from_spec("ab->")], F)):
        with pytest.raises(ValueError, match=r"F has shape \(3, 3\)"):
            function(jnp.ones((3, 3)))
    flat = {f"{name}.weight": np.ones(3) for name in ("reg_blocks.0.mlp1.convs.0", "reg_blocks.0.mlp2.convs.0")}
    with pytest.raises(ValueError, match="weights have shapes"):
        load_ppgn(flat | {f"fc_layers.{i}.fc.weight": np.ones(3) for i in (0, 1)})
    with pytest.raises(ValueError, match="red names node 3"):
        MultiGraph(3, ((0, 1),), (3,))
    with pytest.raises(ValueError, match=r"X has shape \(2, 3\)"):
        evaluate(MultiGraph.from_spec("ab->"), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="not finite"):
        indistinguishable_fraction(np.array([[np.nan], [1.0]]))
    with pytest.raises(ValueError, match="graphs is empty"):
        polynomial_features(jnp.ones((2, 2)), [])


def test_molecules_by_the_paper_recipe(tmp_path, monkeypatch):
    """K4 with a tail and a path, written in the text format of ZINC: five copies of each in every split."""
    tail, path = ["1, 2", "1, 3", "1, 4", "2, 3", "2, 4", "3, 4", "4, 5"], ["1, 2", "2, 3"]
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        folder = tmp_path / "zinc-12k" / f"ZINC_{split}"
        folder.mkdir(parents=True)
        lines, owner, first = [], [], 0
        for g in range(10):
            for pair in (tail, path)[g % 2]:
                a, b = (int(v) + first for v in pair.split(","))
                lines += [f"{a}, {b}", f"{b}, {a}"]
            owner += [g + 1] * (5, 3)[g % 2]
            first = len(owner)
        files = {
            "A": lines,
            "graph_indicator": owner,
            "node_labels": rng.integers(0, 3, first),
            "edge_labels": [1 + (i // 2) % 3 for i in range(len(lines))],
            "graph_attributes": [(4.0, 1.0)[g % 2] for g in range(10)],
        }
        for what, rows in files.items():
            (folder / f"ZINC_{split}_{what}.txt").write_text("\n".join(map(str, rows)))
        (folder / "index").write_text("0,1,2,3,4,5,6,7,8")
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    train, _, _ = molecule_splits("zinc-12k", jax.random.key(0))
    assert [len(m.tags) for m in train] == [5, 3] * 4 + [5]
    assert train[0].bonds.max() == 3 and (train[0].bonds == train[0].bonds.T).all() and train[1].target.tolist() == [1.0]
    encoder = MoleculeEncoder.fit(train, missing_polynomials(6), standardise=True)
    Z, mask, sizes, y = encoder(train)
    assert Z.shape == (9, encoder.in_channels, 5, 5) and 3 < encoder.in_channels <= 15
    assert sizes.tolist() == [5, 3] * 4 + [5] and abs(float(y.mean())) < 1e-5 and float((Z * (1 - mask)).max()) == 0
    errors = molecule_errors("zinc-12k", TrainingConfig(epochs=3, batch_size=4), jax.random.key(0), width=4, depth=1)
    assert list(errors) == ["predicting 0", "PPGN", "PPGN++", "PPGN++(5)", "PPGN++(6)"] and all(map(np.isfinite, errors.values()))
    with pytest.raises(ValueError, match="name is 'QM9'"):
        molecule_splits("QM9", jax.random.key(0))
    (tmp_path / "zinc-12k" / "ZINC_train" / "index").write_text("99")
    with pytest.raises(DatasetCorrupt, match="not a set of the TU collection"):
        molecule_splits("zinc-12k", jax.random.key(0))


def test_small_molecules(quire_data):
    parts = molecule_splits("MUTAG", jax.random.key(0))
    assert [len(p) for p in parts] == [150, 19, 19]
    occurring = MoleculeEncoder.fit(parts[0], missing_polynomials(6)).graphs
    assert [h.num_nodes for h in occurring] == [5], "no molecule of MUTAG has a triangle; the rest map onto trees alone"

"""Sheaf recommender: golden vectors of the authors' code, models, training, protocol, claims."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data import registry
from quire.common.data.link_sets import block_graph, split_links
from quire.common.data.recsys import generated_feedback, split_feedback
from quire.common.errors import DatasetUnavailable
from quire.common.graphs.edges import bipartite, from_directed
from quire.common.graphs.propagation import lightgcn_propagate, ngcf_propagate
from quire.common.graphs.sheaf_layers import sheaf_maps, sheaf_step
from quire.common.graphs.sheaves import sheaf_laplacian
from quire.common.graphs.stalk_maps import orthogonal_map
from quire.common.metrics.ranking import hits_at_k, ranking_metrics
from quire.common.retrieval.bpr import bpr_loss, embedding_penalty
from quire.common.testing import assert_close, max_relative_error
from quire.sheaf_recsys import protocol, training
from quire.sheaf_recsys.benchmark import cases
from quire.sheaf_recsys.config import PRESETS
from quire.sheaf_recsys.convert import load_ngcf_conv, load_sheaf_rec
from quire.sheaf_recsys.experiments import (
    Recommendation,
    builders,
    choose_settings,
    link_builders,
    open_feedback,
    open_links,
    predict_links,
)
from quire.sheaf_recsys.models import BPRMF, GCN, NGCF, LightGCN, LinkHead, LinkPredictor, SheafRec, StalkSheafRec, inner_product
from quire.sheaf_recsys.protocol import evaluate, held, popularity
from quire.sheaf_recsys.separation import between_and_within, diffuse, two_classes
from quire.sheaf_recsys.training import Setting, batch_loss, link_task, recommendation_task, train

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 2e-5)], ids=["f64", "f32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("sheaf_recsys")


def graph_of(vectors):
    return from_directed(vectors["edge_index"], int(vectors["n_users"]) + int(vectors["n_items"]))


def weights(vectors):
    return {name: x for name, x in vectors.arrays.items() if re.fullmatch(r"emb0|(lin_w|lin_b|sheaf_w)_\d+", name)}


def relation(vectors, split):
    dense = np.zeros((int(vectors["n_users"]), int(vectors["n_items"])), bool)
    dense[vectors[f"{split}_user"], vectors[f"{split}_item"]] = True
    return jnp.asarray(dense)


# --- Golden vectors ---


def test_golden_graph(vectors):
    users, items = int(vectors["n_users"]), int(vectors["n_items"])
    graph = bipartite(vectors["train_user"], vectors["train_item"], users, items)
    ours = {tuple(edge) for edge in np.asarray(graph.directed).T}
    assert ours == {tuple(edge) for edge in vectors["edge_index"].T}
    same, order = from_directed(vectors["edge_index"], users + items)
    np.testing.assert_array_equal(vectors["edge_index"][:, order], same.directed)


def golden_recommender(vectors, dtype):
    graph, order = graph_of(vectors)
    models = {readout: load_sheaf_rec(weights(vectors), readout=readout, dtype=dtype) for readout in ("concat", "mean")}
    maps = sheaf_maps(graph, jnp.asarray(vectors["emb0"], dtype), jnp.asarray(vectors["sheaf_w_0"], dtype), "scalar")
    return {
        **{f"sheaf_out_{readout}": model(graph) for readout, model in models.items()},
        "layer0_out": models["mean"].layers(graph)[1],
        "layer0_maps": maps[np.argsort(order)],
        "layer0_laplacian": sheaf_laplacian(graph, maps, "scalar").todense(),
    }


def golden_loss_and_gradients(vectors, dtype):
    graph, _ = graph_of(vectors)
    skeleton, params = nnx.split(load_sheaf_rec(weights(vectors), readout="concat", dtype=dtype))
    users, pos, neg = (jnp.asarray(vectors[f"batch_{name}"], jnp.int32) for name in ("users", "pos", "neg"))

    def losses(params):
        model = nnx.merge(skeleton, params)
        out, emb0 = model(graph), model.embedding[...]
        ranking = bpr_loss(inner_product(out[users], out[pos]), inner_product(out[users], out[neg]))
        return ranking, embedding_penalty(emb0[users], emb0[pos], emb0[neg])

    ranking, penalty = losses(params)
    grads = jax.jit(jax.grad(lambda p: sum(losses(p))))(params)
    return {
        "bpr_loss": ranking,
        "reg_loss": penalty,
        "grad_emb0": grads.embedding[...],
        "grad_lin_w_0": grads.convs.linear.kernel[0].T,
        "grad_sheaf_w_0": grads.convs.learner.weight[0],
    }


def golden_metrics(vectors, dtype):
    out, users = jnp.asarray(vectors["sheaf_out_concat"], dtype), int(vectors["n_users"])
    scores = out[:users] @ out[users:].T
    seen, relevant = relation(vectors, "train"), relation(vectors, "test")
    found = {}
    for match in filter(None, (re.fullmatch(r"(\w+)@(\d+)_(authors|masked)", name) for name in vectors.arrays)):
        metric, k, form = match.groups()
        masking = {"authors": "zero", "masked": "exclude"}[form]
        name = "mrr_authors" if (metric, form) == ("mrr", "authors") else metric
        found[match[0]] = ranking_metrics(scores, relevant, (int(k),), seen, masking=masking)[f"{name}@{k}"]
    positive, negative = (jnp.asarray(vectors[f"hits_{side}"], dtype) for side in ("pos", "neg"))
    hits = filter(None, (re.fullmatch(r"hits@(\d+)", name) for name in vectors.arrays))
    return found | {match[0]: hits_at_k(positive, negative, int(match[1])) for match in hits}


def golden_baselines(vectors, dtype):
    graph, _ = graph_of(vectors)
    x = jnp.asarray(vectors["emb0"], dtype)
    linear = (jnp.asarray(vectors[f"ngcf_{name}"], dtype) for name in ("w1", "b1", "w2", "b2"))
    layer = load_ngcf_conv(vectors.arrays, dtype=dtype)(graph, x)
    assert_close(layer, jax.nn.leaky_relu(ngcf_propagate(graph, x, *linear), 0.01), 1e-6)
    return {"lightgcn_layer": lightgcn_propagate(graph, x), "ngcf_layer": layer}


def golden_stalks(vectors, dtype):
    graph, order = graph_of(vectors)

    @jax.jit
    def measure(diagonal, general, x, params):
        laplacian = sheaf_laplacian(graph, general, "general")
        turns = orthogonal_map(params, general.shape[-1])
        stalks = x.reshape(graph.num_nodes, general.shape[-1], -1)
        return {
            "nsd_diag_L": sheaf_laplacian(graph, diagonal, "diagonal", normalised=False).todense(),
            "nsd_diag_Lnorm": sheaf_laplacian(graph, diagonal, "diagonal").todense(),
            "nsd_gen_L": sheaf_laplacian(graph, general, "general", normalised=False).todense(),
            "nsd_gen_Lnorm": laplacian.todense(),
            "nsd_gen_eig": jnp.linalg.eigvalsh(laplacian.todense()),
            "nsd_gen_energy": laplacian.energy(stalks),
            "nsd_gen_step": sheaf_step(laplacian, stalks, stalks).reshape(vectors["nsd_gen_step"].shape),
            "nsd_orth_Q_cayley": turns,
            "nsd_orth_Lnorm": sheaf_laplacian(graph, turns[order], "orthogonal").todense(),
        }

    maps = [vectors[f"nsd_{name}_maps"][order] for name in ("diag", "gen")]
    return measure(*(jnp.asarray(v, dtype) for v in (*maps, vectors["nsd_x"], vectors["nsd_orth_params"])))


GOLDEN = (golden_recommender, golden_loss_and_gradients, golden_metrics, golden_baselines, golden_stalks)
INPUTS = (
    r"n_users|n_items|(train|test)_(user|item)|edge_index|emb0|(lin_w|lin_b|sheaf_w)_\d+|batch_(users|pos|neg)|hits_(pos|neg)"
    r"|ngcf_[wb]\d|nsd_x|nsd_(diag|gen)_maps|nsd_orth_params"
)


@PRECISIONS
def test_golden_vectors(vectors, dtype, tolerance):
    """Every array of the file is an input or is compared."""
    ours = {}
    with jax.enable_x64(dtype == jnp.float64):
        for part in GOLDEN:
            ours |= part(vectors, dtype)
    assert ours.keys() == {name for name in vectors.arrays if not re.fullmatch(INPUTS, name)}
    for name, value in ours.items():
        assert max_relative_error(value, vectors[name]) <= tolerance, name


def test_converter_errors(as_installed, vectors):
    arrays = weights(vectors)
    with pytest.raises(ValueError, match="it needs emb0 and lin_w_0"):
        load_sheaf_rec({"emb0": arrays["emb0"]})
    with pytest.raises(ValueError, match="missing: sheaf_w_0"):
        load_sheaf_rec({name: x for name, x in arrays.items() if name != "sheaf_w_0"})
    with pytest.raises(ValueError, match="unexpected: sheaf_w_9"):
        load_sheaf_rec({**arrays, "sheaf_w_9": arrays["sheaf_w_0"]})


# --- Models ---


def toy(num_users=12, num_items=18):
    return split_feedback(generated_feedback(num_users * 3, num_items * 3, density=0.1, groups=4))


@pytest.fixture(scope="module")
def small():
    return Recommendation(toy())


def sample(task, size):
    """One batch."""
    return tuple(part[0] for part in task.sample(np.random.default_rng(0), (1, size)))


MODELS = {
    "sheaf": lambda n, r: SheafRec(n, 8, 2, rngs=r),
    "sheaf concat": lambda n, r: SheafRec(n, 8, 3, readout="concat", rngs=r),
    "general": lambda n, r: StalkSheafRec(n, 8, 2, kind="general", d=2, rngs=r),
    "orthogonal": lambda n, r: StalkSheafRec(n, 8, 1, kind="orthogonal", d=2, form="householder", rngs=r),
    "diagonal": lambda n, r: StalkSheafRec(n, 8, 1, kind="diagonal", d=4, activation="elu", rngs=r),
    "NGCF": lambda n, r: NGCF(n, 8, 2, rngs=r),
    "LightGCN": lambda n, r: LightGCN(n, 8, 2, rngs=r),
    "GCN": lambda n, r: GCN(n, 8, 2, rngs=r),
    "MF": lambda n, r: BPRMF(n, 8, rngs=r),
    "head": lambda n, r: LinkPredictor(LightGCN(n, 8, 1, rngs=r), 8, 4, rngs=r),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_give_a_vector_per_node_and_finite_gradients(small, name):
    model, n = MODELS[name](small.num_nodes, nnx.Rngs(0)), small.num_nodes
    out = model(small.task.graph)
    assert out.shape == (n, 32 if name == "sheaf concat" else 8)
    skeleton, params = nnx.split(model)
    batch = sample(small.task, 16)

    @jax.jit
    def gradient(params, objective="bpr"):
        return jax.grad(lambda p: batch_loss(nnx.merge(skeleton, p), small.task.graph, batch, jax.random.key(1), 0.1))(params)

    leaves = jax.tree.leaves(gradient(params))
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert any(float(jnp.abs(leaf).max()) > 0 for leaf in leaves)


def test_readouts(small):
    mean, concat = (SheafRec(small.num_nodes, 4, 2, readout=r, rngs=nnx.Rngs(0)) for r in ("mean", "concat"))
    layers = concat(small.task.graph).reshape(small.num_nodes, 3, 4)
    assert_close(mean(small.task.graph), layers.mean(1), 1e-6)
    assert_close(layers[:, 0], mean.embedding[...], 0)


def test_scan_of_stacked_layers_is_the_loop(small):
    model = SheafRec(small.num_nodes, 4, 3, rngs=nnx.Rngs(0))
    skeleton, stack = nnx.split(model.convs)
    x = model.embedding[...]
    for k, layer in enumerate(model.layers(small.task.graph)[1:]):
        x = nnx.merge(skeleton, jax.tree.map(lambda leaf, k=k: leaf[k], stack))(small.task.graph, x)
        assert_close(layer, x, 1e-6)


def test_initial_weights_have_the_authors_ranges():
    model = SheafRec(50, 64, 2, rngs=nnx.Rngs(0))
    assert abs(float(model.embedding[...].std()) - 0.1) < 0.01
    for parameter, bound in ((model.convs.linear.kernel, 1 / 8), (model.convs.learner.weight, 128**-0.5)):
        assert 0.9 * bound < float(jnp.abs(parameter[...]).max()) <= bound
    assert not np.array_equal(model.convs.linear.kernel[0], model.convs.linear.kernel[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: SheafRec(4, 8, 0, rngs=r), "num_layers is 0"),
        (lambda r: SheafRec(4, 8, 1, readout="max", rngs=r), "readout is 'max'"),
        (lambda r: StalkSheafRec(4, 8, 1, d=3, rngs=r), "d is 3; it must divide dim, 8"),
        (lambda r: StalkSheafRec(4, 8, 0, d=2, rngs=r), "num_layers is 0"),
        (lambda r: StalkSheafRec(4, 8, 1, d=0, rngs=r), "d is 0; it must be at least 1"),
        (lambda r: StalkSheafRec(4, 8, 1, kind="foo", d=2, rngs=r), "kind is 'foo'"),
        (lambda r: BPRMF(0, 8, rngs=r), "num_nodes is 0"),
        (lambda r: LightGCN(4, 0, rngs=r), "dim is 0"),
        (lambda r: LightGCN(4, 8, -1, rngs=r), "num_layers is -1"),
        (lambda r: StalkSheafRec(4, 8, 1, kind="orthogonal", d=2, form="qr", rngs=r), "form is 'qr'"),
        (lambda r: NGCF(4, 8, 1, dropout=-0.1, rngs=r), "dropout is -0.1"),
        (lambda r: LinkHead(4, 0, rngs=r), "hidden is 0"),
        (lambda r: LinkHead(4, rngs=r)(jnp.ones((1, 3)), jnp.ones((1, 3))), "a has vectors of width 3"),
    ],
)
def test_model_errors(as_installed, make, message):
    with pytest.raises(ValueError, match=message):
        make(nnx.Rngs(0))


# --- Training and protocol ---


def test_training_learns_and_batches_runs_of_all_lengths(small, monkeypatch):
    monkeypatch.setattr(training, "CHUNK_STEPS", 20)
    keys = [jax.random.key(0)] * 2
    settings = [Setting(0.05, 0.001)] * 2
    _, params, losses = train(lambda r: BPRMF(small.num_nodes, 8, rngs=r), small.task, settings, keys, [30, 50], batch_size=64)
    assert losses.shape == (2, 50)
    np.testing.assert_array_equal(losses[0, :30], losses[1, :30])
    assert not losses[0, 30:].any()
    assert losses[1, -1] < losses[1, 0]
    assert not np.array_equal(params.embedding[0], params.embedding[1])


def test_link_batches_are_edges_and_non_neighbours():
    graph = block_graph(30)
    split = split_links(graph, num_non_edges=50)
    task = link_task(split.train, graph.num_nodes)
    asking, positive, negative = sample(task, 3000)
    linked = np.zeros((30, 30), bool)
    linked[split.train[0], split.train[1]] = linked[split.train[1], split.train[0]] = True
    assert linked[asking, positive].all()
    assert not linked[asking, negative].any()
    assert (asking != negative).all()
    assert len(np.unique(asking)) > 20


def test_link_prediction_with_both_losses_and_head():
    graph = block_graph(30)
    split = split_links(graph, num_non_edges=50)
    for objective, name in (("bpr", "GCN"), ("bce", "head")):
        result = predict_links(
            split,
            30,
            lambda rngs, name=name: MODELS[name](30, rngs),
            [Setting(0.03, 0.0)],
            [jax.random.key(0)],
            steps=30,
            batch_size=64,
            hits_k=10,
            objective=objective,
        )
        assert 0 <= result["test"][0] <= 1
        assert result["losses"][0, -1] < result["losses"][0, 0]


def test_training_errors(as_installed, small):
    build = lambda r: BPRMF(small.num_nodes, 4, rngs=r)  # noqa: E731
    with pytest.raises(ValueError, match="have 1, 1, 0 entries"):
        train(build, small.task, [Setting(0.1, 0.0)], [jax.random.key(0)], [], batch_size=8)
    with pytest.raises(ValueError, match=r"a model of 3 nodes; the graph of the task has \d+"):
        train(lambda r: BPRMF(3, 4, rngs=r), small.task, [Setting(0.1, 0.0)], [jax.random.key(0)], [1], batch_size=8)
    with pytest.raises(ValueError, match="batch_size is 0"):
        train(build, small.task, [Setting(0.1, 0.0)], [jax.random.key(0)], [1], batch_size=0)
    with pytest.raises(ValueError, match="objective is 'mse'"):
        batch_loss(build(nnx.Rngs(0)), small.task.graph, sample(small.task, 4), jax.random.key(0), 0.0, "mse")
    model, key, (a, b) = build(nnx.Rngs(0)), jax.random.key(0), (np.zeros(1, int), np.zeros(2, int))
    with pytest.raises(ValueError, match=r"batch has parts of \[1, 2\] nodes"):
        batch_loss(model, small.task.graph, (b, a, a), key, 0.0)
    with pytest.raises(ValueError, match="negative runs from 999 to 999"):
        batch_loss(model, small.task.graph, (a, a, a + 999), key, 0.0)
    for setting, message in ((0.0, 0.0), "learning_rate is 0.0"), ((0.1, -1.0), "penalty is -1.0"):
        with pytest.raises(ValueError, match=message):
            Setting(*setting)
    for opener in (open_feedback, open_links):
        with pytest.raises(ValueError, match="name is 'netflix'; it must be one of"):
            opener("netflix")
    with pytest.raises(ValueError, match="form is 'heat'"):
        diffuse(two_classes(0), "heat", 1)
    with pytest.raises(ValueError, match="steps is -1"):
        diffuse(two_classes(0), "plain", -1)
    for name, value in (("num_users", 1), ("num_items", 1), ("channels", 0), ("density", 1.5), ("density", np.nan)):
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            two_classes(0, **{name: value})


def test_evaluation_in_portions_is_the_dense_one(small, monkeypatch):
    split = small.split
    out = jax.random.normal(jax.random.key(0), (1, small.num_nodes, 4))
    monkeypatch.setattr(protocol, "USERS_AT_ONCE", 7)
    ours = evaluate(out, small.test, (3, 5))
    dense = np.zeros((2, split.num_users, split.num_items), bool)
    for place, part in enumerate((split.train, split.test)):
        dense[place, part[0], part[1]] = True
    scores = out[0, : split.num_users] @ out[0, split.num_users :].T
    expected = ranking_metrics(scores, jnp.asarray(dense[1]), (3, 5), jnp.asarray(dense[0]))
    assert_close({name: value[0] for name, value in ours.items()}, expected, 1e-5)


@pytest.mark.parametrize(("item", "message"), [(9, "test items runs from 0 to 9"), (-1, "test items runs from -1 to 0")])
def test_unknown_items_are_not_held(as_installed, item, message):
    train = np.array([[0, 1], [0, 1]])
    with pytest.raises(ValueError, match=message):
        held(train, np.array([[0, 1], [0, item]]), 2, 4)
    with pytest.raises(ValueError, match=r"out has shape \(0, 6, 3\)"):
        evaluate(jnp.ones((0, 6, 3)), held(train, train, 2, 4), (1,))
    with pytest.raises(ValueError, match="train items runs from 9 to 9"):
        popularity(np.array([[0], [9]]), 2, 4)
    with pytest.raises(ValueError, match="out has vectors of 5 nodes; 2 users and 4 items are needed"):
        evaluate(jnp.ones((1, 5, 3)), held(train, train, 2, 4), (1,))


def test_tuning_chooses_on_validation():
    builds = {name: MODELS["MF"] for name in ("a", "b")}
    grid = {"a": (Setting(0.1, 0.0), Setting(0.2, 0.0)), "b": (Setting(0.3, 0.0),)}
    asked = []

    def validation(build, settings):
        asked.append(settings)
        return np.array([0.1, 0.4])

    chosen = choose_settings(builds, grid, validation)
    assert chosen == {"a": Setting(0.2, 0.0), "b": Setting(0.3, 0.0)}
    assert asked == [list(grid["a"])]
    chosen = choose_settings({"a": MODELS["MF"]}, grid, lambda build, settings: np.array([np.nan, 0.1]))
    assert chosen == {"a": Setting(0.2, 0.0)}
    with pytest.raises(ValueError, match="grid has no setting for b"):
        choose_settings(builds, {"a": grid["a"]}, validation)


def test_stalk_models_train_where_floats_are_double():
    task = recommendation_task(np.array([0, 1]), np.array([0, 1]), 2, 3)
    with jax.enable_x64():
        _, params, _ = train(
            lambda r: StalkSheafRec(5, 4, 2, d=2, rngs=r), task, [Setting(0.1, 0.0)], [jax.random.key(0)], [1], batch_size=2
        )
    assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype(np.float32)}


def test_separation_measures():
    x = jnp.array([[0.0], [2.0], [5.0], [7.0]])
    between, within = between_and_within(x, jnp.array([False, False, True, True]))
    assert (float(between), float(within)) == (5.0, 1.0)
    with pytest.raises(ValueError, match="second is True for all 4 nodes"):
        between_and_within(x, jnp.ones(4, bool))


def test_presets_name_every_model():
    for preset in PRESETS.values():
        assert {name for name, _ in preset.grid} == set(builders(3, 4, 1))
        assert {name for name, _ in preset.link_grid} == set(link_builders(3, 4, 1))
        hash(preset)


# --- Claims ---


def test_without_data_generated_sets_stand_in(monkeypatch, tmp_path):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    assert open_feedback("movielens-100k", fallback=True).stand_in_for == "MovieLens 100K"
    assert open_links("umls", fallback=True).stand_in_for == "ogbl-ddi"
    with pytest.raises(DatasetUnavailable):
        open_feedback("movielens-100k")


def test_benchmark_compares_equal_things():
    timed = list(cases(32, jax.random.key(0)).values())
    fast, fused, operator, dense = (jax.tree.leaves(jax.jit(timed[k].function)(*timed[k].args)) for k in (0, 1, 3, 4))
    assert_close(fast, fused, 1e-4)
    assert_close(operator, dense, 1e-5)

"""EvoNorm: golden vectors, the conformance of its layers, the language of graphs, search and rejection, errors, presets."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.claims import run
from quire.common.claims.left_out import NotTested
from quire.common.layers.norm_conformance import CHECKS, FEATURES, Normaliser
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.common.train.evolution import pareto_mask, tournament
from quire.common.train.recipe import Recipe
from quire.evonorm import (
    BN_RELU,
    EVONORM_B0,
    EVONORM_S0,
    GN_SILU,
    LAYERS,
    PRESETS,
    PRIMITIVES,
    SAMPLE_PRIMITIVES,
    BatchNormAct,
    EvoNorm,
    Graph,
    GraphLayer,
    GroupNormAct,
    History,
    NetworkConfig,
    Proxy,
    ProxyConfig,
    ProxyTask,
    SearchConfig,
    StudyConfig,
    Trial,
    WorkerNorm,
    apply_primitive,
    brute_force,
    build_network,
    evaluate,
    evolve,
    finalists,
    gradient_norm_ascent,
    interpret,
    is_sound,
    mutate,
    norm_factory,
    paper,
    passes_quality,
    passes_stability,
    random_graph,
    random_search,
    rerank,
    study,
    transfer,
)
from quire.evonorm.networks import fitting_groups
from quire.evonorm.sources import Images, open_images
from quire.evonorm.worker_batches import Choice, Variant

KINDS = ("B0", "B1", "B2", "S0", "S1", "S2")
PRECISIONS = [pytest.param(jnp.float64, 1e-9, 1e-6, id="float64"), pytest.param(jnp.float32, 1e-5, 1e-3, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("evonorm")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1.0, shape).astype(np.float32)


# --- Golden vectors ---


def golden_layer(vectors, kind, dtype):
    case = {name: jnp.asarray(vectors[f"layer/{name}"], dtype) for name in ("gamma", "beta", "v", "running_var_before")}
    eps = 1e-3 if kind == "B0" else 1e-5
    layer = EvoNorm(len(case["gamma"]), kind, groups=int(vectors["layer/groups"]), eps=eps)
    layer.scale[...], layer.shift[...] = case["gamma"], case["beta"]
    if layer.v is not None:
        layer.v[...] = case["v"]
    if layer.var is not None:
        layer.var[...] = case["running_var_before"]
    return layer


@pytest.mark.parametrize(("dtype", "tolerance", "_"), PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_golden_layers(vectors, kind, dtype, tolerance, _):
    with jax.enable_x64(dtype == jnp.float64):
        layer, x = golden_layer(vectors, kind, dtype), jnp.asarray(vectors["layer/x_nchw"].transpose(0, 2, 3, 1), dtype)
        if kind[0] == "B":
            evaluated = layer(x, train=False).transpose(0, 3, 1, 2)
            np.testing.assert_allclose(evaluated, vectors[f"layer/{kind}/eval"], atol=tolerance, rtol=tolerance)
        y = layer(x, train=True)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.transpose(0, 3, 1, 2), vectors[f"layer/{kind}/train"], atol=tolerance, rtol=tolerance)
        if kind[0] == "B":
            np.testing.assert_allclose(layer.var[...], vectors[f"layer/{kind}/running_var_after"], rtol=tolerance)
        expected = brute_force.layer(
            kind,
            vectors["layer/x_nchw"].transpose(0, 2, 3, 1),
            *(vectors[f"layer/{name}"] for name in ("gamma", "beta", "v")),
            groups=int(vectors["layer/groups"]),
            eps=1e-3 if kind == "B0" else 1e-5,
        )
        np.testing.assert_allclose(y, expected, atol=tolerance, rtol=tolerance)


def golden_graphs(vectors):
    names = sorted(name.split("/")[1] for name in vectors.arrays if name.startswith("graph/") and name.endswith("/code"))
    assert names
    return {name: (Graph(vectors[f"graph/{name}/code"]), vectors[f"graph/{name}/y"]) for name in names}


@pytest.mark.parametrize(("dtype", "_", "rtol"), PRECISIONS)
def test_golden_graphs(vectors, dtype, _, rtol):
    """The interpreter, with all rows and with live ones alone, and the definitions."""
    graphs, groups = golden_graphs(vectors), int(vectors["graph/groups"])
    rows = max(len(graph) for graph, _ in graphs.values())
    arrays = [vectors[f"graph/{name}"] for name in ("x_nhwc", "v0", "v1")]
    with jax.enable_x64(dtype == jnp.float64), jax.debug_nans(False):
        run_code = jax.jit(partial(interpret, groups=groups))
        given_arrays = [jnp.asarray(a, dtype) for a in arrays]
        for graph, y in graphs.values():
            for code in (graph, graph.simplify()):
                found = run_code(jnp.asarray(code.padded(rows)), *given_arrays)
                np.testing.assert_allclose(found, y, rtol=rtol, atol=0.02 * rtol * np.abs(y).max())
            expected = brute_force.evaluate(graph, *arrays, groups=groups)
            np.testing.assert_allclose(expected, y, rtol=1e-6, atol=1e-9)


def test_golden_primitives_known_graphs_and_tournaments(vectors, rng):
    assert tuple(vectors["ops"].tolist()) == PRIMITIVES
    graphs = golden_graphs(vectors)
    for name, known in (("bn_relu", BN_RELU), ("gn_silu", GN_SILU), ("evonorm_b0", EVONORM_B0), ("evonorm_s0", EVONORM_S0)):
        assert graphs[name][0].digest == known.digest
    scores = vectors["pareto/scores"]
    np.testing.assert_array_equal(pareto_mask(scores), vectors["pareto/frontier_mask"])
    assert tournament(scores, "average", rng) == int(vectors["pareto/average_winner"])
    assert all(vectors["pareto/frontier_mask"][tournament(scores, "pareto", rng)] for _ in range(20))


# --- Layers: the suite of all normalisers, and what is particular to these ---

# B2 and S1 differ from their neighbours in a term that golden vectors and formulas cover.
FAMILY = {
    **{
        f"EvoNorm-{kind}": Normaliser(
            lambda axis_name=None, kind=kind: EvoNorm(FEATURES, kind, groups=2, axis_name=axis_name),
            mixes=kind[0] == "B",
            ordinary=1e4 if kind in ("B0", "S0") else 1e2,
        )
        for kind in ("B0", "B1", "S0", "S2")
    },
    "without activation": Normaliser(lambda axis_name=None: EvoNorm(FEATURES, "B0", apply_act=False)),
    "BN-ReLU": Normaliser(lambda axis_name=None: BatchNormAct(FEATURES, axis_name=axis_name), mixes=True),
    "GN-SiLU": Normaliser(lambda axis_name=None: GroupNormAct(FEATURES, groups=2, act=jax.nn.silu)),
    "a graph": Normaliser(lambda axis_name=None: GraphLayer(EVONORM_S0, FEATURES, groups=2)),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", FAMILY)
def test_conformance(name, check):
    check(FAMILY[name])


def test_scale_and_shift_come_last_and_alone_without_activation():
    x = jnp.asarray(maps(2, 3, 3, 4))
    for kind in KINDS:
        layer = EvoNorm(4, kind, groups=2)
        bare = np.asarray(layer(x, train=True))
        layer.scale[...], layer.shift[...] = jnp.arange(1.0, 5.0), jnp.ones(4)
        np.testing.assert_allclose(layer(x, train=True), bare * np.arange(1, 5) + 1, rtol=1e-5)
        plain = EvoNorm(4, kind, apply_act=False)
        plain.scale[...], plain.shift[...] = layer.scale[...], layer.shift[...]
        np.testing.assert_allclose(plain(x), np.asarray(x) * np.arange(1, 5) + 1, rtol=1e-6)
        assert plain.v is None and plain.var is None


def test_b0_and_b2_do_not_feel_the_scale_and_b1_and_s_do():
    x = maps(3, 4, 4, 4).astype(float)
    ones = np.ones(4)
    for kind in KINDS:
        one, three = (brute_force.layer(kind, a * x, ones, 0 * ones, ones, groups=2, eps=0.0) for a in (1, 3))
        assert (np.abs(one - three).max() < 1e-12) == (kind in ("B0", "B2"))


def test_modules_equal_their_graphs():
    x = jnp.asarray(maps(3, 4, 2, 4))
    for layer, graph in ((EvoNorm(4, "B0"), EVONORM_B0), (EvoNorm(4, "S0", groups=2), EVONORM_S0)):
        layer.v[...] = jnp.asarray(maps(4))
        found = GraphLayer(graph, 4, groups=2)
        found.v1[...] = layer.v[...]
        assert_close(found(x), layer(x, train=True), 1e-5)
    for layer, graph in ((BatchNormAct(4), BN_RELU), (GroupNormAct(4, groups=2, act=jax.nn.silu), GN_SILU)):
        assert_close(GraphLayer(graph, 4, groups=2)(x), layer(x, train=True), 1e-4)


# --- Primitives and graphs ---


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_are_their_definitions(name):
    x, y = maps(2, 3, 2, 4).astype(float), maps(2, 3, 2, 4, seed=1).astype(float)
    graph = Graph([(PRIMITIVES.index(name), 0, 2)])
    with jax.enable_x64():
        found = apply_primitive(name, jnp.asarray(x), jnp.asarray(y), groups=2)
        expected = brute_force.evaluate(graph, x, y, y, groups=2)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_missing_value_is_nan_and_never_a_number():
    zeros = jnp.zeros((1, 2, 1))
    with jax.debug_nans(False):
        assert np.isnan(apply_primitive("log", zeros, zeros, groups=1)).all()
        gradient = jax.grad(lambda x: apply_primitive("sqrt", x, x, groups=1).sum())(zeros)
        assert not np.isfinite(gradient).any()


codes = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        *(st.tuples(st.integers(0, len(PRIMITIVES) - 1), st.integers(0, 3 + i), st.integers(0, 3 + i)) for i in range(n))
    )
)


@settings(max_examples=60, deadline=None)
@given(codes)
def test_simplifying_keeps_the_function_and_the_digest(code):
    graph = Graph(code)
    simple = graph.simplify()
    assert simple.digest == graph.digest and simple.simplify() == simple and len(simple) <= len(graph)
    assert simple.live - set(range(4)) == set(range(4, 4 + len(simple)))
    assert (simple.depends_on_input, simple.mixes_samples) == (graph.depends_on_input, graph.mixes_samples)
    arrays = maps(2, 2, 2, 4).astype(float), maps(4, seed=1).astype(float), maps(4, seed=2).astype(float)
    one, two = (brute_force.evaluate(g, *arrays, groups=2) for g in (graph, simple))
    np.testing.assert_allclose(one, two, rtol=1e-9)
    assert str(graph) == str(simple)


def test_equal_functions_have_one_digest_and_others_another():
    add, neg, div = (PRIMITIVES.index(name) for name in ("add", "neg", "div"))
    one = Graph([(neg, 0, 1), (add, 0, 4)])
    assert one.digest == Graph([(neg, 0, 3), (neg, 4, 4), (add, 4, 0)]).digest
    assert one.digest != Graph([(neg, 0, 0), (add, 3, 4)]).digest
    assert Graph([(div, 0, 3)]).digest != Graph([(div, 3, 0)]).digest
    assert len({Graph([(op, 0, 2)]).digest for op in range(len(PRIMITIVES))}) == len(PRIMITIVES)


def test_algebra():
    texts = {BN_RELU: "max(0, v0 + v1 * (x - mean_bwh(x)) / std_bwh(x))", EVONORM_B0: "x / max(std_bwh(x), x * v1 + std_wh(x))"}
    assert {graph: str(graph) for graph in texts} == texts
    assert str(GN_SILU).startswith("t1 = ") and str(GN_SILU).endswith("; t1 * sigmoid(t1)")


def test_mutation_redraws_one_node(rng):
    graph = random_graph(rng, 8)
    changed = set()
    for _ in range(200):
        mutant = mutate(graph, rng)
        places = [i for i, (a, b) in enumerate(zip(graph.code, mutant.code, strict=True)) if a != b]
        assert len(places) <= 1
        changed |= set(places)
    assert changed == set(range(8))
    drawn = [random_graph(rng, 10, SAMPLE_PRIMITIVES) for _ in range(100)]
    used = {PRIMITIVES[op] for graph in drawn for op, *_ in graph.code}
    assert used == set(SAMPLE_PRIMITIVES) and not any("bwh" in name for name in used)
    blind = np.mean([not random_graph(rng).depends_on_input for _ in range(300)])
    assert 0.5 < blind < 0.8


# --- The interpreter ---


def test_interpreter_and_compiled_graph_agree_with_derivatives_of_both_orders(rng):
    x, v0, v1 = jnp.asarray(maps(2, 2, 2, 4)), jnp.asarray(maps(4)), jnp.asarray(maps(4, seed=2))

    def derivatives(function):
        def first(*args):
            return jax.grad(lambda *a: jnp.sum(jnp.sin(function(*a))), (0, 1, 2))(*args)

        second = jax.grad(lambda *a: sum(jnp.sum(g**2) for g in first(*a)), (0, 1, 2))
        return jax.jit(lambda *a: (function(*a), first(*a), second(*a)))

    interpreted = jax.jit(lambda code, *args: derivatives(partial(interpret, code, groups=2))(*args))
    for graph in (EVONORM_B0, GN_SILU):
        compiled = derivatives(partial(evaluate, graph, groups=2))
        assert_close(interpreted(jnp.asarray(graph.padded(10)), x, v0, v1), compiled(x, v0, v1), 1e-4)


def test_interpreter_under_transformations():
    code = jnp.asarray(EVONORM_S0.padded(8))
    v0, v1 = jnp.zeros(4), jnp.ones(4)

    def layer(x):
        return interpret(code, x, v0.astype(x.dtype), v1.astype(x.dtype), groups=2)

    assert_jit_consistent(layer, jnp.asarray(maps(2, 3, 4)))
    assert_vmap_consistent(layer, jnp.asarray(maps(2, 2, 3, 4)))
    assert_gradients(layer, maps(2, 3, 4))


def test_a_layer_that_interprets_serves_other_graphs():
    x = jnp.asarray(maps(2, 3, 3, 4))
    layer = GraphLayer(EVONORM_S0, 4, groups=2, rows=8)
    layer.code[...] = jnp.asarray(EVONORM_B0.padded(8))
    assert_close(layer(x), GraphLayer(EVONORM_B0, 4, groups=2)(x), 1e-5)
    assert_degenerate(layer, x)


# --- Rejection ---


def test_structure():
    exp, log = PRIMITIVES.index("exp"), PRIMITIVES.index("log")
    assert all(is_sound(graph) for graph in (BN_RELU, GN_SILU, EVONORM_B0, EVONORM_S0))
    assert not is_sound(Graph([(exp, 3, 3)]))  # does not depend on x
    assert not is_sound(Graph([(exp, 0, 0)]))  # overflows at large x
    assert not is_sound(Graph([(log, 1, 1), (0, 0, 4)]))  # log 0
    assert is_sound(Graph([(log, 1, 1), (0, 0, 3)]))  # the same, dead


def test_quality():
    assert passes_quality([0.19, 0.2]) and not passes_quality([0.19, np.nan]) and passes_quality([0.5], threshold=0.5)


class Scaled(nnx.Module):
    """Logits `a x`, or `exp(a x)`-like ones whose gradients grow without bound."""

    def __init__(self, explosive):
        self.a, self.explosive = nnx.Param(jnp.asarray(0.5)), explosive

    def __call__(self, x):
        a = jnp.broadcast_to(self.a[...], x.shape)
        return jnp.exp(a * a * a) * x if self.explosive else jnp.tanh(a) * x


def test_stability():
    images, labels = np.array([[1.0, -1.0], [0.5, 2.0]], np.float32), np.array([1, 1])
    with jax.debug_nans(False):
        assert passes_stability(Scaled(False), images, labels, steps=30, limit=1e3)
        assert not passes_stability(Scaled(True), images, labels, steps=60, rate=0.2, limit=1e3)
        definition, params, rest = nnx.split(Scaled(True), nnx.Param, ...)
        largest, norms = gradient_norm_ascent(definition, params, rest, (images, labels), steps=10, limit=1e3)
    assert np.all(np.diff(norms) > 0) and largest == norms.max()


# --- Search ---


def toy_judge(graph):
    """Few nodes are good in one column, additions in the other; only graphs that keep samples apart are accepted."""
    if graph.mixes_samples:
        return "quality", None
    return "accepted", [-float(len(graph.simplify())), float(str(graph).count("+"))]


def test_evolution_counts_its_tests_and_founds_enough(rng):
    config = SearchConfig(tests=60, founders=10, tournament=0.3)
    history = evolve(config, toy_judge, rng)
    assert history.tested("mutant") == 50 and history.tested("random") >= 10
    founders = [trial for trial in history.accepted() if trial.origin == "random"]
    assert len(founders) >= config.least_drawn
    assert history.best().scores.mean() >= max(trial.scores.mean() for trial in founders)
    assert 0 < history.rejected_share("mutant") < history.rejected_share("random") < 1
    assert history.stage_share("random", "structure") > 0.5
    again = evolve(config, toy_judge, np.random.default_rng(0))
    assert [trial.graph for trial in again.trials] == [trial.graph for trial in history.trials]


def test_random_search_can_found_a_population(rng):
    config = SearchConfig(tests=14, founders=8, batch_moments=False)
    found = random_search(config, toy_judge, rng, tests=8)
    assert found.tested("random") == 8 and len(found.accepted()) == 8
    history = evolve(config, toy_judge, rng, founders=found)
    assert history.trials[: len(found.trials)] == found.trials and history.tested("mutant") == 6
    assert not any(trial.graph.mixes_samples for trial in history.trials)


def test_a_killed_search_resumes_from_its_log(tmp_path):
    config, path = SearchConfig(tests=30, founders=10), tmp_path / "log.jsonl"
    whole = evolve(config, toy_judge, np.random.default_rng(3))
    functions = len({trial.graph.digest for trial in whole.trials if trial.stage != "structure"})
    calls = []

    def judge(graph, last):
        if len(calls) == last:
            raise KeyboardInterrupt
        calls.append(graph)
        return toy_judge(graph)

    with pytest.raises(KeyboardInterrupt):
        evolve(config, partial(judge, last=functions - 2), np.random.default_rng(3), log=path)
    resumed = evolve(config, partial(judge, last=functions), np.random.default_rng(3), log=path)
    assert len(calls) == functions == len(path.read_text().splitlines())
    assert [(t.graph, t.stage) for t in resumed.trials] == [(t.graph, t.stage) for t in whole.trials]


def test_finalists_are_the_best_and_the_front_and_are_ranked_anew():
    graphs = [Graph([(0, 0, 3)]), Graph([(1, 0, 3)]), Graph([(1, 3, 0)]), Graph([(4, 0, 0)]), Graph([(5, 0, 0)])]
    scores = [(0.5, 0.5), (0.9, 0.4), (0.9, 0.4), (0.0, 0.6), (0.1, 0.1)]
    history = History([Trial(g, "random", "accepted", np.array(s)) for g, s in zip(graphs, scores, strict=True)])
    chosen = finalists(history, top=2)
    assert [trial.graph.digest for trial in chosen] == [graphs[1].digest, graphs[0].digest, graphs[3].digest]
    again = rerank(chosen, lambda graph: [float("nan")] if graph.digest == graphs[1].digest else [float(len(str(graph)))])
    assert [trial.graph.digest for trial in again] == [graphs[0].digest, graphs[3].digest, graphs[1].digest]
    for empty in (History().best, lambda: finalists(History())):
        with pytest.raises(ValueError, match="accepted"):
            empty()


# --- Networks, the proxy task, the study of workers, other tasks ---

SMALL = NetworkConfig("switched", width=4, depths=(1,), groups=2)


def small_images(count=24):
    draw = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int32) % 2
    images = (draw.standard_normal((count, 4, 4, 1)) + labels[:, None, None, None]).astype(np.float32)
    return Images("toys", (images, labels), (images, labels), (images, labels), 2)


def test_switches_take_residual_sums_and_wide_kernels_away():
    images = jnp.asarray(small_images().train[0][:2])
    net = build_network(SMALL, norm_factory("EvoNorm-S0", groups=2), in_channels=1, classes=2, rngs=nnx.Rngs(0))
    kernel, out = net.convs[0].kernel, {}
    for switches in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0)):
        net.switches[...] = jnp.array(switches)
        out[switches] = net(images)
    net.switches[...] = jnp.ones(2)
    kernel[...] = kernel[...] * jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    np.testing.assert_allclose(net(images), out[1.0, 0.0], rtol=1e-4, atol=1e-5)
    kernel[...] = 0 * kernel[...]
    net.switches[...] = jnp.array([0.0, 1.0])
    net.convs[0].bias[...] = jnp.ones(4)
    assert not np.allclose(out[0.0, 1.0], out[1.0, 1.0])
    np.testing.assert_allclose(net(images)[0], net(2 * images)[0], rtol=1e-5)  # nothing of the image is left


def test_a_proxy_task_trains_judges_and_counts_what_breaks_as_broken():
    config = ProxyConfig(
        (Proxy(SMALL), Proxy(SMALL, (0.0, 1.0))),
        Recipe(8, 8, 0.03, schedule="constant", optimiser="adam"),
        rows=10,
        quality_steps=4,
        quality_proxies=1,
        quality_threshold=0.3,
        stability_steps=0,
        validation=24,
    )
    with jax.debug_nans(False):
        task = ProxyTask(config, small_images(), jax.random.key(0))
        stage, scores = task.judge(EVONORM_S0)
        assert stage == "accepted" and len(scores) == 2 and all(0 <= score <= 1 for score in scores)
        assert task.train(EVONORM_S0, 0, 8) == scores[0]
        exp = PRIMITIVES.index("exp")
        assert np.isnan(task.train(Graph([(exp, 0, 0)] + [(exp, 4 + i, 4 + i) for i in range(4)]), 0, 4))
        assert task.judge(Graph([(exp, 3, 3)])) == ("structure", None)
        strict = replace(config, quality_threshold=1.1)
        assert ProxyTask(strict, small_images(), jax.random.key(0)).judge(EVONORM_S0) == ("quality", None)
        with pytest.raises(ValueError, match="rows is 10; the graph has 11"):
            task.train(Graph([(exp, 0, 0)] + [(exp, 4 + i, 4 + i) for i in range(10)]), 0, 4)


@pytest.mark.parametrize("limit", [1e8, 1e-30])
def test_the_stability_test_comes_before_the_score(limit, monkeypatch):
    """Graphs compiled for themselves stand for interpreted ones, whose second derivatives take long to compile."""
    compiled = ProxyTask.network
    monkeypatch.setattr(ProxyTask, "network", lambda self, config, graph, rows=None: compiled(self, config, graph))
    monkeypatch.setattr(ProxyTask, "train", lambda self, graph, place, steps: 0.5)
    config = ProxyConfig((Proxy(SMALL),), Recipe(8, 8, 0.03), quality_proxies=1, stability_steps=2, stability_limit=limit)
    judged = ProxyTask(config, small_images(), jax.random.key(0)).judge(EVONORM_S0)
    assert judged == (("accepted", [0.5]) if limit > 1 else ("stability", None))


def test_a_layer_of_variants_is_each_of_them_worker_by_worker():
    x = jnp.asarray(maps(4, 3, 2, 4))
    variants = [Variant("BN-ReLU", 4), Variant("EvoNorm-B0", 4), Variant("EvoNorm-S0", 4), Variant("GN-ReLU", 4)]
    singles = [BatchNormAct(4), EvoNorm(4, "B0"), EvoNorm(4, "S0", groups=2), GroupNormAct(4, groups=2)]
    for choice, single in enumerate(singles):
        layer = WorkerNorm(4, variants, groups=2)
        layer.choice[...] = jnp.asarray(choice)
        assert_close(layer(x), single(x, train=True), 1e-5)
        layer.eval()
        assert_close(layer(x), single(x, train=False), 1e-5)
    for layer_name, single in (("BN-ReLU", BatchNormAct(4)), ("EvoNorm-B0", EvoNorm(4, "B0"))):
        layer = WorkerNorm(4, [Variant(layer_name, 2)], groups=2)
        assert_close(layer(x), jnp.concatenate([single(x[:2], train=True), single(x[2:], train=True)]), 1e-5)
        unbiased = np.mean([x[i : i + 2].reshape(-1, 4).var(0, ddof=1) for i in (0, 2)], axis=0)
        np.testing.assert_allclose(layer.var[...], 0.9 + 0.1 * unbiased, rtol=1e-5)
    assert isinstance(layer.choice, Choice)


def test_the_study_trains_every_variant_from_every_seed():
    config = StudyConfig("digits", NetworkConfig("preact", 4, (1,), groups=2), Recipe(6, 8, 0.1, optimiser="sgd"), (8, 2))
    accuracy, losses = study(config, small_images(), jnp.stack([jax.random.key(i) for i in range(2)]))
    assert accuracy.shape == (2, 6) and losses.shape == (2, 6, 6)
    assert len({tuple(row) for row in losses[0].round(5)}) == 6, "two variants are one"
    assert not np.allclose(losses[0], losses[1])


def test_the_layers_work_in_other_tasks():
    config = transfer.TransferConfig(4, 2, Recipe(2, 8, 1e-3, optimiser="adam"), scenes=16, latent=3, samples=8)
    found = transfer.segmentation(config, ("EvoNorm-S0",), jax.random.key(0))
    assert set(found) == {"background", "EvoNorm-S0"} and all(0 <= value <= 1 for value in found.values())
    found = transfer.generation(config, ("EvoNorm-B0",), jax.random.key(0))
    assert set(found) == {"independent pixels", "EvoNorm-B0"} and all(np.isfinite(value) for value in found.values())


def test_adversaries_pull_in_opposite_directions():
    model = transfer.Adversaries(3, 4, norm=norm_factory("EvoNorm-S0", groups=2), rngs=nnx.Rngs(0))
    batch = (jnp.asarray(maps(6, 8, 8, 1)),)
    gradients = nnx.jit(nnx.grad(lambda m: transfer.adversarial_loss(m, batch, jax.random.key(1))))(model)

    def alone(m, part):
        fake = m.generator(jax.random.normal(jax.random.key(1), (6, 3)))
        if part == "generator":
            return jax.nn.softplus(-transfer.judged(m.discriminator, fake)).mean()
        return sum(jax.nn.softplus(s * transfer.judged(m.discriminator, im)).mean() for s, im in ((-1, batch[0]), (1, fake)))

    for part in ("generator", "discriminator"):
        expected = nnx.jit(nnx.grad(partial(alone, part=part)))(model)[part]
        assert_close(jax.tree.leaves(gradients[part]), jax.tree.leaves(expected), 1e-4)


def test_scenes_show_what_their_masks_say():
    images = np.ones((3, 8, 8, 1), np.float32)
    scenes, masks = transfer.draw_scenes(jax.random.key(0), 5, images, np.array([4, 4, 4]))
    assert scenes.shape == (5, 16, 16, 1) and set(np.unique(masks)) == {0, 5}
    assert (masks == 5).sum((1, 2)).tolist() == [128] * 5
    assert (scenes[..., 0][masks == 5] == 1).all() and (scenes[..., 0][masks == 0] < 0.31).all()


@pytest.mark.parametrize("name", PRESETS)
def test_programs_of_every_preset_fit_together(name):
    config = PRESETS[name]
    networks = {config.workers.network, *(proxy.network for proxy in config.search.proxies.proxies)}
    side, channels = (8, 1) if config.search.data == "digits" else (32, 3)
    for network in networks:
        # Layers alone in networks of fifty, and graphs in small ones: the interpreter takes long to trace.
        small = len(network.depths) == 1 or max(network.depths) == 1
        graphs = [EVONORM_B0] if small and network.architecture in ("switched", "preact") else []
        for layer in ("EvoNorm-B0", *graphs):
            rows = config.search.proxies.rows if isinstance(layer, Graph) else None

            def logits(x, network=network, layer=layer, rows=rows):
                norm = norm_factory(layer, groups=network.groups, rows=rows)
                return build_network(network, norm, in_channels=channels, classes=10, rngs=nnx.Rngs(0))(x)

            x = jax.ShapeDtypeStruct((4, side, side, channels), jnp.float32)
            assert nnx.eval_shape(logits, x).shape == (4, 10)
    assert (config.generalisation is None) == (name == "quick")


def test_every_layer_builds_and_images_come_in_three_parts():
    for layer in LAYERS:
        assert norm_factory(layer, groups=32)(12, True)(jnp.ones((2, 2, 2, 12))).shape == (2, 2, 2, 12)
    images = open_images("digits").value
    assert images.train[0].min() == 0 and images.train[0].max() == 1
    standard = images.standardised()
    assert abs(standard.train[0].mean()) < 1e-5 and abs(standard.train[0].std() - 1) < 1e-4
    np.testing.assert_allclose(
        standard.test[0] - standard.test[0][:1], (images.test[0] - images.test[0][:1]) / images.train[0].std(), atol=1e-4
    )
    assert sum(len(part[1]) for part in (images.train, images.validation, images.test)) == 1797


def test_exact_claims_hold_and_what_quick_leaves_out_says_so():
    assert run(paper, claims=["C2", "C3"]).as_expected
    for claim in ("C7", "T1", "T2"):
        with pytest.raises(NotTested, match="--preset standard"):
            paper.claims[claim].measure(PRESETS["quick"], jax.random.key(0))


def test_the_example_of_the_readme(capsys):
    from pathlib import Path

    text = (Path(__file__).parents[2] / "papers/evonorm/README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    exec(code, {})
    printed = capsys.readouterr().out.split("\n")[:-1]
    assert printed == re.findall(r"print\(.*\)  # (.*)", code)


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EvoNorm(4, "B3"), "kind is 'B3'"),
        (lambda: EvoNorm(0), "features is 0"),
        (lambda: EvoNorm(6, "S0", groups=4), "groups is 4 for 6 channels"),
        (lambda: EvoNorm(4, eps=0.0), "eps is 0.0"),
        (lambda: EvoNorm(4, momentum=2.0), "momentum 2.0"),
        (lambda: EvoNorm(4)(jnp.ones((2, 4))), re.escape("x is (2, 4); it must be [batch, *space, 4]")),
        (lambda: EvoNorm(4)(jnp.ones((2, 3, 5))), re.escape("x is (2, 3, 5)")),
        (lambda: EvoNorm(4)(jnp.ones((2, 3, 4), complex)), "x is complex64"),
        (lambda: EvoNorm(4)(jnp.ones((0, 3, 4)), train=True), "at least one value"),
        (lambda: GroupNormAct(6, groups=4), "groups is 4"),
        (lambda: Graph([]), "code has shape"),
        (lambda: Graph([(0.5, 0, 0)]), "dtype float64"),
        (lambda: Graph([(24, 0, 0)]), "primitive 24 at node 4; it must lie between 0 and 23"),
        (lambda: Graph([(0, 0, 0), (0, 5, 0)]), re.escape("inputs [5, 0] at node 5")),
        (lambda: Graph([(0, -1, 0)]), re.escape("inputs [-1, 0]")),
        (lambda: EVONORM_S0.padded(3), "rows is 3; the graph has 5"),
        (lambda: random_graph(np.random.default_rng(0), 0), "nodes is 0"),
        (lambda: GraphLayer(EVONORM_S0, 6, groups=4), "groups is 4"),
        (lambda: GraphLayer(EVONORM_S0, 4, groups=2, eps=-1.0), "eps is -1.0"),
        (lambda: evaluate(EVONORM_S0, jnp.ones((2, 3, 4)), jnp.ones(3), jnp.ones(4), groups=2), re.escape("x is (2, 3, 4)")),
        (lambda: norm_factory("ReLU"), "layer is 'ReLU'"),
        (lambda: norm_factory("GN-ReLU", groups=0), "groups is 0"),
        (lambda: NetworkConfig("vgg"), "architecture is 'vgg'"),
        (lambda: NetworkConfig(depths=()), re.escape("depths ()")),
        (lambda: ProxyConfig((), Recipe(1, 1, 0.1)), "of 0 proxies"),
        (lambda: ProxyConfig((Proxy(SMALL),), Recipe(1, 1, 0.1), quality_proxies=1, rows=0), "rows is 0"),
        (lambda: ProxyTask(PRESETS["quick"].search.proxies, small_images(), jax.random.key(0), part="train"), "part is 'train'"),
        (lambda: SearchConfig(tests=3, founders=4), "founders 4"),
        (lambda: SearchConfig(tournament=0.0), "tournament is 0.0"),
        (lambda: StudyConfig("digits", SMALL, Recipe(1, 8, 0.1), (8, 3)), re.escape("workers is (8, 3)")),
        (lambda: WorkerNorm(4, [Variant("BN-ReLU", 2)], groups=2)(jnp.ones((3, 2, 4))), "multiple of the workers"),
        (lambda: open_images("imagenet"), "name is 'imagenet'"),
        (lambda: transfer.mean_iou(np.zeros(2), np.zeros(3)), "predicted is"),
        (lambda: transfer.frechet_distance(np.zeros((1, 2)), np.zeros((3, 2))), "x is"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_groups_that_fit():
    assert [fitting_groups(n, 8) for n in (24, 20, 7, 3)] == [8, 5, 7, 3]

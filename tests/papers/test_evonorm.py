"""EvoNorm: golden vectors, the conformance of its layers, the language of graphs, errors."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
    PRESETS,
    PRIMITIVES,
    SAMPLE_PRIMITIVES,
    BatchNormAct,
    EvoNorm,
    Graph,
    GraphLayer,
    GroupNormAct,
    NetworkConfig,
    ProxyConfig,
    SearchConfig,
    WorkerNorm,
    apply_primitive,
    brute_force,
    evaluate,
    interpret,
    mutate,
    norm_factory,
    paper,
    random_graph,
    transfer,
)
from quire.evonorm.networks import fitting_groups
from quire.evonorm.sources import open_images
from quire.evonorm.worker_batches import Variant

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


# --- Claims, README, errors ---


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
        (lambda: SearchConfig(tests=3, founders=4), "founders 4"),
        (lambda: SearchConfig(tournament=0.0), "tournament is 0.0"),
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

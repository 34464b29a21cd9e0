"""Multigraphs, their polynomials and contraction plans, colour refinement, dense graphs, and networks on pairs of nodes."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.graphs.basis import enumerate_basis, graphs_of_degree, orbit_count, p_in_q, q_in_p, set_partitions
from quire.common.graphs.contraction import EDGE_BANK, NODE_BANK, Bank, contraction_plan, expressive_degree
from quire.common.graphs.dense import pad_graphs, random_graphs, read_graph6, rook_4x4, shrikhande, triangular_8_and_chang
from quire.common.graphs.evaluate import evaluate, evaluate_by_loops
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import PPGN, NodePrototype, PPGNPlusPlus
from quire.common.graphs.refinement import equal_share, fwl2, wl1
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes


@st.composite
def parts(draw, colored=False):
    """Arguments of a MultiGraph."""
    m = draw(st.integers(1, 4))
    nodes = st.integers(0, m - 1)
    edges = draw(st.lists(st.tuples(nodes, nodes), max_size=4))
    colors = draw(st.lists(st.integers(0, 1), min_size=len(edges), max_size=len(edges))) if colored else []
    return m, tuple(edges), tuple(draw(st.lists(nodes, max_size=2))), tuple(colors)


def isomorphic(first: MultiGraph, second: MultiGraph) -> bool:
    """By trying every relabelling."""

    def table(h, order):
        colors = h.colors or (0,) * h.degree
        edges = sorted((order[r], order[s], c) for (r, s), c in zip(h.edges, colors, strict=True))
        return edges, tuple(order[r] for r in h.red)

    if first.num_nodes != second.num_nodes:
        return False
    own = table(second, range(second.num_nodes))
    return any(table(first, order) == own for order in permutations(range(first.num_nodes)))


@settings(max_examples=60, deadline=None)
@given(parts(colored=True), parts(colored=True), st.permutations(range(4)))
def test_canonical_form_decides_isomorphism(first, second, order):
    first, second = MultiGraph(*first), MultiGraph(*second)
    order = [v for v in order if v < first.num_nodes]
    assert first.relabel(order).canonical() == first.canonical()
    assert (first.canonical() == second.canonical()) == isomorphic(first, second) == first.is_isomorphic(second)


@settings(max_examples=25, deadline=None)
@given(parts(colored=True))
def test_einsum_is_the_sum_over_maps(graph):
    graph = MultiGraph(*graph)
    X = np.random.default_rng(0).standard_normal((2, 4, 4))
    X = X if graph.colors else X[0]
    with jax.enable_x64(), jax.disable_jit():
        for distinct in (False, True):
            assert_close(
                evaluate(graph, jnp.asarray(X), distinct=distinct), evaluate_by_loops(graph, X, distinct=distinct), 1e-10
            )
        if plan := contraction_plan(graph, EDGE_BANK):
            assert_close(plan(jnp.asarray(X)), evaluate_by_loops(graph, X), 1e-10)


@settings(max_examples=25, deadline=None)
@given(parts())
def test_moebius_inversion_undoes_the_sum_over_partitions(graph):
    graph = MultiGraph(*graph)
    back: dict[MultiGraph, int] = {}
    for h, count in p_in_q(graph).items():
        for k, coefficient in q_in_p(h).items():
            back[k] = back.get(k, 0) + count * coefficient
    assert {h: c for h, c in back.items() if c} == {graph.canonical(): 1}


def test_counts():
    assert [len(list(set_partitions(k))) for k in range(6)] == [1, 1, 2, 5, 15, 52], "Bell numbers"
    for output in ("invariant", "node", "edge"):
        assert [len(enumerate_basis(d, output)) for d in range(3)] == [orbit_count(d, output) for d in range(3)]


def test_banks():
    triangle, clique = (MultiGraph.from_spec(s) for s in ("ab,bc,ca->a", "ab,ac,ad,bc,bd,cd->"))
    assert contraction_plan(triangle, NODE_BANK) is None and contraction_plan(clique, EDGE_BANK) is None
    assert len(contraction_plan(clique, Bank("triples", max_neighbours=3, max_red=2)).steps) == 4
    with pytest.raises(ValueError, match="max_red 3"):
        Bank("none", 1, 3)


def test_refinement():
    hexagon, triangles = np.zeros((6, 6), int), np.zeros((6, 6), int)
    for i in range(6):
        hexagon[i, (i + 1) % 6] = hexagon[(i + 1) % 6, i] = 1
        triangles[i, [j for j in range(6) if j // 3 == i // 3 and j != i]] = 1
    assert equal_share(wl1([hexagon, triangles])) == 1 and equal_share(fwl2([hexagon, triangles])) == 0
    pair = np.stack([rook_4x4(), shrikhande()])
    assert equal_share(fwl2(pair)) == 1, "the folklore test cannot split strongly regular graphs"
    order = np.random.default_rng(0).permutation(6)
    assert equal_share(fwl2([hexagon, hexagon[order][:, order]])) == 1
    with pytest.raises(ValueError, match="one size"):
        wl1([hexagon, np.zeros((3, 3))])


@pytest.mark.parametrize(
    ("graphs", "parameters"),
    [([rook_4x4(), shrikhande()], (16, 6, 2, 2)), (triangular_8_and_chang(), (28, 12, 6, 4))],
    ids=["sr16622", "sr281264"],
)
def test_constructions_are_strongly_regular(graphs, parameters):
    n, k, lam, mu = parameters
    for A in graphs:
        A = A.astype(int)
        assert A.shape == (n, n)
        assert (k * np.eye(n, dtype=int) + lam * A + mu * (1 - A - np.eye(n, dtype=int)) == A @ A).all()


def test_dense_graphs(as_installed):
    Z, mask, sizes = pad_graphs([np.ones((2, 3, 3)), np.ones((2, 1, 1))], 4)
    assert Z.shape == (2, 2, 4, 4) and sizes.tolist() == [3, 1] and mask.sum((1, 2, 3)).tolist() == [9, 1]
    assert (mask == Z[:, :1]).all()
    A = random_graphs(jax.random.key(0), 50, 8)
    assert (
        bool((A.swapaxes(1, 2) == A).all()) and float(jnp.trace(A, axis1=1, axis2=2).max()) == 0 and 0.3 < float(A.mean()) < 0.6
    )
    assert [a.shape for a in read_graph6(b">>graph6<<Bw\n?\nA_\n")] == [(3, 3), (0, 0), (2, 2)]
    for call, message in (
        (lambda: pad_graphs([]), "graphs is empty"),
        (lambda: pad_graphs([np.ones((1, 3, 3))], 2), "size is 2; the largest graph has 3"),
        (lambda: pad_graphs([np.ones((1, 3, 2))]), "a graph has shape"),
        (lambda: random_graphs(jax.random.key(0), 1, 3, 0.9, 0.1), "0 <= low <= high <= 1"),
        (lambda: read_graph6(b"Bww"), "has 2 bytes for 3 nodes"),
        (lambda: read_graph6(b"B\x01"), "outside 63..126"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


NETWORKS = pytest.mark.parametrize(
    "build",
    [lambda r: PPGN(2, 4, 2, 3, rngs=r), lambda r: PPGNPlusPlus(2, 4, 2, 3, rngs=r), lambda r: NodePrototype(2, 4, 2, 3, rngs=r)],
    ids=["PPGN", "PPGN++", "node"],
)


def _batch():
    rng = np.random.default_rng(1)
    return [jnp.asarray(a) for a in pad_graphs([rng.standard_normal((2, n, n)) for n in (5, 3)])]


@NETWORKS
def test_networks_are_invariant_ignore_padding_and_compile(build, as_installed):
    with jax.enable_x64():
        model = build(nnx.Rngs(0))
        graph, state = nnx.split(model)
        model = nnx.merge(graph, jax.tree.map(lambda x: x.astype(jnp.float64), state))
        Z, mask, sizes = _batch()
        out = model(Z, mask, sizes)
        order = np.array([3, 1, 4, 0, 2])
        assert_close(model(Z[:1, :, order][..., order], mask[:1], sizes[:1]), out[:1], 1e-13)
        wide = [jnp.pad(a, ((0, 0), (0, 0), (0, 2), (0, 2))) for a in (Z, mask)]
        assert_close(model(*wide, sizes), out, 1e-13)
        assert_close(nnx.jit(model)(Z, mask, sizes), out, 1e-13)
        assert_close(jax.vmap(lambda *row: model(*(a[None] for a in row))[0])(Z, mask, sizes), out, 1e-13)
    with pytest.raises(ValueError, match=r"Z has shape \(2, 1, 5, 5\)"):
        model(Z[:, :1], mask, sizes)
    with pytest.raises(ValueError, match="mask has shape"):
        model(Z, mask[..., :3], sizes)
    with pytest.raises(ValueError, match="sizes has shape"):
        model(Z, mask, sizes[:1])


def test_message_passing_sums_over_all_nodes():
    """Without edges, what two nodes give is not the sum of what each gives: the bank sums over all nodes in every layer."""
    model = NodePrototype(1, 8, 1, 1, rngs=nnx.Rngs(0))
    model.hidden.bias[...] += 30  # its ReLU lets everything pass
    a, b, c, d = 0.3, -1.2, 0.8, 2.0
    Z = jnp.stack([jnp.diag(jnp.array(pair)) for pair in ((a, b), (c, d), (a, d), (c, b))])[:, None]
    out = model(Z, jnp.ones_like(Z), jnp.full(4, 2, jnp.int32))[:, 0]
    assert abs(float(out[0] + out[1] - out[2] - out[3])) > 1e-2


def test_rematerialised_blocks_have_the_same_gradients():
    Z, mask, sizes = (a.astype(t) for a, t in zip(_batch(), (jnp.float32, jnp.float32, jnp.int32), strict=True))

    def gradients(remat):
        model = PPGNPlusPlus(2, 4, 2, 3, remat=remat, rngs=nnx.Rngs(0))
        return nnx.grad(lambda m: (m(Z, mask, sizes) ** 2).sum())(model)

    for first, second in zip(*(jax.tree.leaves(gradients(remat)) for remat in (False, True)), strict=True):
        assert_close(first, second, 1e-5)


def test_one_node_has_no_rest():
    out = PPGN(1, 2, 1, 1, rngs=nnx.Rngs(0))(jnp.ones((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1)), jnp.ones(1, jnp.int32))
    assert bool(jnp.isfinite(out).all())


# --- Inputs at the edge ---

CLIQUE = MultiGraph.from_spec("ab,ac,ad,bc,bd,cd->")


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int32])
def test_adjacency_matrices_of_any_type_count_alike(dtype, as_installed):
    """Sums of products of uint8 wrap at 256, and those of booleans end at 1."""
    A = triangular_8_and_chang()[0].astype(dtype)
    assert float(evaluate(CLIQUE, jnp.asarray(A), distinct=True)) == 24 * 8 * 35  # four of the seven pairs with one number
    assert float(evaluate(MultiGraph.from_spec("ab,bc->"), A)) == 28 * 12**2
    path = MultiGraph.from_spec("ab,bc->ac")
    assert_close(contraction_plan(path, EDGE_BANK)(jnp.asarray(A)), A.astype(float) @ A, 0)
    assert evaluate_by_loops(path, A[:5, :5]).max() == (A[:5, :5].astype(int) @ A[:5, :5]).max()


def test_polynomials_at_the_edge():
    X = np.random.default_rng(0).standard_normal((2, 3, 3))
    for graph in (CLIQUE, MultiGraph.from_spec("ab,bc->ac"), MultiGraph(2, ((0, 1),), (0, 0))):
        assert_degenerate(lambda X, graph=graph: evaluate(graph, X), X, scales=(1e-30, 1e5))
        assert_dtypes(jax.jit(lambda X, graph=graph: evaluate(graph, X)), X)


def test_long_paths_are_contracted_at_once():
    """The best order of 10 edges took 17 seconds to find; that of 40 would never end."""
    A = np.eye(4, k=1, dtype=np.float32) + np.eye(4, k=-3, dtype=np.float32)  # a cycle: 40 steps lead back
    path = MultiGraph(41, tuple((i, i + 1) for i in range(40)), red=(0, 40))
    with jax.disable_jit():
        assert_close(evaluate(path, jnp.asarray(A)), np.eye(4), 0)


def test_refinement_sees_weights():
    """Two hexagons with weights 1.2 and 1.7 by turns, and by halves."""
    around = np.arange(6)

    def hexagon(weights):
        A = np.zeros((6, 6))
        A[around, (around + 1) % 6] = A[(around + 1) % 6, around] = weights
        return A

    turns, halves = hexagon([1.2, 1.7] * 3), hexagon([1.2] * 3 + [1.7] * 3)
    assert equal_share(wl1([turns, halves])) == 0 and equal_share(wl1([turns, np.roll(turns, 1, (0, 1))])) == 1
    assert wl1([np.zeros((0, 0))] * 2).shape == (2, 0) and fwl2([np.zeros((0, 0))] * 2).shape == (2, 0, 0)


def test_graphs_of_mixed_types_are_promoted():
    Z, mask, _ = pad_graphs([np.ones((1, 1, 1), np.uint8), np.full((1, 2, 2), 0.5)])
    assert Z.dtype == mask.dtype == np.float64 and Z[1].max() == 0.5


@NETWORKS
def test_networks_at_the_edge(build):
    model, sizes = build(nnx.Rngs(0)), np.array([5, 3], np.int32)

    def outputs(Z):
        mask = jnp.ones((Z.shape[0], 1, *Z.shape[2:]), Z.dtype)
        return model(Z, mask, jnp.full(Z.shape[0], Z.shape[2], jnp.int32))

    Z = np.asarray(_batch()[0], np.float32)
    assert_degenerate(outputs, Z, scales=(1e-30, 10.0))
    assert_dtypes(nnx.jit(outputs), Z, tolerance=1e-4)
    with pytest.raises(ValueError, match="sizes runs from 3 to 7; it must lie between 0 and 5"):
        model(jnp.asarray(Z), jnp.ones((2, 1, 5, 5)), jnp.asarray(sizes).at[0].set(7))
    empty = model(jnp.zeros((1, 2, 5, 5)), jnp.zeros((1, 1, 5, 5)), jnp.zeros(1, jnp.int32))
    assert bool(jnp.isfinite(empty).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiGraph(-1), "num_nodes is -1; it must be at least 0"),
        (lambda: expressive_degree(EDGE_BANK, "edge", -1), "max_degree is -1"),
        (lambda: list(set_partitions(-1)), "count is -1"),
        (lambda: orbit_count(-1, "node"), "degree is -1"),
        (lambda: orbit_count(1, "graph"), "output is 'graph'"),
        (lambda: graphs_of_degree(-2), "degree is -2"),
        (lambda: wl1([]), "graphs is empty"),
        (lambda: wl1([np.full((2, 2), np.nan)]), "not finite"),
    ],
)
def test_errors(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()

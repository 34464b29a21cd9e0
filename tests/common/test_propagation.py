"""Propagation on graphs, and what graph functions do with degenerate inputs, other dtypes and missing rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.graphs.edges import (
    adjacency_product,
    bipartite,
    degrees,
    sum_sides,
    symmetric_product,
    undirected,
)
from quire.common.graphs.propagation import NGCFConv, gcn_propagate, lightgcn_propagate, ngcf_propagate
from quire.common.graphs.sheaf_layers import SheafConv, SheafLearner, edge_params
from quire.common.graphs.sheaves import sheaf_laplacian
from quire.common.graphs.stalk_maps import orthogonal_map
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
)

N = 7
PAIRS = np.array([[0, 0, 1, 2, 3, 4, 1], [1, 2, 2, 3, 4, 5, 5]])  # node 6 is isolated


@pytest.fixture
def graph():
    return undirected(PAIRS, N)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def adjacency():
    dense = np.zeros((N, N))
    dense[PAIRS[0], PAIRS[1]] = dense[PAIRS[1], PAIRS[0]] = 1
    return dense


# --- Propagation ---


def test_propagation_against_dense_matrices(graph):
    A, x = adjacency(), normal(0, N, 3)
    root = np.where(A.sum(1) > 0, np.maximum(A.sum(1), 1) ** -0.5, 0)
    norm = root[:, None] * A * root
    assert_close(lightgcn_propagate(graph, x), norm @ np.asarray(x), 1e-5)
    hat = (A.sum(1) + 1) ** -0.5
    assert_close(gcn_propagate(graph, x), (hat[:, None] * (A + np.eye(N)) * hat) @ np.asarray(x), 1e-5)
    w1, w2, b1, b2 = (np.asarray(normal(k, *s)) for k, s in ((1, (4, 3)), (2, (4, 3)), (3, (4,)), (4, (4,))))
    xs = np.asarray(x)
    expected = xs @ w1.T + b1
    for s, t in np.asarray(graph.directed).T:
        expected[s] += norm[s, t] * (xs[t] @ w1.T + b1 + (xs[t] * xs[s]) @ w2.T + b2)
    assert_close(ngcf_propagate(graph, x, *map(jnp.asarray, (w1, b1, w2, b2))), expected, 1e-5)


def test_dropout_needs_a_key(graph):
    layer, x = NGCFConv(4, dropout=0.5, rngs=nnx.Rngs(0)), normal(0, N, 4)
    assert_close(layer(graph, x), layer(graph, x), 0)
    dropped = layer(graph, x, jax.random.key(0))
    assert 0.2 < float(jnp.mean(dropped == 0)) < 0.8


def test_lightgcn_keeps_users_apart_from_items():
    graph = bipartite([0, 1, 1], [0, 0, 1], 2, 2)
    x = jnp.eye(4)
    assert_equivariant(
        lambda x: lightgcn_propagate(graph, x),
        x,
        elements=[2.0],
        act_in=lambda g, x: g * x,
        act_out=lambda g, y: g * y,
        tolerance=1e-6,
    )
    assert_close(lightgcn_propagate(graph, x)[:2, :2], np.zeros((2, 2)), 0)


def test_products_part_by_part(monkeypatch, graph):
    """Six rows of neighbours, four at a time: the same sums and derivatives, what rows and blocks lack included."""
    w, x = normal(0, graph.num_edges), normal(1, N, 3).at[0].set(1e30)

    def everything(w, x):
        return jax.value_and_grad(lambda w, x: jnp.sum(jnp.sin(1e-30 * symmetric_product(graph, w, x))), (0, 1))(w, x)

    whole, product = everything(w, x), symmetric_product(graph, w, x)
    monkeypatch.setattr("quire.common.graphs.neighbour_rows.BLOCK", 4)
    assert_close(symmetric_product(graph, w, x), product, 1e-6)
    assert_close(everything(w, x), whole, 1e-5)


def test_long_rows_are_cut():
    """Nodes of up to 40 neighbours, five rows each, against the dense matrix; a NaN stays with the neighbours of its node."""
    rng, n = np.random.default_rng(0), 41
    dense = np.triu(rng.random((n, n)) < 0.5, 1).astype(float)
    dense[0, 1:], dense[1, 2:] = 1, 0
    graph = undirected(np.argwhere(dense).T, n)
    dense += dense.T
    assert graph.degree.tolist() == dense.sum(1).tolist()
    assert (np.bincount(graph.rows.node, minlength=n)[:n] == np.ceil(dense.sum(1) / 8)).all()
    other = undirected(np.sort((np.asarray(graph.pairs) + 7) % n, axis=0), n)
    shapes = [[leaf.shape for leaf in jax.tree.leaves(g)] for g in (graph, other)]
    assert shapes[0] == shapes[1], "one program serves graphs of one size"
    x = rng.standard_normal((n, 3)).astype(np.float32)
    assert_close(adjacency_product(graph, jnp.asarray(x)), dense @ x, 1e-6)
    w = rng.standard_normal(graph.num_edges).astype(np.float32)
    i, j = np.asarray(graph.pairs)
    dense[i, j] = dense[j, i] = w
    assert_close(symmetric_product(graph, jnp.asarray(w), jnp.asarray(x)), dense @ x, 1e-6)
    x[1] = np.nan
    with jax.debug_nans(False):
        broken = np.isnan(adjacency_product(graph, jnp.asarray(x))).any(1)
    assert np.flatnonzero(broken).tolist() == [0]


# --- Inputs at the edge ---


def test_small_integers_have_room_for_both_sides():
    graph = bipartite(np.array([0], np.uint8), np.array([200], np.uint8), 100, 201)
    assert graph.pairs.tolist() == [[0], [300]]


def test_degrees_in_half_precision():
    """A sum of ones in bfloat16 ends at 256."""
    star = undirected(np.stack([np.zeros(512, int), np.arange(1, 513)]), 513)
    assert float(degrees(star, jnp.bfloat16)[0]) == 512


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda g, x: lightgcn_propagate(g, x), (N, 3)),
        (lambda g, x: gcn_propagate(g, x), (N, 3)),
        (lambda g, x: symmetric_product(g, x[:, 0], jnp.eye(N)), (7, 1)),
        (lambda g, x: sheaf_laplacian(g, x, "diagonal").matvec(jnp.ones((N, 2, 3), x.dtype)), (14, 2)),
        (lambda g, x: sheaf_laplacian(g, x, "general").matvec(jnp.ones((N, 2, 3), x.dtype)), (14, 2, 2)),
        (lambda g, x: orthogonal_map(x, 3), (2, 3)),
        (lambda g, x: orthogonal_map(x, 3, "householder"), (2, 3)),
    ],
    ids=["lightgcn", "gcn", "product", "diagonal", "general", "cayley", "householder"],
)
def test_graph_functions_at_the_edge(graph, function, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    assert_degenerate(lambda x: function(graph, x), x, scales=(1e-30, 1e3))
    assert_dtypes(jax.jit(lambda x: function(graph, x)), x, tolerance=1e-4)


def test_missing_rows_are_not_read_from_the_last(as_installed, graph):
    x = jnp.ones((N - 1, 3))
    w, b = jnp.ones((2, 3)), jnp.ones(2)
    for call, message in (
        (lambda: lightgcn_propagate(graph, x), r"x has shape \(6, 3\); features of 7 nodes need \(7, channels\)"),
        (lambda: gcn_propagate(graph, x), "features of 7 nodes"),
        (lambda: ngcf_propagate(graph, x, w, b, w, b), "features of 7 nodes"),
        (lambda: edge_params(graph, x, jnp.ones((1, 6))), "features of 7 nodes"),
        (lambda: symmetric_product(graph, jnp.ones(6), jnp.ones((N, 3))), r"weight has shape \(6,\); 7 edges need \(7,\)"),
        (lambda: symmetric_product(graph, jnp.ones(7), jnp.ones(N)), r"x has shape \(7,\)"),
        (lambda: sum_sides(graph, jnp.ones(13)), r"values has shape \(13,\); the sides of 7 edges need 14 rows"),
        (lambda: ngcf_propagate(graph, jnp.ones((N, 3)), w, b[:1], w, b), "w1, b1, w2, b2 have shapes"),
        (lambda: SheafLearner(4, "foo", 2, rngs=nnx.Rngs(0)), "kind is 'foo'"),
        (lambda: SheafLearner(4, "diagonal", 0, rngs=nnx.Rngs(0)), "d is 0; it must be at least 1"),
        (lambda: SheafConv(0, rngs=nnx.Rngs(0)), "dim is 0; it must be at least 1"),
        (lambda: NGCFConv(0, rngs=nnx.Rngs(0)), "dim is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_harmonic_projection_says_when_it_is_not_there_yet(as_installed):
    """A path of 300 nodes needs as many steps; the constant is its kernel."""
    path = undirected(np.stack([np.arange(299), np.arange(1, 300)]), 300)
    with jax.enable_x64(), jax.debug_nans(False):
        laplacian = sheaf_laplacian(path, jnp.ones(598), "scalar", normalised=False)
        x = jnp.arange(300.0)[:, None]
        assert_close(laplacian.harmonic(x), np.full((300, 1), 149.5), 1e-6)
        with pytest.raises(ValueError, match="max_steps is 20 and tolerance 1e-06; a residual of"):
            laplacian.harmonic(x, max_steps=20)
        assert bool(jnp.isnan(jax.jit(lambda x: laplacian.harmonic(x, max_steps=20))(x)).all())

"""Graphs as edge lists, sheaf Laplacians, learned sheaves, propagation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.graphs.edges import (
    bipartite,
    degrees,
    from_directed,
    naive_symmetric_product,
    sum_sides,
    symmetric_product,
    undirected,
)
from quire.common.graphs.propagation import GCNConv, NGCFConv
from quire.common.graphs.sheaf_layers import SheafConv, SheafDiffusion, SheafLearner, edge_params, num_map_params, sheaf_maps
from quire.common.graphs.sheaves import sheaf_laplacian
from quire.common.graphs.stalk_maps import inverse_sqrt, orthogonal_map, stalk_product
from quire.common.layers.intermediates import capture
from quire.common.testing import (
    assert_close,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)

N = 7
PAIRS = np.array([[0, 0, 1, 2, 3, 4, 1], [1, 2, 2, 3, 4, 5, 5]])  # node 6 is isolated
KINDS = [("scalar", 1), ("diagonal", 3), ("orthogonal", 3), ("general", 3), ("general", 1), ("orthogonal", 2)]


@pytest.fixture
def graph():
    return undirected(PAIRS, N)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def random_maps(kind, d, count, seed=0):
    params = normal(seed, count, num_map_params(kind, d))
    if kind == "orthogonal":
        return np.asarray(jax.jit(orthogonal_map, static_argnums=1)(params, d))
    return params.reshape(count, *[d] * {"scalar": 0, "diagonal": 1, "general": 2}[kind])


def features(kind, d, channels=4):
    return normal(5, N, channels) if kind == "scalar" else normal(5, N, d, channels)


def adjacency():
    dense = np.zeros((N, N))
    dense[PAIRS[0], PAIRS[1]] = dense[PAIRS[1], PAIRS[0]] = 1
    return dense


# --- Edge lists ---


def test_edges_and_sums(graph):
    assert graph.pairs.dtype == jnp.int32
    assert_close(degrees(graph), adjacency().sum(1), 0)
    values = np.arange(14.0, dtype=np.float32)
    expected = np.zeros(N)
    np.add.at(expected, np.asarray(graph.directed)[0], values)
    assert_close(sum_sides(graph, jnp.asarray(values)), expected, 1e-6)


def test_directed_lists_in_any_order():
    order = np.random.default_rng(0).permutation(14)
    directed = np.concatenate([PAIRS, PAIRS[::-1]], 1)[:, order]
    graph, back = from_directed(directed, N)
    np.testing.assert_array_equal(directed[:, back], graph.directed)
    empty, none = from_directed(np.zeros((2, 0), int), 3)
    assert (empty.num_edges, len(none)) == (0, 0)


def test_symmetric_product_and_its_derivatives(graph):
    w, x = normal(0, graph.num_edges), normal(1, N, 3)
    dense = np.zeros((N, N))
    dense[PAIRS[0], PAIRS[1]] = dense[PAIRS[1], PAIRS[0]] = w

    @jax.jit
    def product_and_slopes(w, x):
        forms = (symmetric_product, naive_symmetric_product)
        return [(f(graph, w, x), jax.grad(lambda *a, f=f: jnp.sum(jnp.sin(f(graph, *a))), (0, 1))(w, x)) for f in forms]

    ours, naive = product_and_slopes(w, x)
    assert_close(ours[0], dense @ x, 1e-6)
    assert_close(ours, naive, 1e-5)
    assert_gradients(lambda w, x: symmetric_product(graph, w, x), w, x)
    assert_vmap_consistent(jax.jit(lambda w: symmetric_product(graph, w, x)), normal(2, 3, graph.num_edges))
    assert_jit_consistent(lambda w: symmetric_product(graph, w, x), w)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: undirected([[0, 1], [1, 0]], 2), "1 edges more than once"),
        (lambda: undirected([[0], [0]], 2), "1 self loops"),
        (lambda: undirected([[0], [2]], 2), "pairs runs from 0 to 2; nodes lie between 0 and num_nodes - 1 = 1"),
        (lambda: undirected([0, 1], 2), r"shape \(2,\).*integers of shape \(2, edges\)"),
        (lambda: undirected([[0.0], [1.0]], 2), "float64; it must be integers"),
        (lambda: undirected(np.zeros((2, 0), int), -1), "num_nodes is -1"),
        (lambda: bipartite([0, 1], [0], 2, 3), r"item has shape \(1,\); user and item need one number"),
        (lambda: bipartite([0], [3], 1, 3), "item runs from 3 to 3; it must lie between 0 and 2"),
        (lambda: from_directed([[0, 1], [1, 2]], 3), "2 edges without their reverse"),
        (lambda: from_directed([[0, 1, 0], [1, 0, 1]], 3), "an edge more than once"),
    ],
)
def test_graph_errors(as_installed, make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- Matrices on stalks ---


def test_stalk_product():
    a, b = normal(0, 5, 2, 3), normal(1, 5, 3, 4)
    assert_close(stalk_product(a, b), a @ b, 1e-6)
    assert_gradients(stalk_product, a, b)


def test_inverse_square_root_also_of_repeated_eigenvalues():
    a = normal(0, 4, 3, 3)
    blocks = a @ a.swapaxes(1, 2) + np.eye(3, dtype=np.float32)[None]
    root = np.asarray(jax.jit(inverse_sqrt)(blocks))
    assert_close(root @ blocks @ root, np.broadcast_to(np.eye(3), (4, 3, 3)), 1e-5)
    assert_gradients(lambda a: inverse_sqrt(a @ a.mT + jnp.eye(3)[None]), a)
    slope = jax.jit(jax.grad(lambda a: jnp.sum(inverse_sqrt(a))))(2 * np.eye(3, dtype=np.float32))
    assert_close(slope, np.full((3, 3), -0.5 * 2**-1.5), 1e-5)


@pytest.mark.parametrize("form", ["cayley", "matrix_exp", "householder", "euler"])
@pytest.mark.parametrize("d", [2, 3])
def test_orthogonal_maps(form, d):
    params = normal(0, 5, d * (d - 1) // 2)
    maps = jax.jit(orthogonal_map, static_argnums=(1, 2))
    turns = np.asarray(maps(params, d, form))
    assert_close(turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(d), (5, d, d)), 1e-5)
    assert_gradients(lambda p: orthogonal_map(p, d, form), params, tolerance=1e-5)
    if form != "euler":
        more = np.zeros((5, d * (d + 1) // 2), np.float32)
        rows, columns = np.tril_indices(d)
        more[:, rows != columns] = params
        assert_close(maps(more, d, form), turns, 1e-6)


def test_orthogonal_map_errors(as_installed):
    with pytest.raises(ValueError, match="form is 'qr'"):
        orthogonal_map(jnp.zeros(1), 2, "qr")
    with pytest.raises(ValueError, match=r"params has 2 numbers per map; d = 3 needs 3 \(or 6"):
        orthogonal_map(jnp.zeros(2), 3)
    with pytest.raises(ValueError, match="d is 4 with 6 parameters; Euler"):
        orthogonal_map(jnp.zeros(6), 4, "euler")


# --- Laplacians ---


@pytest.mark.parametrize(("kind", "d"), KINDS)
def test_laplacian(graph, kind, d):
    maps, x = random_maps(kind, d, 14), features(kind, d)

    @jax.jit
    def measure(maps, x):
        both = [sheaf_laplacian(graph, maps, kind, normalised=normalised) for normalised in (False, True)]
        return [(laplacian.todense(), laplacian.matvec(x), laplacian.energy(x)) for laplacian in both]

    for normalised, measured in zip((False, True), measure(maps, x), strict=True):
        dense, product, energy = map(np.asarray, measured)
        assert_close(dense, dense.T, 1e-6)
        flat = np.asarray(x, float).reshape(N * d, -1)
        assert_close(product.reshape(N * d, -1), dense @ flat, 1e-5)
        assert_close(energy, np.trace(flat.T @ dense @ flat), 1e-5)
        eigenvalues = np.linalg.eigvalsh(dense)
        assert eigenvalues.min() > -1e-5
        assert not normalised or eigenvalues.max() < 2
        assert_close(product[6], np.zeros_like(x[6]), 0)
    product = jax.jit(lambda m: sheaf_laplacian(graph, m, kind).matvec(x))
    assert_gradients(lambda m, x: sheaf_laplacian(graph, m, kind).matvec(x), maps, x, tolerance=1e-5)
    assert_vmap_consistent(product, np.stack([maps, maps[::-1]]))
    if kind in ("scalar", "general"):  # step by step every operation is a program of its own
        assert_jit_consistent(lambda m: sheaf_laplacian(graph, m, kind).matvec(x), maps)


def test_all_maps_one_is_the_graph_laplacian(graph):
    A = adjacency()
    plain = sheaf_laplacian(graph, jnp.ones(14), "scalar", normalised=False).todense()
    assert_close(plain, np.diag(A.sum(1)) - A, 1e-6)


def test_harmonic_projection_is_the_kernel(graph):
    with jax.enable_x64():
        for kind, d in KINDS:
            maps, x = random_maps(kind, d, 14).astype(np.float64), features(kind, d).astype(np.float64)

            @jax.jit
            def measure(maps, x, kind=kind):
                laplacian = sheaf_laplacian(graph, maps, kind)
                projected = laplacian.harmonic(x, tolerance=1e-12)
                return laplacian.todense(), projected, laplacian.energy(projected)

            dense, projected, energy = measure(maps, x)
            values, vectors = np.linalg.eigh(np.asarray(dense))
            kernel = vectors[:, values < 1e-9]
            expected = kernel @ kernel.T @ np.asarray(x).reshape(N * d, -1)
            assert np.abs(np.asarray(projected).reshape(N * d, -1) - expected).max() < 1e-8
            assert float(energy) < 1e-14


def test_laplacian_errors(as_installed, graph):
    with pytest.raises(ValueError, match="kind is 'linear'"):
        sheaf_laplacian(graph, jnp.ones(14), "linear")
    with pytest.raises(ValueError, match=r"maps has shape \(7,\); scalar maps of m = 7 edges need \(2 m\)"):
        sheaf_laplacian(graph, jnp.ones(7), "scalar")
    with pytest.raises(ValueError, match=r"x has shape \(7, 3\); diagonal maps on 7 nodes need \(7, 2, 'channels'\)"):
        sheaf_laplacian(graph, jnp.ones((14, 2)), "diagonal").matvec(jnp.ones((7, 3)))


# --- Layers ---


def test_edge_params_are_the_concatenation(graph):
    x, w = normal(0, N, 3), normal(1, 4, 6)
    s, t = np.asarray(graph.directed)
    expected = np.tanh(np.concatenate([x[s], x[t]], 1) @ np.asarray(w).T)
    assert_close(edge_params(graph, x, w), expected, 1e-5)


@pytest.mark.parametrize(("kind", "d"), KINDS)
def test_learned_maps_and_diffusion(graph, kind, d):
    x = normal(0, N, d, 4)
    if (kind, d) != ("general", 1):
        assert SheafLearner(4 * d, kind, d, rngs=nnx.Rngs(0))(graph, x.reshape(N, -1)).shape[0] == 14
    layer = SheafDiffusion(4, d, kind, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda x: layer(graph, x), x).shape == x.shape
    if (kind, d) == ("general", 3):  # step by step every operation is a program of its own
        assert_jit_consistent(lambda x: layer(graph, x), x)
    skeleton, params = nnx.split(layer)
    assert_gradients(lambda p, x: nnx.merge(skeleton, p)(graph, x), params, x, tolerance=1e-4)


def test_recommender_layer_is_a_special_case(graph):
    """Dimension 1, eps = 0, no activation: diffusion is the layer of the recommender with eta = 1 and no bias."""
    general = SheafDiffusion(4, 1, "scalar", activation="none", rngs=nnx.Rngs(0))
    layer, x = SheafConv(4, rngs=nnx.Rngs(1)), normal(0, N, 4)
    layer.linear.kernel[...], layer.linear.bias[...] = general.right[...], jnp.zeros(4)
    layer.learner.weight[...] = general.learner.weight[...]
    ours, theirs = jax.jit(lambda x: (layer(graph, x), general(graph, x[:, None])[:, 0]))(x)
    assert_close(ours, theirs, 1e-6)


@pytest.mark.parametrize("make", [SheafConv, NGCFConv, GCNConv])
def test_layers_are_permutation_equivariant(graph, make):
    layer = make(4, rngs=nnx.Rngs(0))
    x = normal(0, N, 4)
    run = jax.jit(lambda x: layer(graph, x))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(N)
        renamed = undirected(np.argsort(order)[PAIRS], N)
        assert_close(jax.jit(lambda x, g=renamed: layer(g, x))(x[order]), np.asarray(run(x))[order], 1e-5)
    assert_jit_consistent(lambda x: layer(graph, x), x)
    assert_vmap_consistent(run, normal(1, 3, N, 4))


def test_maps_are_offered_to_plots(graph):
    layer = SheafConv(4, rngs=nnx.Rngs(0))
    _, seen = capture(layer, graph, normal(0, N, 4))
    assert seen["maps"][0].shape == (14,)


def test_swapped_halves_transpose_the_sheaf(graph):
    x, w = normal(0, N, 4), normal(1, 1, 8)
    run = jax.jit(lambda w: sheaf_maps(graph, x, w, "scalar"))
    maps, swapped = np.asarray(run(w)), run(np.concatenate([w[:, 4:], w[:, :4]], 1))
    assert_close(np.concatenate([maps[7:], maps[:7]]), swapped, 1e-6)


def test_layer_errors(as_installed, graph):
    with pytest.raises(ValueError, match="d is 2 for scalar maps"):
        SheafLearner(4, "scalar", 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="d is 2; scalar maps act on stalks of dimension 1"):
        sheaf_maps(graph, jnp.ones((N, 2)), jnp.ones((1, 4)), "scalar", 2)
    with pytest.raises(ValueError, match=r"weight has shape \(1, 3\); features of width 2 need \(p, 4\)"):
        edge_params(graph, jnp.ones((N, 2)), jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="weight has 1 rows; general maps with d = 2 need 4"):
        sheaf_maps(graph, jnp.ones((N, 2)), jnp.ones((1, 4)), "general", 2)
    with pytest.raises(ValueError, match="activation is 'relu'"):
        SheafDiffusion(4, 2, activation="relu", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="this layer has stalks of dimension 2"):
        SheafDiffusion(4, 2, rngs=nnx.Rngs(0))(graph, jnp.ones((N, 3, 4)))

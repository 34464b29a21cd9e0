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
)

N = 7
PAIRS = np.array([[0, 0, 1, 2, 3, 4, 1], [1, 2, 2, 3, 4, 5, 5]])  # node 6 is isolated
KINDS = [("scalar", 1), ("diagonal", 3), ("orthogonal", 3), ("general", 3), ("general", 1), ("orthogonal", 2)]


@pytest.fixture(scope="module")
def graph():
    return undirected(PAIRS, N)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def random_maps(kind, d, count, seed=0):
    if kind == "orthogonal":
        return np.linalg.qr(normal(seed, count, d, d))[0]
    params = normal(seed, count, num_map_params(kind, d))
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
    w, x, more = normal(0, graph.num_edges), normal(1, N, 3), normal(2, 3, graph.num_edges)

    @jax.jit
    def measure(w, x, more):
        forms = symmetric_product, naive_symmetric_product
        slopes = [jax.grad(lambda w, x, f=f: jnp.sum(jnp.sin(f(graph, w, x))), (0, 1))(w, x) for f in forms]
        return [f(graph, w, x) for f in forms], slopes, jax.vmap(lambda w: symmetric_product(graph, w, x))(more)

    (product, naive), slopes, stack = measure(w, x, more)

    def dense(w):
        matrix = np.zeros((N, N))
        matrix[PAIRS[0], PAIRS[1]] = matrix[PAIRS[1], PAIRS[0]] = w
        return matrix @ x

    assert_close([product, naive], [dense(w)] * 2, 1e-6)
    assert_close(*slopes, 1e-5)  # the second form leaves its derivatives to JAX
    assert_close(stack, np.stack([dense(one) for one in more]), 1e-6)
    assert_close(symmetric_product(graph, jnp.asarray(w), jnp.asarray(x)), product, 1e-6)


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
    assert_close(jax.jit(stalk_product)(a, b), a @ b, 1e-6)
    assert_gradients(stalk_product, a, b)


def test_inverse_square_root_also_of_repeated_eigenvalues():
    a = normal(0, 4, 3, 3)
    blocks = a @ a.swapaxes(1, 2) + np.eye(3, dtype=np.float32)
    root = np.asarray(jax.jit(inverse_sqrt)(blocks))
    assert_close(root @ blocks @ root, np.broadcast_to(np.eye(3), (4, 3, 3)), 1e-5)
    assert_gradients(lambda a: inverse_sqrt(a @ a.mT + jnp.eye(3)[None]), a)
    slope = jax.jit(jax.grad(lambda a: jnp.sum(inverse_sqrt(a))))(2 * np.eye(3, dtype=np.float32))
    assert_close(slope, np.full((3, 3), -0.5 * 2**-1.5), 1e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_orthogonal_maps(d):
    """Every form, and the same maps from the lower triangle with its diagonal, which no form but Euler's angles reads."""
    forms = ["cayley", "matrix_exp", "householder", "euler"]
    params, more = normal(0, 5, d * (d - 1) // 2), np.zeros((5, d * (d + 1) // 2), np.float32)
    rows, columns = np.tril_indices(d)
    more[:, rows != columns] = params

    @jax.jit
    def maps(params, more):
        return [orthogonal_map(params, d, form) for form in forms], [orthogonal_map(more, d, form) for form in forms[:-1]]

    turns, same = jax.tree.map(np.asarray, maps(params, more))
    for found in turns:
        assert_close(found @ found.swapaxes(1, 2), np.broadcast_to(np.eye(d), (5, d, d)), 1e-5)
    assert_close(same, turns[:-1], 1e-6)
    assert_gradients(lambda p: [orthogonal_map(p, d, form) for form in forms], params)


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

    def product(maps, x):
        return sheaf_laplacian(graph, maps, kind).matvec(x)

    @jax.jit
    def measure(maps, x):
        laplacians = [sheaf_laplacian(graph, maps, kind, normalised=normalised) for normalised in (False, True)]
        stack = jax.vmap(product, (0, None))(jnp.stack([maps, maps[::-1]]), x)
        return [(one.todense(), one.matvec(x), one.energy(x)) for one in laplacians], stack

    found, stack = jax.tree.map(np.asarray, measure(maps, x))
    flat = np.asarray(x, float).reshape(N * d, -1)
    for normalised, (dense, moved, energy) in zip((False, True), found, strict=True):
        assert_close(dense, dense.T, 1e-6)
        assert_close(moved.reshape(N * d, -1), dense @ flat, 1e-5)
        assert_close(energy, np.trace(flat.T @ dense @ flat), 1e-5)
        eigenvalues = np.linalg.eigvalsh(dense)
        assert eigenvalues.min() > -1e-5
        assert not normalised or eigenvalues.max() < 2
        assert_close(moved[6], np.zeros_like(x[6]), 0)
    reverse = measure(maps[::-1].copy(), x)[0][1][1]
    assert_close(stack, np.stack([found[1][1], reverse]), 1e-5)
    if (kind, d) == ("general", 3):  # step by step every operation is a program of its own
        assert_close(product(jnp.asarray(maps), jnp.asarray(x)), found[1][1], 1e-5)


def test_derivatives_of_laplacians(graph):
    maps, xs = [random_maps(kind, d, 14) for kind, d in KINDS], [features(kind, d) for kind, d in KINDS]

    def products(maps, xs):
        return [sheaf_laplacian(graph, m, kind).matvec(x) for (kind, _), m, x in zip(KINDS, maps, xs, strict=True)]

    assert_gradients(products, maps, xs, tolerance=1e-5)


def test_all_maps_one_is_the_graph_laplacian(graph):
    A = adjacency()
    plain = jax.jit(lambda maps: sheaf_laplacian(graph, maps, "scalar", normalised=False).todense())(np.ones(14, np.float32))
    assert_close(plain, np.diag(A.sum(1)) - A, 1e-6)


def test_harmonic_projection_is_the_kernel(graph):
    with jax.enable_x64():
        for kind, d in KINDS:
            maps, x = random_maps(kind, d, 14).astype(float), features(kind, d).astype(float)

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
    assert_close(jax.jit(edge_params)(graph, x, w), expected, 1e-5)


def weights_of(make, seed=0):
    """Skeleton and weights of a layer, drawn without compiling how it draws them."""
    skeleton, abstract = nnx.split(nnx.eval_shape(make))
    draw = np.random.default_rng(seed)
    return skeleton, jax.tree.map(lambda w: (0.5 * draw.standard_normal(w.shape)).astype(w.dtype), abstract)


@pytest.mark.parametrize(("kind", "d"), KINDS)
def test_shapes_of_learned_maps_and_diffusion(graph, kind, d):
    x = jnp.asarray(normal(0, N, d, 4))
    if (kind, d) != ("general", 1):
        learner = nnx.eval_shape(lambda: SheafLearner(4 * d, kind, d, rngs=nnx.Rngs(0)))
        maps = nnx.eval_shape(lambda learner, x: learner(graph, x.reshape(N, -1)), learner, x)
        assert maps.shape[0] == 14
    layer = nnx.eval_shape(lambda: SheafDiffusion(4, d, kind, rngs=nnx.Rngs(0)))
    assert nnx.eval_shape(lambda layer, x: layer(graph, x), layer, x).shape == x.shape


def test_derivatives_of_diffusion(graph):
    layers = [weights_of(lambda kind=kind, d=d: SheafDiffusion(4, d, kind, rngs=nnx.Rngs(0))) for kind, d in KINDS]
    skeletons, weights = zip(*layers, strict=True)

    def diffuse(weights, xs):
        return [nnx.merge(s, w)(graph, x) for s, w, x in zip(skeletons, weights, xs, strict=True)]

    assert_gradients(diffuse, list(weights), [normal(0, N, d, 4) for _, d in KINDS], tolerance=1e-4)


def test_diffusion_compiled_and_step_by_step(graph):
    layer = SheafDiffusion(4, 3, "general", rngs=nnx.Rngs(0))
    assert_jit_consistent(lambda x: layer(graph, x), jnp.asarray(normal(0, N, 3, 4)))


def test_recommender_layer_is_a_special_case(graph):
    """Dimension 1, eps = 0, no activation: diffusion is the layer of the recommender with eta = 1 and no bias."""
    general = SheafDiffusion(4, 1, "scalar", activation="none", rngs=nnx.Rngs(0))
    layer, x = SheafConv(4, rngs=nnx.Rngs(1)), jnp.asarray(normal(0, N, 4))
    layer.linear.kernel[...], layer.linear.bias[...] = general.right[...], jnp.zeros(4)
    layer.learner.weight[...] = general.learner.weight[...]
    assert_close(layer(graph, x), jax.jit(lambda x: general(graph, x[:, None])[:, 0])(x), 1e-6)


@pytest.mark.parametrize("make", [SheafConv, NGCFConv, GCNConv])
def test_layers_are_permutation_equivariant(graph, make):
    layer, x = make(4, rngs=nnx.Rngs(0)), normal(0, 3, N, 4)
    run = jax.jit(lambda graph, x: layer(graph, x))
    each = np.stack([run(graph, one) for one in x])
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(N)
        renamed = undirected(np.argsort(order)[PAIRS], N)
        assert_close(run(renamed, x[0][order]), each[0][order], 1e-5)
    assert_close(layer(graph, jnp.asarray(x[0])), each[0], 1e-5)
    assert_close(jax.jit(jax.vmap(lambda x: layer(graph, x)))(x), each, 1e-5)


def test_maps_are_offered_to_plots(graph):
    layer = SheafConv(4, rngs=nnx.Rngs(0))
    _, seen = capture(layer, graph, jnp.asarray(normal(0, N, 4)))
    assert seen["maps"][0].shape == (14,)


def test_swapped_halves_transpose_the_sheaf(graph):
    x, w = normal(0, N, 4), normal(1, 1, 8)
    run = jax.jit(lambda x, w: sheaf_maps(graph, x, w, "scalar"))
    maps, swapped = (np.asarray(run(x, weight)) for weight in (w, np.roll(w, 4, axis=1)))
    assert_close(np.roll(maps, 7), swapped, 1e-6)


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

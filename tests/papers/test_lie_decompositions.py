"""Lie decompositions: golden parity, properties, degenerate inputs, errors, presets."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from flax import nnx

from quire.common.data.images import ImageData, ImageSplit
from quire.common.equivariant.matrix_groups import haar_density_log, haar_rotations, planar_rotation, polar
from quire.common.errors import DatasetUnavailable
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients
from quire.common.train.recipe import Recipe
from quire.lie_decompositions import (
    CNN,
    PRESETS,
    SL,
    SO,
    SPD,
    SSPD,
    Affine,
    CNNConfig,
    DigitsConfig,
    GLPlus,
    GResNet,
    GroupConv,
    GroupProject,
    KernelConfig,
    KernelNetwork,
    LiftConv,
    Movement,
    NetworkConfig,
    PathSamples,
    SampledNet,
    Samples,
    accuracy,
    affine_digits,
    global_pool,
    group_conv,
    group_kernel,
    has_log,
    homography_digits,
    kernel_grid,
    left_exp_riemannian,
    lie_log,
    lift,
    lift_kernel,
    load_gresnet,
    load_layer,
    mask,
    max_pool,
    nearest_image,
    open_digits,
    paper,
    project_kernel,
    train,
)
from quire.lie_decompositions.bases import rotation_basis, symmetric_basis, traceless_basis
from quire.lie_decompositions.kernels import relative_coordinates, wire
from quire.lie_decompositions.training import build
from quire.lie_decompositions.warped_digits import framed, move_digits, random_affine, scaled

GROUPS = {"sl2": SL(2), "gl2": GLPlus(2)}
PRECISIONS = [pytest.param(jnp.float64, 1e-9, id="float64"), pytest.param(jnp.float32, 1e-4, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("lie_decompositions")


@pytest.fixture
def draw():
    return np.random.default_rng(0)


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", GROUPS)
def test_golden_group(vectors, name, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        group, v = GROUPS[name], under(vectors, name, dtype)
        bases = {"basis": group.basis, "spd_basis": group.symmetric.basis, "so2_basis": rotation_basis(2)}
        for key, basis in bases.items():
            np.testing.assert_allclose(basis, np.reshape(v[key], basis.shape), atol=tolerance)

        @jax.jit
        def compute(v):
            x = group.symmetric.hat(v["spd_coords"])
            samples = group.pair(v["spd_coords"], planar_rotation(v["angle"].ravel()))
            log_p, rot = polar(v["g"])
            noexp = polar(jnp.diag(jnp.array([-2, -0.5], dtype))[None])
            return {
                "S": group.symmetric.exp(x),
                "spd_coords": group.symmetric.vee(x),
                "g": samples.g,
                "g_inv": samples.g_inv,
                "log_p": log_p,
                "rot": rot,
                "xi_inv": group.xi_inv(v["g"]),
                "h_inv": group.inverse(v["h"]),
                "xi_inv_ginv_h": relative_coordinates(group, v["g_inv"], v["h"]),
                "noexp_logp": noexp[0],
                "noexp_rot": noexp[1],
            }

        for key, found in compute(v).items():
            assert_close(found, v[key], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", GROUPS)
def test_golden_layers(vectors, name, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        group, v = GROUPS[name], under(vectors, name, dtype)
        lift = golden_layer(LiftConv, group, v, "lift", v["x"].shape[1], "VALID", v["lift_kernel"])

        def run(layer, x, *samples):
            return layer.kernel(*samples), layer(x, *samples)

        run = jax.jit(run)
        kernel, lifted = run(lift, channels_last(v["x"]), v["g_inv"])  # the authors': out, j, in, h, w
        assert_close(kernel.transpose(3, 4, 2, 0, 1), v["lift_kernel"], tolerance)
        assert_close(lifted.transpose(0, 3, 4, 1, 2), v["lift_out"], tolerance)

        conv = golden_layer(GroupConv, group, v, "conv", v["lift_out"].shape[1], ((1, 1), (1, 1)), v["conv_kernel"])
        kernel, out = run(conv, channels_last(v["lift_out"]), v["g"], v["h_inv"])  # the authors': out, j, in, i, h, w
        assert_close(kernel.transpose(4, 5, 2, 3, 0, 1), v["conv_kernel"], tolerance)
        assert_close(out.transpose(0, 3, 4, 1, 2), v["conv_out"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_network(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        model, samples = golden_network(vectors, dtype)
        x = channels_last(jnp.asarray(vectors["net_x"], dtype))
        features, out = jax.jit(lambda model, x, samples: (model.features(x, samples), model(x, samples)))(model, x, samples)
        assert_close(features.transpose(0, 3, 4, 1, 2), vectors["net_features"], tolerance)
        assert_close(out, vectors["net_out"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_grid_and_density(vectors, dtype, tolerance):
    grid = vectors["grid5_affine"]
    assert_close(kernel_grid(grid.shape[1]).transpose(2, 1, 0), grid, tolerance)  # the authors keep columns before rows
    with jax.enable_x64(dtype == jnp.float64):
        assert_close(haar_density_log(jnp.asarray(vectors["haar_X"], dtype)), vectors["haar_density_logcoords"], tolerance)


def under(vectors, prefix, dtype):
    return {n[len(prefix) + 1 :]: jnp.asarray(x, dtype) for n, x in vectors.arrays.items() if n.startswith(prefix + ".")}


def channels_last(x):
    return jnp.moveaxis(x, 1, 3) if x.ndim == 4 else x.transpose(0, 3, 4, 1, 2)


def sizes(state):
    """Width and depth of the network of a kernel, from its weights."""
    count = sum("kernel_net" in name and name.endswith("weight") for name in state)
    return KernelConfig(hidden=next(x.shape[0] for n, x in state.items() if n.endswith("net.0.linear.weight")), depth=count - 1)


def golden_layer(kind, group, v, name, in_channels, padding, kernel):
    state = {n.removeprefix(name + "."): x for n, x in v.items() if n.startswith(name + ".")}
    options = {"padding": padding, "config": sizes(state)}
    out, size = kernel.shape[0], kernel.shape[-1]
    layer = nnx.eval_shape(lambda: kind(group, in_channels, out, size, **options, rngs=nnx.Rngs(0)))
    return load_layer(layer, state, dtype=kernel.dtype)


def golden_network(vectors, dtype):
    state = under(vectors, "net", dtype)
    stem = {n: x for n, x in state.items() if n.startswith("stem.")}
    kernel = sizes(stem)
    channels = vectors["net_x"].shape[1]
    width = stem["stem.0.inr.final_linear.bias"].size // channels
    dims = [width]
    while (name := f"blocks.{4 * (len(dims) - 1)}.conv1.inr.final_linear.bias") in state:
        dims.append(state[name].size // dims[-1])
    config = NetworkConfig(
        SL(2),
        num_samples=len(vectors["net_g0"]),
        dims=tuple(dims),
        in_channels=channels,
        num_classes=state["fc.4.bias"].size,
        hidden=state["fc.4.weight"].shape[1],
        kernel=kernel,
    )
    pairs = [Samples(*(jnp.asarray(vectors[f"net_{g}{end}"], dtype) for end in ("", "_inv"))) for g in ("g0", "g1")]
    return load_gresnet(config, state, dtype=dtype), PathSamples(*pairs)


# --- Groups ------------------------------------------------------------------------------------------------------------------

ALL = [SL(2), GLPlus(2), SO(2), SL(3, alpha=2.0)]


@pytest.mark.parametrize("basis", [symmetric_basis, traceless_basis, rotation_basis])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_bases_are_orthonormal_and_whole(basis, n):
    matrices = basis(n, 0.7)
    np.testing.assert_allclose(0.7 * np.einsum("aij,bij->ab", matrices, matrices), np.eye(len(matrices)), atol=1e-14)
    counts = {"symmetric_basis": n * (n + 1) // 2, "traceless_basis": n * (n + 1) // 2 - 1, "rotation_basis": n * (n - 1) // 2}
    assert len(matrices) == counts[basis.__wrapped__.__name__]
    with pytest.raises(ValueError, match="read-only"):
        matrices[0] = 0


@pytest.mark.parametrize("group", ALL, ids=repr)
def test_coordinates_are_global_and_inverse(group, draw):
    numbers = draw.normal(0, 0.5, (6, group.dim))
    with jax.enable_x64():
        a = group.xi(numbers)
        if group.unimodular:
            np.testing.assert_allclose(np.linalg.det(a), 1, atol=1e-12)
        found = group.xi_inv(a)
        assert_close(group.xi(found), a, 1e-12)
        place = group.angle_place
        if group.n == 2:
            numbers[:, place] %= 2 * np.pi
        assert_close(found, numbers, 1e-12)
        assert_close(group.compose(a, group.inverse(a)), np.broadcast_to(np.eye(group.n), a.shape), 1e-12)
        assert_close(group.vee(group.hat(numbers)), numbers, 1e-13)


def test_the_scale_of_the_metric_scales_stretches_and_no_angles(draw):
    a = SL(2).xi(draw.standard_normal((4, 3)).astype(np.float32))
    one, four = (np.asarray(SL(2, alpha=alpha).xi_inv(a)) for alpha in (1.0, 4.0))
    np.testing.assert_allclose(four, one * [2, 1, 2], rtol=1e-5)


def test_angles_run_from_0_and_the_identity_has_none():
    angles = np.array([0.5, 3.0, -0.5, -1e-8, 1e-8, 0.0])
    found = SO(2).xi_inv(planar_rotation(angles))[:, 0]
    np.testing.assert_allclose(found, [0.5, 3.0, 2 * np.pi - 0.5, 0, 0, 0], atol=1e-5)
    assert found[-1] == found[-2] == found[-3] == 0


def test_symmetric_spaces(draw):
    for space in (SPD(3), SSPD(3)):
        x = draw.normal(0, 0.5, (4, space.dim))
        with jax.enable_x64():
            s = space.exp(space.hat(x))
            assert (np.linalg.det(s) > 0).all()
            if isinstance(space, SSPD):
                np.testing.assert_allclose(np.linalg.det(s), 1, atol=1e-12)
            assert_close(space.vee(space.log(s)), x, 1e-12)
            assert_close(space.density(x), haar_density_log(space.hat(x)), 1e-12)


@pytest.mark.parametrize("group", ALL, ids=repr)
def test_samples_come_with_their_inverses(group):
    angles = "uniform" if group.n == 2 else "haar"
    options = {"count": 4, "variance": 0.5, "angles": angles, "weights": "haar"}
    g, g_inv, weights = map(np.asarray, jax.jit(partial(group.sample_pair, **options))(jax.random.key(0)))
    np.testing.assert_allclose(g @ g_inv, np.broadcast_to(np.eye(group.n), g.shape), atol=1e-5)
    assert weights.shape == (4,)
    assert (weights > 0).all()


def test_angles_of_samples():
    def angles(how, count):
        draw = partial(SO(2).sample_pair, count=count, angles=how)
        return np.asarray(jax.jit(lambda key: SO(2).xi_inv(draw(key).g))(jax.random.key(0)))[:, 0]

    np.testing.assert_allclose(angles("subgroup", 4), np.arange(4) * np.pi / 2, atol=1e-6)
    np.testing.assert_allclose(angles("equidistant", 5), [np.pi, 1.5 * np.pi, 0, np.pi / 2, np.pi], atol=1e-6)
    assert np.ptp(angles("uniform", 50)) > 5
    assert np.ptp(angles("haar", 50)) > 5


def test_stretches_have_the_variance_asked_for():
    draw = partial(SL(2).sample_pair, count=4000, variance=0.3, angles="uniform")
    coordinates = np.asarray(jax.jit(lambda key: SL(2).xi_inv(draw(key).g))(jax.random.key(0)))[:, [0, 2]]
    np.testing.assert_allclose(coordinates.var(0), 0.3 / 4, rtol=0.1)  # of log S / 2


def test_weights_are_density_over_proposal():
    draw = partial(GLPlus(2).sample_pair, count=5, variance=0.7, angles="uniform", weights="haar")
    samples = jax.jit(draw)(jax.random.key(1))
    s = np.asarray(samples.g) @ np.asarray(samples.g).transpose(0, 2, 1)
    for weight, each in zip(samples.weights, s, strict=True):
        values, v = np.linalg.eigh(each.astype(float))
        x = v @ np.diag(np.log(values)) @ v.T
        proposal = scipy.stats.norm(scale=0.7**0.5).pdf([x[0, 0], np.sqrt(2) * x[0, 1], x[1, 1]]).prod()
        half = (np.linalg.eigvalsh(x) @ [-1, 1]) / 2
        np.testing.assert_allclose(weight, np.sinh(half) / half / proposal, rtol=1e-3)


def test_riemannian_exponential(draw):
    v = draw.normal(0, 0.5, (3, 3))
    expected = scipy.linalg.expm(v.T) @ scipy.linalg.expm(v - v.T)
    assert_close(left_exp_riemannian(v), expected, 1e-5)


def test_the_affine_group_acts(draw):
    numbers = draw.normal(0, 0.4, (3, 4)).astype(np.float32)
    a, b, c = (Affine(jnp.asarray(n[:2]), GLPlus(2).xi(n)) for n in numbers)
    points = draw.standard_normal((5, 2)).astype(np.float32)
    assert_close(a.compose(b).act(points), a.act(b.act(points)), 1e-5)
    assert_close(a.compose(b).compose(c), a.compose(b.compose(c)), 1e-5)
    assert_close(a.inverse().act(a.act(points)), points, 1e-5)


def test_logarithm_where_there_is_one(draw):
    a = draw.standard_normal((40, 2, 2))
    a[:, 0] *= np.sign(np.linalg.det(a))[:, None]
    a = np.concatenate([a, [np.eye(2), -np.eye(2), [[1, 2], [0, 1]], [[-1, 2], [0, -1]], planar_rotation(3.0)]])
    with jax.enable_x64(), jax.debug_nans(False):
        log, exists = lie_log(a), np.asarray(has_log(a))
    values = np.linalg.eigvals(a)
    negative = (np.abs(values.imag) < 1e-9).all(1) & (values.real < 0).any(1)
    negative[41] = False  # minus the identity is a half turn
    np.testing.assert_array_equal(exists, ~negative)
    assert 0 < negative.sum() < 20
    for matrix, each in zip(a[exists], log[exists], strict=True):
        assert_close(scipy.linalg.expm(np.asarray(each)), matrix, 1e-9)


# --- Kernels and layers ------------------------------------------------------------------------------------------------------

TINY = KernelConfig(hidden=5, depth=1)


def random_layers(group, dtype=jnp.float64, size=3, channels=2, **options):
    """Layers with random biases; in float64 to compare."""
    rngs = nnx.Rngs(7)
    layers = (
        LiftConv(group, 1, channels, size, config=TINY, rngs=rngs),
        GroupConv(group, channels, channels, size, config=TINY, rngs=rngs, **options),
    )
    for layer in layers:
        layer.bias[...] = jnp.arange(1.0, channels + 1)
    graph, state = nnx.split(nnx.List(layers))
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(x, dtype), state))


def some_samples(group, count, seed):
    samples = jax.jit(partial(group.sample_pair, count=count, angles="uniform"))(jax.random.key(seed))
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x), float), samples)


@pytest.mark.parametrize("group", [SL(2), GLPlus(2), SO(2)], ids=repr)
def test_kernels_are_equivariant(group, draw):
    """`k(A p; A h, A g~) |det A| = k(p; h, g~)`: positions enter through `h^-1 p`, elements through `h^-1 g~`."""
    with jax.enable_x64():
        network = random_layers(group)[1].network
        h, g = some_samples(group, 2, 1), some_samples(group, 3, 2)
        a = np.asarray(some_samples(group, 1, 3).g[0])
        points = draw.uniform(-0.4, 0.4, (3, 3, 2))

        def kernel(points, h_inv, g):
            position = jnp.einsum("jab,hwb->jhwa", h_inv, points)[:, None]
            relative = relative_coordinates(group, h_inv, g)[:, :, None, None]
            position, relative = (jnp.broadcast_to(x, (2, 3, 3, 3, x.shape[-1])) for x in (position, relative))
            coordinates = jnp.concatenate([position, relative], -1)
            values = network(coordinates) * mask(group, coordinates)[..., None]
            return values if group.unimodular else values / jnp.linalg.det(g)[None, :, None, None, None]

        kernel = jax.jit(kernel)
        h_inv, g = np.asarray(h.g_inv), np.asarray(g.g)
        here = np.asarray(kernel(points, h_inv, g))
        there = np.asarray(kernel(points @ a.T, h_inv @ np.linalg.inv(a), a @ g))
        np.testing.assert_allclose(there * np.linalg.det(a), here, atol=1e-12)
        # and `group_kernel` is this kernel at its own taps
        taps = jax.jit(lambda h_inv, g: group_kernel(network, group, h_inv, g, 3, 2))(h_inv, g)
        mine = np.asarray(kernel(kernel_grid(3), h_inv, g)).reshape(2, 3, 3, 3, 2, 2).transpose(2, 3, 5, 1, 4, 0)
        assert_close(taps, mine, 1e-12)


@pytest.mark.parametrize("group", [SL(2), GLPlus(2)], ids=repr)
def test_layers_turn_with_the_image(group, draw):
    with jax.enable_x64():
        stem, conv = random_layers(group)
        g, h = some_samples(group, 3, 1), some_samples(group, 2, 2)
        x = draw.standard_normal((1, 7, 7, 1))
        turn = np.array([[0.0, 1.0], [-1.0, 0.0]])

        def turned(samples):
            return Samples(turn @ samples.g, samples.g_inv @ turn.T)

        order = np.array([2, 0, 1])
        project = GroupProject(group, 2, 2, 3, config=TINY, rngs=nnx.Rngs(0))

        @jax.jit
        def run(x, g, h):
            lifted = stem(x, g.g_inv)
            permuted = conv(lifted[..., order], g.g[order], h.g_inv)
            return conv(lifted, g.g, h.g_inv), permuted, project(lifted, g.g_inv)

        out, permuted, flat = run(x, g, h)
        after, _, moved = run(np.rot90(x, 1, (1, 2)).copy(), turned(g), turned(h))
        assert_close(after, np.rot90(out, 1, (1, 2)), 1e-10)
        assert_close(permuted, out, 1e-12)
        assert_close(moved, np.rot90(flat, 1, (1, 2)), 1e-6)


def test_layers_are_the_sums_that_they_stand_for(draw):
    """Term by term: lift, group convolution and projection with their factors of determinants, on GL+(2)."""
    group = GLPlus(2)
    with jax.enable_x64():
        stem, conv = random_layers(group)
        g, h = some_samples(group, 2, 1), some_samples(group, 3, 2)
        grid = kernel_grid(3)
        k = lift_kernel(stem.network, group, g.g_inv, 3, 1)
        p = np.asarray(g.g_inv[1]) @ grid[2, 0]
        fade = 1 / (1 + np.exp(-2 * (1 - np.linalg.norm(p))))
        value = stem.network(jnp.asarray(p)).reshape(2, 1) * fade * np.linalg.det(g.g_inv[1])
        np.testing.assert_allclose(k[2, 0, :, :, 1].T, value, rtol=1e-10)
        k = project_kernel(stem.network, group, g.g_inv, 3, 1)
        np.testing.assert_allclose(k[2, 0, :, 1].T, value, rtol=1e-10)

        x = draw.standard_normal((1, 5, 5, 2, 2))
        kernel = np.asarray(conv.kernel(g.g, h.g_inv))
        out = np.asarray(conv(x, g.g, h.g_inv))
        window = x[0, 1:4, 2:5]  # rows, columns, in, i
        expected = np.einsum("abci,abcioj->oj", window, kernel) + np.arange(1.0, 3)[:, None]
        np.testing.assert_allclose(out[0, 1, 2], expected, rtol=1e-10)
        weighted = conv(x, g.g, h.g_inv, weights=jnp.array([2.0, 4.0]))[0, 1, 2]
        expected = np.einsum("abci,abcioj,i->oj", window, kernel, [1.0, 2.0]) + np.arange(1.0, 3)[:, None]
        np.testing.assert_allclose(weighted, expected, rtol=1e-10)


def test_compat_divides_along_the_output():
    group = GLPlus(2)
    with jax.enable_x64():
        network = random_layers(group)[1].network
        g, h = some_samples(group, 2, 1), some_samples(group, 2, 2)
        ours, theirs = (group_kernel(network, group, h.g_inv, g.g, 3, 2, compat=c) for c in (False, True))
        ours, theirs, determinants = np.asarray(ours), np.asarray(theirs), np.linalg.det(g.g)
        assert_close(theirs * determinants, ours * determinants[:, None, None], 1e-12)
        with pytest.raises(ValueError, match="compat is True for 2 samples in and 3 out"):
            group_kernel(network, group, some_samples(group, 3, 2).g_inv, g.g, 3, 2, compat=True)


def test_circular_coordinates_do_not_jump():
    config = replace(TINY, circular=True)
    conv = GroupConv(SO(2), 1, 1, 3, config=config, rngs=nnx.Rngs(0))
    jumps = {}
    for name, layer in (("circular", conv), ("angle", GroupConv(SO(2), 1, 1, 3, config=TINY, rngs=nnx.Rngs(0)))):
        before, after = (layer.kernel(planar_rotation(np.array([a])), jnp.eye(2)[None]) for a in (-1e-3, 1e-3))
        jumps[name] = float(np.abs(before - after).max())
    assert jumps["circular"] < 0.01 < jumps["angle"]


def test_masks():
    hard, soft = SL(2), GLPlus(2)
    points = jnp.array([[0.0, 0.0, 5.0], [0.6, 0.8, 0.0], [0.8, 0.8, 0.0]])
    np.testing.assert_array_equal(mask(hard, points), [1, 1, 0])
    norms = np.linalg.norm(points, axis=1)
    np.testing.assert_allclose(mask(soft, points), 1 / (1 + np.exp(-2 * (1 - norms))), rtol=1e-6)
    assert np.isfinite(jax.grad(lambda p: mask(soft, p))(jnp.zeros(3))).all()
    with jax.debug_nans(False):
        assert np.isnan(np.asarray(mask(soft, jnp.full(3, jnp.nan))))


def test_wavelets_are_their_formula(draw):
    layers = [(draw.standard_normal(shape), draw.standard_normal(shape[1])) for shape in ((2, 3), (3, 4))]
    x = draw.standard_normal((5, 2))
    u = x @ layers[0][0] + layers[0][1]
    expected = (np.cos(3 * u) * np.exp(-((0.5 * u) ** 2))) @ layers[1][0] + layers[1][1]
    assert_close(wire([tuple(map(jnp.asarray, l)) for l in layers], jnp.asarray(x), omega=3.0, scale=0.5), expected, 1e-5)
    with pytest.raises(ValueError, match="layers is empty"):
        wire([], jnp.asarray(x), omega=1.0, scale=1.0)
    for kind in ("siren", "wire"):
        network = KernelNetwork(2, 3, 4, replace(TINY, kind=kind), rngs=nnx.Rngs(0))
        assert network(jnp.ones((7, 2))).shape == (7, 3)


def test_initial_weights():
    network = KernelNetwork(2, 400, 50, KernelConfig(hidden=100), rngs=nnx.Rngs(0))
    bounds = [1 / 2, np.sqrt(6 / 100) / 10, np.sqrt(6 / 100) / 10, np.sqrt(6 / 100 / 50)]
    for weight, bound in zip(network.weights, bounds, strict=True):
        assert 0.95 * bound < np.abs(weight[...]).max() <= bound * 1.001
        np.testing.assert_allclose(weight[...].std(), bound / np.sqrt(3), rtol=0.1)
    first, *others = (np.asarray(b[...]) for b in network.biases)
    assert 0.8 / np.sqrt(2) < np.abs(first).max() <= 1.001 / np.sqrt(2)
    assert not any(b.any() for b in others)


def test_pooling(draw):
    x = draw.standard_normal((2, 5, 4, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(max_pool(x)[1, 1, 0, 2, 1], x[1, 2:4, :2, 2, 1].max())
    assert max_pool(x).shape == (2, 2, 2, 3, 2)
    np.testing.assert_array_equal(global_pool(x), x.max((1, 2, 4)))
    assert_close(global_pool(x, "mean"), x.mean((1, 2, 4)), 1e-6)


def test_degenerate_inputs_dtypes_and_gradients(draw):
    stem, conv = random_layers(GLPlus(2), jnp.float32)
    g = jax.tree.map(lambda x: x.astype(jnp.float32), some_samples(GLPlus(2), 2, 0))
    kernels = stem.kernel(g.g_inv), conv.kernel(g.g, g.g_inv)
    x = draw.standard_normal((2, 5, 5, 1)).astype(np.float32)
    assert_degenerate(lambda x: lift(x, kernels[0]), x)
    assert_dtypes(lambda x: lift(x, kernels[0]), x, dtypes=["uint8", "bfloat16"])
    y = draw.standard_normal((2, 3, 3, 2, 2)).astype(np.float32)
    assert_degenerate(lambda y: group_conv(y, kernels[1]), y)
    a = np.asarray(g.g[0], float)
    network = random_layers(GLPlus(2), jnp.float32)[1].network

    def through_samples(g):
        graph, state = nnx.split(network)
        wide = nnx.merge(graph, jax.tree.map(lambda x: x.astype(g.dtype), state))
        return group_kernel(wide, GLPlus(2), jnp.linalg.inv(g)[None], jnp.stack([g, 2 * g]), 2, 2)

    assert_gradients(through_samples, a, tolerance=1e-4)


# --- Network -----------------------------------------------------------------------------------------------------------------

SMALL = NetworkConfig(SL(2), num_samples=2, dims=(2, 3), size=3, hidden=8, num_classes=4, kernel=TINY)


def test_network_draws_drops_and_repeats(draw):
    model = GResNet(SMALL, rngs=nnx.Rngs(0))
    x = draw.standard_normal((2, 12, 12, 1)).astype(np.float32)
    scores = jax.jit(lambda model, x, key, train: model(x, key=key, train=train), static_argnums=3)
    keys = jax.random.split(jax.random.key(0))
    first = scores(model, x, keys[0], False)
    np.testing.assert_array_equal(first, scores(model, x, keys[0], False))
    assert np.abs(first - scores(model, x, keys[1], False)).max() > 1e-4
    assert np.abs(first - scores(model, x, keys[0], True)).max() > 1e-4
    fixed = SMALL.draw(keys[1])
    with pytest.raises(ValueError, match="key is None"):
        model(x)
    with pytest.raises(ValueError, match="key is None"):
        model(x, fixed, train=True)


def test_scores_are_those_of_the_turned_image(draw):
    model = GResNet(replace(SMALL, size=3), rngs=nnx.Rngs(0))
    x = draw.standard_normal((1, 12, 12, 1)).astype(np.float32)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]], np.float32)
    samples = SMALL.draw(jax.random.key(0))
    turned = PathSamples(*(Samples(turn @ s.g, s.g_inv @ turn.T) for s in samples))
    run = jax.jit(lambda model, x, samples: (model.features(x, samples), model(x, samples)))
    (features, scores), (moved, same) = run(model, x, samples), run(model, np.rot90(x, 1, (1, 2)).copy(), turned)
    assert_close(moved, np.rot90(features, 1, (1, 2)), 1e-3)
    assert_close(same, scores, 1e-3)


def test_converter_is_strict(vectors):
    model, _ = golden_network(vectors, jnp.float32)
    state = under(vectors, "net", jnp.float32)
    with pytest.raises(ValueError, match=r"missing: fc.0.weight"):
        load_gresnet(model.config, {n: x for n, x in state.items() if n != "fc.0.weight"})
    with pytest.raises(ValueError, match=r"unexpected: extra"):
        load_gresnet(model.config, state | {"extra": np.zeros(1)})
    with pytest.raises(ValueError, match=r"mis-shaped: fc.4.bias"):
        load_gresnet(model.config, state | {"fc.4.bias": np.zeros(77)})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    config = PRESETS[name].robustness
    side = config.digits.frame // config.digits.shrink
    images = jax.ShapeDtypeStruct((2, side, side, 1), jnp.float32)
    for network in (config.network, config.cnn, *(each for _, each in config.others)):
        model = nnx.eval_shape(lambda network=network: build(network, nnx.Rngs(0), fixed=config.fixed))
        out = jax.eval_shape(lambda m, x: m(x, key=jax.random.key(0)), model, images)
        assert out.shape == (2, 10)


# --- Digits and training -----------------------------------------------------------------------------------------------------


def few_digits():
    draw = np.random.default_rng(0)
    parts = [ImageSplit((255 * draw.uniform(size=(n, 28, 28, 1))).astype(np.uint8), np.arange(n) % 4) for n in (12, 6)]
    return ImageData("noise, 12 train / 6 test", *parts, 4)


def test_random_maps_keep_to_their_ranges():
    movement = Movement(rotation=30.0, shear=0.0, scale=(0.5, 0.8), shift=2.0)
    matrices, shifts = random_affine(jax.random.key(0), 500, movement)
    values = np.linalg.norm(matrices, axis=1)  # columns are turned unit vectors, scaled
    assert 0.5 <= values.min() < 0.52
    assert 0.78 < values.max() <= 0.8001
    assert 28 < np.rad2deg(np.abs(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))).max() <= 30.001
    assert 1.9 < np.abs(shifts).max() <= 2
    still = Movement(0.0, 0.0, (1.0, 1.0), 0.0, 0.0)
    images = np.random.default_rng(0).uniform(size=(3, 6, 6, 1)).astype(np.float32)
    for move in (affine_digits, homography_digits):
        assert_close(move(jax.random.key(0), images, still), images, 1e-4)
        assert np.abs(np.asarray(move(jax.random.key(0), images, Movement())) - images).max() > 0.1


def test_digits_are_framed_shrunk_and_scaled():
    images = np.full((1, 28, 28, 1), 255, np.uint8)
    framed_ones = framed(images, 40)
    assert framed_ones.shape == (1, 40, 40, 1)
    assert framed_ones.sum() == 28 * 28
    assert framed_ones[0, 6:34, 6:34].min() == 1
    small = scaled(framed_ones, 2)
    assert (small.min(), small.max(), small.shape) == (-1, 1, (1, 20, 20, 1))
    data = move_digits(few_digits(), DigitsConfig("mnist-t10k", num_train=8, num_test=5, shrink=2), jax.random.key(0))
    assert data.name == "noise, 8 train / 5 test, 20 x 20"
    assert data.train.images.shape == (8, 20, 20, 1)
    np.testing.assert_array_equal(data.affine.labels, data.clean.labels)
    assert np.abs(data.affine.images - data.clean.images).max() > 0.1


def test_missing_data_are_replaced_or_missed(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    source = open_digits(replace(PRESETS["quick"].robustness.digits, num_train=4, num_test=3), jax.random.key(0))
    assert "scikit-learn" in source.name
    assert source.stand_in_for
    monkeypatch.setattr("quire.lie_decompositions.warped_digits.mnist", lambda: (_ for _ in ()).throw(DatasetUnavailable("none")))
    with pytest.raises(DatasetUnavailable):
        open_digits(PRESETS["paper"].robustness.digits, jax.random.key(0))


def test_networks_learn():
    data = few_digits()
    split = ImageSplit(framed(data.train.images[:, 8:20, 8:20], 28)[:, 8:20, 8:20], data.train.labels)
    recipe = Recipe(25, 6, 1e-2, optimiser="adam")
    config = replace(SMALL, dropout=0.0)
    losses = {}
    for name, model in {
        "fixed samples": SampledNet(config, fixed=True, rngs=nnx.Rngs(0)),
        "CNN": CNN(CNNConfig(3, config), rngs=nnx.Rngs(0)),
    }.items():
        values = train(model, recipe, split, jax.random.key(0))
        losses[name] = values[-5:].mean() / values[:5].mean()
        found = accuracy(model, {"train": split}, jax.random.key(0), batch=5)["train"]
        assert found > 40, name  # of four classes
    assert max(losses.values()) < 0.95, losses
    assert SampledNet(config, fixed=False, rngs=nnx.Rngs(0)).samples is None


def test_nearest_image():
    data = few_digits()
    train_split = ImageSplit(framed(data.train.images, 28), data.train.labels)
    assert nearest_image(train_split, train_split) == 100
    turned = ImageSplit(train_split.images[::-1], train_split.labels)
    assert nearest_image(train_split, turned) < 100


@pytest.mark.parametrize("id", ["C1", "C4"])
def test_exact_claims(id):
    claim = paper.find_claim(id)
    measured = claim(replace(PRESETS["quick"], matrices=50), jax.random.key(5))
    assert claim.holds.judge([measured]).verdict == "reproduced", measured


# --- Errors ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SL(1), "n is 1; it must be at least 2"),
        (lambda: SPD(2, alpha=0.0), "alpha is 0.0"),
        (lambda: SL(2).xi_inv(2 * np.eye(2)), "this group needs 1"),
        (lambda: GLPlus(2).xi_inv(np.diag([1.0, -1.0])), "must be positive"),
        (lambda: SL(2).hat(np.zeros(4)), r"coordinates has shape \(4,\); it must be \[..., 3\]"),
        (lambda: SL(2).vee(np.eye(3)), "matrix has shape"),
        (lambda: SL(2).sample_pair(jax.random.key(0), 0), "count is 0"),
        (lambda: SL(2).sample_pair(jax.random.key(0), 2, angles="half"), "angles is 'half'"),
        (lambda: SL(2).sample_pair(jax.random.key(0), 2, weights="some"), "weights is 'some'"),
        (lambda: SL(3).sample_pair(jax.random.key(0), 2), "beyond the plane it must be 'haar'"),
        (lambda: SL(2).sample_pair(jax.random.key(0), 2, variance=-1.0), "variance is -1.0"),
        (lambda: SL(2).sample_pair(jax.random.key(0), 2, variance=0.0, weights="haar"), "variance is 0.0"),
        (lambda: LiftConv(SL(2), 1, 1, 1, rngs=nnx.Rngs(0)), "size is 1; it must be at least 2"),
        (lambda: lift_kernel(lambda x: x, SL(2), jnp.eye(2)[None], 1, 1), "size is 1; it must be at least 2"),
        (lambda: GroupConv(SL(2), 0, 1, 3, rngs=nnx.Rngs(0)), "in_channels is 0"),
        (lambda: group_conv(np.zeros((1, 5, 5, 2, 3)), np.zeros((3, 3, 2, 2, 1, 1))), "2 channels, 2 samples"),
        (lambda: max_pool(np.zeros((1, 1, 4, 1, 1))), "at least 2 rows"),
        (lambda: global_pool(np.zeros((1, 1, 4, 1, 1)), "sum"), "how is 'sum'"),
        (lambda: KernelConfig(kind="spline"), "kind is 'spline'"),
        (lambda: KernelConfig(hidden=0), "hidden is 0"),
        (lambda: NetworkConfig(dims=(3,)), r"dims is \(3,\)"),
        (lambda: NetworkConfig(dropout=1.0), "dropout is 1.0"),
        (lambda: CNNConfig(0, SMALL), "width is 0"),
        (lambda: Movement(rotation=-1.0), "rotation is -1.0"),
        (lambda: Movement(scale=(0.0, 1.0)), "scale is"),
        (lambda: DigitsConfig("cifar"), "image_set is 'cifar'"),
        (lambda: DigitsConfig(frame=41, shrink=2), "frame is 41 and shrink 2"),
        (lambda: replace(PRESETS["quick"], sides=(20,)), r"sides is \(20,\)"),
        (lambda: replace(PRESETS["quick"], matrices=0), "matrices is 0"),
        (lambda: lie_log(np.eye(3)), r"must be \[..., 2, 2\]"),
        (lambda: left_exp_riemannian(np.zeros((2, 3))), "square matrices"),
        (lambda: kernel_grid(0), "size is 0"),
    ],
)
def test_errors(call, words, as_installed):
    with pytest.raises(ValueError, match=words):
        call()


def test_traced_rotations_beyond_the_plane_are_refused():
    with pytest.raises(ValueError, match="is traced"):
        jax.jit(SO(3).xi_inv)(haar_rotations(jax.random.key(0), 3, 1))


def test_sampling_under_jit_is_the_same():
    draw = partial(SL(2).sample_pair, count=3)
    assert_close(jax.jit(draw)(jax.random.key(0)), draw(jax.random.key(0)), 1e-6)

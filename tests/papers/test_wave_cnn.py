"""Wave CNN: golden vectors, one-way kernels and layers, finite elements, compression, networks, errors, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.convolution import conv_nd
from quire.common.metrics.cost import count_params
from quire.common.pde.newmark import Boundary
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_vmap_consistent
from quire.wave_cnn import (
    PRESETS,
    CPLinear,
    OneWayConv,
    Surrogate,
    Trainer,
    WaveFE,
    WaveNet,
    Waves,
    best_errors,
    cp_kernel,
    cp_linear,
    draw_parameters,
    factor_std,
    he_variance,
    nested_svd,
    network_costs,
    per_kernel_conv,
    relative_error,
    sample_wave_dataset,
    shared_conv,
    shared_fit,
    shared_kernel,
    simulate,
    singular_values,
    solve_inside,
    submodel_solve,
    svd_compress,
)
from quire.wave_cnn.baselines import cubic, linear_features, nearest, ridge
from quire.wave_cnn.boundary_generator import rim_histories
from quire.wave_cnn.exactness import mode_eigenvalue
from quire.wave_cnn.one_way_conv import cheaper, factor_shapes
from quire.wave_cnn.training import Run, chosen_rate, scaled

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)], ids=["f64", "f32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("wave_cnn")


# --- Golden vectors ---


def last(x):
    """Channels last."""
    return np.moveaxis(x, 1, -1)


def kernel_last(kernel):
    """`[out, in, *size]` as `[*size, in, out]`."""
    return np.moveaxis(kernel, (0, 1), (-1, -2))


@PRECISIONS
def test_golden_convolutions(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == np.float64):
        three = [vectors[f"c3_{name}"].astype(dtype) for name in "abc"]
        two = [vectors[f"c2_{name}"].astype(dtype) for name in "ab"]
        shared = [vectors[f"sh_{name}"].astype(dtype) for name in "uvw"]
        x3, x2, bias = (vectors[name].astype(dtype) for name in ("c3_x", "c2_x", "c3_bias"))
        assert_close(cp_kernel(three), kernel_last(vectors["c3_dense_kernel"]), tolerance)
        assert_close(cp_kernel(two), kernel_last(vectors["c2_dense_kernel"]), tolerance)
        assert_close(shared_kernel(shared), kernel_last(vectors["sh_dense_kernel"]), tolerance)
        for evaluate in ("dense", "sequential"):
            for padding in ("same", "valid"):
                found = per_kernel_conv(last(x3), three, padding=padding.upper(), evaluate=evaluate)
                assert_close(found + bias.reshape(1, 1, 1, 1, -1), last(vectors[f"c3_y_{padding}"]), tolerance)
            assert_close(per_kernel_conv(last(x2), two, evaluate=evaluate), last(vectors["c2_y_same"]), tolerance)
        assert_close(shared_conv(last(x3), shared), last(vectors["sh_y_same"]), tolerance)


@PRECISIONS
def test_golden_singular_values(vectors, dtype, tolerance):
    kernels = kernel_last(vectors["svd_kernels"].astype(dtype))
    assert_close(singular_values(kernels), vectors["svd_singular_values"], tolerance)
    ranks = [int(name[len("svd_rank") : -len("_error")]) for name in vectors.arrays if name.startswith("svd_rank")]
    for rank in ranks:
        wanted = vectors[f"svd_rank{rank}_error"]
        assert_close(best_errors(kernels, rank), wanted, tolerance)
        with jax.enable_x64(dtype == np.float64):
            left = np.asarray(cp_kernel(svd_compress(kernels, rank))) - kernels
        assert_close(np.linalg.norm(left, axis=(0, 1)).T, wanted, tolerance)


def grid_of(vectors, c=1.0, bc="neumann"):
    nx, ny, lx, ly = vectors["fe_grid"]
    return WaveFE(int(nx), int(ny), float(lx), float(ly), c, bc)


@PRECISIONS
def test_golden_matrices(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == np.float64):
        fe = grid_of(vectors)
        assert_close(fe.nodes(), vectors["fe_nodes"], 1e-12)
        assert_close((fe.mass(), fe.stiffness()), (vectors["fe_mass"], vectors["fe_stiff"]), tolerance)
        smooth = grid_of(vectors, lambda x: 1 + 0.3 * jnp.sin(x[:, 0]) * x[:, 1])
        assert_close(smooth.stiffness(), vectors["fe_stiff_varc_g4"], tolerance)
        single = WaveFE(1, 1, *fe.spacing)
        assert_close((single.mass(), single.stiffness()), (vectors["fe_elem_mass"], vectors["fe_elem_stiff"]), tolerance)


@PRECISIONS
@pytest.mark.parametrize("dense", [False, True])
def test_golden_newmark(vectors, dtype, tolerance, dense):
    """All edges held, by fast diagonalisation and by a dense factor."""
    with jax.enable_x64(dtype == np.float64):
        c, u0, dt = float(vectors["nm_c"]), vectors["nm_u0"].astype(dtype), float(vectors["nm_dt"])
        fe = grid_of(vectors, c, "dirichlet")
        assert np.setdiff1d(np.arange(len(u0)), fe.edge_nodes()).tolist() == vectors["nm_interior"].tolist()
        solver = grid_of(vectors, lambda x: jnp.full(len(x), c, x.dtype), "dirichlet") if dense else fe
        motion = solver.newmark(u0, np.zeros_like(u0), dt, len(vectors["nm_hist"]) - 1)
        loose = tolerance if dtype == np.float64 else 1e-4
        assert_close(motion.displacement, vectors["nm_hist"], loose)
        assert_close(fe.energy(*motion), vectors["nm_energy"], loose)


@PRECISIONS
def test_golden_driven_edge(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == np.float64):
        fe, g = grid_of(vectors), vectors["bd_g"].astype(dtype)
        nodes, edge = fe.nodes(), fe.edge_nodes()
        y = nodes[edge, 1]
        moving = (nodes[edge, 0] == 0) & (y > y.min()) & (y < y.max())
        rest = np.zeros(len(nodes), dtype)
        motion = fe.newmark(rest, rest, float(vectors["nm_dt"]), len(g) - 1, Boundary(edge, g[:, None] * moving))
        assert_close(motion.displacement, vectors["bd_hist"], tolerance if dtype == np.float64 else 1e-4)


def test_golden_frequencies(vectors):
    fe = grid_of(vectors)
    squares = []
    for n, h in zip((fe.nx, fe.ny), fe.spacing, strict=True):
        t = np.pi / n
        squares.append(6 * (2 - 2 * np.cos(t)) / (h**2 * (4 + 2 * np.cos(t))))
    basis = grid_of(vectors, bc="dirichlet").diagonalisation()
    np.testing.assert_allclose(np.sqrt(basis.eigenvalues[0, 0]), vectors["eig11_discrete"], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(sum(squares)), vectors["eig11_discrete"], rtol=1e-12)
    np.testing.assert_allclose(np.pi * np.hypot(1 / fe.lx, 1 / fe.ly), vectors["eig11_exact"], rtol=1e-12)
    assert mode_eigenvalue(8) > 2 * np.pi**2


# --- Kernels and layers ---


def random_factors(mode, size, rank, channels=(3, 4), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in factor_shapes(*channels, size, rank, mode)]


def dense_by_hand(factors, mode):
    """The kernel `[*size, in, out]` as it is defined, term by term."""
    letters = "xyz"[: len(factors)]
    if mode == "per_kernel":
        return np.einsum(",".join("oir" + a for a in letters) + f"->{letters}io", *factors)
    middle = ",ry" if len(factors) == 3 else ""
    return np.einsum(f"rix{middle},orz->{'xyz' if middle else 'xz'}io", *factors)


CASES = [
    ("per_kernel", (3,), 1, 1, "SAME"),
    ("per_kernel", (3,), 3, 2, "VALID"),
    ("per_kernel", (3, 5), 2, (1, 2), "SAME"),
    ("per_kernel", (2, 4), 1, 1, "SAME"),
    ("per_kernel", (3, 3, 5), 2, 2, "VALID"),
    ("shared", (3, 5), 3, 2, "SAME"),
    ("shared", (5, 3, 3), 2, (1, 2, 1), "VALID"),
    ("shared", (3, 3, 3), 1, 1, [(2, 0), (1, 1), (0, 2)]),
]


@pytest.mark.parametrize(("mode", "size", "rank", "stride", "padding"), CASES)
def test_a_layer_is_the_convolution_with_its_kernel(mode, size, rank, stride, padding):
    """Values and gradients, by every way to compute it, against XLA."""
    factors = random_factors(mode, size, rank)
    x = np.random.default_rng(1).normal(size=(2, *(7, 8, 6)[: len(size)], 3))
    with jax.enable_x64():
        np.testing.assert_allclose((cp_kernel if mode == "per_kernel" else shared_kernel)(factors), dense_by_hand(factors, mode))

        def reference(x, factors):
            kernel = (cp_kernel if mode == "per_kernel" else shared_kernel)(factors)
            return conv_nd(x, kernel, stride=stride, padding=padding, impl="xla")

        options = {"stride": stride, "padding": padding}
        if mode == "shared":
            ways = [lambda x, f: shared_conv(x, f, **options)]
        else:
            ways = [lambda x, f, e=e: per_kernel_conv(x, f, evaluate=e, **options) for e in ("dense", "sequential")]

        @jax.jit
        def evaluate(x, factors):
            def of(convolve):
                out, pull = jax.vjp(convolve, x, factors)
                return out, pull(jnp.sin(out))

            return of(reference), [of(way) for way in ways]

        expected, found = evaluate(jnp.asarray(x), [jnp.asarray(f) for f in factors])
    for each in found:
        assert_close(each, expected, 1e-12)


def test_the_cheaper_way_is_taken():
    assert cheaper(10**4, (3, 3, 3, 8, 8), 1) == "dense" and cheaper(10**4, (9, 9, 9, 8, 8), 1) == "sequential"
    assert cheaper(1, (9, 9, 9, 8, 8), 1) == "sequential"  # nothing to make where there is one place
    factors = random_factors("per_kernel", (3, 3), 1)
    x = np.ones((1, 5, 5, 3), np.float32)
    assert_close(per_kernel_conv(x, factors), per_kernel_conv(x, factors, evaluate="sequential"), 1e-6)


@pytest.mark.parametrize("mode", ["per_kernel", "shared"])
def test_numbers_of_a_layer(mode):
    layer = OneWayConv(3, 5, (3, 5, 7), 2, mode, rngs=nnx.Rngs(0))
    formula = 3 * 5 * 2 * 15 + 5 if mode == "per_kernel" else 2 * (3 * 3 + 5 + 5 * 7) + 5
    assert layer.num_params() == formula == count_params(layer)
    assert layer.dense_kernel().shape == (3, 5, 7, 3, 5)
    layer.bias[...] = jnp.arange(5.0)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 5, 7, 3)), jnp.float32)
    assert_close(layer(x), conv_nd(x, layer.dense_kernel(), impl="xla") + jnp.arange(5.0).reshape(1, 1, 1, 1, 5), 1e-5)


def test_between_the_stages_of_a_shared_layer():
    layer = OneWayConv(2, 3, (3, 3), 4, "shared", between=jax.nn.relu, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 6, 2)), jnp.float32)
    u, w = (f[...] for f in layer.factors)
    h = jax.nn.relu(conv_nd(x, jnp.transpose(u, (2, 1, 0))[:, None], impl="xla"))
    assert_close(layer(x), conv_nd(h, jnp.transpose(w, (2, 1, 0))[None], impl="xla"), 1e-5)
    with pytest.raises(ValueError, match="between is a nonlinearity"):
        layer.dense_kernel()


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("mode", ["per_kernel", "shared"])
def test_initial_kernels_have_he_s_variance(mode, rank):
    """Over 10,000 draws; of the shared form over many layers, whose numbers hang together."""
    std = factor_std(he_variance(4, (3, 3, 3)), rank, 3)
    rng = np.random.default_rng(0)
    if mode == "per_kernel":
        factors = [rng.normal(size=(100, 100, rank, 3)) * std for _ in range(3)]
        variance = np.var(dense_by_hand(factors, mode))
    else:
        kernels = [
            dense_by_hand([std * rng.normal(size=s) for s in ((rank, 4, 3), (rank, 3), (5, rank, 3))], mode) for _ in range(3000)
        ]
        variance = np.var(kernels)
    assert abs(variance / (2 / (4 * 27)) - 1) < 0.1
    layer = OneWayConv(40, 50, (3, 3), rank, rngs=nnx.Rngs(0))
    assert abs(np.var(layer.dense_kernel()) * 40 * 9 / 2 - 1) < 0.1


def test_dense_layers_in_polyadic_form():
    layer = CPLinear((2, 3), (4, 5), 3, rngs=nnx.Rngs(0))
    assert layer.num_params() == 3 * (2 + 3 + 4 + 5) + 20 == count_params(layer)
    f, g, p, q = (np.asarray(v[...]) for v in [*layer.inward, *layer.outward])
    matrix = np.einsum("ar,br,cr,dr->abcd", f, g, p, q).reshape(6, 20)
    assert_close(layer.dense_kernel(), matrix, 1e-6)
    layer.bias[...] = jnp.arange(20.0)
    x = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    assert_close(layer(jnp.asarray(x)), x @ matrix + np.arange(20.0), 1e-5)
    wide = CPLinear((30, 30), (30, 30), 4, rngs=nnx.Rngs(1))
    assert abs(np.var(wide.dense_kernel()) * 900 / 2 - 1) < 0.5


# --- Compression ---


def test_best_compression_of_two_ways():
    kernel = np.random.default_rng(0).normal(size=(5, 4, 2, 3))
    with jax.enable_x64():
        for rank in range(1, 5):
            left = np.asarray(cp_kernel(svd_compress(kernel, rank))) - kernel
            np.testing.assert_allclose(np.linalg.norm(left, axis=(0, 1)).T, best_errors(kernel, rank), atol=1e-12)
    assert best_errors(kernel, 4).max() == 0
    np.testing.assert_allclose(best_errors(kernel, 0), np.linalg.norm(kernel, axis=(0, 1)).T)


def test_compression_of_three_ways():
    """All terms give the kernel back; fewer leave more; a kernel of few terms needs no more."""
    rng = np.random.default_rng(0)
    with jax.enable_x64():
        kernel = rng.normal(size=(3, 4, 5, 2, 3))
        errors = [np.linalg.norm(cp_kernel(nested_svd(kernel, r, q)) - kernel) for r, q in ((1, 1), (2, 2), (3, 4))]
        assert errors[0] > errors[1] > 1e-3 and errors[2] < 1e-12
        few = cp_kernel(random_factors("per_kernel", (3, 4, 5), 1))
        assert_close(cp_kernel(nested_svd(few, 1, 1)), few, 1e-12)
        shared = shared_kernel(random_factors("shared", (3, 4, 5), 2))
        assert_close(shared_kernel(shared_fit(shared, 2, KEY, sweeps=200)), shared, 1e-3)


# --- Waves ---


@pytest.mark.parametrize("bc", ["neumann", "dirichlet"])
def test_energy_stays_and_solvers_agree(bc):
    """Fast diagonalisation, a dense factor, and driven edges that do not move."""
    rng = np.random.default_rng(0)
    with jax.enable_x64():
        fe = WaveFE(5, 4, 1.3, 0.8, 0.7, bc)
        u0, v0 = rng.normal(size=(2, 30))
        if bc == "dirichlet":
            u0[fe.edge_nodes()] = v0[fe.edge_nodes()] = 0
        motion = fe.newmark(u0, v0, 0.05, 60)
        energy = fe.energy(*motion)
        np.testing.assert_allclose(energy, np.full(61, energy[0]), rtol=1e-11)
        dense = WaveFE(5, 4, 1.3, 0.8, lambda x: jnp.full(len(x), 0.7), bc).newmark(u0, v0, 0.05, 60)
        assert_close(motion, dense, 1e-10)
        np.testing.assert_allclose(fe.mass().sum(), 1.3 * 0.8)
        np.testing.assert_allclose(fe.stiffness().sum(axis=1), 0, atol=1e-12)
        assert_close(fe.stiffness(), fe.stiffness().T, 1e-14)
        expected = -np.linalg.solve(fe.mass(), fe.stiffness() @ u0) if bc == "neumann" else None
        if bc == "neumann":
            assert_close(fe.acceleration(u0), expected, 1e-10)
        else:
            still = Boundary(fe.edge_nodes(), np.zeros((61, fe.edge_nodes().size)))
            assert_close(WaveFE(5, 4, 1.3, 0.8, 0.7).newmark(u0, v0, 0.05, 60, still), motion, 1e-10)


def test_period_of_the_first_mode():
    """After a period of the discrete frequency the mode is back, up to dt^2."""
    with jax.enable_x64():
        fe = WaveFE(6, 6, bc="dirichlet")
        shape = np.prod(np.sin(np.pi * fe.nodes()), axis=1)
        period = 2 * np.pi / np.sqrt(mode_eigenvalue(6))
        errors = [float(jnp.abs(fe.newmark(shape, 0 * shape, period / n, n).displacement[-1] - shape).max()) for n in (20, 40)]
    assert errors[0] < 0.1 and errors[0] / errors[1] > 8  # of the phase, whose error is of order dt^2 and enters squared


def small_waves(**changes):
    return Waves(**({"elements": 8, "steps": 8, "every": 2, "zone": (2, 4)} | changes))


def test_zone_data():
    waves = small_waves(bc="dirichlet")
    parameters = draw_parameters(KEY, 3, waves)
    history = np.asarray(simulate(parameters, waves))
    data = sample_wave_dataset(KEY, 3, waves)
    assert_close(data.fields, history[:, 0:8:2, 2:6, 2:6], 1e-6)
    speed, start, rim = np.moveaxis(data.inputs, -1, 0)
    np.testing.assert_allclose(speed, np.broadcast_to(parameters.speed[:, :, None, None], speed.shape), rtol=1e-6)
    x, y = np.meshgrid(*[np.arange(2, 6) / 8] * 2, indexing="ij")
    distance = (x - parameters.centre[1, 0]) ** 2 + (y - parameters.centre[1, 1]) ** 2
    np.testing.assert_allclose(start[1, 0], np.exp(-distance / (2 * parameters.width[1] ** 2)), atol=1e-6)
    inside = np.zeros((4, 4), bool)
    inside[1:3, 1:3] = True
    assert (rim[..., inside] == 0).all()
    assert_close(rim[..., ~inside], data.fields[..., ~inside], 1e-12)
    assert np.abs(history[:, 1:, 0]).max() == 0 and history[0].std() > 0


def test_faster_waves_are_ahead_and_materials_differ():
    slow, fast = (small_waves(speed=(c, c)) for c in (0.8, 1.6))
    one = draw_parameters(KEY, 1, slow)
    with jax.enable_x64():
        a = simulate(one, slow)
        b = simulate(one._replace(speed=np.array([[0.8, 0.8]])), small_waves(materials=2))
        c = simulate(one._replace(speed=np.array([[0.8, 1.6]])), small_waves(materials=2))
        twice = simulate(one._replace(speed=np.array([[1.6]])), fast)
    assert_close(b, a, 1e-9)
    assert np.abs(np.asarray(c - a)).max() > 1e-3 and np.abs(np.asarray(twice - a)).max() > 1e-3
    data = sample_wave_dataset(KEY, 1, small_waves(materials=2))
    assert len(np.unique(data.inputs[..., 0])) == 2


def test_with_the_true_rim_the_zone_repeats_the_truth():
    waves = small_waves(zone=(2, 5), bc="dirichlet", every=1)
    parameters = draw_parameters(KEY, 2, waves)
    with jax.enable_x64():
        rims, zones = rim_histories(parameters, waves)
        assert_close(solve_inside(parameters, rims, waves), zones, 1e-10)
        wrong = solve_inside(parameters, 0.9 * rims, waves)
        still = submodel_solve(WaveFE(4, 4), np.zeros((5, 16)), 0.1).displacement
    assert relative_error(wrong, zones) > 0.05
    assert np.abs(still).max() == 0


# --- Networks, training, baselines ---


def test_networks_differ_in_their_layers_alone():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 8, 4, 3)), jnp.float32)
    nets = {conv: WaveNet(3, (4, 6), conv=conv, rank=2, rngs=nnx.Rngs(0)) for conv in ("classical", "one_way", "shared")}
    sizes = {conv: count_params(net) for conv, net in nets.items()}
    pairs = 3 * 4 + 4 * 6 + 6 * 6 + 10 * 4 + 4
    biases = 4 + 6 + 6 + 4 + 1
    assert sizes["classical"] == 27 * pairs + biases and sizes["one_way"] == 2 * 9 * pairs + biases
    assert sizes["shared"] < sizes["one_way"]
    one_way, classical = nets["one_way"], nets["classical"]
    for mine, other in zip(layers_of(one_way), layers_of(classical), strict=True):
        other.kernel[...] = mine.dense_kernel()
        other.bias[...] = mine.bias[...]
    assert_close(classical(x), one_way(x), 1e-4)
    with pytest.raises(ValueError, match="must be multiples of 2"):
        classical(x[:, :3])


def layers_of(net):
    return [net.first, *net.down, net.middle, *net.up, net.head]


def test_training_lowers_the_error_and_rates_are_chosen():
    waves = small_waves()
    data = sample_wave_dataset(KEY, 16, waves)
    scale = float(np.abs(data.fields).max())
    trainer = Trainer(lambda rngs: WaveNet(3, (2, 3), conv="one_way", rngs=rngs), 12, 8)
    run = Run(KEY, scaled(data, scale), 8, 1e-2)
    rate, errors, kept = chosen_rate(trainer, run, (1e-2, 1e-9), run.data)
    assert rate == 1e-2 and set(errors) == {1e-2, 1e-9} and errors[1e-2] < errors[1e-9]
    assert kept[1e-2].losses.shape == (12,) and kept[1e-2].losses[-3:].mean() < kept[1e-2].losses[:3].mean()
    again = trainer(run)
    np.testing.assert_array_equal(again.losses, kept[1e-2].losses)
    found = trainer.predict(again.model, run.data)
    assert_close(found, scale * np.asarray(again.model(jnp.asarray(run.data.inputs))), 1e-5)
    with pytest.raises(ValueError, match="batches of 8 leave 4"):
        trainer.predict(again.model, run.data._replace(inputs=run.data.inputs[:12]))


def test_scaled_data():
    data = sample_wave_dataset(KEY, 1, small_waves())
    found = scaled(data, 0.5)
    assert_close(found.fields, 2 * data.fields, 1e-6)
    assert_close(found.inputs[..., 0], data.inputs[..., 0], 1e-6)
    assert_close(found.inputs[..., 1:], 2 * data.inputs[..., 1:], 1e-6)


def test_regressions():
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    weights = rng.normal(size=(3, 2))
    np.testing.assert_allclose(ridge(x, x @ weights + 1, new, 1e-9), new @ weights + 1, atol=1e-6)
    primal = np.linalg.solve((x - x.mean(0)).T @ (x - x.mean(0)) + 0.7 * np.eye(3), (x - x.mean(0)).T @ (x @ weights))
    np.testing.assert_allclose(ridge(x, x @ weights, new, 0.7), (new - x.mean(0)) @ primal + (x @ weights).mean(0), atol=1e-9)
    y = x[:, :1] ** 3 - x[:, 1:2] * x[:, 2:]
    np.testing.assert_allclose(cubic(x, y, new), new[:, :1] ** 3 - new[:, 1:2] * new[:, 2:], atol=1e-3)
    np.testing.assert_array_equal(nearest(x, y, x[[3, 7]] + 1e-6), y[[3, 7]])
    # the linear map from all inputs
    data = sample_wave_dataset(KEY, 3, small_waves())
    assert linear_features(data).shape == (3, 1 + 16 + 4 * 12)


# --- Errors, degenerate inputs, presets ---

ONES = np.ones((2, 3, 1, 3))
BAD = [
    (lambda: cp_kernel([]), "factors have shapes"),
    (lambda: cp_kernel([ONES, np.ones((2, 3, 2, 3))]), "factors have shapes"),
    (lambda: shared_kernel([np.ones((2, 3, 3)), np.ones((4, 3, 3))]), "factors have shapes"),
    (lambda: shared_kernel([np.ones((2, 3, 3))]), "factors have shapes"),
    (lambda: per_kernel_conv(np.ones((1, 5, 5, 3)), [ONES]), "each axis of space needs one"),
    (lambda: per_kernel_conv(np.ones((1, 5, 4)), [ONES]), "each axis of space needs one"),
    (lambda: per_kernel_conv(np.ones((1, 5, 3)), [ONES], evaluate="fast"), "evaluate is 'fast'"),
    (lambda: shared_conv(np.ones((1, 5, 5, 2)), [np.ones((2, 3, 3)), np.ones((4, 2, 3))]), "each axis of space needs one"),
    (lambda: factor_std(1.0, 0, 2), "rank is 0"),
    (lambda: factor_std(0.0, 1, 2), "variance is 0.0"),
    (lambda: OneWayConv(3, 4, (3, 3), 0, rngs=nnx.Rngs(0)), "rank is 0"),
    (lambda: OneWayConv(0, 4, (3, 3), rngs=nnx.Rngs(0)), "in_ch is 0"),
    (lambda: OneWayConv(3, 4, (3,), 1, "shared", rngs=nnx.Rngs(0)), "kernel_size is"),
    (lambda: OneWayConv(3, 4, (3, 0), rngs=nnx.Rngs(0)), "kernel_size is"),
    (lambda: OneWayConv(3, 4, (3, 3), 1, "common", rngs=nnx.Rngs(0)), "mode is 'common'"),
    (lambda: CPLinear((), (3,), 1, rngs=nnx.Rngs(0)), "number of axes is 0"),
    (lambda: CPLinear((2,), (3,), 0, rngs=nnx.Rngs(0)), "rank is 0"),
    (lambda: cp_linear(jnp.ones((1, 5)), [np.ones((2, 1))], [np.ones((2, 1))]), "the rows multiply"),
    (lambda: svd_compress(np.ones((3, 3, 1, 1)), 4), "rank is 4"),
    (lambda: svd_compress(np.ones((3, 3, 3, 1, 1)), 1), "needs 2 ways"),
    (lambda: svd_compress(np.full((3, 3, 1, 1), np.nan), 1), "not finite"),
    (lambda: svd_compress(np.ones((3, 3, 1, 1), int), 1), "kernel has dtype int64"),
    (lambda: nested_svd(np.ones((3, 3, 3, 1, 1)), 1, 0), "inner_rank is 0"),
    (lambda: WaveFE(0, 3), "nx is 0"),
    (lambda: WaveFE(3, 3, -1.0), "lx is -1.0"),
    (lambda: WaveFE(3, 3, c=0.0), "c is 0.0"),
    (lambda: WaveFE(3, 3, bc="open"), "bc is 'open'"),
    (lambda: WaveFE(2, 2).newmark(np.zeros(8), np.zeros(8), 0.1, 1), "this mesh has 9 nodes"),
    (lambda: WaveFE(2, 2).newmark(np.zeros(9), np.zeros(9), 0.0, 1), "dt is 0.0"),
    (lambda: submodel_solve(WaveFE(2, 2), np.zeros((3, 7)), 0.1), "boundary_history has shape"),
    (lambda: Waves(steps=10, every=3), "steps is 10"),
    (lambda: Waves(zone=(30, 8)), "zone is"),
    (lambda: Waves(width=(0.2, 0.1)), "width is"),
    (lambda: Waves(materials=3), "materials is 3"),
    (lambda: draw_parameters(KEY, 0, Waves()), "n is 0"),
    (lambda: solve_inside(draw_parameters(KEY, 1, Waves(materials=2)), np.zeros((1, 2, 92)), Waves(materials=2)), "one speed"),
    (lambda: WaveNet(conv="dense", rngs=nnx.Rngs(0)), "conv is 'dense'"),
    (lambda: WaveNet(channels=(3,), rngs=nnx.Rngs(0)), "two scales"),
    (lambda: Trainer(lambda rngs: None, 0, 8), "steps is 0"),
    (lambda: relative_error(np.ones(2), np.zeros(2)), "a truth that is not 0"),
    (lambda: ridge(np.ones((2, 1)), np.ones((2, 1)), np.ones((1, 1)), 0.0), "penalty is 0.0"),
    (lambda: Surrogate(samples=(8, 16)), "samples must descend"),
    (lambda: Surrogate(samples=(12,)), "multiples of batch_size"),
    (lambda: Surrogate(channels=(2,) * 6), "each scale halves"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_layers_at_the_edges():
    factors = [jnp.asarray(f, jnp.float32) for f in random_factors("per_kernel", (3, 3), 2)]
    common = [jnp.asarray(f, jnp.float32) for f in random_factors("shared", (3, 3), 2)]
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    assert_degenerate(lambda x: per_kernel_conv(x, factors), x, scales=(1e-30, 1e6))
    assert_dtypes(lambda x: shared_conv(x, common), x)
    assert_vmap_consistent(lambda x: shared_conv(x[None], common), jnp.asarray(x))


@pytest.mark.parametrize("name", ["quick", "standard", "paper"])
def test_presets_can_be_traced(name):
    """Simulations, networks and the boundary generator; nothing is computed."""
    preset = PRESETS[name]
    surrogate, generator = preset.surrogate, preset.generator
    costs = network_costs(surrogate)
    assert costs["one-way"].params < 0.4 * costs["classical"].params
    for waves in (surrogate.waves, generator.waves):
        found = jax.eval_shape(lambda p, w=waves: simulate(p, w), draw_parameters(KEY, 2, waves))
        assert found.shape == (2, waves.steps + 1, waves.elements + 1, waves.elements + 1)
    assert generator.train > generator.components
    assert generator.waves.materials == 1  # the zone has a mesh of its own

"""Gaunt tensor product: golden vectors, evaluators, equivariance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.equivariant.clebsch_gordan import gaunt, gaunt_path_weights
from quire.common.equivariant.irreps import lmax_of
from quire.common.equivariant.radial import bessel_basis, polynomial_cutoff
from quire.common.equivariant.rotations import random_rotation, wigner_d
from quire.common.equivariant.spherical_harmonics import spherical_harmonics_angles
from quire.common.equivariant.torus_fourier import (
    fourier_product,
    fourier_to_sh,
    fourier_to_sh_table,
    sh_to_fourier,
    sh_to_fourier_table,
)
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.gaunt_tensor_product.cg_product import cg_tensor_product
from quire.gaunt_tensor_product.clusters import cluster_energy, generate_clusters
from quire.gaunt_tensor_product.convolution import gaunt_convolution, summed_convolution
from quire.gaunt_tensor_product.interaction import DegreeLinear, Selfmix
from quire.gaunt_tensor_product.mace import MACEConfig
from quire.gaunt_tensor_product.many_body import (
    ManyBody,
    SymmetricContraction,
    gaunt_power,
    many_body_terms,
)
from quire.gaunt_tensor_product.shapes import SHAPES, ShapeClassifier, ShapeTask, SwitchedMix, nearest_shape, sample_shapes
from quire.gaunt_tensor_product.tensor_product import EVALUATORS, fastest_method, gaunt_tensor_product
from quire.gaunt_tensor_product.training import prepare

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-12), (jnp.float32, 2e-5)], ids=["f64", "f32"])
METHODS = ["auto", *EVALUATORS]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("gaunt_tensor_product")


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def parts(z):
    """A complex array as real ones, for comparisons."""
    z = np.asarray(z)
    return np.stack([z.real, z.imag])


# --- Golden vectors ---


@PRECISIONS
def test_golden_harmonics(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        theta, phi = (jnp.asarray(vectors[name], dtype) for name in ("theta", "phi"))
        lmax = lmax_of(vectors["sh"].T)
        assert_close(spherical_harmonics_angles(lmax, theta, phi), vectors["sh"].T, tolerance)


def test_golden_gaunt_coefficients(vectors):
    for name in vectors.arrays:
        if name.startswith("gaunt_") and name != "gaunt_const":
            table = vectors[name]
            assert_close(gaunt(*(round(n**0.5) - 1 for n in table.shape)), table, 1e-12)
    assert_close(gaunt_path_weights(*(n - 1 for n in vectors["gaunt_const"].shape)), vectors["gaunt_const"], 1e-12)


def test_golden_fourier_tables(vectors):
    for name, table in vectors.arrays.items():
        lmax, U = round(len(table) ** 0.5) - 1, table.shape[-1] // 2
        if name.startswith("sh2f_"):
            assert_close(parts(sh_to_fourier_table(lmax)), parts(table), 1e-12)
        if name.startswith("f2sh_"):
            assert_close(parts(fourier_to_sh_table(lmax, U)), parts(table), 1e-12)


@PRECISIONS
@pytest.mark.parametrize("method", METHODS)
def test_golden_product(vectors, method, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        x1, x2, w1, w2, w3 = (jnp.asarray(vectors[name], dtype) for name in ("x1", "x2", "w1", "w2", "w3"))
        lmax_out = lmax_of(vectors["gtp_full"])
        product = gaunt_tensor_product(x1, x2, lmax_out, method)
        assert product.dtype == dtype
        assert_close(product, vectors["gtp_full"], tolerance)
        weighted = gaunt_tensor_product(x1, x2, lmax_of(vectors["gtp_weighted"]), method, w1, w2, w3)
        assert_close(weighted, vectors["gtp_weighted"], tolerance)
        truncated = gaunt_tensor_product(x1, x2, lmax_out // 2, method)
        assert_close(truncated, vectors["gtp_full"][:, : (lmax_out // 2 + 1) ** 2], tolerance)


@pytest.mark.parametrize("fft", [False, True])
def test_golden_series_of_the_authors(vectors, fft):
    """The authors' harmonics carry (-1)^m, half a turn about z, and both factors are embedded at the larger degree."""
    with jax.enable_x64():
        series = []
        degree = max(lmax_of(vectors["x1"]), lmax_of(vectors["x2"]))
        for name in ("x1", "x2"):
            F = sh_to_fourier(jnp.asarray(half_turn(vectors[name])))
            pad = degree - lmax_of(vectors[name])
            series.append(jnp.pad(F, [(0, 0)] * (F.ndim - 2) + [(pad, pad)] * 2))
        expected = vectors["authors_fourier_x1"]
        pad = (series[0].shape[-1] - expected.shape[-1]) // 2
        assert_close(
            parts(series[0])[..., pad : series[0].shape[-1] - pad, pad : series[0].shape[-1] - pad], parts(expected), 4e-6
        )
        product = fourier_product(*series, fft=fft)
        assert_close(parts(product), parts(vectors["authors_fourier_product"]), 4e-6)
        lmax = lmax_of(vectors["gtp_full"])
        assert_close(half_turn(np.asarray(fourier_to_sh(product, lmax))), vectors["gtp_full"], 1e-12)


def half_turn(x):
    l = np.sqrt(np.arange(x.shape[-1])).astype(int)
    return x * (-1.0) ** (np.arange(x.shape[-1]) - l * l - l)


@PRECISIONS
@pytest.mark.parametrize("frame", ["fixed", "aligned"])
def test_golden_convolution(vectors, frame, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        x, weights = (jnp.asarray(vectors[name], dtype) for name in ("x1", "filter_w"))
        r = jnp.broadcast_to(jnp.asarray(vectors["r"] / np.linalg.norm(vectors["r"]), dtype), (len(x), 3))
        out = gaunt_convolution(x, r, weights, lmax_of(vectors["conv_out"]), frame=frame)
        assert_close(out, vectors["conv_out"], tolerance)


@PRECISIONS
def test_golden_many_body(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        x, one_hot = jnp.asarray(vectors["mb_x"], dtype), jnp.asarray(vectors["mb_onehot"], dtype)
        nu, elements, channels, _ = vectors["mb_w"].shape
        lmax_out = lmax_of(vectors["mb_out"])
        terms = many_body_terms(x, nu, lmax_out)
        assert_close(terms, vectors["mb_terms"], tolerance)
        for k in range(1, nu + 1):
            top = min(lmax_out, k * lmax_of(x))
            for method in ("grid", "fft"):
                assert_close(gaunt_power(x, k, top, method=method), vectors["mb_terms"][k - 1][..., : (top + 1) ** 2], tolerance)
        block = ManyBody(nu, lmax_of(x), lmax_out, elements, channels, rngs=nnx.Rngs(0))
        block.weights[...] = jnp.asarray(vectors["mb_w"], dtype)
        assert_close(block(x, one_hot), vectors["mb_out"], tolerance)


@PRECISIONS
def test_golden_wigner(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        D = wigner_d(round(len(vectors["wigner_D"]) ** 0.5) - 1, jnp.asarray(vectors["R"], dtype))
        assert_close(D, vectors["wigner_D"], tolerance)


@PRECISIONS
def test_golden_radial(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        r = jnp.asarray(vectors["radial_r"], dtype)
        for name, expected in vectors.arrays.items():
            if name.startswith("bessel"):
                count, cutoff = name.removeprefix("bessel").split("_rmax")
                inside = np.asarray(r) < float(cutoff)
                assert_close(bessel_basis(r, float(cutoff), int(count))[inside], expected[inside], tolerance)
            if name.startswith("cutoff_p"):
                p, cutoff = name.removeprefix("cutoff_p").split("_rmax")
                assert_close(polynomial_cutoff(r, float(cutoff), int(p)), expected, tolerance)


# --- The product ---


@pytest.mark.parametrize(("lmax1", "lmax2", "lmax_out"), [(0, 0, 0), (2, 0, 1), (1, 3, 2), (3, 2, 5), (0, 4, 4)])
def test_evaluators_agree_for_any_degrees(lmax1, lmax2, lmax_out):
    with jax.enable_x64():
        x1, x2 = normal(0, 2, 3, (lmax1 + 1) ** 2), normal(1, 2, 3, (lmax2 + 1) ** 2)
        weights = gaunt_path_weights(lmax1, lmax2, lmax_out)
        for even, method in ((True, "paths"), (False, "dense")):
            expected = cg_tensor_product(x1, x2, lmax_out, weights, even=even, method=method)
            for evaluator in METHODS:
                assert_close(gaunt_tensor_product(x1, x2, lmax_out, evaluator), expected, 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_product_is_bilinear_symmetric_and_differentiable(method):
    with jax.enable_x64():
        x, y = normal(0, 3, 9), normal(1, 3, 9)

        def product(a, b):
            return gaunt_tensor_product(a, b, 3, method)

        assert_close(product(x, y), product(y, x), 1e-12)
        assert_close(product(2 * x + y, y), 2 * product(x, y) + product(y, y), 1e-12)
        assert_gradients(product, x, y)
        assert_jit_consistent(product, x, y, tolerance=1e-12)
        assert_vmap_consistent(product, x, y, tolerance=1e-12)


def test_auto_follows_degree_and_backend():
    assert [fastest_method(n, "cpu") for n in (1, 2, 3, 5, 6, 24)] == ["dense"] * 2 + ["grid"] * 2 + ["separable"] * 2
    assert fastest_method(16, "gpu") == "grid" and fastest_method(17, "tpu") == "separable"
    with pytest.raises(ValueError, match="lmax is -1"):
        fastest_method(-1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaunt_tensor_product(jnp.ones(5), jnp.ones(4)), r"x1 has shape \(5,\)"),
        (lambda: gaunt_tensor_product(jnp.ones(4), jnp.ones(4, complex)), "x2 has dtype complex64"),
        (lambda: gaunt_tensor_product(jnp.ones((2, 4)), jnp.ones((3, 4))), "leading axes must be equal"),
        (lambda: gaunt_tensor_product(jnp.ones(4), jnp.ones(4), 3), "lmax_out is 3; the product of degrees 1 and 1"),
        (lambda: gaunt_tensor_product(jnp.ones(4), jnp.ones(4), 1, "best"), "method is 'best'; choose from auto, dense"),
        (
            lambda: gaunt_tensor_product(jnp.ones((2, 4)), jnp.ones((2, 4)), w1=jnp.ones(3)),
            r"w1 has shape \(3,\); it must be \(2,\)",
        ),
        (lambda: cg_tensor_product(jnp.ones(4), jnp.ones((2, 4)), 1), "leading axes must be equal"),
        (lambda: cg_tensor_product(jnp.ones(4), jnp.ones(4), 1, jnp.ones((2, 2))), r"weights has shape \(2, 2\)"),
        (lambda: cg_tensor_product(jnp.ones(4), jnp.ones(4), 1, method="fft"), "method is 'fft'; choose from paths"),
        (lambda: gaunt_convolution(jnp.ones((2, 4)), jnp.ones((3, 3)), jnp.ones((2, 2))), "leading axes must be equal"),
        (lambda: gaunt_convolution(jnp.ones(4), jnp.ones(3), jnp.ones(2), 3), "lmax_out is 3; degrees 1 and 1"),
        (lambda: gaunt_convolution(jnp.ones(4), jnp.ones(3), jnp.ones(2), frame="lab"), "frame is 'lab'"),
        (lambda: gaunt_power(jnp.ones(4), 0), "nu is 0"),
        (lambda: gaunt_power(jnp.ones(4), 2, method="dense"), "method is 'dense'"),
        (lambda: many_body_terms(jnp.ones(4), 2, 3), "lmax_out 3"),
        (lambda: ManyBody(2, 1, 0, 2, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 4, 4)), jnp.ones((2, 2))), "must end in 3 channels"),
        (lambda: DegreeLinear(1, 2, 3, rngs=nnx.Rngs(0))(jnp.ones((3, 4))), "this map reads 2 channels"),
        (lambda: MACEConfig(2, tp="fast"), "tp is 'fast'"),
        (lambda: MACEConfig(0), "num_elements is 0; it must be at least 1"),
        (lambda: MACEConfig(2, lmax_edge=-1), "lmax_edge is -1; it must be at least 0"),
        (lambda: MACEConfig(2, cutoff=0.0), "cutoff is 0.0; it must be positive"),
        (lambda: MACEConfig(2, radial_widths=(8, 0)), r"radial_widths is \(8, 0\)"),
        (lambda: MACEConfig(2, lmax_edge=0, lmax_hidden=1), "lmax_hidden is 1; products have degrees 0 to nu"),
        (lambda: ManyBody(0, 1, 0, 2, 3, rngs=nnx.Rngs(0)), "nu is 0; it must be at least 1"),
        (lambda: SymmetricContraction(2, 1, 3, 2, 3, rngs=nnx.Rngs(0)), "lmax_in is 1 and lmax_out 3"),
        (lambda: DegreeLinear(-1, 2, 3, rngs=nnx.Rngs(0)), "lmax is -1"),
        (lambda: prepare(MACEConfig(1), generate_clusters(0, 1, 4), 0.0), "num_elements is 1, but the frames have 2 elements"),
        (lambda: generate_clusters(0, 0), "frames is 0 and atoms 8"),
        (lambda: generate_clusters(0, 1, 4, noise=-1.0), "noise is -1.0"),
        (lambda: cluster_energy(np.ones((3, 3)), np.array([0, 1, 2])), "species runs from 0 to 2"),
        (lambda: cluster_energy(np.ones((3, 3)), np.array([1])), r"positions has shape \(3, 3\); 1 species"),
        (lambda: summed_convolution(jnp.ones((3, 2, 4)), jnp.ones((5, 2, 3)), jnp.ones((5, 3, 2, 2))), "they need"),
        (lambda: summed_convolution(jnp.ones((3, 2, 4)), jnp.ones((5, 3, 3)), jnp.ones((5, 3, 2, 2)), 3), "lmax_out is 3"),
        (lambda: ManyBody(2, 1, 0, 2, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 3, 4)), jnp.ones((1, 2))), r"one_hot has shape \(1, 2\)"),
        (
            lambda: SymmetricContraction(2, 1, 0, 2, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 3, 4)), jnp.ones((2, 3))),
            r"one_hot has shape \(2, 3\); .* need \(2, 2\)",
        ),
        (lambda: fastest_method(4, "abacus"), "backend is 'abacus'"),
        (lambda: ShapeTask(channels=0), "channels is 0"),
        (lambda: ShapeTask(noise=-0.1), "noise is -0.1"),
        (lambda: sample_shapes(jax.random.key(0), -1, 0.1), "count is -1"),
        (lambda: nearest_shape(SHAPES * np.nan), "4 points of 3 finite coordinates"),
        (lambda: nearest_shape(SHAPES[:, :3]), r"points has shape \(7, 3, 3\)"),
    ],
)
def test_errors(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_convolution_frames_agree():
    with jax.enable_x64():
        x, w, r = normal(0, 4, 16), normal(1, 4, 3), normal(2, 4, 3)
        r = (r / jnp.linalg.norm(r, axis=1, keepdims=True)).at[0].set(jnp.array([0, 0, 1.0]))
        for lmax_out in (0, 3, 5):
            fixed = gaunt_convolution(x, r, w, lmax_out)
            assert_close(gaunt_convolution(x, r, w, lmax_out, frame="aligned"), fixed, 1e-12)


def test_summed_convolution_is_the_sum_of_convolutions():
    rng = np.random.default_rng(0)
    x, r, w = rng.standard_normal((2, 3, 2, 9)), rng.standard_normal((2, 4, 3, 3)), rng.standard_normal((2, 4, 3, 2, 3))
    with jax.enable_x64():
        shape = (2, 4, 3, 2)
        each = gaunt_convolution(
            jnp.broadcast_to(x[:, None], (*shape, 9)), jnp.broadcast_to(r[..., None, :], (*shape, 3)), jnp.asarray(w), 3
        )
        assert_close(summed_convolution(*map(jnp.asarray, (x, r, w)), 3), each.sum(2), 1e-12)


def test_a_single_point_has_a_class():
    model = ShapeClassifier(ShapeTask(channels=2, lmax=1), selfmix=True, rngs=nnx.Rngs(0))
    assert bool(jnp.isfinite(jax.jit(model)(np.ones((2, 1, 3), np.float32))).all())


def test_derivatives_of_the_aligned_frame():
    """Those of the fixed frame, at the poles too, where the azimuth of the frame jumps, and for no direction at all."""
    with jax.enable_x64():
        x, w = normal(0, 6, 16), normal(1, 6, 3)
        r = 2 * normal(2, 6, 3)
        r = r.at[:4].set(jnp.array([[0, 0, 1.0], [0, 0, -3], [1e-9, -2e-9, 1], [0, 0, 0]]))
        c = normal(3, 6, 25)

        def value(frame):
            return lambda x, r, w: jnp.sum(c * jnp.sin(gaunt_convolution(x, r, w, 4, frame=frame)))

        aligned, fixed = (jax.value_and_grad(value(frame), (0, 1, 2))(x, r, w) for frame in ("aligned", "fixed"))
        assert_close(aligned, fixed, 1e-12)

        def curvature(frame):  # away from zero, where normalized vectors have none
            gradient = jax.grad(value(frame), 1)
            return jax.jvp(lambda r: gradient(x, r, w), (r.at[3].set(1.0),), (normal(4, 6, 3),))[1]

        assert_close(curvature("aligned"), curvature("fixed"), 1e-10)


@pytest.mark.parametrize("method", [*EVALUATORS, "aligned", "power", "cg"])
def test_products_at_the_edge(method):
    """No rows at all, huge and tiny numbers, halves, integers."""

    def product(x, y):
        if method == "aligned":
            return gaunt_convolution(x, y[..., :3], y[..., 1:], 2, frame="aligned")
        if method == "power":
            return jnp.concatenate([gaunt_power(x, 2, method=how) for how in ("grid", "fft")]) + many_body_terms(y, 2, 1)[1].sum()
        return cg_tensor_product(x, y, 2) if method == "cg" else gaunt_tensor_product(x, y, 2, method)

    x, y = np.array([[0.3, -1.0, 0.5, 2.0], [1.1, 0.2, -0.7, 0.4]]), np.array([[1.0, 0.4, -0.3, 0.8], [0.2, -0.9, 0.6, 0.1]])
    assert_degenerate(product, x, y, scales=(1e-30, 1e5))
    assert_dtypes(product, x, y)
    if method != "cg":
        assert product(jnp.asarray(x, jnp.bfloat16), jnp.asarray(y, jnp.bfloat16)).dtype == jnp.bfloat16


def test_one_layer_with_and_without_the_product():
    x = normal(0, 2, 3, 4)
    with_product, without = (SwitchedMix(1, 3, selfmix=flag, rngs=nnx.Rngs(0)) for flag in (True, False))
    assert_close(with_product(x), Selfmix(1, 3, rngs=nnx.Rngs(0))(x), 1e-6)
    assert_close(without(x), x + without.out(without.left(x) + without.right(x)), 1e-6)


def test_selfmix_is_equivariant():
    with jax.enable_x64():
        layer, x = Selfmix(3, 4, rngs=nnx.Rngs(0)), normal(0, 2, 4, 16)
        D = wigner_d(3, random_rotation(jax.random.key(1)))
        assert_equivariant(layer, x, elements=[D], act_in=lambda g, x: x @ g.T, act_out=lambda g, y: y @ g.T, tolerance=1e-12)

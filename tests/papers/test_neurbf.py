"""NeuRBF: the authors' vectors, the mathematics as properties, the three front ends, errors, presets."""

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
from quire.common.data.scenes import Scene, Views
from quire.common.errors import DatasetUnavailable
from quire.common.fields.hash_grid import Corners, HashLevels, hash_corners, hash_levels, interpolate
from quire.common.fields.neighbours import nearest
from quire.common.fields.surfaces import sphere_sdf
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.neurbf import (
    KINDS,
    PRESETS,
    FieldConfig,
    HybridField,
    Kernels,
    Layer,
    NeuRBF,
    Points,
    RadianceConfig,
    RadianceField,
    Switches,
    Training,
    auto_kernel_count,
    brute_force,
    cell_corners,
    clip_covariances,
    clip_inverse_covariances,
    cluster_covariances,
    decode,
    draw_centers,
    evaluate,
    experiments,
    fit_image,
    fit_kernels,
    fit_nerf,
    fit_sdf,
    gradient_weights,
    grid_params,
    hybrid_params,
    image_kernels,
    iou,
    kernel_params,
    lattice_side,
    log_frequencies,
    mape,
    matched_rank,
    multi_frequency,
    normalise,
    paper,
    pixel_coordinates,
    rbf_eval,
    rbf_features,
    regular_lattice,
    render,
    render_image,
    responses,
    sample_points,
    shapes_of,
    weighted_kmeans,
    width_limits,
)
from quire.neurbf.adaptive import kernels as checked_kernels
from quire.neurbf.adaptive import nearest_center
from quire.neurbf.distances import Shape, mesh_shape, open_shape
from quire.neurbf.images import open_picture
from quire.neurbf.kernels import PROFILES, check_positive_definite
from quire.neurbf.radiance import radiance_weights, size_of
from quire.neurbf.training import Task, optimiser, pick, switches

PRECISIONS = [pytest.param(jnp.float64, 1e-9, 1e-9, id="float64"), pytest.param(jnp.float32, 1e-4, 5e-3, id="float32")]
TINY = FieldConfig(neighbours=3, channels=4, hidden=8, base=4, finest=8, log2_size=6, reference_log2_size=7)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("neurbf")


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def some_kernels(draw, count=9, dim=2, kind="ivq_a"):
    factors = draw.standard_normal((count, dim, dim))
    shapes = {"a": factors @ factors.swapaxes(1, 2) + np.eye(dim), "d": np.ones((count, dim)), "s": np.ones((count, 1))}[kind[-1]]
    return checked_kernels(kind, draw.uniform(-1, 1, (count, dim)), shapes)


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance", "_"), PRECISIONS)
@pytest.mark.parametrize("dim", ["rbf2", "rbf3"])
def test_golden_kernels(vectors, dim, dtype, tolerance, _):
    with jax.enable_x64(dtype == jnp.float64):
        x, centers = (jnp.asarray(vectors[f"{dim}_{name}"], dtype) for name in ("x", "kc"))
        shapes = {"s": "ks_s", "d": "ks_d", "a": "ks_a", "f": "ks_a"}
        names = [n.removeprefix(f"{dim}_") for n in vectors.arrays if n.startswith(dim)]
        kinds = [name for name in names if name in KINDS]
        assert len(kinds) == len(names) - 5
        for kind in kinds:
            shape = jnp.asarray(vectors[f"{dim}_{shapes[kind[-1]]}"], dtype)
            found = jax.jit(rbf_eval, static_argnums=0)(kind, x, centers, shape)
            assert found.dtype == dtype
            np.testing.assert_allclose(found, vectors[f"{dim}_{kind}"], rtol=tolerance, atol=tolerance)


def golden_field(vectors, dtype):
    """The network of the vectors: sizes from its configuration, weights in place of the drawn ones."""
    n_kernels, channels, hidden, k, levels, features, base, log2_size, finest = (int(n) for n in vectors["net_cfg"])
    frequencies = [vectors[f"net_{name}_freqs"] for name in ("rbf", "mlp")]
    ranges = [(float(f[0]), float(f[-1])) for f in frequencies]
    config = FieldConfig(
        neighbours=k,
        channels=channels,
        channel_range=ranges[0],
        hidden_range=ranges[1],
        hidden=hidden,
        outputs=len(vectors["net_b2"]),
        levels=levels,
        features=features,
        base=base,
        finest=finest,
        log2_size=log2_size,
    )
    kernels = Kernels("ivq_a", *(jnp.asarray(vectors[f"net_{name}"], dtype) for name in ("kc", "ks")))
    assert len(kernels.centers) == n_kernels
    model = NeuRBF(config, kernels, vectors["net_cmax_xy"], rngs=nnx.Rngs(0))
    field = model.field
    for mine, reference in zip((field.channel_frequencies, field.hidden_frequencies), frequencies, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-6)
    field.channel_frequencies, field.hidden_frequencies = frequencies
    field.grid, field.rbf, field.bias = (nnx.Param(jnp.asarray(vectors[f"net_{n}"], dtype)) for n in ("grid", "lc", "lcb"))
    layers = [vectors[f"net_{n}{i}"] for i in range(3) for n in "Wb"]
    field.decoder = nnx.List([nnx.Param(jnp.asarray(x.T, dtype)) for x in layers])
    return model


@pytest.mark.parametrize(("dtype", "tolerance", "loose"), PRECISIONS)
def test_golden_network(vectors, dtype, tolerance, loose):
    with jax.enable_x64(dtype == jnp.float64):
        model, x = golden_field(vectors, dtype), jnp.asarray(vectors["net_x"], dtype)
        config = model.config
        assert list(model.levels.offsets) == vectors["net_grid_offsets"].tolist()
        np.testing.assert_array_equal(nearest(x, model.kernels.centers, config.neighbours)[1], vectors["net_knn_idx"])
        index = jnp.asarray(vectors["net_knn_idx"])
        assert_close(responses(model.kernels, x, index, normalised=False), vectors["net_rbf_raw"], tolerance)
        points = model.points(x)
        assert_close(points.phi, vectors["net_rbf_norm"], tolerance)
        field = model.field
        rbf = rbf_features(field.rbf[...], points.index, points.phi, field.channel_frequencies)
        grid = interpolate(field.grid[...], Corners(*(jnp.moveaxis(a, 0, 1) for a in points[:2])))
        assert_close(rbf, vectors["net_rbf_feature"], loose)
        assert_close(grid, vectors["net_grid_feature"], loose)
        assert_close(model(x), vectors["net_y"], loose)


def test_golden_initialisation(vectors):
    points, weights = vectors["init_points"], vectors["init_weights"]
    centers = weighted_kmeans(points, weights, vectors["init_centers0"])
    np.testing.assert_allclose(centers, vectors["init_centers"], atol=1e-9)
    np.testing.assert_array_equal(nearest_center(points[weights > 0], centers), vectors["init_labels"])
    covariances = cluster_covariances(points, weights, centers)
    np.testing.assert_allclose(covariances, vectors["init_cov"], atol=1e-9)
    limits = width_limits(2 * vectors["net_cmax_xy"], vectors["init_dims_xy"])
    np.testing.assert_allclose(clip_covariances(covariances, *limits), vectors["init_cov_clipped"], atol=1e-9)
    np.testing.assert_allclose(shapes_of("ivq_a", covariances, *limits), vectors["init_ks"], rtol=1e-9)


def test_golden_inverse_clipping(vectors):
    flat = vectors["clip_ks_in"]
    dim = round(flat.shape[1] ** 0.5)
    limits = width_limits(2 * vectors["net_cmax_xy"], vectors["init_dims_xy"])
    clipped = clip_inverse_covariances(flat.reshape(-1, dim, dim), *limits, floor=1e-3)
    np.testing.assert_allclose(clipped.reshape(flat.shape), vectors["clip_ks_out"], rtol=1e-9)


# --- Kernels -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [2, 3])
def test_derivatives_are_finite_at_the_centres(draw, dim):
    centers = jnp.asarray(draw.uniform(-1, 1, (4, dim)), jnp.float32)
    shapes = {"s": jnp.ones((4, 1, 1)), "d": jnp.ones((4, 1, dim)), "a": jnp.tile(jnp.eye(dim), (4, 1, 1, 1))}

    @jax.jit
    def derivatives(x):
        each = lambda kind: lambda x: rbf_eval(kind, x, centers[:, None], shapes.get(kind[-1], shapes["a"])).sum()  # noqa: E731
        return {kind: jax.value_and_grad(each(kind))(x) for kind in KINDS}

    for kind, (value, gradient) in derivatives(centers).items():
        assert np.isfinite(value), kind
        assert np.isfinite(gradient).all(), kind


def test_profiles_keep_nan_and_end_where_a_shape_is_no_covariance():
    with jax.debug_nans(False):
        assert all(np.isnan(np.asarray(profile(jnp.array(jnp.nan)))) for profile in PROFILES.values())
    for name in ("markov", "phs1", "phs3", "ivd", "ivc"):
        assert float(PROFILES[name](jnp.array(-1e-7))) == float(PROFILES[name](jnp.array(0.0)))


@pytest.mark.parametrize("kind", ["ivq_a", "markov_s", "nlin_f", "phs3_d", "vep_a"])
def test_shapes_agree_where_they_say_the_same(draw, kind):
    """A number, a diagonal and a matrix of one isotropic kernel give one response; turning everything changes nothing."""
    x, centers = (jnp.asarray(draw.uniform(-1, 1, (5, *k, 2)), jnp.float32) for k in ((), (3,)))
    name, _ = kind.split("_")
    full = "f" if name == "nlin" else "a"
    scaled = {"s": jnp.full((5, 3, 1), 0.7), "d": jnp.full((5, 3, 2), 0.7), full: jnp.tile(0.7 * jnp.eye(2), (5, 3, 1, 1))}
    found = [rbf_eval(f"{name}_{shape}", x, centers, values) for shape, values in scaled.items()]
    assert_close(found[1:], [found[0]] * 2, 1e-6)
    if name != "nlin":
        turn = jnp.array([[0.6, -0.8], [0.8, 0.6]])
        assert_close(rbf_eval(f"{name}_a", x @ turn.T, centers @ turn.T, scaled["a"]), found[0], 1e-5)


def test_kernels_by_definition(draw):
    x, centers = draw.uniform(-1, 1, (4, 3)), draw.uniform(-1, 1, (2, 3))
    factors = draw.standard_normal((2, 3, 3))
    shapes = {
        "a": factors @ factors.swapaxes(1, 2),
        "f": factors,
        "d": draw.uniform(1, 2, (2, 3)),
        "s": draw.uniform(1, 2, (2, 1)),
    }
    with jax.enable_x64():
        each = {n: jnp.broadcast_to(jnp.asarray(s)[None], (4, *s.shape)) for n, s in shapes.items()}
        seen = jnp.broadcast_to(jnp.asarray(centers)[None], (4, 2, 3))
        found = jax.jit(lambda x: {kind: rbf_eval(kind, x, seen, each[kind[-1]]) for kind in KINDS})(jnp.asarray(x))
    for kind, values in found.items():
        full = [brute_force.full_shape(kind, s, 3) for s in shapes[kind[-1]]]
        expected = [[brute_force.response(kind, p, c, s) for c, s in zip(centers, full, strict=True)] for p in x]
        np.testing.assert_allclose(values, expected, rtol=1e-10, err_msg=kind)


def test_kernels_refuse_what_does_not_fit():
    x, centers = jnp.zeros((2, 2)), jnp.zeros((2, 3, 2))
    with pytest.raises(ValueError, match="kind is 'cubic_a'"):
        rbf_eval("cubic_a", x, centers, jnp.zeros((2, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"shapes \(2, 3, 2\); ivq_a in 2 dimensions"):
        rbf_eval("ivq_a", x, centers, jnp.zeros((2, 3, 2)))
    with pytest.raises(ValueError, match=r"shapes\[1\].*positive definite"):
        check_positive_definite(np.stack([np.eye(2), np.diag([1.0, -1.0])]))
    with pytest.raises(ValueError, match="positive definite"):
        check_positive_definite(np.array([[[1.0, 0.9], [0.1, 1.0]]]))
    with pytest.raises(ValueError, match="positive definite"):
        check_positive_definite(np.full((1, 2, 2), np.nan))


@pytest.mark.parametrize("kind", ["ivq_a", "ivc_a", "nlin_f", "sgauss2_a"])
def test_degenerate_points_and_kernels(draw, kind):
    x, centers = (draw.uniform(-1, 1, (2, *k, 2)).astype(np.float32) for k in ((), (3,)))
    assert_degenerate(partial(rbf_eval, kind), x, centers, np.tile(np.eye(2, dtype=np.float32), (2, 3, 1, 1)))


def test_dtypes(draw):
    x, centers = draw.uniform(-1, 1, (2, 2)), draw.uniform(-1, 1, (2, 3, 2))
    assert_dtypes(partial(rbf_eval, "ivq_d"), x, centers, draw.uniform(0.5, 2, (2, 3, 2)), tolerance=1e-4)


# --- Composition and decoder -------------------------------------------------------------------------------------------------


def test_the_sum_of_responses_is_detached():
    phi = jnp.array([[0.2, 0.5, 0.1]])
    jacobian = jax.jacobian(normalise)(phi)[0, :, 0]
    np.testing.assert_allclose(jacobian, np.eye(3) / 0.8, rtol=1e-5)
    np.testing.assert_allclose(normalise(phi).sum(), 1, rtol=1e-5)


def test_channels_by_definition(draw):
    weights, phi = draw.standard_normal((5, 4)), draw.random((6, 3))
    index, nu = draw.integers(0, 5, (6, 3)), log_frequencies(0.5, 32.0, 4)
    sine = np.array([False, True, True, True])
    expected = np.zeros((6, 4))
    for p, k, c in np.ndindex(6, 3, 4):
        wave = np.sin(phi[p, k] * nu[c]) if sine[c] else phi[p, k]
        expected[p, c] += weights[index[p, k], c] * wave
    arrays = (jnp.asarray(a, jnp.float32) for a in (weights, phi, nu))
    w, f, n = arrays
    np.testing.assert_allclose(rbf_features(w, jnp.asarray(index), f, n, jnp.asarray(sine)), expected, rtol=1e-4, atol=1e-5)
    assert_jit_consistent(lambda w: rbf_features(w, jnp.asarray(index), f, n), w)
    assert_vmap_consistent(lambda f: multi_frequency(f, n), f)
    assert_gradients(lambda f: multi_frequency(f, jnp.asarray(nu, f.dtype)), np.asarray(f), tolerance=1e-4)


def test_frequencies_are_a_geometric_progression_with_both_ends():
    found = log_frequencies(2.0**-3, 2.0**12, 16)
    np.testing.assert_allclose(found, 2.0 ** np.arange(-3, 13))
    np.testing.assert_allclose(log_frequencies(10, 100, 3), [10, 1000**0.5, 100])
    assert log_frequencies(2.0, 8.0, 1).tolist() == [2.0]
    for bad, word in (((0.0, 1.0, 2), "low"), ((2.0, 1.0, 2), "high"), ((1.0, 2.0, 0), "count")):
        with pytest.raises(ValueError, match=word):
            log_frequencies(*bad)


def test_decoder_by_definition(draw):
    shapes = [(3, 4), (4,), (4, 4), (4,), (4, 2), (2,)]
    values = [draw.standard_normal(shape).astype(np.float32) for shape in shapes]
    layers = [Layer(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(values[::2], values[1::2], strict=True)]
    x, mu = draw.standard_normal((5, 3)).astype(np.float32), log_frequencies(1.0, 9.0, 4)
    hidden = x @ values[0] + values[1]
    for sine, first in ((True, hidden + np.sin(hidden * mu)), (False, np.maximum(hidden, 0))):
        expected = np.maximum(first @ values[2] + values[3], 0) @ values[4] + values[5]
        np.testing.assert_allclose(
            decode(layers, jnp.asarray(x), jnp.asarray(mu, jnp.float32), sine), expected, rtol=1e-4, atol=1e-5
        )
    with pytest.raises(ValueError, match="2 layers"):
        decode(layers[:2], jnp.asarray(x), jnp.asarray(mu, jnp.float32))


# --- Adaptive initialisation -------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_initialisation_by_definition(seed):
    draw = np.random.default_rng(seed)
    points, weights = draw.uniform(-1, 1, (30, 2)), draw.random(30) * (draw.random(30) > 0.2)
    start = np.concatenate([points[:4], [[5.0, 5.0]]])  # the last one is nobody's
    centers = weighted_kmeans(points, weights, start, 3)
    expected, covariances = brute_force.lloyd(points, weights, start, 3, 0.3)
    np.testing.assert_allclose(centers, expected, atol=1e-12)
    np.testing.assert_allclose(cluster_covariances(points, weights, centers, 0.3), covariances, atol=1e-12)
    np.testing.assert_array_equal(centers[-1], start[-1])
    np.testing.assert_array_equal(cluster_covariances(points, weights, centers, 0.3)[-1], 1e-10 * np.eye(2))


def test_weights_need_no_division_and_zeros_do_not_count(draw):
    points, weights = draw.uniform(-1, 1, (40, 2)), draw.random(40)
    weights[::3] = 0
    start = points[:5]
    once = weighted_kmeans(points, weights, start)
    np.testing.assert_allclose(weighted_kmeans(points, 7 * weights, start), once, atol=1e-12)
    np.testing.assert_allclose(weighted_kmeans(points[weights > 0], weights[weights > 0], start), once, atol=1e-12)
    assert draw_centers(jax.random.key(0), points, weights, 26).shape == (26, 2)
    drawn = draw_centers(jax.random.key(0), points, weights, 20)
    assert len(np.unique(drawn, axis=0)) == 20
    assert all((point == points[weights > 0]).all(1).any() for point in drawn)


def test_centres_are_drawn_by_weight():
    points, weights = np.arange(4.0)[:, None], np.array([1.0, 1.0, 1.0, 97.0])
    first = [draw_centers(jax.random.key(seed), points, weights, 1)[0, 0] for seed in range(40)]
    assert np.mean(np.array(first) == 3) > 0.85


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]))
def test_clipping_leaves_positive_definite_matrices_within_the_limits(seed, dim):
    draw = np.random.default_rng(seed)
    factors = draw.standard_normal((20, dim, dim)) * 10.0 ** draw.uniform(-6, 2, (20, dim, 1))
    least, most = np.full(dim, 1e-3), draw.uniform(0.1, 0.3, dim)
    for clip, low, high in (
        (clip_covariances, least, most),
        (clip_inverse_covariances, 1 / most, 1 / least),
    ):
        clipped = clip(factors @ factors.swapaxes(1, 2), least, most)
        diagonal = np.diagonal(clipped, axis1=1, axis2=2)
        assert (diagonal >= low**2 * (1 - 1e-12)).all() and (diagonal <= high**2 * (1 + 1e-12)).all()
        assert (np.linalg.eigvalsh(clipped) > 0).all()
        correlation = clipped / np.sqrt(diagonal[:, :, None] * diagonal[:, None])
        assert (np.abs(correlation[:, ~np.eye(dim, dtype=bool)]) <= 0.999 + 1e-12).all()


def test_clipping_by_hand():
    least, most = np.array([0.1, 0.2]), np.array([1.0, 2.0])
    big, small = np.array([[9.0, 5.0], [5.0, 9.0]]), np.array([[1e-6, 5e-7], [5e-7, 1e-6]])
    out = clip_covariances(np.stack([big, small]), least, most)
    np.testing.assert_allclose(out[0], [[1.0, 0.999 * 2], [0.999 * 2, 4.0]])
    np.testing.assert_allclose(out[1], [[0.01, 5e-7], [5e-7, 0.04]])
    inverse = clip_inverse_covariances(np.array([[[1e9, 0.0], [0.0, 1e-9]]]), least, most, floor=0.15)
    np.testing.assert_allclose(inverse[0], np.diag([1 / 0.15**2, 1 / 4.0]))
    np.testing.assert_allclose(
        np.array(width_limits(np.array([2.0, 1.5]), np.array([18, 14]))), [[2 / 3600, 1.5 / 2800], [0.2, 0.15]]
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ivq_a", np.linalg.inv([[0.04, 0.01], [0.01, 0.02]])),
        ("ivmq_a", 3 * np.linalg.inv([[0.04, 0.01], [0.01, 0.02]])),
        ("ivq_d", [25.0, 50.0]),
        ("ivq_s", [1 / 0.06]),
        ("nlin_d", [2.5, 1 / 0.08**0.5]),
        ("nlin_s", [1 / 0.24**0.5]),
    ],
)
def test_shapes_of_covariances(kind, expected):
    found = shapes_of(kind, np.array([[[0.04, 0.01], [0.01, 0.02]]]), np.full(2, 1e-3), np.full(2, 1.0))
    np.testing.assert_allclose(found[0], expected)
    if kind == "nlin_d":  # half the height at one standard deviation
        x = jnp.array([[0.2, 0.0]])
        np.testing.assert_allclose(rbf_eval(kind, x, jnp.zeros((1, 1, 2)), jnp.asarray(found[:1, None])), [[0.5]], rtol=1e-6)


def test_a_full_factor_is_a_root_of_the_inverse_covariance():
    covariance = np.array([[[0.04, 0.01], [0.01, 0.02]]])
    factor = shapes_of("nlin_f", covariance, np.full(2, 1e-3), np.full(2, 1.0))[0]
    np.testing.assert_allclose(factor.T @ factor, np.linalg.inv(4 * covariance[0]))


@pytest.mark.parametrize(
    ("weights", "count", "word"),
    [
        (np.zeros(6), 2, "all zero"),
        (np.array([1.0, 1, 1, 1, 1, -1]), 2, "negative"),
        (np.array([1.0, 1, 1, 1, 1, np.nan]), 2, "finite"),
        (np.array([1.0, 1, 0, 0, 0, 0]), 3, "the 2 different points"),
        (np.ones(6), 4, "the 3 different points"),
        (np.ones(6), 0, "count is 0"),
    ],
)
def test_initialisation_refuses(weights, count, word):
    points = np.array([[0.0, 0], [1, 0], [0, 1], [0, 0], [1, 0], [0, 1]])
    with pytest.raises(ValueError, match=word):
        fit_kernels(points, weights, count, jax.random.key(0), cmax=np.ones(2), dims=np.full(2, 8))


# --- Lattice -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "kind"), [(2, "ivq_a"), (3, "nlin_s")])
def test_lattice(draw, dim, kind):
    cmax = np.array([1.0, 0.5, 2.0])[:dim]
    kernels = regular_lattice(70, cmax, kind)
    side = lattice_side(70, dim)
    centers = np.asarray(kernels.centers)
    assert len(centers) == side**dim <= 70 < (side + 1) ** dim
    np.testing.assert_allclose(centers.max(0), cmax)
    np.testing.assert_allclose(centers.min(0), -cmax)
    spacing = 2 * cmax / (side - 1)
    expected = np.diag(4 / spacing**2) if kind == "ivq_a" else (1 / spacing).mean(keepdims=True)
    np.testing.assert_allclose(kernels.shapes[0], expected, rtol=1e-6)
    x = np.concatenate([draw.uniform(-1, 1, (20, dim)) * cmax, [cmax, -cmax]])
    corners = cell_corners(x, side, cmax)
    assert corners.shape == (22, 2**dim)
    # the point lies in the box that the corners span
    assert (centers[corners].min(1) <= x + 1e-6).all() and (centers[corners].max(1) >= x - 1e-6).all()
    assert (np.ptp(centers[corners], axis=1) <= spacing * (1 + 1e-5)).all()
    with pytest.raises(ValueError, match="count is 3"):
        regular_lattice(3, cmax, kind)


def test_neighbours_agree_in_blocks_and_on_ties():
    kernels = regular_lattice(25, np.ones(2), "ivq_a")
    middles = jnp.asarray([[x, y] for x in (-0.75, 0.25) for y in (-0.25, 0.75)], jnp.float32)
    whole, blocks = (nearest(middles, kernels.centers, 4, block)[1] for block in (None, 3))
    np.testing.assert_array_equal(whole, blocks)
    np.testing.assert_array_equal(np.sort(whole, axis=1), cell_corners(np.asarray(middles), 5, np.ones(2)))
    tree = experiments.neighbours(kernels, np.asarray(middles), 4)
    np.testing.assert_array_equal(np.sort(tree, axis=1), np.sort(whole, axis=1))


# --- Budget ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["quick", "standard"])
def test_the_budget_is_spent_to_within_one_kernel(name):
    preset = PRESETS[name]
    fields = [(preset.images.field.with_size(p.log2_size), 2) for p in preset.images.pictures] + [(preset.sdf.field, 3)]
    for field, dim in fields:
        for with_grid in (True, False):
            count, levels = field.n_kernels(dim, with_grid=with_grid), field.grid(dim) if with_grid else None
            sizes = (field.kind, field.channels, levels, field.features, field.hidden, field.outputs, dim)
            spent, budget = hybrid_params(count, *sizes), field.budget(dim)
            assert spent <= budget < spent + kernel_params(field.kind, dim, field.channels)


def test_what_is_counted_is_what_the_models_hold():
    levels = TINY.grid(2)
    model = HybridField(TINY, levels, 5, rngs=nnx.Rngs(0))
    held = sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param)))
    total = hybrid_params(5, TINY.kind, TINY.channels, levels, TINY.features, TINY.hidden, TINY.outputs, 2)
    assert total == held + 5 * (2 + 3)
    other = TINY.reference()
    plain = HybridField(other, other.grid(2), 0, rngs=nnx.Rngs(0))
    held = sum(p.size for p in jax.tree.leaves(nnx.state(plain, nnx.Param)))
    assert held == TINY.budget(2) + len(plain.bias[...])
    sines = experiments.Sines(experiments.siren_width(900, 3), 3, rngs=nnx.Rngs(0))
    assert sum(p.size for p in jax.tree.leaves(nnx.state(sines, nnx.Param))) <= 900


def test_the_calibrated_sizes():
    field = PRESETS["quick"].images.field
    assert [(field.with_size(t).budget(2), field.with_size(t).n_kernels(2)) for t in (7, 8)] == [(6307, 92), (10403, 189)]
    assert (PRESETS["quick"].sdf.field.budget(3), PRESETS["quick"].sdf.field.n_kernels(3)) == (8337, 153)


def test_a_budget_too_small_is_refused():
    levels = hash_levels(2, 4, 8, 6, 2, align_corners=True)
    rest = hybrid_params(0, "ivq_a", 4, levels, 2, 8, 3, 2)
    with pytest.raises(ValueError, match=f"budget is {rest + 8}; .* take {rest}"):
        auto_kernel_count(rest + 8, "ivq_a", 4, levels, 2, 8, 3, 2)
    assert auto_kernel_count(rest + 9, "ivq_a", 4, levels, 2, 8, 3, 2) == 1
    assert grid_params(levels, 2, 8, 3) == levels.size * 2 + 4 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3


# --- The field ---------------------------------------------------------------------------------------------------------------


def test_field_by_definition_with_a_hashed_level():
    result = run(paper, "quick", claims=["C0", "C7"], seeds=1)
    assert result.as_expected
    assert isinstance(TINY.grid(2), HashLevels)


def test_field_refuses_other_kernels(draw):
    kernels = some_kernels(draw, 2)
    with pytest.raises(ValueError, match="neighbours is 3; it must be at most the 2 kernels"):
        NeuRBF(TINY, kernels, np.ones(2), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="the field takes nlin_s"):
        NeuRBF(replace(TINY, kind="nlin_s"), kernels, np.ones(2), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="cmax has 3 numbers"):
        NeuRBF(TINY, kernels, np.ones(3), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="positive definite"):
        checked_kernels("ivq_a", np.zeros((1, 2)), np.zeros((1, 2, 2)))


def test_only_weights_are_trained(draw):
    model = NeuRBF(TINY, some_kernels(draw), np.ones(2), rngs=nnx.Rngs(0))
    names = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param))}
    assert {name.split(".")[1] for name in names} == {"grid", "rbf", "bias", "decoder"}
    x = jnp.asarray(draw.uniform(-1, 1, (7, 2)), jnp.float32)
    assert_close(evaluate(model, x, block=3), evaluate(model, x), 1e-6)
    assert evaluate(model, x[:0]).shape == (0, 3)


def test_switches_and_plain_channels(draw):
    kernels, x = some_kernels(draw), jnp.asarray(draw.uniform(-1, 1, (6, 2)), jnp.float32)
    model = NeuRBF(replace(TINY, plain_channels=4), kernels, np.ones(2), rngs=nnx.Rngs(0))
    points = model.points(x)
    off = Switches(jnp.zeros(4, bool), jnp.asarray(True))
    np.testing.assert_allclose(model(x), model.field(points, off), rtol=1e-6)
    assert switches(replace(TINY, plain_channels=1)).channels.tolist() == [False, True, True, True]
    assert not switches(TINY, channels=False).channels.any() and not switches(TINY, decoder=False).decoder
    np.testing.assert_allclose(
        model.field(points), model.field(points, Switches(jnp.ones(4, bool), jnp.asarray(True))), rtol=1e-6
    )
    assert np.abs(model.field(points, Switches(jnp.ones(4, bool), jnp.asarray(False))) - model.field(points)).max() > 0.01


def test_rates_by_leaf():
    params = {"decoder": jnp.ones(2), "grid": jnp.ones(2), "rbf": jnp.ones(2)}
    tx = optimiser(Training(steps=10, batch=1, decoder_rate=0.5, rate=0.25, floor=0.1), grid_rate=0.125)
    updates, state = tx.update(jax.tree.map(lambda p: 3 * p, params), tx.init(params), params)
    assert {name: float(u[0]) for name, u in updates.items()} == pytest.approx({"decoder": -0.5, "grid": -0.125, "rbf": -0.25})
    for _ in range(10):
        updates, state = tx.update(jax.tree.map(lambda p: 3 * p, params), state, params)
    assert float(updates["rbf"][0]) == pytest.approx(-0.25 * 0.1, rel=1e-3)


# --- Front ends --------------------------------------------------------------------------------------------------------------


def test_images(draw):
    side = 16
    x = pixel_coordinates(side, side)
    assert x.dtype == np.float32 and x[0].tolist() == [-0.125, -0.125] and x[1, 1] == x[0, 1] and x[-1].tolist() == [0.125, 0.125]
    pixels = np.where((x[:, :1] > 0) & (x[:, 1:] > 0.03), [0.9, 0.2, 0.4], [0.1, 0.5, 0.6]).reshape(side, side, 3)
    weights = gradient_weights(pixels).reshape(side, side)
    assert weights[0, 0] == 0 and weights[-1, side // 2] > 0
    kernels = image_kernels(pixels, TINY, jax.random.key(0), n_kernels=6)
    edge = np.minimum(np.abs(kernels.centers[:, 0]), np.abs(kernels.centers[:, 1] - 0.03))
    assert edge.max() < 0.04, "kernels lie at the edges"
    training = Training(steps=60, batch=64)
    model, losses = fit_image(pixels, TINY, training, jax.random.key(0), n_kernels=6)
    error = np.mean((render_image(model, side, side) - pixels) ** 2)
    assert error < 0.2 * pixels.var() and losses[-1] < losses[0]
    assert render_image(model, 5, 9).shape == (5, 9, 3)
    np.testing.assert_array_equal(model.kernels.centers, kernels.centers)
    with pytest.raises(ValueError, match="3 channels; the field has outputs = 1"):
        fit_image(pixels, replace(TINY, outputs=1), training, jax.random.key(0))
    with pytest.raises(ValueError, match="all zero"):
        image_kernels(np.ones((4, 4, 3)), TINY, jax.random.key(0), n_kernels=2)
    with pytest.raises(ValueError, match="two pixels an axis"):
        gradient_weights(np.ones((1, 4, 3)))
    with pytest.raises(ValueError, match="finite"):
        gradient_weights(np.full((4, 4, 3), np.nan))


def test_distances():
    config = replace(PRESETS["quick"].sdf.field, hidden=8, channels=4, levels=2, log2_size=6, finest=8)
    training = Training(steps=40, batch=64, rate=1e-2, decoder_rate=1e-2)
    sphere = partial(sphere_sdf, radius=0.5)
    model, losses = fit_sdf(sphere, config, training, jax.random.key(0), pool=256, n_kernels=12)
    assert losses[-1] < 0.7 * losses[0]
    distance = np.abs(np.linalg.norm(model.kernels.centers, axis=1) - 0.5)
    assert np.median(distance) < 0.1, "kernels lie at the surface"
    points = sample_points(Shape("ball", sphere), 40, 0.02, jax.random.key(1))
    away = np.abs(np.linalg.norm(points, axis=1) - 0.5)
    assert (away[20:] < 0.021).all() and away[20:].std() > 0.003 and (away[:20] > 0.05).any()
    assert iou(np.array([True, False]), np.array([True, True])) == 0.5 and np.isnan(iou(np.zeros(2, bool), np.zeros(2, bool)))
    np.testing.assert_allclose(mape(jnp.array([[0.3]]), jnp.array([[-0.1]])), 0.4 / 0.11, rtol=1e-5)
    with pytest.raises(ValueError, match="count is 5; it must be even"):
        sample_points(Shape("ball", sphere), 5, 0.02, jax.random.key(1))
    with pytest.raises(ValueError, match="near is 0"):
        sample_points(Shape("ball", sphere), 4, 0.0, jax.random.key(1))
    with pytest.raises(ValueError, match="teapot"):
        open_shape("teapot")


def test_meshes_are_sampled_at_their_surface():
    from quire.common.data.meshes import ball_surface

    surface = ball_surface(1)
    shape = mesh_shape("ball", surface._replace(vertices=0.5 * surface.vertices))
    points = sample_points(shape, 32, 0.02, jax.random.key(0))
    assert (np.abs(shape.sdf(jnp.asarray(points[16:]))) < 0.021).all()


TINY_RADIANCE = RadianceConfig(
    resolution=8, density_rank=2, appearance_rank=2, features=5, n_kernels=6, channels=4, neighbours=3, hidden=8, samples=8,
    rays=32, pretraining=25, steps=30, rate=0.05, decoder_rate=5e-3, fitted=200, half_width=1.0,
)  # fmt: skip


def small_scene():
    """A coloured disc before white, seen from two sides."""
    rows, columns = np.mgrid[:8, :8] - 3.5
    inside = (rows**2 + columns**2 < 8).astype(np.float32)
    image = np.stack([0.9 * inside, 0.2 * inside, 0.1 * inside, inside], -1).astype(np.float32)
    poses = np.stack([np.eye(4), np.diag([-1.0, 1, -1, 1])]).astype(np.float32)
    poses[0, 2, 3], poses[1, 2, 3] = 3.0, -3.0
    views = Views(np.stack([image, image]), poses)
    return Scene("disc", views, views, 12.0)


def test_radiance_fields():
    scene = small_scene()
    field, losses = fit_nerf(scene, TINY_RADIANCE, jax.random.key(0))
    assert losses[-5:].mean() < 0.5 * losses[:3].mean()
    assert field.rbf[...].shape == (6, 4) and np.abs(field.rbf[...]).max() > 2e-4, "the bases are trained"
    x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (5, 3)), jnp.float32)
    bases = list(zip(np.asarray(field.centers[...], float), np.asarray(field.shapes[...], float), strict=True))
    phi = [[brute_force.response("ivq_a", p, c, s) for c, s in bases] for p in np.asarray(x, float)]
    order = np.argsort(((np.asarray(x)[:, None] - np.asarray(field.centers[...])) ** 2).sum(-1), axis=1)[:, :3]
    expected = [sum(p[i] * np.asarray(field.rbf[...])[i] for i in row) for p, row in zip(phi, order, strict=True)]
    np.testing.assert_allclose(field.channels(x), expected, rtol=1e-3, atol=1e-6)
    weights = radiance_weights(field, x)
    assert weights.shape == (5,) and (weights >= 0).all() and weights.any()
    assert (field.density(x) >= 0).all()


def test_planes_and_lines_alone_hold_at_least_as_much():
    config = TINY_RADIANCE
    bases = Kernels(config.kind, jnp.zeros((config.n_kernels, 3)), jnp.tile(jnp.eye(3), (config.n_kernels, 1, 1)))
    both = size_of(RadianceField(config, bases, rngs=nnx.Rngs(0)))
    alone = size_of(RadianceField(config, appearance_rank=matched_rank(config), rngs=nnx.Rngs(0)))
    less = size_of(RadianceField(config, appearance_rank=matched_rank(config) - 1, rngs=nnx.Rngs(0)))
    assert less < both <= alone


def test_rays_that_miss_see_the_background():
    field = RadianceField(TINY_RADIANCE, rngs=nnx.Rngs(0))
    origins, directions = jnp.array([[5.0, 0.0, 0.0]]), jnp.array([[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(render(field, origins, directions, None, 0.3), [[0.3] * 3], rtol=1e-5)


# --- Experiments and presets -------------------------------------------------------------------------------------------------


def test_prepared_points_are_those_of_the_model(draw):
    kernels, x = some_kernels(draw), draw.uniform(-1, 1, (6, 2)).astype(np.float32)
    model = NeuRBF(TINY, kernels, np.ones(2), rngs=nnx.Rngs(0))
    prepared = experiments.corners(x, TINY.grid(2), np.ones(2))
    prepared = experiments.seen(prepared, kernels, x, experiments.neighbours(kernels, x, 3))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), tuple(prepared), tuple(model.points(jnp.asarray(x))))


def test_batches_are_rows_of_the_prepared_points():
    points = Points(*(np.arange(12).reshape(6, 2) + 100 * i for i in range(4)))
    task = Task(points, np.arange(6)[:, None], np.array([[0, 1], [5, 2]]), Switches(np.ones(1, bool), np.array(True)))
    batch = pick(task, 1)
    assert batch.target.ravel().tolist() == [5, 2] and batch.points.phi.tolist() == [[310, 311], [304, 305]]


def test_quality():
    pixels = np.zeros((2, 2, 3))
    assert experiments.quality(np.full((4, 3), 0.1), pixels) == pytest.approx(20)
    assert experiments.quality(np.full((4, 3), -5.0), pixels + 0.1) == pytest.approx(20), "values are cut to 0..1"


def test_grey_photographs_have_three_equal_channels():
    pytest.importorskip("skimage")
    picture = PRESETS["quick"].images.pictures[1]
    source = open_picture(picture)
    pixels = source.value.pixels
    assert pixels.shape == (64, 64, 3) and (pixels[..., 0] == pixels[..., 2]).all() and source.stand_in_for == "DIV2K"


def test_missing_data_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    with pytest.raises(DatasetUnavailable, match="div2k"):
        open_picture(PRESETS["paper"].images.pictures[0])


@pytest.mark.parametrize("name", PRESETS)
def test_programs_of_every_preset_fit_together(name):
    preset = PRESETS[name]
    images = preset.images
    cases = [
        (images.field.with_size(images.pictures[0].log2_size), images.training, 2),
        (preset.sdf.field, preset.sdf.training, 3),
    ]
    for config, training, dim in cases:
        build = lambda c=config, d=dim: HybridField(c, c.grid(d), c.n_kernels(d), rngs=nnx.Rngs(0))  # noqa: E731
        model = nnx.eval_shape(build)
        graph, state = nnx.split(model)
        n = training.batch
        real, whole = (jax.ShapeDtypeStruct((n, *s), d) for s, d in (((dim,), jnp.float32), ((config.neighbours,), jnp.int32)))
        corners = jax.eval_shape(lambda x, c=config, d=dim: hash_corners(x, c.grid(d)), real)
        moved = [jax.ShapeDtypeStruct((n, a.shape[0], a.shape[2]), a.dtype) for a in corners]
        points = Points(*moved, whole, jax.ShapeDtypeStruct(whole.shape, jnp.float32))
        out = jax.eval_shape(lambda state, points, g=graph: nnx.merge(g, state)(points), state, points)
        assert out.shape == (n, config.outputs)
    if (radiance := preset.radiance) is not None:
        bases = [jax.ShapeDtypeStruct((radiance.n_kernels, 3, *more), jnp.float32) for more in ((), (3,))]
        show = lambda centers, shapes, o, d: render(  # noqa: E731
            RadianceField(radiance, Kernels(radiance.kind, centers, shapes), rngs=nnx.Rngs(0)), o, d, None
        )
        ray = jax.ShapeDtypeStruct((radiance.rays, 3), jnp.float32)
        assert jax.eval_shape(show, *bases, ray, ray).shape == (radiance.rays, 3)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: FieldConfig(kind="ivq_x"), "kind"),
        (lambda: FieldConfig(neighbours=0), "neighbours is 0"),
        (lambda: FieldConfig(alpha=0.0), "alpha"),
        (lambda: FieldConfig(plain_channels=33), "plain_channels is 33"),
        (lambda: Training(steps=0), "steps is 0"),
        (lambda: Training(rate=-1.0), "rate is -1"),
        (lambda: Training(floor=2.0), "floor is 2"),
    ],
)
def test_configurations_are_checked(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_a_preset_may_leave_the_radiance_field_out():
    result = run(paper, "quick", claims=["C6"]).results[0]
    assert result.verdict == "not tested" and "standard" in result.why

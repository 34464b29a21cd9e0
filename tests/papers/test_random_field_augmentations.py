"""Random field augmentations: golden parity, fields, warps, colours, views, training in small, presets, errors."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import ndimage

from quire.common.claims import run
from quire.common.data.images import ImageData, ImageSplit
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.random_field_augmentations import (
    FIELDS,
    MILD,
    PRESETS,
    SETTINGS,
    Network,
    RandomFieldAugment,
    RandomFieldConfig,
    Views,
    difference_rank,
    field_covariance,
    fields_from_modes,
    filter_white_noise,
    fourier_modes,
    gaussian_random_field,
    jacobian_det,
    local_affine_grid,
    local_color,
    paper,
    params_from,
    preserved,
    spectrum,
    train,
    transform,
    view_rank,
    warp_bilinear,
)
from quire.random_field_augmentations import sources as paper_sources
from quire.random_field_augmentations.claims import _affine, _colors
from quire.random_field_augmentations.config import GLOBAL, LOCAL, NONE, Preset
from quire.random_field_augmentations.simclr import Setting, as_fields, draw_views, make_views, num_waves
from quire.random_field_augmentations.sources import enlarged
from quire.random_field_augmentations.study import features_of, gain, pixel_accuracy, probe_accuracy, train_settings

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
IMAGES = RNG.random((4, 12, 10, 3)).astype(np.float32)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-4)])


@PRECISIONS
def test_golden_fields(golden, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        case = golden("random_field_augmentations")
        white, shape = jnp.asarray(case["white"], dtype), case["grf_gauss"].shape
        sigma = float(case["sigma"])
        gauss, power = spectrum(shape, ell=float(case["ell"])), spectrum(shape, gamma=float(case["gamma"]))
        assert_close(gauss, case["grf_gauss_spectrum"], 1e-9)
        assert_close(power, case["grf_power_spectrum"], 1e-9)
        assert_close(field_covariance(gauss, sigma), case["cov_gauss_from_spectrum"], 1e-9)
        fft = tolerance if dtype == "float64" else 1e-5
        assert_close(filter_white_noise(white[0], gauss, sigma), case["grf_gauss"], fft)
        assert_close(filter_white_noise(white[1], power, sigma), case["grf_power"], fft)
        fields = filter_white_noise(white, gauss) * jnp.asarray(case["field_sigmas"], dtype)[:, None, None]
        assert_close(fields, case["fields"], fft)


@PRECISIONS
def test_golden_transforms(golden, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        case = golden("random_field_augmentations")
        image, fields = (jnp.asarray(case[name], dtype) for name in ("image", "fields"))
        constant = jnp.broadcast_to(jnp.asarray(case["const_values"], dtype)[:, None, None], fields.shape)
        assert_close(local_affine_grid(params_from(fields)), case["source_yx"], tolerance)
        for given, end in ((fields, ""), (constant, "_const")):
            params = params_from(given)
            assert_close(warp_bilinear(image, local_affine_grid(params)), case[f"warped{end}"], tolerance)
            assert_close(local_color(image, params), case[f"colored{end}"], tolerance)


def test_every_golden_array_is_an_input_or_compared(golden):
    inputs = {"white", "ell", "sigma", "gamma", "image", "fields", "field_sigmas", "const_values"}
    outputs = {"grf_gauss", "grf_gauss_spectrum", "grf_power", "grf_power_spectrum", "cov_gauss_from_spectrum", "source_yx"}
    assert set(golden("random_field_augmentations").arrays) == inputs | outputs | {
        f"{name}{end}" for name in ("warped", "colored") for end in ("", "_const")
    }


# --- Fields ---


@pytest.mark.parametrize("shape", [(7, 8), (6, 5), (1, 9)])
@pytest.mark.parametrize("ell", [0.3, 1.0, 2.5, 1e4, math.inf])
def test_few_waves_have_the_covariance_of_the_spectrum(shape, ell):
    rows, columns = fourier_modes(shape, ell)
    found = (rows[0] @ rows.T)[:, None] * (columns[0] @ columns.T)[None]
    np.testing.assert_allclose(found, field_covariance(spectrum(shape, ell=ell)), atol=1e-4)
    np.testing.assert_allclose((rows**2).sum(1), 1, atol=1e-4)


def test_padding_removes_the_seam():
    rows, columns = fourier_modes((16, 16), 4.0, pad=12)
    expected = np.exp(-(np.arange(16) ** 2) / (2 * 4.0**2))
    np.testing.assert_allclose(rows[0] @ rows.T, expected, atol=0.01)  # 28 pixels around, seven lengths
    bare = fourier_modes((16, 16), 4.0).rows
    assert (bare[0] @ bare.T)[-1] > 0.9 > expected[-1]
    field = gaussian_random_field(KEY, (5, 6), ell=2.0, pad=6)
    whole = gaussian_random_field(KEY, (11, 12), ell=2.0)
    np.testing.assert_allclose(field, whole[:5, :6], atol=1e-6)
    assert rows.shape == columns.shape


def test_limits_of_the_length():
    white = RNG.normal(size=(6, 8)).astype(np.float32)
    np.testing.assert_allclose(filter_white_noise(white, spectrum((6, 8), ell=1e-3)), white, atol=1e-5)
    constant = filter_white_noise(white, spectrum((6, 8), ell=math.inf))
    np.testing.assert_allclose(constant, white.sum() / np.sqrt(48), atol=1e-5)
    cloud = filter_white_noise(white, spectrum((6, 8), gamma=3.0))
    np.testing.assert_allclose(cloud.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(spectrum((6, 8), gamma=3.0).mean(), 1)


def test_fields_are_linear_in_noise_and_scaled_one_by_one():
    noise = RNG.normal(size=(3, 5, 5)).astype(np.float32)
    rows, columns = RNG.normal(size=(6, 5)), RNG.normal(size=(7, 5))
    sigma = np.array([0.0, 1.0, 2.0], np.float32)
    found = fields_from_modes(noise, rows, columns, sigma)
    np.testing.assert_allclose(found, sigma[:, None, None] * (rows @ noise @ columns.T), rtol=1e-4, atol=1e-5)


# --- Warps ---


def constant(values, shape):
    return params_from(jnp.broadcast_to(jnp.asarray(values)[:, None, None], (len(FIELDS), *shape)))


def random_params(shape, scale=1.0):
    sigmas = scale * np.asarray(MILD)[:, None, None]
    return params_from(jnp.asarray(RNG.normal(size=(len(FIELDS), *shape)) * sigmas, jnp.float32))


def test_no_field_is_the_identity():
    params = constant(np.zeros(10), (12, 10))
    np.testing.assert_allclose(warp_bilinear(IMAGES[0], local_affine_grid(params)), IMAGES[0], atol=1e-6)
    np.testing.assert_allclose(local_color(IMAGES[0], params), IMAGES[0], atol=1e-5)
    np.testing.assert_allclose(jacobian_det(local_affine_grid(params)), 1, atol=1e-5)


def test_a_shift_of_whole_pixels_and_a_quarter_turn():
    shift = constant([3 / 10, -2 / 12, *[0] * 8], (12, 10))
    out = warp_bilinear(IMAGES[0], local_affine_grid(shift))
    np.testing.assert_allclose(out[2:, :7], IMAGES[0, :10, 3:], atol=1e-5)
    square = IMAGES[0, :10]
    turned = warp_bilinear(square, local_affine_grid(constant([0, 0, np.pi / 2, *[0] * 7], (10, 10))))
    np.testing.assert_allclose(
        turned, np.rot90(square), atol=1e-4
    )  # what is read turns with the clock, so the picture turns against it


@pytest.mark.parametrize("mode, scipys", [("edge", "nearest"), ("reflect", "mirror"), ("zero", "constant")])
def test_reading_outside_is_scipys(mode, scipys):
    grid = RNG.uniform(-14, 25, (12, 10, 2))
    if mode == "zero":
        # SciPy gives nothing beyond the outermost pixels; here they fade over one pixel, as in a larger image of zeros
        padded = np.pad(IMAGES[0].astype(float), ((30, 30), (30, 30), (0, 0)))
        expected = [ndimage.map_coordinates(padded[..., c], np.moveaxis(grid + 30, -1, 0), order=1) for c in range(3)]
    else:
        coordinates = np.moveaxis(grid, -1, 0)
        expected = [ndimage.map_coordinates(IMAGES[0, ..., c].astype(float), coordinates, order=1, mode=scipys) for c in range(3)]
    with jax.enable_x64():
        found = warp_bilinear(IMAGES[0].astype(float), grid, mode)
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-6)


def test_images_of_one_row_or_pixel_can_be_read():
    for shape in ((1, 5), (4, 1), (1, 1)):
        image = RNG.random((*shape, 2)).astype(np.float32)
        for mode in ("edge", "reflect"):
            here = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(np.float32)
            np.testing.assert_allclose(warp_bilinear(image, here, mode), image, atol=1e-6)


def test_the_determinant_is_that_of_the_map_and_shows_folds():
    values = np.array([0.1, 0.05, 0.4, 0.3, 0.2, -0.1, 0, 0, 0, 0])
    found = jacobian_det(local_affine_grid(constant(values, (9, 7))))
    np.testing.assert_allclose(found, np.exp(0.6) * (1 + 0.02), rtol=1e-4)  # e^(2 lambda) (1 - a b)
    folded = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)[::-1], indexing="ij"), -1)
    np.testing.assert_allclose(jacobian_det(folded), -1)


# --- Colours ---


def test_colours_are_the_usual_operations_one_after_the_other():
    values = np.array([*[0] * 6, 0.2, -0.3, 0.4, 0.1])
    expected = _colors(IMAGES[0].astype(float), values)
    np.testing.assert_allclose(local_color(IMAGES[0], constant(values, (12, 10))), expected, atol=1e-5)


def test_grey_stays_grey_and_half_a_turn_twice_is_none():
    grey = jnp.full((4, 4, 3), 0.5)
    out = local_color(grey, constant([*[0] * 8, 0.7, 0.3], (4, 4)))
    np.testing.assert_allclose(out, 0.5, atol=1e-5)
    pale = 0.4 + 0.1 * IMAGES[0]
    turn = constant([*[0] * 9, 0.5], (12, 10))
    np.testing.assert_allclose(local_color(local_color(pale, turn), turn), pale, atol=1e-5)


# --- The augmentation ---


def test_images_are_changed_as_often_as_asked_and_stay_in_range():
    flat = jnp.broadcast_to(jnp.asarray(IMAGES[:1]), (400, 12, 10, 3))
    found = RandomFieldAugment(RandomFieldConfig(p_geometry=0.0, p_color=0.3))(KEY, flat)
    changed = np.abs(np.asarray(found) - IMAGES[0]).max((1, 2, 3)) > 1e-4
    assert abs(changed.mean() - 0.3) < 0.08
    assert found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(RandomFieldAugment(NONE)(KEY, flat[:2]), flat[:2], atol=1e-5)


@pytest.mark.parametrize("kind", [{}, {"ell": math.inf}, {"gamma": 3.0}])
def test_every_kind_of_field_has_its_standard_deviation(kind):
    config = RandomFieldConfig(strength=2.0, p_geometry=1.0, p_color=1.0, **kind)
    fields = np.asarray(RandomFieldAugment(config).fields(KEY, 1500, (6, 8)))
    np.testing.assert_allclose(fields.std(0).mean((1, 2)), 2 * np.asarray(MILD), rtol=0.05)
    assert np.abs(np.corrcoef(fields[:, :, 0, 0].T) - np.eye(10)).max() < 0.12
    constant_fields = np.abs(fields - fields[..., :1, :1]).max() < 1e-5
    assert constant_fields == (kind.get("ell") == math.inf)


def test_views_of_a_setting_are_those_of_its_config():
    """With no crop, mirror or grey the pipeline is the augmentation, at fields from the same noise."""
    setting = Setting(replace(LOCAL, p_geometry=1.0), replace(LOCAL, p_color=1.0))
    shape, waves = (12, 10), num_waves({"": setting}, (12, 10))
    draws = draw_views(KEY, 4, waves, 12, 1.0)
    whole = np.tile(np.array([0, 0, 1, 1], np.float32), (4, 1))
    draws = draws._replace(crops=whole, uniform=np.full((4, 5), 0.9, np.float32))
    found = make_views(IMAGES, draws, as_fields(setting, shape, waves), Views(grey=0.0))
    modes = LOCAL.modes(shape)
    fields = fields_from_modes(draws.noise, modes.rows, modes.columns, np.tile(LOCAL.scaled_sigmas(), (4, 1)))
    np.testing.assert_allclose(found, transform(IMAGES, fields), atol=1e-5)
    spared = draws._replace(uniform=draws.uniform * 0)
    grey = make_views(IMAGES, spared, as_fields(SETTINGS["strength 0"], shape, waves), Views())
    np.testing.assert_allclose(grey[..., 0], grey[..., 1], atol=1e-5)


def test_blurred_views_keep_their_mean():
    fields = as_fields(SETTINGS["strength 0"], (12, 10), num_waves(SETTINGS, (12, 10)))
    draws = draw_views(KEY, 4, num_waves(SETTINGS, (12, 10)), 224, 0.5)._replace(
        uniform=np.tile(np.array([1, 1, 1, 1, 0], np.float32), (4, 1))
    )
    sharp, soft = (make_views(IMAGES, draws, fields, Views(blur=b, radius=4)) for b in (0.0, 0.5))
    assert np.asarray(soft).std() < np.asarray(sharp).std()
    np.testing.assert_allclose(soft.mean(), sharp.mean(), atol=0.02)


def test_structure_is_whole_without_fields_and_less_with_stronger_ones():
    images = ndimage.zoom(IMAGES, (1, 2, 2, 1), order=1)
    fields = RandomFieldAugment(replace(LOCAL, p_geometry=1.0, p_color=1.0)).fields(KEY, 4, images.shape[1:3])
    similarity = [float(preserved(images, s * fields).similarity.mean()) for s in (0.0, 1.0, 4.0)]
    assert similarity[0] == pytest.approx(1, abs=1e-4) and similarity[0] > similarity[1] > similarity[2]
    none = preserved(images, 0 * fields)
    np.testing.assert_allclose(none.least, 1, atol=1e-4)
    assert (preserved(images, 10 * fields).folded > 0).any()


def test_the_rank_counts_directions():
    draws = RNG.normal(size=(300, 3)) @ np.linalg.qr(RNG.normal(size=(20, 3)))[0].T
    assert float(difference_rank(jnp.asarray(draws, jnp.float32))) == pytest.approx(3, abs=0.1)
    assert float(difference_rank(jnp.ones((4, 2, 2)))) == 0
    line = jnp.outer(jnp.arange(5.0), jnp.ones(4))
    assert float(difference_rank(line)) == pytest.approx(1, abs=1e-3)
    local, whole = (float(view_rank(replace(c, p_color=1.0, p_geometry=1.0), KEY, IMAGES[0], 60)) for c in (LOCAL, GLOBAL))
    assert local > 1.5 * whole


# --- Conformance ---


def test_jit_vmap_and_gradients():
    params = random_params((5, 4))
    grid = local_affine_grid(params)
    image = jnp.asarray(IMAGES[0, :5, :4])
    assert_jit_consistent(lambda x, p: warp_bilinear(x, local_affine_grid(p)), image, params)
    both = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    assert_vmap_consistent(local_color, jnp.stack([image, image[::-1]]), both)
    assert_vmap_consistent(warp_bilinear, jnp.stack([image, image[::-1]]), jnp.stack([grid, grid + 0.3]))
    pale = 0.3 + 0.2 * IMAGES[0, :5, :4].astype(float)
    assert_gradients(lambda x, p: local_color(x, p), pale, params, tolerance=1e-5)
    assert_gradients(lambda p: local_affine_grid(p), params, tolerance=1e-5)
    assert_gradients(lambda x: filter_white_noise(x, spectrum((5, 4), ell=1.0)), RNG.normal(size=(5, 4)), tolerance=1e-5)


def test_degenerate_inputs_and_dtypes():
    image, params = jnp.asarray(IMAGES[0, :5, :4]), random_params((5, 4))
    grid = local_affine_grid(params)
    assert_degenerate(lambda x: warp_bilinear(x, grid), image, axes=())
    assert_degenerate(lambda g: warp_bilinear(image, g), grid, axes=())
    assert_degenerate(lambda h: local_color(image, params._replace(hue=h)), params.hue, axes=())
    assert_dtypes(lambda x: warp_bilinear(x, grid), image)
    assert_dtypes(lambda n: fields_from_modes(n, np.ones((4, 3)), np.ones((5, 3))), jnp.asarray(RNG.normal(size=(2, 3, 3))))
    assert filter_white_noise(jnp.ones((4, 4), jnp.bfloat16), spectrum((4, 4), ell=1.0)).dtype == jnp.bfloat16
    assert RandomFieldAugment()(KEY, jnp.zeros((0, 6, 6, 3))).shape == (0, 6, 6, 3)


# --- Training ---

SMALL = Network(channels=(8, 8), patch=4, head=(8, 4))


def small(preset, **changes):
    recipe = replace(preset.recipe, steps=3, batch_size=4)
    return replace(preset, network=SMALL, recipe=recipe, side=8, num_train=20, num_test=10, at_once=4, **changes)


def test_settings_differ_in_their_fields_alone_and_groups_change_nothing():
    preset = small(PRESETS["quick"])
    images = RNG.integers(0, 256, (20, 8, 8, 3), np.uint8)
    keys = jax.random.split(KEY, 2)
    settings = {"a": SETTINGS["baseline"], "b": SETTINGS["baseline"], "c": SETTINGS["strength 4"]}
    options = {"views": preset.views, "temperature": preset.temperature}
    found = train(preset.network.build, images, settings, preset.recipe, keys, **options)
    assert found.losses["a"].shape == (2, 3)
    np.testing.assert_allclose(found.losses["a"], found.losses["b"], rtol=1e-5)
    assert np.abs(found.losses["a"] - found.losses["c"]).max() > 1e-4
    every = train_settings(preset, images, keys)
    assert list(every.states) == list(SETTINGS)
    np.testing.assert_allclose(every.losses["baseline"], found.losses["a"], rtol=1e-4)
    features = features_of(every.graph, every.states["global"], images)
    assert features.shape == (2, 20, 8) and (features >= 0).all()


def test_probes_tell_classes_that_a_feature_tells():
    labels = np.arange(30) % 2
    images = (255 * np.tile(labels[:, None, None, None], (1, 8, 8, 3))).astype(np.uint8)
    data = ImageData("two greys", ImageSplit(images, labels), ImageSplit(images, labels), 2)
    assert pixel_accuracy(data) == 1
    graph, state = nnx.split(SMALL.build(nnx.Rngs(0)))
    states = jax.tree.map(lambda leaf: leaf[None], state)
    np.testing.assert_array_equal(probe_accuracy(graph, states, data), [1.0])


def test_the_gain_and_its_standard_error():
    accuracy = {"baseline": np.array([0.1, 0.2, 0.3]), "x": np.array([0.2, 0.4, 0.6])}
    mean, error = gain(accuracy, "x")
    assert mean == pytest.approx(0.2) and error == pytest.approx(0.1 / np.sqrt(3))
    assert gain({"baseline": np.ones(1), "x": np.ones(1)}, "x") == (0.0, 0.0)


def test_claims_in_small(monkeypatch):
    preset = small(PRESETS["quick"], num_structure=4, num_draws=8, num_fields=50)
    part = ImageSplit(RNG.integers(0, 256, (40, 32, 32, 3), np.uint8), np.arange(40, dtype=np.int32) % 10)
    monkeypatch.setattr(paper_sources, "small_photographs", lambda: ImageData("photographs, 40", part, part, 10))
    monkeypatch.setitem(paper.presets, "small", preset)
    record = run(paper, "small", seeds=2)
    assert {result.claim.id for result in record.results} == {"C1", "C2", "C3", "C4", "C5"}
    assert record.results[0].verdict == "reproduced"


@pytest.mark.parametrize("name", ["standard", "paper"])
def test_presets_have_the_shapes_that_they_say(name):
    preset = PRESETS[name]
    waves = num_waves(SETTINGS, (preset.side, preset.side))
    fields = as_fields(SETTINGS["strength 1"], (preset.side, preset.side), waves)
    draws = draw_views(KEY, 4, waves, preset.side, preset.views.smallest_area)
    images = jax.ShapeDtypeStruct((4, preset.side, preset.side, 3), jnp.uint8)
    views = jax.eval_shape(lambda images, draws: make_views(images, draws, fields, preset.views), images, draws)
    model = nnx.eval_shape(lambda: preset.network.build(nnx.Rngs(0)))
    dim = {"standard": 512, "paper": 2048}[name]
    assert jax.eval_shape(lambda m, x: m(x), model, views).shape == (4, 128)
    assert jax.eval_shape(lambda m, x: m.features(x), model, views).shape == (4, dim)


def test_images_are_enlarged_by_blocks():
    large = enlarged(np.array([[[[0.0], [1.0]], [[0.5], [0.25]]]]), 4)
    assert large.shape == (1, 4, 4, 3) and large[0, 0, 3, 0] == 255 and large[0, 3, 0, 2] == 128


def test_the_global_affine_map_is_scipys():
    values = np.array([0.05, -0.1, 0.3, 0.1, 0.2, -0.1, 0, 0, 0, 0])
    with jax.enable_x64():
        found = warp_bilinear(IMAGES[0].astype(float), local_affine_grid(constant(values, (12, 10))))
    np.testing.assert_allclose(found, _affine(IMAGES[0].astype(float), values), atol=1e-9)


# --- Errors ---


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: spectrum((4, 4)), "exactly one"),
        (lambda: spectrum((4, 4), ell=1.0, gamma=2.0), "exactly one"),
        (lambda: spectrum((4, 4), ell=0.0), "ell is 0.0"),
        (lambda: spectrum((4, 4), ell=math.nan), "ell is nan"),
        (lambda: spectrum((4, 4), gamma=-1.0), "gamma is -1.0"),
        (lambda: spectrum((1, 1), gamma=2.0), "more than one pixel"),
        (lambda: spectrum((0, 4), ell=1.0), "shape is 0"),
        (lambda: gaussian_random_field(KEY, (4, 4), ell=1.0, sigma=-1.0), "sigma is -1.0"),
        (lambda: gaussian_random_field(KEY, (4, 4), ell=1.0, pad=-1), "pad is -1"),
        (lambda: filter_white_noise(np.ones((3, 4)), np.ones((4, 4))), "last two sides"),
        (lambda: fourier_modes((4, 4), -1.0), "ell is -1.0"),
        (lambda: fields_from_modes(np.ones((2, 3)), np.ones((4, 2)), np.ones((4, 2))), "numbers a field"),
        (lambda: params_from(jnp.ones((9, 4, 4))), r"\[..., 10, h, w\]"),
        (lambda: warp_bilinear(IMAGES[0], np.zeros((2, 2, 2)), "wrap"), "mode is 'wrap'"),
        (lambda: warp_bilinear(IMAGES, np.zeros((2, 2, 2))), "grid"),
        (lambda: jacobian_det(np.zeros((1, 4, 2))), "sides of at least 2"),
        (lambda: local_color(2 * IMAGES[0], constant(np.zeros(10), (12, 10))), "0..1"),
        (lambda: local_color(IMAGES[0, ..., :2], constant(np.zeros(10), (12, 10))), "images has shape"),
        (lambda: local_color(np.full((12, 10, 3), np.nan), constant(np.zeros(10), (12, 10))), "0..1"),
        (lambda: difference_rank(jnp.ones((1, 4))), "a covariance needs two"),
        (lambda: RandomFieldConfig(p_color=1.5), "p_color is 1.5"),
        (lambda: RandomFieldConfig(strength=-1.0), "sigma"),
        (lambda: RandomFieldConfig(ell=0.0), "ell is 0.0"),
        (lambda: RandomFieldAugment()(KEY, IMAGES[0]), "images has shape"),
        (lambda: Preset(num_train=0), "num_train is 0"),
        (lambda: Preset(temperature=0.0), "temperature is 0.0"),
        (lambda: paper_sources.open_images(replace(Preset(), image_set="birds")), "image_set is 'birds'"),
    ],
)
def test_bad_input_is_named(call, says, as_installed):
    with jax.debug_nans(False), pytest.raises(ValueError, match=says):
        call()

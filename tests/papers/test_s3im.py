"""S3IM: the authors' vectors, the mathematics as properties, hosts, corruptions, training, errors, presets."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.data.blob_scene import blob_scene
from quire.common.data.source import Source
from quire.common.errors import DatasetUnavailable
from quire.common.fields.ray_batches import PhotoBatch
from quire.common.testing import (
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
    max_relative_error,
)
from quire.s3im import (
    CORRUPTIONS,
    LAYOUTS,
    PRESETS,
    FieldConfig,
    SceneConfig,
    Similarity,
    SurfaceField,
    Training,
    brute_force,
    build_host,
    corrupt,
    crop_pixels,
    drawn_orders,
    gaussian_window,
    look,
    open_scene,
    optical_depths,
    own_penalty,
    paper,
    photographs,
    pixel_orders,
    s3im_loss,
    show_views,
    sparse,
    ssim,
    sweep,
    taps_of,
    train_field,
    uniform_pixels,
    view_quality,
    virtual_images,
    window_pixels,
    window_places,
    window_similarity,
)
from quire.s3im.training import Batch, Constants, field_loss, shared_places

PRECISIONS = [pytest.param(jnp.float64, 1e-6, id="float64"), pytest.param(jnp.float32, 1e-5, id="float32")]
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("s3im")


def colours(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


# --- The authors' vectors ---


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("method", ["windows", "convolution"])
def test_golden_loss(vectors, dtype, tolerance, method):
    names = sorted(name[: -len("_cfg")] for name in vectors.arrays if name.endswith("_cfg"))
    assert names
    with jax.enable_x64(dtype == jnp.float64):
        for name in names:
            kernel, stride, repeats, *patch = (int(n) for n in vectors[f"{name}_cfg"])
            source, target = (jnp.asarray(vectors[f"{name}_{part}"], dtype) for part in ("src", "tar"))
            orders = jnp.asarray(vectors[f"{name}_perms"])
            assert len(orders) == repeats
            loss = partial(s3im_loss, kernel=kernel, stride=stride, patch=tuple(patch), perms=orders, method=method)
            value, slope = jax.jit(jax.value_and_grad(loss))(source, target)
            assert value.dtype == dtype
            np.testing.assert_allclose(value, vectors[f"{name}_loss"], atol=tolerance, rtol=0)
            assert max_relative_error(slope, vectors[f"{name}_grad"]) <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_similarity(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        a, b = (jnp.asarray(vectors[name].transpose(0, 2, 3, 1), dtype) for name in ("ssim_a", "ssim_b"))
        for name in vectors.arrays:
            kind, *sizes = name.split("_")
            if kind == "window":
                np.testing.assert_allclose(gaussian_window(int(sizes[0])), vectors[name], atol=1e-7)
            elif kind == "ssim" and sizes[0].isdigit():
                kernel, stride = map(int, sizes)
                found = ssim(a, b, window=kernel, stride=stride, padding=(kernel - 1) // 2)
                np.testing.assert_allclose(found.mean(), vectors[name], atol=tolerance)


# --- The loss as mathematics ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_definition(layout):
    """Both methods against loops, in float64: overlapping windows, an odd kernel, a patch that is no square."""
    with jax.enable_x64():
        for patch, kernel, stride, repeats in (((8, 12), 4, 4, 2), ((6, 6), 3, 2, 2)):
            n = patch[0] * patch[1]
            a, b = colours(2, n, 2).astype(float)
            orders = drawn_orders(np.random.default_rng(0), 1, repeats, n)[0]
            options = {"kernel": kernel, "stride": stride, "patch": patch, "layout": layout, "perms": jnp.asarray(orders)}
            expected = brute_force.loss(a, b, orders, patch, kernel, stride, layout)
            found = [float(s3im_loss(jnp.asarray(a), jnp.asarray(b), method=m, **options)) for m in ("windows", "convolution")]
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_tiles_are_means_of_patches():
    """Without a border (kernel 2), every tile is a patch of its own; the wide image of the code is another number."""
    a, b = (jnp.asarray(colours(30, 3, seed=s)) for s in range(2))
    orders = jnp.asarray(drawn_orders(np.random.default_rng(0), 1, 3, 30)[0])
    options = {"kernel": 2, "stride": 2, "patch": (5, 6)}
    tiles = s3im_loss(a, b, perms=orders, layout="tiles", **options)
    single = [s3im_loss(a, b, perms=order[None], **options) for order in orders]
    np.testing.assert_allclose(tiles, np.mean(single), atol=1e-6)
    assert abs(tiles - s3im_loss(a, b, perms=orders, **options)) > 1e-4


def test_wide_image_cuts_rows_after_joining_orders():
    grey = jnp.arange(6.0)[:, None]
    orders = jnp.array([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]])
    wide = virtual_images(grey, orders, (2, 3))[0, ..., 0]
    np.testing.assert_array_equal(wide, [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]])
    tiles = virtual_images(grey, orders, (2, 3), "tiles")[..., 0]
    np.testing.assert_array_equal(tiles, [[[0, 1, 2], [3, 4, 5]], [[5, 4, 3], [2, 1, 0]]])


def test_windows_shift_by_the_border():
    """Kernel 4 and stride 4: windows begin one pixel outside, and the authors' sizes come out."""
    places = window_places(1, (8, 8)).reshape(2, 2, 4, 4)
    assert (places[0, 0, 0] == 64).all() and (places[0, 0, :, 0] == 64).all()
    np.testing.assert_array_equal(places[0, 0, 1:, 1:], [[0, 1, 2], [8, 9, 10], [16, 17, 18]])
    assert places[1, 1, 0, 0] == 3 * 8 + 3
    assert len(window_places(1, (64, 64))) == 16 * 16
    with pytest.raises(ValueError, match="read-only"):
        places.base[0, 0] = 1


def test_constants_see_the_border():
    """Two constant patches: luminance alone without a border; with it the outer windows see black too."""
    a, b = jnp.full((16, 3), 0.2), jnp.full((16, 3), 0.8)
    luminance = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    free = s3im_loss(a, b, kernel=2, stride=2, repeats=1, patch=(4, 4))
    np.testing.assert_allclose(free, 1 - luminance, rtol=1e-5)
    bordered = s3im_loss(a, b, repeats=1, patch=(4, 4))
    assert abs(bordered - free) > 1e-3
    np.testing.assert_allclose(
        bordered, brute_force.loss(np.asarray(a), np.asarray(b), np.arange(16)[None], (4, 4), 4, 4, "code"), atol=1e-6
    )


def test_bounds_and_gradient_at_equal_colours():
    a, b = (jnp.asarray(colours(64, 3, seed=s)) for s in range(2))
    loss = partial(s3im_loss, patch=(8, 8), repeats=3, key=KEY)
    value, slope = jax.value_and_grad(loss)(a, a)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    assert 0 < loss(a, b) < loss(a, 1 - a) <= 2
    np.testing.assert_allclose(loss(a, b), loss(b, a), rtol=1e-6)


def test_gradient_by_differences():
    orders = jnp.asarray(drawn_orders(np.random.default_rng(0), 1, 2, 16)[0])
    target = colours(16, 2, seed=1).astype(float)
    assert_gradients(lambda x: s3im_loss(x, jnp.asarray(target), patch=(4, 4), perms=orders), colours(16, 2))


def test_orders():
    orders = np.asarray(pixel_orders(KEY, 5, 12))
    np.testing.assert_array_equal(orders[0], np.arange(12))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(12), (5, 1)))
    assert len({tuple(order) for order in orders}) == 5
    host = drawn_orders(np.random.default_rng(0), 3, 4, 12)
    np.testing.assert_array_equal(host[:, 0], np.tile(np.arange(12), (3, 1)))
    np.testing.assert_array_equal(np.sort(host, axis=2), np.tile(np.arange(12), (3, 4, 1)))
    assert len({tuple(order) for order in host.reshape(-1, 12)}) == 10
    places = drawn_orders(np.random.default_rng(1), 4000, 2, 4)[:, 1, 0]
    np.testing.assert_allclose(np.bincount(places, minlength=4) / 4000, 0.25, atol=0.03)


def test_one_program_for_all_keys_and_no_randomness_for_one_order():
    a, b = (jnp.asarray(colours(16, 3, seed=s)) for s in range(2))
    traced = []

    @jax.jit
    def loss(key):
        traced.append(None)
        return s3im_loss(a, b, patch=(4, 4), repeats=4, key=key)

    values = {float(loss(jax.random.key(i))) for i in range(3)}
    assert len(traced) == 1 and len(values) == 3
    once = partial(s3im_loss, a, b, patch=(4, 4), repeats=1)
    assert once() == once(key=KEY) == once(key=jax.random.key(1))


def test_jit_vmap_and_precision(as_installed):
    orders = jnp.asarray(drawn_orders(np.random.default_rng(0), 1, 2, 16)[0])
    loss = partial(s3im_loss, patch=(4, 4), perms=orders)
    assert_jit_consistent(loss, colours(16, 3), colours(16, 3, seed=1))
    assert_vmap_consistent(loss, colours(2, 16, 3), colours(2, 16, 3, seed=1))
    assert_dtypes(loss, colours(16, 3) - 0.2, colours(16, 3, seed=1))
    near = 0.9 + 1e-2 * colours(64, 3)
    assert_matches_float64(partial(s3im_loss, patch=(8, 8), repeats=1), near, near[::-1].copy())


def test_degenerate_colours(as_installed):
    for method in ("windows", "convolution"):
        loss = partial(s3im_loss, patch=(4, 4), repeats=2, key=KEY, method=method)
        assert_degenerate(loss, colours(16, 3), colours(16, 3, seed=1), scales=(1e-30, 1e3))
    poisoned = colours(16, 3)
    poisoned[0] = np.nan
    assert np.isnan(s3im_loss(poisoned, colours(16, 3), patch=(4, 4), repeats=1))


def test_repeated_windows_leave_the_mean():
    """One order in a program with room for ten: the same windows ten times."""
    one = Similarity(repeats=1, patch=(16, 16))
    places = shared_places(one, 10)
    assert len(places) == len(window_places(10, (16, 16)))
    a, b = (jnp.asarray(colours(256, 3, seed=s)) for s in range(2))
    orders = jnp.asarray(drawn_orders(np.random.default_rng(0), 1, 10, 256)[0])
    found = window_similarity(a, b, window_pixels(orders, jnp.asarray(places)), taps_of(4))
    np.testing.assert_allclose(1 - found, s3im_loss(a, b, repeats=1, patch=(16, 16)), atol=1e-6)


# --- Rays and damage ---


def test_crops_are_neighbours():
    index = crop_pixels(np.random.default_rng(0), 50, (3, 2), 4, (5, 7))
    assert index.shape == (50, 6) and index.min() >= 0 and index.max() < 4 * 35
    view, rest = np.divmod(index, 35)
    row, column = np.divmod(rest, 7)
    assert (np.ptp(view, axis=1) == 0).all() and set(view[:, 0]) == {0, 1, 2, 3}
    np.testing.assert_array_equal(row - row[:, :1], np.tile([0, 0, 1, 1, 2, 2], (50, 1)))
    np.testing.assert_array_equal(column - column[:, :1], np.tile([0, 1, 0, 1, 0, 1], (50, 1)))
    assert row.max() == 4 and column.max() == 6 and row.min() == column.min() == 0


def test_damage():
    grey = np.full((3, 20, 30, 3), 0.5, np.float32)
    noisy = corrupt(grey, "noise", 0.1, KEY)
    np.testing.assert_allclose(noisy.std(), 0.1, rtol=0.05)
    assert (grey == 0.5).all() and noisy.dtype == np.float32
    hit = corrupt(grey, "impulse", 0.3, KEY)
    assert set(np.unique(hit)) == {0.0, 0.5, 1.0} and (np.ptp(hit, axis=-1) == 0).all()
    np.testing.assert_allclose((hit != 0.5).mean(), 0.3, atol=0.03)
    blocks = corrupt(grey, "blocks", 0.5, KEY)
    assert [(image[..., 0] != 0.5).sum() for image in blocks] == [100] * 3
    exposed = corrupt(grey, "exposure", 0.2, KEY)
    assert (np.ptp(exposed, axis=(1, 2, 3)) == 0).all() and np.ptp(exposed) > 0
    for kind in CORRUPTIONS:
        np.testing.assert_array_equal(corrupt(grey, kind, 0.0, KEY), grey)
        damaged = corrupt(grey, kind, 1.0, KEY)
        assert damaged.min() >= 0 and damaged.max() <= 1


# --- Hosts ---

SIZES = FieldConfig(6, 2, 3, 5, 1, 2, 3, 6, 6, 8, 6)
SHORT = Training(50, 8, 3e-2, 3e-2, 0.1, 0.0, 25)
LOSS = Similarity(patch=(8, 8), repeats=2)
SCENE = blob_scene(views=4, tests=2, size=12)


@pytest.mark.parametrize("kind", ["vm", "hash", "voxel", "surface"])
def test_both_terms_fall(kind):
    """Fifty steps; test views are as they were, and nearer to the truth than the first weights show."""
    before = SCENE.test.images.copy()
    host = build_host(kind, SIZES, rngs=nnx.Rngs(0))
    trained, history = train_field(SCENE, host, SHORT, KEY, loss=LOSS)
    assert history.losses.shape == history.gradients.shape == (50,)
    assert history.losses[-10:].mean() < 0.8 * history.losses[:5].mean()
    first, last = (show_views(h, SCENE, samples=8) for h in (host, trained))
    truth = SCENE.test.over(1.0)
    assert first.rgb.shape == truth.shape and last.depth.shape == truth.shape[:3]
    assert view_quality(last.rgb, truth).psnr > view_quality(first.rgb, truth).psnr + 1
    np.testing.assert_array_equal(SCENE.test.images, before)
    assert (np.abs(last.normal).max() > 0) == (kind == "surface")


def test_a_weight_of_zero_is_the_squared_error():
    host = build_host("voxel", SIZES, rngs=nnx.Rngs(0))
    rays = [np.asarray(a, np.float32) for a in (np.tile([[0, 0, 3.0]], (64, 1)), np.tile([[0, 0, -1.0]], (64, 1)))]
    photo = PhotoBatch(*map(jnp.asarray, (*rays, np.full(64, 0.5, np.float32), colours(64, 3))))
    batch = Batch(photo, jnp.asarray(drawn_orders(np.random.default_rng(0), 1, 2, 64)[0]))
    seen = look(host, *rays, samples=8)
    squared = np.mean((seen.rgb - photo.rgb) ** 2)
    similar = s3im_loss(seen.rgb, photo.rgb, patch=(8, 8), perms=batch.orders)
    for weight in (0.0, 0.7):
        constants = Constants(np.array(weight), np.array(0.5), np.array([-5.0, 7.0]), shared_places(LOSS, 2), taps_of(4))
        np.testing.assert_allclose(field_loss(8)(host, batch, constants), squared + weight * similar, rtol=1e-5)


def test_training_is_reproducible_and_colours_replace_views():
    host = build_host("voxel", SIZES, rngs=nnx.Rngs(0))
    run_ = partial(train_field, SCENE, host, replace(SHORT, steps=25), loss=LOSS)
    twice = [run_(KEY)[1].losses for _ in range(2)]
    np.testing.assert_array_equal(*twice)
    other = run_(KEY, colours=np.zeros((4, 12, 12, 3), np.float32))[1].losses
    crops = run_(KEY, sampler="crops")[1].losses
    assert abs(other[0] - twice[0][0]) > 1e-3 and abs(crops[0] - twice[0][0]) > 1e-4


def test_surface_as_neus_defines_it():
    """Opacities by the quotient of logistic functions, and nothing where the ray leaves the surface."""
    sdf = np.random.default_rng(0).normal(size=(5, 9))
    phi = 1 / (1 + np.exp(-3.0 * sdf))
    expected = np.maximum(0, (phi[:, :-1] - phi[:, 1:]) / phi[:, :-1])
    with jax.enable_x64():
        np.testing.assert_allclose(-jnp.expm1(-optical_depths(jnp.asarray(sdf), 3.0)), expected, rtol=1e-9, atol=1e-12)
    deep = optical_depths(jnp.array([[-100.0, -101.0]]), 5.0)
    np.testing.assert_allclose(deep, 5.0, rtol=1e-5)


def test_the_first_surface_is_a_ball():
    ball = SurfaceField(24, radius=0.5, rngs=nnx.Rngs(0))
    origins = jnp.array([[0.0, 0.0, 3.0], [0.9, 0.9, 3.0]])
    seen = ball.render(origins, jnp.array([[0.0, 0.0, -1.0]] * 2), samples=64)
    np.testing.assert_allclose(seen.opacity, [1, 0], atol=0.05)
    np.testing.assert_allclose(seen.depth[0], 0.25, atol=0.05)
    np.testing.assert_allclose(seen.normal[0], [0, 0, 1], atol=0.1)
    assert own_penalty(ball) < 0.01
    ball.sdf.set_value(2 * ball.sdf[...])
    np.testing.assert_allclose(own_penalty(ball), 1, atol=0.1)
    ball.sdf.set_value(0 * ball.sdf[...])
    slope = jax.grad(lambda m: own_penalty(m))(ball)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


# --- Scenes, presets, errors ---


def test_scenes(monkeypatch, tmp_path):
    few = sparse(SCENE, 2)
    np.testing.assert_array_equal(few.train.images, SCENE.train.images[[0, 3]])
    np.testing.assert_array_equal(few.test.images, SCENE.test.images)
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("quire.s3im.scenes.blob_scene", lambda **_: blob_scene(views=1, tests=8, size=8))
    source = open_scene(PRESETS["quick"].scene)
    assert source.name.startswith("6 Gaussian blobs, 4 x 4") and source.stand_in_for
    assert len(source.value.test.images) == PRESETS["quick"].scene.test_views
    for config in (PRESETS["standard"].photographs, PRESETS["paper"].scene):
        with pytest.raises(DatasetUnavailable, match=r"nerf-fox|replica-scans"):
            open_scene(config)
    with pytest.raises(ValueError, match="test_views is 9"):
        open_scene(SceneConfig("lego", 2, 9))
    assert photographs(PRESETS["quick"], KEY) is None


def test_the_sweep_names_every_setting(monkeypatch):
    monkeypatch.setattr("quire.s3im.experiments.open_scene", lambda config: Source(SCENE))
    small = replace(PRESETS["quick"], similarity=LOSS, training=SHORT, field=SIZES, sweep=(replace(LOSS, weight=2.0),))
    found = list(sweep(small, KEY))
    assert [loss.weight for loss, _ in found] == [0, 1, 2]
    assert len({quality.psnr for _, quality in found}) == 3


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    """The step of every host is traced, not run."""
    loss = preset.similarity
    like = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct(shape, dtype)  # noqa: E731
    photo = PhotoBatch(like(loss.batch, 3), like(loss.batch, 3), like(loss.batch), like(loss.batch, 3))
    batch = Batch(photo, like(loss.repeats, loss.batch, dtype=jnp.int32))
    places = shared_places(loss, loss.repeats)
    constants = Constants(like(), like(), like(2), like(*places.shape, dtype=jnp.int32), like(places.shape[1]))
    for kind in ("vm", "hash", "voxel", "surface"):
        graph, params = nnx.split(nnx.eval_shape(lambda k=kind: build_host(k, preset.field, rngs=nnx.Rngs(0))))

        def total(p, b, c, g=graph):
            return field_loss(preset.training.samples)(nnx.merge(g, p), b, c)

        slopes = jax.eval_shape(jax.grad(total), params, batch, constants)
        assert [a.shape for a in jax.tree.leaves(slopes)] == [a.shape for a in jax.tree.leaves(params)]
    assert len({*preset.sweep, loss}) == len(preset.sweep) + 1


A, B = colours(16, 3), colours(16, 3, seed=1)
PATCH = {"patch": (4, 4)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s3im_loss(A, B[:15], **PATCH), r"pred has shape \(16, 3\) and target \(15, 3\)"),
        (lambda: s3im_loss(A, B, key=KEY), "there are 16 pixels; a patch of 64 x 64 needs 4096"),
        (lambda: s3im_loss(A, B, kernel=5, key=KEY, **PATCH), "kernel is 5"),
        (lambda: s3im_loss(A, B, kernel=0, key=KEY, **PATCH), "kernel is 0"),
        (lambda: s3im_loss(A, B, stride=0, key=KEY, **PATCH), "stride is 0"),
        (lambda: s3im_loss(A, B, repeats=0, key=KEY, **PATCH), "repeats is 0"),
        (lambda: s3im_loss(A, B, **PATCH), "key is None; 10 orders"),
        (lambda: s3im_loss(A, B, key=KEY, perms=np.arange(16)[None], **PATCH), "key and perms are both given"),
        (lambda: s3im_loss(A, B, perms=np.arange(15)[None], **PATCH), r"perms has shape \(1, 15\)"),
        (lambda: s3im_loss(A, B, perms=1 + np.arange(16)[None], **PATCH), "perms runs from 1 to 16"),
        (lambda: s3im_loss(A, B, key=KEY, layout="rows", **PATCH), "layout is 'rows'"),
        (lambda: s3im_loss(A, B, key=KEY, method="fft", **PATCH), "method is 'fft'"),
        (lambda: s3im_loss(A[:0], B[:0], key=KEY, patch=(0, 0)), "there are 0 pixels"),
        (lambda: s3im_loss(A[:, :0], B[:, :0], key=KEY, **PATCH), "at least one channel"),
        (lambda: corrupt(A[None, :, None], "blur", 0.1, KEY), "kind is 'blur'"),
        (lambda: corrupt(A[None, :, None], "impulse", 1.5, KEY), "level is 1.5"),
        (lambda: corrupt(A[None, :, None], "noise", float("nan"), KEY), "level is nan"),
        (lambda: crop_pixels(np.random.default_rng(0), 1, (6, 2), 1, (5, 5)), "patch is 6 x 2"),
        (lambda: uniform_pixels(np.random.default_rng(0), 1, 0, 5), "batch is 0"),
        (lambda: sparse(SCENE, 9), "views is 9; there are 4"),
        (lambda: build_host("mlp", SIZES, rngs=nnx.Rngs(0)), "kind is 'mlp'"),
        (lambda: SurfaceField(1, rngs=nnx.Rngs(0)), "size is 1"),
        (lambda: optical_depths(jnp.zeros((1, 2)), 0.0), "sharpness is 0"),
        (lambda: Similarity(weight=-1.0), "weight is -1"),
        (lambda: Similarity(patch=(3, 3)), "kernel is 4"),
        (lambda: Similarity(layout="rows"), "layout is 'rows'"),
        (lambda: Training(steps=10, chunk=3), "chunk is 3"),
        (lambda: Training(rate=0.0), "rate is 0"),
        (lambda: Training(floor=2.0), "floor is 2.0"),
        (lambda: Training(clip=(7.0, -5.0)), "clip is"),
        (lambda: view_quality(np.zeros((0, 4, 4, 3)), np.zeros((0, 4, 4, 3))), "both need the same views"),
        (
            lambda: train_field(SCENE, build_host("voxel", SIZES, rngs=nnx.Rngs(0)), SHORT, KEY, loss=LOSS, sampler="rows"),
            "sampler is 'rows'",
        ),
        (
            lambda: train_field(SCENE, build_host("voxel", SIZES, rngs=nnx.Rngs(0)), SHORT, KEY, loss=LOSS, colours=A),
            r"colours has shape \(16, 3\)",
        ),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_identities_and_invariance():
    found = run(paper, claims=["C0", "C1"], seeds=1)
    assert found.as_expected


def test_benchmark_compares_the_same_numbers():
    both = paper.benchmark.cases(64, KEY)
    fast, naive = (case.function(*case.args) for case in both.values())
    np.testing.assert_allclose(fast[0], naive[0], rtol=1e-4)
    np.testing.assert_allclose(fast[1], naive[1], atol=1e-6)

"""Augmentations: windows, crops, mirror images, greys, blur, smaller sizes; projection heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import ndimage

from quire.common.data.augment import draw_crops, gaussian_blur, greyed, luma, mirror, resized_crop
from quire.common.data.image_sizes import averaged
from quire.common.layers.projection import ProjectionHead
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients, assert_jit_consistent

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 8, 6, 3)).astype(np.float32)
CROPS = np.array([[0, 0, 1, 1], [0.25, 0.5, 0.5, 0.5], [0.1, 0.2, 0.7, 0.3]], np.float32)
CHOSEN = jnp.array([True, False, True])


def test_windows_lie_inside_and_have_the_areas_and_shapes_asked_for():
    crops = draw_crops(np.random.default_rng(1), (4000,), area=(0.2, 0.5), ratio=(0.5, 2.0))
    assert crops.shape == (4000, 4) and crops.dtype == np.float32
    assert (crops >= 0).all() and (crops[:, :2] + crops[:, 2:] <= 1 + 1e-6).all()
    area, ratio = crops[:, 2] * crops[:, 3], crops[:, 3] / crops[:, 2]
    assert area.min() >= 0.2 - 1e-6 and area.max() <= 0.5 + 1e-6 and abs(area.mean() - 0.35) < 0.01
    assert ratio.min() >= 0.5 - 1e-6 and ratio.max() <= 2 + 1e-6 and abs(np.log(ratio).mean()) < 0.03
    assert draw_crops(np.random.default_rng(1), (0,)).shape == (0, 4)


def test_a_window_that_does_not_fit_is_cut():
    crops = draw_crops(np.random.default_rng(1), (50,), area=(1.0, 1.0), ratio=(0.25, 0.26))
    np.testing.assert_allclose(crops[:, 2], 1)


@pytest.mark.parametrize("bad", [{"area": (0.0, 1.0)}, {"area": (0.5, 0.2)}, {"area": (0.5, 1.5)}, {"ratio": (0.0, 1.0)}])
def test_bounds_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        draw_crops(np.random.default_rng(0), (2,), **bad)


def test_the_whole_image_is_itself_and_whole_pixels_are_cut_out():
    out = resized_crop(jnp.asarray(IMAGES), jnp.asarray(CROPS))
    np.testing.assert_allclose(out[0], IMAGES[0], atol=1e-6)
    cut = resized_crop(jnp.asarray(IMAGES[1:2]), jnp.asarray(CROPS[1:2]), (4, 3))
    np.testing.assert_allclose(cut[0], IMAGES[1, 2:6, 3:6], atol=1e-6)


def test_a_line_stays_a_line_and_shrinking_averages():
    ramp = jnp.broadcast_to(jnp.arange(16.0)[:, None, None], (1, 16, 16, 1))
    out = resized_crop(ramp, jnp.array([[0.25, 0.0, 0.5, 1.0]]))[0, :, 0, 0]
    np.testing.assert_allclose(out[2:-2], (4 + (np.arange(16) + 0.5) / 2 - 0.5)[2:-2], atol=1e-5)
    checks = jnp.asarray(np.indices((16, 16)).sum(0) % 2, jnp.float32)[None, ..., None]
    np.testing.assert_allclose(resized_crop(checks, jnp.array([[0.0, 0, 1, 1]]), (4, 4))[0, 1:3, 1:3], 0.5, atol=1e-5)


def test_chosen_images_are_mirrored_or_grey():
    out = mirror(jnp.asarray(IMAGES), CHOSEN)
    np.testing.assert_array_equal(out, np.where(np.array(CHOSEN)[:, None, None, None], IMAGES[:, :, ::-1], IMAGES))
    grey = greyed(jnp.asarray(IMAGES), CHOSEN)
    np.testing.assert_array_equal(grey[1], IMAGES[1])
    np.testing.assert_allclose(grey[0], np.repeat(IMAGES[0] @ [[0.299], [0.587], [0.114]], 3, -1), atol=1e-6)
    np.testing.assert_allclose(luma(jnp.ones((2, 3))), 1, atol=1e-6)


def test_the_blur_is_scipys_and_zero_leaves_the_image():
    sigma = jnp.array([0.0, 0.7, 1.5])
    out = gaussian_blur(jnp.asarray(IMAGES), sigma, radius=5)
    np.testing.assert_array_equal(out[0], IMAGES[0])
    for i in (1, 2):
        width = float(sigma[i])
        expected = ndimage.gaussian_filter(IMAGES[i].astype(float), width, mode="nearest", radius=5, axes=(0, 1))
        np.testing.assert_allclose(out[i], expected, atol=1e-6)


def test_bytes_become_floating_and_nothing_is_cast_away():
    images = (255 * IMAGES).astype(np.uint8)
    out = resized_crop(jnp.asarray(images), jnp.asarray(CROPS))
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out[0], images[0], atol=1e-3)
    assert mirror(jnp.asarray(images), CHOSEN).dtype == jnp.uint8
    assert_dtypes(lambda x: gaussian_blur(x, jnp.ones(3), radius=2), jnp.asarray(IMAGES))


def test_conformance():
    x, crops = jnp.asarray(IMAGES), jnp.asarray(CROPS)
    for function in (lambda x: resized_crop(x, crops), lambda x: gaussian_blur(x, jnp.array([0, 0.5, 1]), radius=2)):
        assert_jit_consistent(function, x)
        assert_gradients(function, x[:, :3, :3].astype(float), tolerance=1e-5)
    assert_degenerate(lambda s: gaussian_blur(x, s, radius=2), jnp.array([0.5, 1.0, 2.0]), axes=())


def test_shapes_that_do_not_fit_are_refused(as_installed):
    x = jnp.asarray(IMAGES)
    for call, says in (
        (lambda: resized_crop(x, jnp.ones((2, 4))), "crops"),
        (lambda: resized_crop(x, jnp.asarray(CROPS), (0, 4)), "size"),
        (lambda: gaussian_blur(x, jnp.ones(2), radius=2), "sigma"),
        (lambda: gaussian_blur(x, jnp.ones(3), radius=0), "radius"),
        (lambda: luma(x[..., :2]), "three channels"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_averages_over_blocks():
    images = RNG.integers(0, 256, (3, 8, 12, 2), np.uint8)
    found = averaged(images, 4)
    assert found.shape == (3, 4, 4, 2) and found.dtype == np.uint8
    np.testing.assert_array_equal(found[1, 2, 3], np.round(images[1, 4:6, 9:12].mean((0, 1))))
    np.testing.assert_array_equal(averaged(images[:, :, :8], 8), images[:, :, :8])
    for bad in (5, 0):
        with pytest.raises(ValueError, match=f"side is {bad}"):
            averaged(images, bad)


def test_a_head_shows_every_depth():
    head = ProjectionHead(5, (7, 4), rngs=nnx.Rngs(0))
    h = jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32)
    inside, hidden, out = head.depths(h)
    assert inside is h and hidden.shape == (3, 7) and (hidden >= 0).all()
    np.testing.assert_allclose(out, head(h))
    np.testing.assert_allclose(out, hidden @ head.layers[1].kernel[...] + head.layers[1].bias[...][None], atol=1e-6)
    for bad in ((0, (3,)), (3, ()), (3, (4, 0))):
        with pytest.raises(ValueError, match=r"widths|dim"):
            ProjectionHead(*bad, rngs=nnx.Rngs(0))


def test_a_head_of_one_map_is_linear():
    head = ProjectionHead(3, (2,), rngs=nnx.Rngs(1))
    x = jnp.eye(3)
    np.testing.assert_allclose(head(2 * x) - head(x), head(x) - head(0 * x), atol=1e-6)
    assert jax.eval_shape(head, x).shape == (3, 2)

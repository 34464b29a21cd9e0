"""Volume rendering, cameras, image metrics, signed distances and meshes: exact cases and definitions by loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate1d
from skimage.metrics import structural_similarity

from quire.common.data.meshes import Surface, ball_surface
from quire.common.data.photographs import PHOTOGRAPHS, photograph
from quire.common.data.scenes import Views
from quire.common.fields.cameras import rays
from quire.common.fields.rendering import composite, ray_box, stratified, trunc_exp
from quire.common.fields.surfaces import (
    box_sdf,
    farthest_points,
    marching_cubes,
    mesh_sdf,
    points_on,
    sphere_sdf,
    squared_distance,
    torus_sdf,
)
from quire.common.metrics.image import gaussian_window, psnr, ssim

RNG = np.random.default_rng(0)


def test_compositing_by_loops():
    sigma, rgb, delta = RNG.exponential(size=(4, 9)), RNG.random((4, 9, 3)), RNG.random((4, 9))
    background = RNG.random((4, 3))
    image, weights = np.zeros((4, 3)), np.zeros((4, 9))
    for ray in range(4):
        left = 1.0
        for i in range(9):
            alpha = 1 - np.exp(-sigma[ray, i] * delta[ray, i])
            weights[ray, i] = left * alpha
            left *= 1 - alpha
        image[ray] = weights[ray] @ rgb[ray] + left * background[ray]
    with jax.enable_x64():
        pixels = composite(*(jnp.asarray(v) for v in (sigma, rgb, delta, background)))
    np.testing.assert_allclose(pixels.weights, weights, rtol=1e-12)
    np.testing.assert_allclose(pixels.rgb, image, rtol=1e-12)
    np.testing.assert_allclose(pixels.opacity, weights.sum(1), rtol=1e-12)


def test_transmittance_does_not_round_to_zero():
    """Behind a density that lets 1e-20 through, a product of `1 - alpha` is 0 in float32 and its gradient is lost."""
    sigma = jnp.array([[46.0, 1.0]])
    weights = composite(sigma, jnp.zeros((1, 2, 1)), jnp.ones((1, 2))).weights
    np.testing.assert_allclose(weights[0, 1], np.exp(-46.0) * (1 - np.exp(-1.0)), rtol=1e-4)
    weights = composite(jnp.array([[0.5, 1e9, 1.0, jnp.inf]]), jnp.zeros((1, 4, 1)), jnp.ones((1, 4))).weights
    np.testing.assert_allclose(weights, [[1 - np.exp(-0.5), np.exp(-0.5), 0, 0]], rtol=1e-6)
    empty = composite(jnp.zeros((2, 3)), jnp.ones((2, 3, 1)), jnp.ones((2, 3)), 0.25)
    np.testing.assert_allclose(empty.rgb, 0.25)
    assert float(jnp.abs(empty.opacity).max()) == 0


def test_density_keeps_a_bounded_derivative():
    x = jnp.array([-30.0, 0.0, 3.0, 30.0])
    np.testing.assert_allclose(jax.vmap(jax.grad(trunc_exp))(x), np.exp(np.clip(x, -12, 12)), rtol=1e-6)
    np.testing.assert_allclose(trunc_exp(x), np.exp(x), rtol=1e-6)


def test_rays_and_the_box():
    origins = jnp.array([[0, 0, 3.0], [0, 0, 3], [0, 2, 3], [0, 0, 0], [0, 2, 0]])
    directions = jnp.array([[0, 0, -1.0], [0, 0, 1], [0, 0, -1], [1, 1, 0], [0, -0.5, 0]])
    near, far, hit = ray_box(origins, directions)
    assert hit.tolist() == [True, False, False, True, True]
    np.testing.assert_allclose(np.stack([near, far])[:, [0, 3, 4]], [[2, -1, 2], [4, 1, 6]])


def test_samples_lie_in_their_parts():
    near, far = jnp.array([1.0, 2.0]), jnp.array([3.0, 10.0])
    for key in (None, jax.random.key(0)):
        t, delta = stratified(key, near, far, 8)
        part = (far - near) / 8
        place = (t - near[:, None]) / part[:, None]
        np.testing.assert_array_equal(np.floor(place), np.broadcast_to(np.arange(8), (2, 8)))
        np.testing.assert_allclose(delta[:, :-1], np.diff(t, axis=1), rtol=1e-5)
        np.testing.assert_allclose(delta[:, -1], part, rtol=1e-6)
    with pytest.raises(ValueError, match="samples"):
        stratified(None, near, far, 0)


def test_rays_of_a_turned_camera():
    turn = np.array([[0.0, 0, 1, 5], [0, 1, 0, 6], [-1, 0, 0, 7], [0, 0, 0, 1]], np.float32)  # looks along -x
    origins, directions = rays(jnp.asarray(turn), (2, 4), 2.0)
    np.testing.assert_array_equal(origins, np.tile([[5, 6, 7]], (8, 1)))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-6)
    first = np.array([-1.0, 0.25, 0.75])  # up and to the left of the axis
    np.testing.assert_allclose(directions[0], first / np.linalg.norm(first), rtol=1e-6)
    np.testing.assert_allclose(directions.mean(0)[1:], 0, atol=1e-6)
    with pytest.raises(ValueError, match="focal"):
        rays(jnp.asarray(turn), (2, 4), 0.0)
    with pytest.raises(ValueError, match="width"):
        rays(jnp.asarray(turn), (2, 0), 1.0)


def test_ssim_is_that_of_scikit_image():
    a, b = RNG.random((2, 20, 24, 3)), RNG.random((2, 20, 24, 3))
    with jax.enable_x64():
        found = ssim(jnp.asarray(a), jnp.asarray(b), window=11)
    for i in range(2):
        options = {"win_size": 11, "gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0, "truncate": 3.4}
        full = structural_similarity(a[i], b[i], channel_axis=-1, full=True, **options)[1]
        np.testing.assert_allclose(found[i], full[5:-5, 5:-5].mean(), rtol=1e-9)


@pytest.mark.parametrize(("window", "stride", "padding"), [(4, 4, 1), (3, 2, 0), (2, 1, 0)])
def test_windows_and_strides(window, stride, padding):
    a = RNG.random((1, 10, 9, 1))
    line = np.sqrt(np.diagonal(gaussian_window(window)))
    np.testing.assert_allclose(np.outer(line, line), gaussian_window(window), rtol=1e-12)
    padded = np.pad(a[0, :, :, 0], padding)
    origin = -(window // 2) + (window - 1) // 2
    mean = correlate1d(correlate1d(padded, line, 0, origin=origin, mode="constant"), line, 1, origin=origin, mode="constant")
    low = window // 2 + origin
    mean = mean[low : low + padded.shape[0] - window + 1 : stride, low : low + padded.shape[1] - window + 1 : stride]
    with jax.enable_x64():
        found = ssim(jnp.asarray(a), jnp.zeros_like(jnp.asarray(a)), window=window, stride=stride, padding=padding)
    square = correlate1d(correlate1d(padded**2, line, 0, origin=origin, mode="constant"), line, 1, origin=origin, mode="constant")
    square = square[low : low + padded.shape[0] - window + 1 : stride, low : low + padded.shape[1] - window + 1 : stride]
    c1, c2 = 1e-4, 9e-4
    np.testing.assert_allclose(found[0], (c1 / (mean**2 + c1) * c2 / (square - mean**2 + c2)).mean(), rtol=1e-9)


def test_image_metrics_of_equals_and_errors():
    a = jnp.asarray(RNG.random((2, 12, 12, 1)), jnp.float32)
    np.testing.assert_allclose(ssim(a, a), 1, rtol=1e-5)
    assert np.isposinf(psnr(a, a))
    np.testing.assert_allclose(psnr(255 * a, 255 * a + 25.5, peak=255.0), 20, rtol=1e-4)
    with pytest.raises(ValueError, match="window"):
        ssim(a, a, window=13)
    for call in (lambda: psnr(a, a[:1]), lambda: ssim(a, a[:1]), lambda: psnr(a[:0], a[:0])):
        with pytest.raises(ValueError, match="shape"):
            call()


def test_distances_to_shapes():
    """A signed distance has a gradient of length 1, and its zero lies on the shape."""
    x = jnp.asarray(RNG.normal(size=(50, 3)), jnp.float32)
    for sdf in (sphere_sdf, torus_sdf, lambda v: box_sdf(v, (0.3, 0.5, 0.2))):
        gradient = jax.vmap(jax.grad(sdf))(x)
        np.testing.assert_allclose(jnp.linalg.norm(gradient, axis=1), 1, rtol=1e-3)
        foot = x - sdf(x)[:, None] * gradient
        np.testing.assert_allclose(sdf(foot), 0, atol=1e-5)
    assert np.isfinite(jax.grad(lambda v: box_sdf(v, (1.0, 1.0, 1.0)))(jnp.array([0.1, 0.2, 0.3]))).all()


def test_distance_to_a_triangle():
    """Above the face, beyond each edge, beyond each corner; and a triangle that is only a line."""
    corners = jnp.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0], [2, 0, 0], [1, 0, 0]]])
    x = jnp.array([[0.2, 0.2, 3.0], [0.5, -2, 0], [1, 1, 0], [-3, -4, 0], [4, 0, 0], [0, 2, 0]])
    first, second = squared_distance(x, corners).T
    np.testing.assert_allclose(first, [9, 4, 0.5, 25, 9, 1], rtol=1e-6)
    np.testing.assert_allclose(second, [9.04, 4, 1, 25, 4, 4], rtol=1e-6)


def test_distance_to_a_mesh_is_that_of_the_ball():
    ball = ball_surface(3)
    x = jnp.asarray(RNG.uniform(-1.3, 1.3, (64, 3)), jnp.float32)
    found = mesh_sdf(jnp.asarray(ball.vertices, jnp.float32), jnp.asarray(ball.faces), x, batch_size=16)
    np.testing.assert_allclose(found, sphere_sdf(x), atol=0.01)
    with pytest.raises(ValueError, match="faces"):
        mesh_sdf(jnp.zeros((3, 3)), jnp.zeros((0, 3), int), x)


def test_points_are_uniform_on_the_surface():
    square = Surface(np.array([[0.0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    points = points_on(jax.random.key(0), square, 4000)
    assert points.shape == (4000, 3) and (points[:, 2] == 0).all()
    np.testing.assert_allclose(np.histogram(points[:, 0], 6, (0, 3))[0], 4000 / 6, rtol=0.15)
    np.testing.assert_allclose(np.histogram(points[:, 1], 4, (0, 1))[0], 1000, rtol=0.15)
    with pytest.raises(ValueError, match="area"):
        points_on(jax.random.key(0), Surface(np.zeros((3, 3)), np.array([[0, 1, 2]])), 1)


def test_surface_of_a_field():
    axes = np.linspace(-1, 1, 24)
    grid = np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), -1)
    surface = marching_cubes(np.linalg.norm(grid, axis=-1) - 0.6)
    np.testing.assert_allclose(np.linalg.norm(surface.vertices, axis=1), 0.6, atol=0.01)
    assert (np.linalg.det(surface.vertices[surface.faces]) > 0).mean() > 0.99  # outwards
    with pytest.raises(ValueError, match="cross"):
        marching_cubes(np.ones((3, 3, 3)))


def test_farthest_points_by_loops():
    x = RNG.normal(size=(30, 4)) + 1e3  # distances, not squares of coordinates
    chosen = [7]
    while len(chosen) < 12:
        gaps = np.linalg.norm(x[:, None] - x[chosen], axis=-1).min(1)
        chosen.append(int(gaps.argmax()))
    assert farthest_points(x.astype(np.float32), 12, 7).tolist() == chosen
    assert sorted(farthest_points(x.astype(np.float32), 30).tolist()) == list(range(30))
    assert farthest_points(np.zeros((3, 2)), 3, 1).tolist() == [1, 0, 2]  # copies are not chosen twice
    assert farthest_points(np.array([[0], [200], [90]], np.uint8), 3).tolist() == [0, 1, 2]  # 90 - 200 does not wrap
    for bad, match in ((lambda: farthest_points(x, 31), "n is 31"), (lambda: farthest_points(x, 2, -1), "start -1")):
        with pytest.raises(ValueError, match=match):
            bad()
    with jax.debug_nans(False), pytest.raises(ValueError, match="not finite"):
        farthest_points(np.array([[0.0], [np.nan]]), 1)


def test_photographs_are_averages_of_blocks():
    for name in PHOTOGRAPHS:
        picture = photograph(name, 8)
        assert picture.pixels.shape[:2] == (8, 8) and picture.pixels.min() >= 0 and picture.pixels.max() <= 1
        fine = photograph(name, 64, crop=256).pixels
        np.testing.assert_allclose(fine.reshape(8, 8, 8, 8, -1).mean((1, 3)), photograph(name, 8, crop=256).pixels, atol=1e-6)
    for kwargs, match in (({"name": "lena", "size": 8}, "name"), ({"name": "camera", "size": 0}, "size")):
        with pytest.raises(ValueError, match=match):
            photograph(**kwargs)
    with pytest.raises(ValueError, match="crop"):
        photograph("camera", 64, crop=100)


def test_views_over_a_background():
    views = Views(np.array([[[[1.0, 0.0, 0.0, 0.5]]]], np.float32), np.eye(4, dtype=np.float32)[None])
    np.testing.assert_allclose(views.over(1.0)[0, 0, 0], [1, 0.5, 0.5])


def test_images_of_bytes_do_not_wrap_around(as_installed):
    a, b = (np.random.default_rng(seed).integers(0, 256, (1, 12, 12, 1)).astype(np.uint8) for seed in (0, 1))
    wide = a.astype(np.float32), b.astype(np.float32)
    np.testing.assert_allclose(psnr(a, b, peak=255.0), psnr(*wide, peak=255.0), rtol=1e-6)
    np.testing.assert_allclose(ssim(a, b, peak=255.0), ssim(*wide, peak=255.0), rtol=1e-5)
    with pytest.raises(ValueError, match=r"images need \[n, h, w, c\]"):
        ssim(a[0], b[0])


def test_shapes_have_slopes_at_their_middles_and_take_whole_numbers(as_installed):
    middle = jnp.zeros((1, 3))
    for sdf in (sphere_sdf, torus_sdf, lambda x: box_sdf(x, (0.5, 0.5, 0.5))):
        assert np.isfinite(jax.grad(lambda x, sdf=sdf: sdf(x).sum())(middle)).all()
    assert box_sdf(np.zeros((1, 2), int), (0.5, 0.5)).tolist() == [-0.5]
    with jax.debug_nans(False):
        assert np.isnan(box_sdf(jnp.full((1, 2), jnp.nan), (0.5, 0.5))).all()


def test_a_mesh_has_slopes_on_its_surface_and_no_vertices_beyond(as_installed):
    corners = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    slope = jax.grad(lambda x: mesh_sdf(corners, jnp.array([[0, 1, 2]]), x).sum())(jnp.array([[0.2, 0.2, 0.0]]))
    assert np.isfinite(slope).all()
    with pytest.raises(ValueError, match="faces runs from 0 to 3"):
        mesh_sdf(corners, jnp.array([[0, 1, 3]]), jnp.zeros((1, 3)))
    with pytest.raises(ValueError, match="values has shape"):
        marching_cubes(np.ones((2, 2, 1)))


def test_a_pose_of_whole_numbers_keeps_its_rays(as_installed):
    np.testing.assert_array_equal(rays(np.eye(4, dtype=int), (2, 3), 1.5)[1], rays(jnp.eye(4), (2, 3), 1.5)[1])

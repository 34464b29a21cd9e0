"""Images moved by affine maps and homographies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.data.warp import affine_warp, homography_from_points, homography_warp
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(2, 5, 6, 3)).astype(np.float32)


def test_the_identity_and_whole_pixels(images):
    assert_close(affine_warp(images, np.eye(2)), images, 1e-6)
    moved = affine_warp(images, np.eye(2), np.array([1.0, -2.0]), fill=7.0)
    np.testing.assert_allclose(moved[:, :3, 1:], images[:, 2:, :-1], atol=1e-5)
    np.testing.assert_array_equal(moved[:, 3:], 7)
    np.testing.assert_array_equal(moved[:, :, 0], 7)


def test_a_quarter_turn_is_that_of_the_array(images):
    square = images[:, :, :5]
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])  # right becomes up, as y runs down
    assert_close(affine_warp(square, turn), np.rot90(square, 1, (1, 2)), 1e-5)


def test_bilinear_between_pixels():
    image = np.arange(4.0, dtype=np.float32).reshape(1, 2, 2, 1)
    moved = affine_warp(image, np.eye(2), np.array([0.25, 0.0]))
    np.testing.assert_allclose(moved[0, :, :, 0], [[0, 0.75], [1.5, 2.75]], atol=1e-6)


def test_maps_compose_on_a_linear_image():
    y, x = np.meshgrid(np.arange(21) - 10.0, np.arange(21) - 10.0, indexing="ij")
    image = np.stack([x, y], -1)[None].astype(np.float32)
    a, t = np.array([[1.1, 0.2], [-0.1, 0.9]]), np.array([1.0, -0.5])
    b, u = np.array([[0.8, -0.3], [0.2, 1.2]]), np.array([-1.0, 0.25])
    twice = affine_warp(affine_warp(image, b, u), a, t)
    once = affine_warp(image, a @ b, a @ u + t)
    middle = (0, slice(7, 14), slice(7, 14))
    np.testing.assert_allclose(twice[middle], once[middle], atol=1e-4)
    expected = (np.stack([x, y], -1)[middle[1:]] - a @ u - t) @ np.linalg.inv(a @ b).T
    np.testing.assert_allclose(once[middle], expected, atol=1e-4)


def test_one_map_for_each_image(images):
    maps = np.stack([np.eye(2), np.diag([-1.0, 1.0])])
    assert_close(affine_warp(images, maps), np.stack([images[0], images[1, :, ::-1]]), 1e-5)


def test_an_affine_homography_is_the_affine_map(images):
    a, t = np.array([[1.1, 0.2], [-0.1, 0.9]]), np.array([0.5, -0.25])
    h = np.block([[a, t[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])
    for scale in (1, 2, -3):
        assert_close(homography_warp(images, scale * h), affine_warp(images, a, t), 1e-4)


def test_a_homography_takes_its_points_where_it_should():
    draw = np.random.default_rng(1)
    source = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
    target = source + draw.uniform(-0.6, 0.6, (3, 4, 2))
    h = np.asarray(homography_from_points(np.broadcast_to(source, target.shape), target))
    moved = np.einsum("nij,pj->npi", h, np.c_[source, np.ones(4)])
    np.testing.assert_allclose(moved[..., :2] / moved[..., 2:], target, atol=1e-4)
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 2, 2] = 1.0  # at (-2, -2)
    away = homography_from_points(source, source + np.array([[1.0, 0.0], [0, 0], [0, 0], [0, 0]]))
    assert np.unravel_index(np.argmax(homography_warp(image, away)), image.shape)[1:3] == (2, 3)


def test_what_lies_beyond_the_horizon_is_ground():
    tilt = np.array([[1.0, 0, 0], [0, 1, 0], [0.9, 0, 1]])
    moved = homography_warp(np.ones((1, 9, 9, 1), np.float32), tilt, fill=-1.0)
    assert set(np.unique(np.round(moved, 3))) >= {-1.0, 1.0}
    assert np.isfinite(moved).all()


def test_a_map_without_an_inverse_gives_nan_and_leaves_the_others(images):
    with jax.debug_nans(False):
        moved = np.asarray(affine_warp(images[:2], np.stack([np.zeros((2, 2)), np.eye(2)])))
        flat = np.asarray(homography_warp(images[:1], np.ones((3, 3))))
    assert np.isnan(moved[0]).all() and np.isnan(flat).all()
    assert_close(moved[1], images[1], 1e-6)


def test_errors(images, as_installed):
    with pytest.raises(ValueError, match=r"images has shape \(5, 6, 3\)"):
        affine_warp(images[0], np.eye(2))
    with pytest.raises(ValueError, match="matrix has shape"):
        affine_warp(images, np.eye(3))
    with pytest.raises(ValueError, match="shift has shape"):
        affine_warp(images, np.eye(2), np.zeros(3))
    with pytest.raises(ValueError, match="homography has shape"):
        homography_warp(images, np.eye(2))
    with pytest.raises(ValueError, match=r"must be \[..., 4, 2\]"):
        homography_from_points(np.zeros((3, 2)), np.zeros((3, 2)))


def test_degenerate_inputs_dtypes_and_gradients(images):
    small = images[:, :3, :3, :1]

    def warp(x):
        return affine_warp(x, jnp.array([[1.1, 0.2], [-0.1, 0.9]]), jnp.array([0.3, 0.1]))

    assert_degenerate(warp, small)
    assert_dtypes(warp, small - 0.4)
    a = np.array([[1.03, 0.21], [-0.13, 0.93]])
    assert_gradients(lambda a, x: affine_warp(x, a, jnp.array([0.31, 0.17])), a, small, tolerance=1e-4)
    assert jax.jit(warp)(small).dtype == np.float32

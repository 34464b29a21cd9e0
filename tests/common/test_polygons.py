"""Polygons: distances, insides, areas, points on outlines; contours of fields and evenly spaced points on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.fields.contours import contour, evenly_spaced, line_length
from quire.common.fields.polygons import inside_polygon, points_on_polygon, polygon_area, polygon_sdf
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_matches_float64

SHAPES = {
    "square": [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]],
    "arrow": [[-1.0, -1.0], [0.0, -0.5], [1.0, -1.0], [0.0, 1.5]],  # not convex
    "bow": [[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]],  # crosses itself: two triangles by the even-odd rule
}


@pytest.fixture
def x():
    return np.random.default_rng(0).uniform(-2, 2.5, (60, 2))


def by_definition(vertices, x):
    """Distance to every edge, and the winding of angles modulo 2."""
    from matplotlib.path import Path

    distance = np.full(len(x), np.inf)
    for a, b in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        along = np.clip((x - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(x - a - along[:, None] * (b - a), axis=1))
    return distance, Path(vertices).contains_points(x)


@pytest.mark.parametrize("name", SHAPES)
def test_distance_by_definition_and_sign_by_the_even_odd_rule(name, x):
    vertices = np.array(SHAPES[name])
    distance, winds = by_definition(vertices, x)
    inside = np.asarray(inside_polygon(jnp.asarray(vertices), jnp.asarray(x)))
    if name == "bow":
        winds = np.abs(x[:, 1]) < np.abs(x[:, 0])
        winds &= np.abs(x[:, 0]) < 1
    np.testing.assert_array_equal(inside, winds)
    expected = np.where(winds, -distance, distance)
    np.testing.assert_allclose(polygon_sdf(jnp.asarray(vertices), jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)
    turned = polygon_sdf(jnp.asarray(vertices[::-1].copy()), jnp.asarray(x.reshape(3, 20, 2)), batch_size=7)
    np.testing.assert_allclose(turned.reshape(-1), expected, rtol=1e-5, atol=1e-6)


def test_the_slope_is_one_away_from_the_medial_axis(x):
    vertices = jnp.asarray(SHAPES["arrow"])
    slopes = jax.jit(jax.vmap(jax.grad(lambda p: polygon_sdf(vertices, p))))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(np.linalg.norm(slopes, axis=1), 1, rtol=1e-4)
    assert np.isfinite(jax.grad(lambda p: polygon_sdf(vertices, p))(vertices[0])).all()


def test_degenerate_polygons_and_dtypes(x, as_installed):
    vertices = np.array(SHAPES["square"], np.float32)
    assert_degenerate(polygon_sdf, vertices, x[:4].astype(np.float32), scales=(1e-6, 1e6))
    assert_dtypes(polygon_sdf, vertices, x[:4])
    assert_matches_float64(polygon_sdf, vertices + 100, x[:8] + 100)
    with pytest.raises(ValueError, match="v at least 3"):
        polygon_sdf(jnp.zeros((2, 2)), jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match="vertices has shape"):
        polygon_sdf(jnp.zeros((4, 2)), jnp.zeros((1, 3)))


def test_areas_have_the_sense_of_rotation():
    square = np.array(SHAPES["square"])
    assert polygon_area(np.stack([square, square[::-1]])).tolist() == [4.0, -4.0]
    assert_close(polygon_area(jnp.asarray(square)), 4.0, 1e-6)
    assert polygon_area(np.array(SHAPES["arrow"])) == 2.0


def test_points_on_an_outline_are_uniform_with_outward_normals():
    vertices = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0], [0.0, 1.0]])
    points, normals = points_on_polygon(jax.random.key(0), vertices, 4000)
    assert np.abs(polygon_sdf(jnp.asarray(vertices), jnp.asarray(points))).max() < 1e-6
    assert ((normals * (points - [1.5, 0.5])).sum(1) > 0).all()
    assert abs(np.isclose(points[:, 0] % 3, 0).mean() - 0.25) < 0.03  # the short sides have a quarter of the length
    np.testing.assert_array_equal(points, points_on_polygon(jax.random.key(0), vertices, 4000)[0])
    with pytest.raises(ValueError, match="count is 0"):
        points_on_polygon(jax.random.key(0), vertices, 0)
    with pytest.raises(ValueError, match="one point"):
        points_on_polygon(jax.random.key(0), np.ones((3, 2)), 5)


def test_contours_of_two_discs_and_none():
    rows, columns = np.linspace(-2, 2, 81), np.linspace(-1, 1, 41)
    left = np.hypot(rows[:, None] + 1, columns[None]) - 0.5
    right = np.hypot(rows[:, None] - 1, columns[None]) - 0.25
    lines = contour(np.minimum(left, right), (rows, columns))
    assert [round(line_length(line) / np.pi, 2) for line in lines] == [1.0, 0.5]
    np.testing.assert_allclose(lines[0].mean(0), [-1, 0], atol=0.03)
    np.testing.assert_allclose(np.hypot(*(lines[1] - [1, 0]).T), 0.25, atol=2e-3)
    shifted = contour(left, (rows, columns), level=0.1)
    np.testing.assert_allclose(np.hypot(*(shifted[0] + [1, 0]).T), 0.6, atol=2e-3)
    assert contour(left + 9, (rows, columns)) == []


def test_contours_are_refused(as_installed):
    axis = np.arange(3.0)
    with pytest.raises(ValueError, match="axes 3 and 2 numbers"):
        contour(np.zeros((3, 3)), (axis, axis[:2]))
    with pytest.raises(ValueError, match="not finite"):
        contour(np.full((3, 3), np.nan), (axis, axis))


def test_evenly_spaced_points_cover_all_lines():
    circle = np.stack([np.cos(t := np.linspace(0, 2 * np.pi, 500) ** 1.5 / (2 * np.pi) ** 0.5), np.sin(t)], axis=1)
    points = evenly_spaced([circle], 50)
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 2 * np.sin(np.pi / 50), rtol=1e-3)
    both = evenly_spaced([circle, 3 * circle], 40)
    assert (np.linalg.norm(both, axis=1) < 2).sum() == 10
    repeated = evenly_spaced([np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])], 2)
    np.testing.assert_allclose(repeated, [[0.25, 0], [0.75, 0]])
    assert np.isnan(evenly_spaced([], 3)).all()
    with pytest.raises(ValueError, match="count is 0"):
        evenly_spaced([circle], 0)


def test_nowhere_is_at_no_distance():
    square = jnp.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    with jax.debug_nans(False):
        assert jnp.isnan(polygon_sdf(square, jnp.array([jnp.nan, 0.0])))

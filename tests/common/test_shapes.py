"""Drawn shapes: areas, places, colours, labels that tell the image, the correlated set, errors."""

import jax
import numpy as np
import pytest

from quire.common.data.shapes import ATTRIBUTES, ShapeStyle, draw_shapes, shapes

KEY = jax.random.key(0)
PLAIN = ShapeStyle(size=96, jitter=0.0, noise=0.0)


def test_shapes_of_one_radius_have_one_area():
    for radius, expected in enumerate(np.pi * (96 * np.array(PLAIN.radii)) ** 2):
        labels = np.array([[kind, 0, radius, 0] for kind in range(4)])
        areas = draw_shapes(KEY, labels, PLAIN)[..., 0].sum((1, 2)) / PLAIN.colours[0][0]
        inside = slice(0, 4) if radius < 2 else slice(0, 2)  # the largest triangle and cross may touch the border
        np.testing.assert_allclose(areas[inside], expected, rtol=0.02)


def test_kinds_differ_and_are_what_they_are_called():
    style = ShapeStyle(size=96, centres=((0.5, 0.5),), jitter=0.0, noise=0.0)
    disc, square, triangle, cross = draw_shapes(KEY, np.array([[kind, 0, 2, 0] for kind in range(4)]), style)[..., 0] > 0.45
    for one in (disc, square, cross):
        for turned in (one[::-1], one[:, ::-1], one.T):
            assert (one == turned).all()
    assert (triangle == triangle[:, ::-1]).all() and not (triangle == triangle[::-1]).all()
    widths = triangle.sum(1)
    assert (np.diff(widths[widths > 0]) >= 0).all()  # apex above
    assert set(square.sum(1)) == {0, square.sum(1).max()}
    assert len(set(cross.sum(1)) - {0}) == 2
    assert disc[48].sum() == pytest.approx(2 * 96 * 5 / 24, abs=1)


def test_colour_and_position_are_those_of_the_label():
    labels = np.array([[0, colour, 1, place] for colour in range(4) for place in range(4)])
    for image, (_, colour, _, place) in zip(draw_shapes(KEY, labels, PLAIN), labels, strict=True):
        x, y = PLAIN.centres[place]
        np.testing.assert_allclose(image[int(96 * y), int(96 * x)], PLAIN.colours[colour], rtol=1e-6)
        rows, columns = np.nonzero(image.any(-1))
        assert abs(rows.mean() - 96 * y) < 1 and abs(columns.mean() - 96 * x) < 1


def test_jitter_and_noise_have_their_size():
    style = ShapeStyle(size=48, kinds=("disc",), radii=(0.1,), centres=((0.5, 0.5),), noise=0.0, jitter=0.1)
    images = draw_shapes(KEY, np.zeros((200, 4), int), style)[..., 0]
    across = (images * (np.arange(48) + 0.5)).sum((1, 2)) / images.sum((1, 2)) / 48 - 0.5
    assert 0.09 < np.abs(across).max() <= 0.1 + 1e-3 and abs(across.mean()) < 0.02
    empty = draw_shapes(KEY, np.zeros((1, 4), int), ShapeStyle(background=0.3, noise=0.2))[0, 12:]
    assert empty.mean() == pytest.approx(0.3, abs=0.03) and empty.std() == pytest.approx(0.2, abs=0.02)


def test_attributes_are_uniform_and_independent_unless_asked():
    style = ShapeStyle(size=2)
    labels = shapes(KEY, 6000, style).labels
    assert labels.dtype == np.int32
    for column, count in zip(labels.T, style.classes, strict=True):
        np.testing.assert_allclose(np.bincount(column, minlength=count) / 6000, 1 / count, atol=0.03)
    assert np.abs(np.corrcoef(labels.T) - np.eye(len(ATTRIBUTES))).max() < 0.05
    for share in (0.5, 1.0):
        labels = shapes(KEY, 6000, style, correlation=share).labels
        assert np.mean(labels[:, 0] == labels[:, 1]) == pytest.approx(share + (1 - share) / 4, abs=0.03)


def test_same_key_same_images():
    one, same, other = (shapes(jax.random.key(seed), 5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.images, same.images)
    assert one.images.dtype == np.float32 and not np.array_equal(one.images, other.images)
    assert shapes(KEY, 0).images.shape == (0, 24, 24, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shapes(KEY, -1), "n is -1"),
        (lambda: shapes(KEY, 2, correlation=1.5), "correlation is 1.5"),
        (lambda: draw_shapes(KEY, np.zeros((2, 3), int)), "labels has shape"),
        (lambda: draw_shapes(KEY, np.array([[0, 4, 0, 0]])), "label of colour runs from 4"),
        (lambda: draw_shapes(KEY, np.array([[0, 0, -1, 0]])), "label of size runs from -1"),
        (lambda: draw_shapes(KEY, np.zeros((2, 4))), "float64"),
        (lambda: ShapeStyle(kinds=("star",)), "'star' is none of"),
        (lambda: ShapeStyle(size=0), "size is 0"),
        (lambda: ShapeStyle(radii=(0.1, 0.0)), "radii is"),
        (lambda: ShapeStyle(noise=float("nan")), "noise nan"),
        (lambda: ShapeStyle(colours=()), "number of colours is 0"),
        (lambda: ShapeStyle(centres=((0.5,),)), "centres is"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()

"""Encodings, hash grids, dense grids, neighbours: against definitions by loops, and where they may not be asked."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import KDTree
from scipy.special import sph_harm_y

from quire.common.fields.encodings import frequency_encoding, sh_encoding
from quire.common.fields.grids import sample_grid, vm_features
from quire.common.fields.hash_grid import PRIMES, hash_corners, hash_encode, hash_levels, interpolate
from quire.common.fields.neighbours import nearest

RNG = np.random.default_rng(0)


def encode_by_loops(table, x, levels):
    """One point and one corner at a time, with Python's integers."""
    out = []
    for point in x:
        features = []
        for scale, side, entries, offset in zip(levels.scales, levels.sides, levels.entries, levels.offsets[:-1], strict=True):
            position = point * scale + (0 if levels.align_corners else 0.5)
            total = np.zeros(table.shape[1])
            for corner in itertools.product((0, 1), repeat=levels.dim):
                node = [int(np.floor(p)) + c for p, c in zip(position, corner, strict=True)]
                weights = [p - np.floor(p) if c else 1 - p + np.floor(p) for p, c in zip(position, corner, strict=True)]
                if side**levels.dim <= entries:
                    row = sum(n * side**axis for axis, n in enumerate(node))
                else:
                    row = 0
                    for n, prime in zip(node, PRIMES, strict=False):
                        row ^= n * prime % 2**32
                total += np.prod(weights) * table[offset + row % entries]
            features.append(total)
        out.append(np.concatenate(features))
    return np.array(out)


@pytest.mark.parametrize(("dim", "align_corners"), [(1, False), (2, True), (3, False), (3, True)])
def test_hash_encoding_by_definition(dim, align_corners):
    levels = hash_levels(4, 3, 17, 6, dim, align_corners=align_corners)
    table, x = RNG.normal(size=(levels.size, 2)), RNG.random((9, dim))
    assert any(side**dim > rows for side, rows in zip(levels.sides, levels.entries, strict=True)) == (dim > 1)
    with jax.enable_x64():
        found = hash_encode(jnp.asarray(table), jnp.asarray(x), levels)
        corners = hash_corners(jnp.asarray(x), levels)
        np.testing.assert_allclose(interpolate(jnp.asarray(table), corners), found, rtol=1e-14)
    np.testing.assert_allclose(found, encode_by_loops(table, x, levels), rtol=1e-12)


def test_no_points_have_no_features():
    levels = hash_levels(2, 4, 8, 6, 2)
    assert hash_encode(jnp.ones((levels.size, 3)), jnp.ones((0, 2)), levels).shape == (0, 6)


def test_hash_levels_know_their_rows():
    levels = hash_levels(3, 4, 16, 8, 2)
    assert levels.entries == (32, 88, 256) and levels.offsets == (0, 32, 120, 376) and levels.size == 376
    assert hash_levels(1, 4, 16, 8, 2).scales == (3.0,)


def test_outside_the_cube_is_zero_and_its_border_is_inside():
    levels = hash_levels(2, 4, 9, 5, 2)
    x = jnp.array([[0.0, 1.0], [1.0, 1.0], [-1e-3, 0.5], [0.5, 1.001], [-40.0, 7.0]])
    np.testing.assert_allclose(hash_encode(jnp.ones((levels.size, 1)), x, levels).sum(1), [2, 2, 0, 0, 0], rtol=1e-5)


def test_gradients_of_a_hash_grid():
    levels = hash_levels(2, 4, 9, 5, 2)
    table, x = jnp.asarray(RNG.normal(size=(levels.size, 1)), jnp.float32), jnp.asarray(RNG.random((5, 2)), jnp.float32)
    gradient = jax.grad(lambda t: hash_encode(t, x, levels).sum())(table)
    np.testing.assert_allclose(gradient.sum(), 10, rtol=1e-5)  # weights of a level add up to 1
    corners = hash_corners(x, levels)
    np.testing.assert_allclose(gradient[:, 0], np.bincount(corners.index.ravel(), corners.weight.ravel(), levels.size), atol=1e-5)


def test_hash_grid_errors():
    levels = hash_levels(2, 4, 9, 5, 2)
    for kwargs, name in (({"levels": 0}, "levels"), ({"finest": 3}, "finest"), ({"dim": 4}, "dim"), ({"log2_size": 2}, "log2")):
        with pytest.raises(ValueError, match=name):
            hash_levels(**{"levels": 2, "base": 4, "finest": 9, "log2_size": 5, "dim": 2} | kwargs)
    with pytest.raises(ValueError, match="rows"):
        hash_encode(jnp.ones((levels.size + 1, 1)), jnp.ones((1, 2)), levels)
    with pytest.raises(ValueError, match="coordinates"):
        hash_encode(jnp.ones((levels.size, 1)), jnp.ones((1, 3)), levels)


def test_spherical_harmonics_are_those_of_scipy():
    v = RNG.normal(size=(20, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    polar, azimuth = np.arccos(v[:, 2]), np.arctan2(v[:, 1], v[:, 0])
    with jax.enable_x64():
        found = np.asarray(sh_encoding(jnp.asarray(v), 4))
    place = 0
    for order in range(4):
        for m in range(-order, order + 1):
            value = sph_harm_y(order, abs(m), polar, azimuth)
            # the phase (-1)^m of SciPy's functions is part of the signs of radiance fields
            expected = value.real if m == 0 else 2**0.5 * (value.imag if m < 0 else value.real)
            np.testing.assert_allclose(found[:, place], expected, atol=1e-12, err_msg=f"{order}, {m}")
            place += 1
    assert sh_encoding(jnp.asarray(v), 2).shape == (20, 4)
    with pytest.raises(ValueError, match="degree"):
        sh_encoding(jnp.ones((1, 3)), 5)


def test_frequencies_are_in_order():
    x = jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32)
    expected = np.concatenate([x, np.sin(x), np.cos(x), np.sin(2 * x), np.cos(2 * x)], axis=1)
    np.testing.assert_allclose(frequency_encoding(x, 2), expected, rtol=1e-5)
    np.testing.assert_allclose(frequency_encoding(x, 2, include_input=False), expected[:, 2:], rtol=1e-5)
    with pytest.raises(ValueError, match="octaves"):
        frequency_encoding(x, 0, include_input=False)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_dense_grid_is_that_of_scipy(dim):
    sizes = (4, 3, 5)[:dim]
    values, x = RNG.normal(size=(*sizes, 2)), RNG.uniform(-1, 1, (20, dim))
    axes = [np.linspace(-1, 1, size) for size in sizes]
    with jax.enable_x64():
        found = sample_grid(jnp.asarray(values), jnp.asarray(x))
        border = sample_grid(jnp.asarray(values), jnp.asarray(3 * x), outside="border")
    np.testing.assert_allclose(found, RegularGridInterpolator(axes, values)(x), atol=1e-12)
    np.testing.assert_allclose(border, RegularGridInterpolator(axes, values)(np.clip(3 * x, -1, 1)), atol=1e-12)
    np.testing.assert_array_equal(sample_grid(jnp.asarray(values), jnp.full((1, dim), 9.0)), 0)


def test_planes_times_lines():
    x = jnp.asarray(RNG.uniform(-1, 1, (7, 3)), jnp.float32)
    planes = tuple(jnp.asarray(RNG.normal(size=(4, 4, rank)), jnp.float32) for rank in (1, 2, 3))
    lines = tuple(jnp.asarray(RNG.normal(size=(4, rank)), jnp.float32) for rank in (1, 2, 3))
    found = vm_features(planes, lines, x)
    # the product of a plane and a line is a dense grid of the outer product's separable interpolation
    second = sample_grid(planes[1], x[:, [0, 2]]) * sample_grid(lines[1], x[:, [1]])
    assert found.shape == (7, 6)
    np.testing.assert_allclose(found[:, 1:3], second, rtol=1e-6)
    with pytest.raises(ValueError, match="three"):
        vm_features(planes[:2], lines, x)
    with pytest.raises(ValueError, match="axes"):
        sample_grid(planes[0], x)
    with pytest.raises(ValueError, match="outside"):
        sample_grid(planes[0], x[:, :2], outside="wrap")


@pytest.mark.parametrize("block", [None, 7])
def test_nearest_is_that_of_a_tree(block):
    x, centres = RNG.normal(size=(30, 3)).astype(np.float32) + 100, RNG.normal(size=(12, 3)).astype(np.float32) + 100
    squared, index = nearest(x, centres, 4, block)
    distances, expected = KDTree(centres.astype(float)).query(x.astype(float), 4)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(squared, distances**2, rtol=1e-4)


def test_nearest_on_a_lattice_takes_the_first_of_equals():
    lattice = np.stack(np.meshgrid(np.arange(3), np.arange(3), indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    index = nearest(lattice, lattice, 3, 2)[1]
    squared = ((lattice[:, None] - lattice[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(index, np.argsort(squared, axis=1, kind="stable")[:, :3])
    assert nearest(lattice, lattice, 9)[1].shape == (9, 9)
    for kwargs, name in (({"k": 10}, "k is"), ({"k": 0}, "k is"), ({"k": 1, "block": 0}, "block")):
        with pytest.raises(ValueError, match=name):
            nearest(lattice, lattice, **kwargs)


def test_a_place_that_is_nan_has_no_features():
    levels, table = hash_levels(2, 4, 8, 6, 2), np.ones((2, 3), np.float32)
    x = jnp.array([[jnp.nan, 0.5], [0.5, 0.5], [2.0, 0.5]])
    with jax.debug_nans(False):
        assert np.isnan(hash_encode(jnp.ones((levels.size, 1)), x, levels)).any(1).tolist() == [True, False, False]
        for outside in ("zero", "border"):
            assert np.isnan(sample_grid(table, x[:, :1], outside=outside)).all(1).tolist() == [True, False, False]


def test_grids_and_neighbours_of_bytes(as_installed):
    np.testing.assert_array_equal(sample_grid(np.arange(3)[:, None], np.array([[0], [1]]))[:, 0], [1, 2])
    with pytest.raises(ValueError, match="each needs a node"):
        sample_grid(jnp.ones((0, 1)), jnp.zeros((1, 1)))
    squared, index = nearest(np.array([[3]], np.uint8), np.array([[250], [9]], np.uint8), 1)
    assert (squared.item(), index.item()) == (36, 1)

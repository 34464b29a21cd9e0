"""Photographs with a lens, cameras from projection matrices, whole views of what was learned."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.fox_scene import nerf_fox, straightened
from quire.common.data.idr_scenes import camera_of, read_idr_scene, replica_scan
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.fields.cameras import rays
from quire.common.fields.orbits import look_at
from quire.common.fields.view_rendering import render_views

LENS = {"fl_x": 20.0, "fl_y": 20.0, "cx": 8.0, "cy": 6.0, "k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0}


def test_an_ideal_lens_changes_nothing_and_others_move_pixels_as_opencv_says():
    images = np.random.default_rng(0).random((2, 12, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(straightened(images, LENS), images, atol=1e-6)
    row, column = np.mgrid[:12, :16] + 0.5
    places = np.stack([row, column, row], -1)[None]
    lens = LENS | {"fl_x": 16.0, "cx": 8.5, "k1": 0.1, "k2": -0.05, "p1": 0.01, "p2": -0.02}
    found = straightened(places, lens)
    x, y = (10.5 - 8) / 16, (4.5 - 6) / 16
    r2 = x * x + y * y
    radial = 1 + 0.1 * r2 - 0.05 * r2**2
    u = (x * radial + 2 * 0.01 * x * y - 0.02 * (r2 + 2 * x * x)) * 16 + 8.5
    v = (y * radial + 0.01 * (r2 + 2 * y * y) - 2 * 0.02 * x * y) * 20 + 6
    np.testing.assert_allclose(found[0, 4, 10], [v, u, v], rtol=1e-5)


def test_fox(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="distance is 0"):
        nerf_fox(distance=0.0)
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="nerf-fox"):
        nerf_fox()


INNER = np.array([[30.0, 0, 8], [0, 30.0, 6], [0, 0, 1]])


def projection(pose: np.ndarray) -> np.ndarray:
    """`K [R | t]` of a camera that looks along +z, y down."""
    world_to_camera = np.linalg.inv(pose @ np.diag([1.0, -1, -1, 1]))
    return INNER @ world_to_camera[:3]


@pytest.mark.parametrize("scale", [1.0, -2.5])
def test_cameras_come_back_from_their_projections(scale):
    """And a point on the ray of a pixel is projected onto that pixel."""
    pose = look_at(np.array([[2.0, 1.0, 0.5]]))[0]
    inner, found = camera_of(scale * projection(pose))
    np.testing.assert_allclose(inner, INNER, atol=1e-9)
    np.testing.assert_allclose(found, pose, atol=1e-9)
    origins, directions = (np.asarray(a, float) for a in rays(jnp.asarray(found, jnp.float32), (12, 16), 30.0))
    point = origins[37] + 3 * directions[37]
    seen = projection(pose) @ np.append(point, 1)
    np.testing.assert_allclose(seen[:2] / seen[2], [37 % 16 + 0.5, 37 // 16 + 0.5], atol=1e-3)
    with pytest.raises(DatasetCorrupt, match="no centre"):
        camera_of(np.zeros((3, 4)))


def test_a_folder_of_views(tmp_path, monkeypatch):
    from PIL import Image

    poses = look_at(np.random.default_rng(0).normal(size=(9, 3)))
    scale = np.diag([2.0, 2, 2, 1])
    arrays = {}
    for i, pose in enumerate(poses):
        outer = pose.copy()
        outer[:3, 3] *= 2  # the world is twice the unit cube
        world = np.eye(4)
        world[:3] = projection(outer)
        arrays |= {f"world_mat_{i}": world, f"scale_mat_{i}": scale}
        Image.fromarray(np.full((12, 16, 3), i, np.uint8)).save(tmp_path / f"{i:06d}_rgb.png")
    np.savez(tmp_path / "cameras.npz", **arrays)
    scene = read_idr_scene(tmp_path, "room")
    assert scene.name == "room, 12 x 16" and scene.train.images.shape == (7, 12, 16, 4)
    np.testing.assert_allclose(scene.test.poses, poses[[0, 8]], atol=1e-5)
    np.testing.assert_allclose(scene.train.images[0, 0, 0], [1 / 255] * 3 + [1])
    np.testing.assert_allclose(scene.focal, 30, rtol=1e-6)
    np.savez(tmp_path / "cameras.npz", **{name: x for name, x in arrays.items() if name != "scale_mat_3"})
    with pytest.raises(DatasetCorrupt, match="scale_mat_3"):
        read_idr_scene(tmp_path, "room")
    arrays["world_mat_2"] = arrays["world_mat_2"] * np.array([[2.0], [1], [1], [1]])
    np.savez(tmp_path / "cameras.npz", **arrays)
    with pytest.raises(DatasetCorrupt, match="differ"):
        read_idr_scene(tmp_path, "room")
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="replica-scans"):
        replica_scan("scan1")


class Tint(nnx.Module):
    """A colour for all rays."""

    def __init__(self, value: float):
        self.value = nnx.Param(jnp.asarray(value))


def test_views_are_rays_in_order():
    traced = []

    def look(model, origins, directions):
        traced.append(None)
        return directions, model.value[...] * jnp.ones(len(origins))

    poses = look_at(np.array([[2.0, 0, 1], [0, 3.0, 1]])).astype(np.float32)
    for value in (0.25, 0.75):
        directions, grey = render_views(look, Tint(value), poses, (3, 4), 5.0)
        assert directions.shape == (2, 3, 4, 3) and (grey == value).all() and grey.shape == (2, 3, 4)
        np.testing.assert_allclose(directions[1].reshape(-1, 3), rays(jnp.asarray(poses[1]), (3, 4), 5.0)[1], atol=1e-6)
    assert len(traced) == 1
    with pytest.raises(ValueError, match="number of poses is 0"):
        render_views(look, Tint(0.0), poses[:0], (3, 4), 5.0)

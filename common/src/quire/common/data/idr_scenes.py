"""Scenes whose cameras are projection matrices, as IDR, NeuS and MonoSDF keep them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from quire.common.data.archives import read_npz
from quire.common.data.registry import provided
from quire.common.data.scenes import Scene, Views
from quire.common.errors import DatasetCorrupt

HELD_OUT = 8
"""Every eighth view is for the test."""


def replica_scan(name: str) -> Scene:
    """A room of Replica as MonoSDF prepared it, inside `[-1, 1]^3`; the first of every eight views for the test.

    Raises:
        DatasetUnavailable: if it is not here.
        DatasetCorrupt: if views or cameras are missing, or their cameras differ or are off the middle of the image.
    """
    return read_idr_scene(Path(provided("replica-scans", name)), f"Replica {name}")


def read_idr_scene(folder: Path, name: str, *, pattern: str = "*_rgb.png") -> Scene:
    """A folder with `cameras.npz` (`world_mat_i`, and `scale_mat_i` that maps the unit cube to the world) and an image each.

    Args:
        folder: where they are.
        name: for tables.
        pattern: of the images, in the order of the cameras.

    Raises:
        DatasetCorrupt: as for `replica_scan`.
    """
    from PIL import Image

    arrays = read_npz(folder / "cameras.npz")
    files = sorted(folder.glob(pattern))
    missing = [f"{kind}_mat_{i}" for i in range(len(files)) for kind in ("world", "scale") if f"{kind}_mat_{i}" not in arrays]
    if not files or missing:
        raise DatasetCorrupt(f"{folder} has {len(files)} images {pattern}, and cameras.npz lacks {missing[:2]}")
    try:
        images = np.stack([np.asarray(Image.open(file).convert("RGB"), np.float32) / 255 for file in files])
    except (OSError, ValueError) as error:
        raise DatasetCorrupt(f"{folder} holds an image that cannot be read or has another size ({error})") from None
    projections = [(arrays[f"world_mat_{i}"] @ arrays[f"scale_mat_{i}"])[:3] for i in range(len(files))]
    inner, poses = (np.stack(found) for found in zip(*map(camera_of, projections), strict=True))
    height, width = images.shape[1:3]
    ideal = np.array([[inner[0, 0, 0], 0, width / 2], [0, inner[0, 0, 0], height / 2], [0, 0, 1]])
    if not np.abs(inner - ideal[None]).max() <= 0.02 * width:
        raise DatasetCorrupt(f"{folder} has cameras that differ, or whose axis misses the middle of the image")
    views = np.concatenate([images, np.ones_like(images[..., :1])], axis=-1)
    held = np.arange(len(views)) % HELD_OUT == 0
    poses = poses.astype(np.float32)
    title = f"{name}, {height} x {width}"
    return Scene(title, Views(views[~held], poses[~held]), Views(views[held], poses[held]), float(inner[0, 0, 0]))


def camera_of(projection: Float[np.ndarray, "3 4"]) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """The inner matrix and the camera-to-world pose of `K [R | t]`, whatever its scale; the pose looks along its -z axis.

    Raises:
        DatasetCorrupt: if the matrix is that of no camera.
    """
    from scipy.linalg import rq

    projection = np.asarray(projection, float)
    if projection.shape != (3, 4) or not abs(np.linalg.det(projection[:, :3])) > 0:
        raise DatasetCorrupt(f"projection has shape {projection.shape} or no centre; a camera is a regular [3, 4]")
    inner, turn = rq(projection[:, :3] * np.sign(np.linalg.det(projection[:, :3])))
    signs = np.diag(np.sign(np.diag(inner)))
    inner, turn = inner @ signs, signs @ turn
    pose = np.eye(4)
    pose[:3, :3] = turn.T @ np.diag([1.0, -1.0, -1.0])  # their cameras look along +z, y down
    pose[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
    return inner / inner[2, 2], pose

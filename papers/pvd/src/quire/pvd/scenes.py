"""The scene of a preset."""

import json
from pathlib import Path

import numpy as np

from quire.common.data.blob_scene import blob_scene
from quire.common.data.registry import provided
from quire.common.data.scene_sizes import coarser
from quire.common.data.scenes import Scene, Views, nerf_lego
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt
from quire.pvd.config import SceneConfig

FULL = "NeRF-Synthetic at 800 x 800"


def open_scene(config: SceneConfig) -> Source[Scene]:
    """The scene that a preset names, its lengths scaled to `[-1, 1]^3`.

    The full views must be there. In place of the small ones, Gaussian blobs are shown where the file is missing.

    Raises:
        DatasetUnavailable: if the full views are asked for and not here.
        ValueError: if the factor does not divide the size of the views, or the small views of another scene are asked for.
    """
    if config.full:
        return open_or(lambda: coarser(nerf_synthetic(config.name), config.factor, distance=config.distance))
    if config.name != "lego":
        raise ValueError(f"name is {config.name!r}; only lego comes in small views")
    return open_or(
        lambda: coarser(nerf_lego(), config.factor, distance=config.distance),
        lambda: coarser(blob_scene(size=100), config.factor, distance=1.0),
        stand_in_for=FULL,
    )


def nerf_synthetic(name: str) -> Scene:
    """A scene of NeRF-Synthetic as it is published: `<name>/transforms_train.json`, `transforms_test.json` and PNG images.

    Raises:
        DatasetUnavailable: if it is not here.
        DatasetCorrupt: if a list of cameras lacks what it should hold.
    """
    folder = Path(provided("nerf-synthetic", name))
    (train, angle), (test, _) = (_read_split(folder, split) for split in ("train", "test"))
    return Scene(f"NeRF-Synthetic {name}, 800 x 800", train, test, 0.5 * train.images.shape[2] / np.tan(angle / 2))


def _read_split(folder: Path, split: str) -> tuple[Views, float]:
    from PIL import Image

    path = folder / f"transforms_{split}.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        poses = np.array([frame["transform_matrix"] for frame in listed["frames"]], np.float32)
        files, angle = [folder / f"{frame['file_path']}.png" for frame in listed["frames"]], float(listed["camera_angle_x"])
        images = np.stack([np.asarray(Image.open(file).convert("RGBA"), np.float32) / 255 for file in files])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetCorrupt(f"{path} holds no cameras with an image each ({error})") from None
    return Views(images, poses), angle

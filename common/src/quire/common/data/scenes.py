"""Views of scenes with their cameras."""

from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


@dataclass(frozen=True)
class Views:
    """Photographs of a scene.

    Attributes:
        images: float32 `[n, height, width, 4]` in 0..1, the last channel opacity.
        poses: camera to world, float32 `[n, 4, 4]`; cameras look along their -z axis.
    """

    images: np.ndarray
    poses: np.ndarray

    def over(self, background: float = 1.0) -> np.ndarray:
        """Colours `[n, height, width, 3]` over a background of one grey."""
        opacity = self.images[..., 3:]
        return self.images[..., :3] * opacity + background * (1 - opacity)


@dataclass(frozen=True)
class Scene:
    """Views for training and test.

    Attributes:
        name: what to call it in a table.
        train, test: the views.
        focal: focal length in pixels.
    """

    name: str
    train: Views
    test: Views
    focal: float


def nerf_lego() -> Scene:
    """The synthetic Lego digger at 100 x 100 pixels: 100 views for training, 20 for the test, cameras about 4 from the origin.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    arrays = read_npz(fetch("nerf-lego-100", "lego_100.npz"))
    views = [
        Views(arrays[f"{split}_images"].astype(np.float32) / 255, arrays[f"{split}_poses"].astype(np.float32))
        for split in ("train", "test")
    ]
    if any(len(v.images) != len(v.poses) or v.images.shape[-1] != 4 or v.poses.shape[1:] != (4, 4) for v in views):
        raise DatasetCorrupt("lego_100.npz holds no RGBA images with a pose each")
    return Scene("NeRF-Synthetic lego, 100 x 100", *views, float(arrays["focal"]))

"""Photographs of a fox that a person walked around, as views of an ideal camera."""

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_positive
from quire.common.data.archives import read_npz
from quire.common.data.registry import fetch
from quire.common.data.scenes import Scene, Views
from quire.common.errors import DatasetCorrupt

NAMES = ("images", "poses", "fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2")
HELD_OUT = 8
"""Every eighth photograph is for the test."""


def nerf_fox(*, distance: float = 0.165) -> Scene:
    """Fifty phone photographs at 240 x 135 pixels: their lens undone, the first of every eight for the test.

    Args:
        distance: all lengths are multiplied by it; the default brings the scene into `[-1, 1]^3`, the cameras inside it.

    Raises:
        ValueError: if the distance is not positive.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    check_positive("distance", distance)
    arrays = read_npz(fetch("nerf-fox", "fox_8x.npz"))
    if missing := [name for name in NAMES if name not in arrays]:
        raise DatasetCorrupt(f"fox_8x.npz lacks {', '.join(missing)}")
    lens = {name: float(arrays[name]) for name in NAMES[2:]}
    images = straightened(arrays["images"].astype(np.float32) / 255, lens)
    views = np.concatenate([images, np.ones_like(images[..., :1])], axis=-1)
    poses = np.array(arrays["poses"], np.float32)
    poses[:, :3, 3] *= distance
    held = np.arange(len(views)) % HELD_OUT == 0
    height, width = images.shape[1:3]
    name = f"fox, {height} x {width} photographs"
    return Scene(name, Views(views[~held], poses[~held]), Views(views[held], poses[held]), lens["fl_x"])


def straightened(images: Float[np.ndarray, "n h w 3"], lens: dict[str, float]) -> Float[np.ndarray, "n h w 3"]:
    """Images as a camera without distortion takes them, its focal length `fl_x` and its axis through the middle of the image.

    Every pixel of the result is looked up, between four pixels, where the lens puts its ray: for `x, y` on the plane at distance
    1 and `r^2 = x^2 + y^2`, at `x (1 + k1 r^2 + k2 r^4) + 2 p1 x y + p2 (r^2 + 2 x^2)`, and `y` alike.

    Args:
        images: as photographed.
        lens: `fl_x`, `fl_y`, `cx`, `cy` in pixels, `k1`, `k2`, `p1`, `p2`.
    """
    from scipy.ndimage import map_coordinates

    height, width = images.shape[1:3]
    row, column = np.mgrid[:height, :width] + 0.5
    x, y = (column - width / 2) / lens["fl_x"], (row - height / 2) / lens["fl_x"]
    r2 = x**2 + y**2
    radial = 1 + lens["k1"] * r2 + lens["k2"] * r2**2
    seen_x = x * radial + 2 * lens["p1"] * x * y + lens["p2"] * (r2 + 2 * x**2)
    seen_y = y * radial + lens["p1"] * (r2 + 2 * y**2) + 2 * lens["p2"] * x * y
    places = np.stack([seen_y * lens["fl_y"] + lens["cy"] - 0.5, seen_x * lens["fl_x"] + lens["cx"] - 0.5])
    found = np.empty(images.shape, np.float32)
    for image, result in zip(images, found, strict=True):
        for channel in range(images.shape[-1]):
            result[..., channel] = map_coordinates(image[..., channel], places, order=1, mode="nearest")
    return found

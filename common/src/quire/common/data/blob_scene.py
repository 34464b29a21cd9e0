"""A scene of glowing Gaussian blobs, rendered exactly: views for radiance fields without a file."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.data.scenes import Scene, Views
from quire.common.fields.orbits import look_at


class Blobs(NamedTuple):
    """Fog whose density is a sum of Gaussians, each of one colour.

    Attributes:
        centers: `[k, 3]`.
        widths: standard deviations `[k]`.
        density: in the middle of each `[k]`, in units of 1 / length.
        colours: `[k, 3]`.
    """

    centers: np.ndarray
    widths: np.ndarray
    density: np.ndarray
    colours: np.ndarray


def look_through(
    blobs: Blobs, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], steps: int = 512
) -> Float[np.ndarray, "n 4"]:
    """Colour and opacity that rays see.

    What lies between two places of a ray is exact, differences of error functions; the colour is the mean, weighted by them, of
    the light of `steps` short pieces.

    Args:
        blobs: the scene.
        origins, directions: of the rays; unit directions.
        steps: pieces of a ray, within five widths of a blob.

    Returns:
        Red, green, blue (not multiplied by the opacity), opacity.
    """
    from scipy.special import erf

    to_center = blobs.centers[None] - origins[:, None]
    along = np.einsum("nkd,nd->nk", to_center, directions)
    aside = np.maximum((to_center**2).sum(-1) - along**2, 0)
    strength = blobs.density[None] * np.exp(-aside / (2 * blobs.widths[None] ** 2)) * blobs.widths[None] * np.sqrt(np.pi / 2)
    reach = 5 * blobs.widths[None]
    near, far = np.maximum((along - reach).min(1), 0), np.maximum((along + reach).max(1), 0)
    edges = near[:, None] + np.linspace(0, 1, steps + 1)[None] * (far - near)[:, None]
    place = (edges[:, :, None] - along[:, None]) / (np.sqrt(2) * blobs.widths[None, None])
    depths = strength[:, None] * np.diff(erf(place), axis=1)  # optical depth of every piece and blob
    depth = depths.sum(2)
    before = np.cumsum(depth, axis=1) - depth
    light = np.exp(-before) * -np.expm1(-depth) / np.maximum(depth, 1e-30)
    colour = np.einsum("ns,nsk,kc->nc", light, depths, blobs.colours)
    opacity = -np.expm1(-depth.sum(1))
    return np.concatenate([colour / np.maximum(opacity, 1e-12)[:, None], opacity[:, None]], axis=1)


def blob_scene(*, views: int = 100, tests: int = 20, size: int = 50, blobs: int = 6, seed: int = 0) -> Scene:
    """Views of blobs within `[-1, 1]^3` from cameras four units away, as those of `nerf_lego` are.

    Args:
        views, tests: for training and test.
        size: height and width in pixels.
        blobs: how many.
        seed: of the scene and its cameras.

    Raises:
        ValueError: if a size is not positive.

    >>> blob_scene(views=2, tests=1, size=4).train.images.shape
    (2, 4, 4, 4)
    """
    for name, value in (("views", views), ("tests", tests), ("size", size), ("blobs", blobs)):
        check_at_least(name, value)
    draw = np.random.default_rng(seed)
    scene = Blobs(
        draw.uniform(-0.6, 0.6, (blobs, 3)),
        draw.uniform(0.12, 0.3, blobs),
        draw.uniform(4, 20, blobs),
        draw.uniform(0.05, 0.95, (blobs, 3)),
    )
    focal = 1.39 * size  # the field of view of the synthetic scenes
    height = draw.uniform(0.1, 0.9, views + tests)
    angle = draw.uniform(0, 2 * np.pi, views + tests)
    level = np.sqrt(1 - height**2)
    poses = look_at(4 * np.stack([level * np.cos(angle), level * np.sin(angle), height], axis=1))
    images = np.stack([_photograph(scene, pose, size, focal) for pose in poses]).astype(np.float32)
    poses = poses.astype(np.float32)
    train, test = Views(images[:views], poses[:views]), Views(images[views:], poses[views:])
    return Scene(f"{blobs} Gaussian blobs, {size} x {size}", train, test, focal)


def _photograph(scene: Blobs, pose: np.ndarray, size: int, focal: float) -> np.ndarray:
    row, column = np.mgrid[:size, :size] + 0.5
    local = np.stack([(column - size / 2) / focal, (size / 2 - row) / focal, np.full_like(row, -1)], axis=-1).reshape(-1, 3)
    world = local @ pose[:3, :3].T
    world /= np.linalg.norm(world, axis=1, keepdims=True)
    seen = look_through(scene, np.broadcast_to(pose[None, :3, 3], world.shape), world, steps=64)
    return np.clip(seen, 0, 1).reshape(size, size, 4)

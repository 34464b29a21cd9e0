"""Cameras drawn on a sphere around a scene."""

import jax
import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least, check_positive
from quire.common.random import generator

STRATA = 80
"""Elevations 0 to 79 degrees, one stratum a degree."""


def look_at(positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4 4"]:
    """Camera-to-world poses of cameras that look at the origin, z being up; a camera looks along its -z axis.

    Raises:
        ValueError: for a camera in the origin or straight above it, where up has no meaning.

    >>> look_at(np.array([[2.0, 0.0, 0.0]]))[0, :3, :3].round(3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    positions = np.asarray(positions, float)
    if not (np.linalg.norm(positions[:, :2], axis=1) > 0).all():
        raise ValueError("positions has one on the vertical axis; a camera there has no upright view of the origin")
    back = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3] = np.stack([right, np.cross(back, right), back, positions], axis=-1)
    return poses


def orbit_poses(key: jax.Array, n: int, radius: float = 4.0) -> Float[np.ndarray, "n 4 4"]:
    """Random cameras above the horizon that look at the origin.

    The elevation is a whole number of degrees a from 0 to 79 with probability proportional to `int((90 - a) / 15) + 1`: more
    cameras where the circle of that elevation is longer. The azimuth is uniform.

    Args:
        key: for the draws.
        n: how many.
        radius: distance from the origin.

    Returns:
        Camera to world, float32.

    Raises:
        ValueError: if there is no camera, or the radius is not positive.

    >>> poses = orbit_poses(jax.random.key(0), 3, 2.0)
    >>> poses.shape, [f"{length:.3f}" for length in np.linalg.norm(poses[:, :3, 3], axis=1)]
    ((3, 4, 4), ['2.000', '2.000', '2.000'])
    """
    check_at_least("n", n)
    check_positive("radius", radius)
    draw = generator(key)
    shares = np.array([(90 - a) // 15 + 1 for a in range(STRATA)], float)
    elevation = np.radians(draw.choice(STRATA, n, p=shares / shares.sum()))
    azimuth = draw.uniform(0, 2 * np.pi, n)
    level = np.cos(elevation)
    places = radius * np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=1)
    return look_at(places).astype(np.float32)

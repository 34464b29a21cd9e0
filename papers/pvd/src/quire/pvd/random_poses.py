"""Where the rays of distillation come from: cameras drawn at random, not those of the photographs. Section on data."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least, check_finite, check_positive
from quire.common.fields.orbits import look_at, orbit_poses
from quire.common.random import generator

Poses = Float[np.ndarray, "n 4 4"]
PoseSampler = Callable[[jax.Array, int], Poses]
"""`sampler(key, n) -> poses`."""


def random_orbit_poses(radius: float = 4.0) -> PoseSampler:
    """Cameras on a sphere that look at its middle, for scenes that were photographed all around."""
    check_positive("radius", radius)
    return lambda key, n: orbit_poses(key, n, radius)


def interpolated_poses(poses: Poses) -> PoseSampler:
    """Cameras between pairs of given ones, for scenes that were photographed from the front: others would see nothing known.

    Positions between two cameras lie on a line, rotations on the shortest arc.

    Raises:
        ValueError: for fewer than two poses, or numbers that are not finite.
    """
    _check_poses(poses)
    check_at_least("number of poses", len(poses), 2)

    def sampler(key: jax.Array, n: int) -> Poses:
        from scipy.spatial.transform import Rotation

        draw = generator(key)
        a, b = np.stack([draw.choice(len(poses), 2, replace=False) for _ in range(n)]).T
        share = draw.uniform(0, 1, (n, 1))
        start = Rotation.from_matrix(poses[a, :3, :3])
        turn = (start.inv() * Rotation.from_matrix(poses[b, :3, :3])).as_rotvec()
        found = np.tile(np.eye(4), (n, 1, 1))
        found[:, :3, :3] = (start * Rotation.from_rotvec(share * turn)).as_matrix()
        found[:, :3, 3] = (1 - share) * poses[a, :3, 3] + share * poses[b, :3, 3]
        return found.astype(np.float32)

    return sampler


def poses_in_box(poses: Poses) -> PoseSampler:
    """Cameras anywhere in the bounding box of given ones that look at the origin, for scenes that were walked around.

    Raises:
        ValueError: without a pose, or for numbers that are not finite.
    """
    _check_poses(poses)
    check_at_least("number of poses", len(poses))
    low, high = poses[:, :3, 3].min(0), poses[:, :3, 3].max(0)

    def sampler(key: jax.Array, n: int) -> Poses:
        return look_at(generator(key).uniform(low, high, (n, 3))).astype(np.float32)

    return sampler


def _check_poses(poses: Poses) -> None:
    if np.ndim(poses) != 3 or np.shape(poses)[1] not in (3, 4) or np.shape(poses)[2] != 4:
        raise ValueError(f"poses has shape {np.shape(poses)}; it needs [n, 4, 4]")
    check_finite("poses", poses)


def random_rays(
    key: jax.Array, sampler: PoseSampler, n: int, size: tuple[int, int], focal: float
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Rays through random pixels of random cameras: origins, unit directions, and an offset of the samples of each.

    Args:
        key: for cameras, pixels and offsets.
        sampler: of the cameras, one a ray.
        n: how many.
        size: height and width in pixels.
        focal: focal length in pixels.

    Raises:
        ValueError: if there is no ray, or a size or the focal length is not positive.
    """
    check_at_least("n", n)
    check_at_least("size", min(size))
    check_positive("focal", focal)
    poses, draw = sampler(key, n), generator(jax.random.fold_in(key, 1))
    row, column = draw.uniform(0, size[0], n), draw.uniform(0, size[1], n)
    local = np.stack([(column - size[1] / 2) / focal, (size[0] / 2 - row) / focal, -np.ones(n)], axis=1)
    world = np.einsum("nij,nj->ni", poses[:, :3, :3], local)
    world /= np.linalg.norm(world, axis=1, keepdims=True)
    return poses[:, :3, 3].astype(np.float32), world.astype(np.float32), draw.uniform(0, 1, n).astype(np.float32)

"""Rays of pinhole cameras."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive, floating


def rays(pose: Float[Array, "4 4"], size: tuple[int, int], focal: float) -> tuple[Float[Array, "n 3"], Float[Array, "n 3"]]:
    """Origins and unit directions of the rays through the middles of all pixels, row by row.

    Args:
        pose: camera to world; the camera looks along its -z axis, x to the right, y up.
        size: height and width in pixels.
        focal: focal length in pixels; the optical axis meets the middle of the image.

    Raises:
        ValueError: if there is no pixel, or the focal length is not positive.

    >>> origins, directions = rays(jnp.eye(4), (1, 1), 10.0)
    >>> directions.shape, directions[0, 2].item()
    ((1, 3), -1.0)
    """
    height, width = (check_at_least(name, n) for name, n in zip(("height", "width"), size, strict=True))
    check_positive("focal", focal)
    (pose,) = floating(pose)
    row, column = np.mgrid[:height, :width] + 0.5
    local = np.stack([(column - width / 2) / focal, (height / 2 - row) / focal, np.full_like(row, -1)], axis=-1)
    local = jnp.asarray(local.reshape(-1, 3), pose.dtype)
    world = local @ pose[:3, :3].T
    world = world / jnp.linalg.norm(world, axis=-1, keepdims=True)
    return jnp.broadcast_to(pose[None, :3, 3], world.shape), world

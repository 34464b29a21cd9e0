"""What else holds a signed distance in as many numbers: one dense grid, a sine network, a cloud of points with normals."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.fields.grids import sample_grid
from quire.common.fields.neighbours import nearest
from quire.common.fields.siren import Layers, siren
from quire.common.fields.surfaces import farthest_points
from quire.mosaic_sdf.shapes import Shape, distances


def grid_side(floats: int) -> int:
    """Nodes along an axis of the largest cube with at most so many nodes.

    >>> grid_side(8256)
    20
    """
    side = round(floats ** (1 / 3))
    return side if side**3 <= floats else side - 1


def dense_grid(shape: Shape, side: int) -> Float[np.ndarray, "s s s"]:
    """Signed distances at the nodes of a grid over `[-1, 1]^3`."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    x = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    return np.array(distances(shape, x)[0]).reshape(side, side, side)


def grid_field(values: Float[Array | np.ndarray, "s s s"], x: Float[Array | np.ndarray, "m 3"]) -> Float[Array, " m"]:
    """Trilinear interpolation of a dense grid."""
    return sample_grid(values[..., None], x, outside="border")[:, 0]


def siren_width(floats: int, hidden_layers: int) -> int:
    """The largest width at which a sine network from space to a number has at most so many parameters.

    >>> siren_width(8256, 2)
    62
    """
    width = 1
    while (width + 1) * (4 + 1 + hidden_layers * (width + 2)) + 1 <= floats:
        width += 1
    return width


def siren_field(layers: Layers, x: Float[Array | np.ndarray, "m 3"]) -> Float[Array, " m"]:
    """A sine network."""
    return siren(layers, jnp.asarray(x))[:, 0]


class OrientedPoints(NamedTuple):
    """Points on a surface with outer normals, `[m, 3]` each."""

    points: Array | np.ndarray
    normals: Array | np.ndarray


def oriented_points(shape: Shape, surface_points: Float[Array | np.ndarray, "m 3"], count: int) -> OrientedPoints:
    """The farthest points of a sample, with their normals."""
    chosen = surface_points[np.asarray(farthest_points(surface_points, count))]
    return OrientedPoints(chosen, distances(shape, chosen + 1e-4)[1])


def plane_field(cloud: OrientedPoints, x: Float[Array | np.ndarray, "m 3"]) -> Float[Array, " m"]:
    """Signed distance to the tangent plane of the nearest point."""
    index = nearest(x, cloud.points, 1)[1][:, 0]
    return jnp.sum(cloud.normals[index] * (x - cloud.points[index]), -1)

"""Editing voxels, where a place is an entry of the grid, before they are distilled into a field that cannot be edited."""

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.checks import check_positive
from quire.common.fields.radiance import CLIP, RadianceField, VoxelSHField
from quire.common.random import generator

Node = tuple[int, int, int]


def erase_box(field: VoxelSHField, low: Node, high: Node, log_density: float = -100.0) -> VoxelSHField:
    """Voxels with the log-density of a box of nodes set to that of nothing.

    Args:
        field: left as it is.
        low, high: first node and the one after the last, by coordinate.
        log_density: inside. Distil with a lower bound of the clip that is as low, or the bound fills the box again.

    Raises:
        ValueError: if the field is no voxel grid, or the box is empty or leaves it.
    """
    if not isinstance(field, VoxelSHField):
        raise ValueError(f"field is a {type(field).__name__}; only voxels can be erased by their index")
    sizes = field.grid.shape[:3]
    if not all(0 <= a < b <= n for a, b, n in zip(low, high, sizes, strict=True)):
        raise ValueError(f"low is {low} and high {high}; they must bound a box of the {sizes} nodes")
    edited = nnx.clone(field)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    edited.grid.set_value(field.grid[...].at[(*box, 0)].set(log_density))
    return edited


def box_of_nodes(sizes: tuple[int, ...], low: Node, high: Node) -> Float[np.ndarray, "2 3"]:
    """Corners in `[-1, 1]^3` of the cells whose nodes all lie in a box of nodes.

    >>> box_of_nodes((5, 5, 5), (1, 1, 0), (4, 3, 2)).tolist()
    [[-0.5, -0.5, -1.0], [0.5, 0.0, -0.5]]
    """
    cells = np.array(sizes[:3]) - 1
    return np.stack([2 * np.array(low) / cells - 1, 2 * (np.array(high) - 1) / cells - 1])


def mean_opacity(
    field: RadianceField,
    corners: Float[np.ndarray, "2 3"],
    key: jax.Array,
    *,
    step: float = 0.1,
    points: int = 4096,
    clip: tuple[float, float] = CLIP,
) -> float:
    """Mean of `1 - exp(-sigma step)` over random points of a box.

    Args:
        field: any.
        corners: of the box in `[-1, 1]^3`.
        key: for the points.
        step: length over which opacity is told.
        points: how many.
        clip: bounds of the log-density.

    Raises:
        ValueError: if the step is not positive.
    """
    check_positive("step", step)
    x = generator(key).uniform(corners[0], corners[1], (points, 3)).astype(np.float32)
    graph, params = nnx.split(field)
    raw = _log_density(graph, params, x)
    return float(np.mean(-np.expm1(-np.exp(np.clip(np.asarray(raw, float), *clip)) * step)))


_log_density = jax.jit(lambda graph, params, x: nnx.merge(graph, params).features(x)[:, 0], static_argnums=0)

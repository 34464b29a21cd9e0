"""Editing voxels, where a place is an entry of the grid, before they are distilled into a field that cannot be edited."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.checks import check_at_least, check_positive
from quire.common.fields.radiance import CLIP, RadianceField, VoxelSHField
from quire.common.random import generator
from quire.pvd.config import check_clip

Node = tuple[int, int, int]


def erase_box(field: VoxelSHField, low: Node, high: Node, log_density: float = -100.0) -> VoxelSHField:
    """Voxels with the log-density of a box of nodes set to that of nothing.

    Args:
        field: left as it is.
        low, high: first node and the one after the last, by coordinate.
        log_density: inside. Distil with a lower bound of the clip that is as low, or the bound fills the box again.

    Raises:
        ValueError: if the field is no voxel grid, the box is empty or leaves it, or the log-density is NaN.
    """
    if not isinstance(field, VoxelSHField):
        raise ValueError(f"field is a {type(field).__name__}; only voxels can be erased by their index")
    if np.isnan(log_density):
        raise ValueError("log_density is nan; it must be a number")
    _check_box(field.grid.shape[:3], low, high)
    edited = nnx.clone(field)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = np.array(field.grid[...])
    grid[(*box, 0)] = log_density
    edited.grid.set_value(jnp.asarray(grid))
    return edited


def _check_box(sizes: tuple[int, ...], low: Node, high: Node) -> None:
    fits = len(sizes) == len(low) == len(high) == 3
    if not fits or not all(0 <= a < b <= n for a, b, n in zip(low, high, sizes, strict=True)):
        raise ValueError(f"low is {low} and high {high}; they must bound a box of the {sizes} nodes")


def box_of_nodes(sizes: tuple[int, ...], low: Node, high: Node) -> Float[np.ndarray, "2 3"]:
    """Corners in `[-1, 1]^3` of the cells whose nodes all lie in a box of nodes.

    Raises:
        ValueError: for fewer than two nodes along a coordinate, or a box that is empty or leaves them.

    >>> box_of_nodes((5, 5, 5), (1, 1, 0), (4, 3, 2)).tolist()
    [[-0.5, -0.5, -1.0], [0.5, 0.0, -0.5]]
    """
    check_at_least("sizes", min(sizes[:3]), 2)
    _check_box(tuple(sizes[:3]), low, high)
    cells = np.array(sizes[:3]) - 1
    return np.stack([2 * np.array(low) / cells - 1, 2 * (np.array(high) - 1) / cells - 1])


def opacity_at(
    field: RadianceField, x: Float[np.ndarray, "n 3"], *, step: float = 0.1, clip: tuple[float, float] = CLIP
) -> Float[np.ndarray, " n"]:
    """`1 - exp(-sigma step)` at points.

    Args:
        field: any.
        x: points of `[-1, 1]^3`.
        step: length over which opacity is told.
        clip: bounds of the log-density.

    Raises:
        ValueError: if the step is not positive, the clip is empty, or x is not `[n, 3]`.
    """
    check_positive("step", step)
    check_clip(clip)
    if np.ndim(x) != 2 or np.shape(x)[1] != 3:
        raise ValueError(f"x has shape {np.shape(x)}; it needs [n, 3]")
    graph, params = nnx.split(field)
    raw = _log_density(graph, params, np.asarray(x, np.float32))
    return -np.expm1(-np.exp(np.clip(np.asarray(raw, float), *clip)) * step)


_log_density = jax.jit(lambda graph, params, x: nnx.merge(graph, params).features(x)[:, 0], static_argnums=0)


def mean_opacity(
    field: RadianceField,
    corners: Float[np.ndarray, "2 3"],
    key: jax.Array,
    *,
    step: float = 0.1,
    points: int = 4096,
    clip: tuple[float, float] = CLIP,
) -> float:
    """Mean of `opacity_at` random points of a box.

    Args:
        field: any.
        corners: of the box in `[-1, 1]^3`.
        key: for the points.
        step, clip: as for `opacity_at`.
        points: how many.

    Raises:
        ValueError: if the step is not positive, the clip is empty, or there is no point.
    """
    check_at_least("points", points)
    x = generator(key).uniform(corners[0], corners[1], (points, 3))
    return float(np.mean(opacity_at(field, x, step=step, clip=clip)))

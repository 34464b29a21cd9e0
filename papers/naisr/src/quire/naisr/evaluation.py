"""What a model of shapes is judged by: contours, areas, and which covariate changes what. Section 4.2."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quire.common.fields.contours import contour, evenly_spaced
from quire.common.fields.polygons import polygon_area
from quire.common.metrics.point_clouds import chamfer, earth_mover, hausdorff


class Grid(NamedTuple):
    """Nodes over the square `[-1, 1]^2`: coordinates of an axis `[G]`, and all nodes `[G * G, 2]`, the first one slowest."""

    axis: np.ndarray
    points: np.ndarray


def square_grid(size: int) -> Grid:
    """A grid of `size` nodes along each axis.

    >>> square_grid(3).points[1].tolist()
    [-1.0, 0.0]
    """
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return Grid(axis, np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2))


def clouds(
    values: Float[np.ndarray, "*shapes g g"], axis: Float[np.ndarray, " g"], count: int
) -> Float[np.ndarray, "*shapes k 2"]:
    """Evenly spaced points on the zero contours of fields on a grid; NaN for a field without one."""
    lead, size = values.shape[:-2], values.shape[-1]
    found = [evenly_spaced(contour(field, (axis, axis)), count) for field in np.asarray(values).reshape(-1, size, size)]
    return np.stack(found).reshape(*lead, count, 2)


def outline_clouds(outlines: Float[np.ndarray, "*shapes v 2"], count: int) -> Float[np.ndarray, "*shapes k 2"]:
    """Evenly spaced points on polygons."""
    closed = np.concatenate([outlines, outlines[..., :1, :]], axis=-2)
    found = [evenly_spaced([line], count) for line in closed.reshape(-1, *closed.shape[-2:])]
    return np.stack(found).reshape(*outlines.shape[:-2], count, 2)


@jax.jit
def _pairs(a: Array, b: Array) -> tuple[Array, Array]:
    def one(pair):
        return chamfer(*pair, power=1) / 2, hausdorff(*pair)

    return jax.lax.map(one, (a, b))


def contour_distances(
    a: Float[np.ndarray, "*#shapes k 2"], b: Float[np.ndarray, "*#shapes k 2"]
) -> tuple[np.ndarray, np.ndarray]:
    """Chamfer distances (mean of both directions, not squared) and Hausdorff distances of pairs of contours."""
    a, b = np.broadcast_arrays(a, b)
    lead = a.shape[:-2]
    flat = (np.asarray(x, np.float32).reshape(-1, *x.shape[-2:]) for x in (a, b))
    chamfers, hausdorffs = _pairs(*flat)
    return np.asarray(chamfers).reshape(lead), np.asarray(hausdorffs).reshape(lead)


def contour_transport(a: Float[np.ndarray, "n k 2"], b: Float[np.ndarray, "n k 2"]) -> Float[np.ndarray, " n"]:
    """Earth mover's distance of every pair of contours; NaN where one is missing."""
    return np.array([np.nan if np.isnan(pair).any() else earth_mover(*pair) for pair in zip(a, b, strict=True)])


def overlap(a: Bool[np.ndarray, "*shapes n"], b: Bool[np.ndarray, "*shapes n"]) -> Float[np.ndarray, "*shapes"]:
    """Intersection over union of two insides; 1 if both are empty.

    >>> overlap(np.array([True, True, False]), np.array([True, False, False])).item()
    0.5
    """
    union = (a | b).sum(-1)
    return np.where(union > 0, (a & b).sum(-1) / np.where(union > 0, union, 1), 1.0)


def changed_share(
    before: Bool[np.ndarray, "*shapes n"], after: Bool[np.ndarray, "*shapes n"], where: Bool[np.ndarray, " n"]
) -> float:
    """How much of the area that two sets of shapes disagree on lies in a region; NaN if they agree.

    >>> changed_share(np.array([True, False, True]), np.array([False, False, False]), np.array([True, True, False]))
    0.5
    """
    changed = before ^ after
    total = changed.sum()
    return float((changed & where).sum() / total) if total else float("nan")


def contour_area(values: Float[np.ndarray, "g g"], axis: Float[np.ndarray, " g"]) -> float:
    """Area inside the zero contour: closed lines around the inside count positive, holes negative."""
    return abs(float(sum(polygon_area(line[:-1]) for line in contour(values, (axis, axis)))))


def area_effects(model: Any, p: Float[Array, "P 2"], c: Float[Array, "n N"], z: Float[Array, "n Z"]) -> Float[Array, "N n"]:
    """Change of area, as a share of the square's, when the displacement of one covariate alone moves the template.

    Args:
        model: `NAISR`.
        p: nodes of a grid over the square.
        c, z: covariates and codes of n shapes.
    """

    def share(values):
        return jnp.mean(values < 0, axis=-1, dtype=float)

    def alone(name, value):
        return share(model.evolve(p, name, value, z)) - share(model.template_sdf(p))

    return jnp.stack([alone(name, value) for name, value in zip(model.names, c.T, strict=True)])


def cross_effects(c: Float[np.ndarray, "n N"], effects: Float[np.ndarray, "N n"]) -> Float[np.ndarray, "N N"]:
    """Correlation of covariate i with the area that the displacement of covariate j changes: small off the diagonal.

    Args:
        c: independent covariates.
        effects: from `area_effects`.

    Returns:
        `[i, j]`; 0 where an effect is constant.
    """
    centred, moved = c - c.mean(0), effects - effects.mean(1, keepdims=True)
    scale = np.linalg.norm(centred, axis=0)[:, None] * np.linalg.norm(moved, axis=1)[None]
    return np.where(scale > 0, centred.T @ moved.T / np.where(scale > 0, scale, 1), 0.0)

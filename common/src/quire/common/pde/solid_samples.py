"""Points of solids for networks: of the box `[-1, 1]^d` with its two sides, and of any body given by points inside."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.pde.elastodynamics import Points, Samples
from quire.common.pde.samplers import cell_centres, stratified, uniform


def box_samples(
    key: jax.Array,
    dim: int,
    resolution: int,
    *,
    stand_for: int | None = None,
    stratify: bool = False,
    sides: bool = True,
    dtype: jnp.dtype | None = None,
) -> Samples:
    """Points of the box `[-1, 1]^dim`: independent ones and cell centres, `resolution` along each axis of either kind.

    Args:
        key: for the points.
        dim: of space.
        resolution: see above; there are `2 resolution^dim` points inside and `2 resolution^(dim - 1)` on each side.
        stand_for: the resolution whose sums the points stand for, by weights; `resolution` itself if left out. The balance between
            the inside and the sides is that of `stand_for`.
        stratify: one point in each cell (half as many points) instead of both kinds.
        sides: whether to draw points of the sides `x[0] = -1` and `x[0] = 1`.
        dtype: of the points.

    Raises:
        ValueError: if `dim` is not 2 or 3, or a resolution is not positive.
    """
    if dim not in (2, 3):
        raise ValueError(f"dim is {dim}; it must be 2 or 3")
    stand_for = resolution if stand_for is None else stand_for
    if min(resolution, stand_for) < 1:
        raise ValueError(f"resolution is {resolution} and stand_for {stand_for}; they must be at least 1")
    keys = jax.random.split(key, 3)
    inside = _cube(keys[0], dim, resolution, stratify, dtype)
    points = Points({"x": inside}, 2 * stand_for**dim / len(inside))
    if not sides:
        return Samples(points, points)
    faces = []
    for face_key, position in zip(keys[1:], (-1.0, 1.0), strict=True):
        along = _cube(face_key, dim - 1, resolution, stratify, dtype)
        x = jnp.concatenate([jnp.full((len(along), 1), position, along.dtype), along], axis=1)
        faces.append(Points({"x": x}, 2 * stand_for ** (dim - 1) / len(along)))
    return Samples(points, points, *faces)


def body_samples(key: jax.Array, inside: Float[Array, "n d"], count: int, *, total: float | None = None) -> Samples:
    """Points drawn with replacement from many that are uniform inside a body; it has no sides.

    Args:
        key: for the draw.
        inside: uniform points of the body, from `points_in_tetrahedra` or `points_inside`.
        count: how many to draw.
        total: sum of the weights; `count` if left out.

    Raises:
        ValueError: for fewer than one point.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    chosen = jax.random.randint(key, (count,), 0, len(inside))
    points = Points({"x": inside[chosen]}, 1.0 if total is None else total / count)
    return Samples(points, points)


def points_in_tetrahedra(
    key: jax.Array, nodes: Float[Array, "n d"], elements: Array, volumes: Float[Array, " e"], count: int
) -> Float[Array, "m d"]:
    """Uniform points of a mesh of simplices: elements by volume, then uniform barycentric coordinates.

    Args:
        key: for the draw.
        nodes, elements: of a `Mesh`.
        volumes: of its elements, from `shape_gradients`.
        count: m.

    Raises:
        ValueError: for fewer than one point.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    element_key, shape_key = jax.random.split(key)
    heights = jnp.cumsum(volumes)
    drawn = heights[-1] * jax.random.uniform(element_key, (count,), volumes.dtype)
    chosen = jnp.minimum(jnp.searchsorted(heights, drawn, side="right"), len(volumes) - 1)
    shape = jax.random.exponential(shape_key, (count, elements.shape[1]), nodes.dtype)
    return jnp.einsum("mk,mkd->md", shape / shape.sum(axis=1, keepdims=True), nodes[elements[chosen]])


def _cube(key, dim, resolution, stratify, dtype):
    low, high = -jnp.ones(dim, dtype or float), jnp.ones(dim, dtype or float)
    cells = (resolution,) * dim
    if stratify:
        return stratified(key, cells, low, high)
    return jnp.concatenate([uniform(key, resolution**dim, low, high), cell_centres(cells, low, high)])

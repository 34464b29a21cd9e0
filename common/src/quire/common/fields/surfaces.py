"""Signed distances to analytic shapes and to meshes, points on surfaces, and surfaces of fields."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_ids, floating, is_concrete
from quire.common.data.meshes import Surface
from quire.common.fields.winding_number import winding_number
from quire.common.random import generator
from quire.common.roots import length, root


def sphere_sdf(x: Float[Array, "*batch d"], radius: float = 1.0) -> Float[Array, "*batch"]:
    """Signed distance to a sphere about 0, negative inside: `|x| - radius`."""
    return length(x) - radius


def box_sdf(x: Float[Array | np.ndarray, "*batch d"], half_sizes: tuple[float, ...]) -> Float[Array, "*batch"]:
    """Signed distance to a box about 0: `|max(q, 0)| + min(max_i q_i, 0)` with `q = |x| - half_sizes`.

    >>> box_sdf(jnp.array([[0.0, 0.0], [4.0, 5.0]]), (1.0, 1.0)).tolist()
    [-1.0, 5.0]
    """
    (x,) = floating(x)
    q = jnp.abs(x) - jnp.asarray(half_sizes, x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    return length(jnp.maximum(q, 0)) + jnp.minimum(q.max(-1), 0)


def torus_sdf(x: Float[Array, "*batch 3"], radius: float = 0.6, tube: float = 0.25) -> Float[Array, "*batch"]:
    """Signed distance to a torus in the plane of the first two coordinates: `|(|(x, y)| - radius, z)| - tube`."""
    (x,) = floating(x)
    ring = length(x[..., :2]) - radius
    return root(ring**2 + x[..., 2] ** 2) - tube


def squared_distance(x: Float[Array, "n 3"], corners: Float[Array, "f 3 3"]) -> Float[Array, "n f"]:
    """Squared distance of every point to every triangle: to its plane where the point lies above it, else to an edge.

    Args:
        x: points.
        corners: of the triangles; one without area counts as its edges.
    """
    edges = jnp.roll(corners, -1, axis=1) - corners  # [f, 3, 3]
    away = x[:, None, None] - corners[None]  # [n, f, 3, 3]
    normal = jnp.cross(edges[:, 0], -edges[:, 2])
    area = jnp.sum(normal**2, axis=-1)
    lengths = jnp.sum(edges**2, axis=-1)
    along = jnp.sum(away * edges[None], axis=-1) / jnp.where(lengths > 0, lengths, 1)[None]
    to_edges = jnp.sum((away - jnp.clip(along, 0, 1)[..., None] * edges[None]) ** 2, axis=-1).min(-1)
    side = jnp.sum(jnp.cross(edges, normal[:, None])[None] * away, axis=-1)  # positive beyond an edge
    height = jnp.sum(away[:, :, 0] * normal[None], axis=-1)
    above = (side <= 0).all(-1) & (area > 0)[None]
    return jnp.where(above, height**2 / jnp.where(area > 0, area, 1)[None], to_edges)


def mesh_sdf(
    vertices: Float[Array, "v 3"], faces: Int[Array, "f 3"], x: Float[Array, "n 3"], *, batch_size: int = 64
) -> Float[Array, " n"]:
    """Signed distance to a triangle mesh, negative inside: where the winding number exceeds 1/2, so holes do not matter.

    Args:
        vertices, faces: counter-clockwise from outside.
        x: points.
        batch_size: points that are worked on at a time.

    Raises:
        ValueError: if there is no face, or one names a vertex that does not exist.
    """
    if len(faces) == 0:
        raise ValueError("faces is empty; a distance needs at least one triangle")
    check_ids("faces", faces, len(vertices))
    corners = vertices[faces]
    squared = jax.lax.map(lambda point: squared_distance(point[None], corners).min(), x, batch_size=batch_size)
    inside = winding_number(x, vertices, faces, batch_size=batch_size) > 0.5
    return jnp.where(inside, -1, 1) * root(squared)


def points_on(key: jax.Array, surface: Surface, count: int) -> Float[np.ndarray, "count 3"]:
    """Uniform points on a surface: triangles by area, uniform inside each.

    Raises:
        ValueError: for fewer than one point, or a surface without area.
    """
    check_at_least("count", count)
    corners = surface.vertices[surface.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    if not area.sum() > 0:
        raise ValueError("surface has no area; its triangles are points or lines")
    rng = generator(key)
    chosen = corners[rng.choice(len(corners), count, p=area / area.sum())]
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])


def farthest_points(x: Num[Array | np.ndarray, "m d"], n: int, start: int = 0) -> Int[Array, " n"]:
    """Farthest point sampling: each chosen row is the one that is farthest (Euclidean) from all those chosen before.

    Every row is chosen at most once, copies after everything else; the smaller index wins a tie.

    Args:
        x: points, one a row, in any dimension.
        n: how many to choose.
        start: index of the first.

    Returns:
        Indices in the order in which they were chosen, int32.

    Raises:
        ValueError: for n outside 1..m, a start that is no row, or numbers that are not finite.

    >>> farthest_points(jnp.array([[0.0], [1.0], [5.0], [3.0]]), 3).tolist()
    [0, 2, 3]
    """
    if not 1 <= n <= len(x) or not 0 <= start < len(x):
        raise ValueError(f"n is {n} and start {start}; with {len(x)} rows of x, n lies in 1..{len(x)} and start is one of them")
    if is_concrete(x) and not np.isfinite(np.asarray(x)).all():
        raise ValueError("x has numbers that are not finite")
    return _farthest_points(*floating(x), n, start)


@partial(jax.jit, static_argnames="n")
def _farthest_points(x: Array, n: int, start: int | Array) -> Array:
    def step(carry, _):
        distance, last = carry
        distance = jnp.minimum(distance, jnp.sum((x - x[last][None]) ** 2, axis=1))
        distance = distance.at[last].set(-1)  # below every distance, and it stays there
        return (distance, jnp.argmax(distance).astype(jnp.int32)), last

    first = jnp.full(len(x), jnp.inf, x.dtype), jnp.asarray(start, jnp.int32)
    return jax.lax.scan(step, first, length=n)[1]


def marching_cubes(values: Float[np.ndarray, "a b c"], *, level: float = 0.0, half_width: float = 1.0) -> Surface:
    """The surface where a field takes the value `level`, by scikit-image.

    Args:
        values: on a regular grid over `[-half_width, half_width]^3`, axes in the order of the coordinates; smaller inside.
        level: of the surface.
        half_width: of the box.

    Raises:
        ValueError: if the field does not cross the level, has numbers that are not finite, or is no grid.
        ImportError: without scikit-image (`pip install "quire-common[images]"`).
    """
    from skimage.measure import marching_cubes as extract

    values = np.asarray(values)
    if values.ndim != 3 or min(values.shape) < 2:
        raise ValueError(f"values has shape {values.shape}; a grid needs three axes of two nodes or more")
    if not np.isfinite(values).all() or not values.min() < level < values.max():
        raise ValueError(f"values runs from {values.min()} to {values.max()}; it must be finite and cross {level}")
    spacing = [2 * half_width / (size - 1) for size in values.shape]
    vertices, faces, _, _ = extract(values, level, spacing=spacing, gradient_direction="descent")
    return Surface(np.asarray(vertices, float) - half_width, faces.astype(np.int64))

"""Polygons in the plane: signed distance, area, points on the outline."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quire.common.checks import check_at_least, floating
from quire.common.random import generator
from quire.common.roots import root


def inside_polygon(vertices: Float[Array, "v 2"], x: Float[Array, "n 2"]) -> Bool[Array, " n"]:
    """Even-odd rule: whether a ray to the right crosses the outline an odd number of times."""
    (left, low), (right, high) = vertices.T, jnp.roll(vertices, -1, axis=0).T
    rise = jnp.where(high == low, 1, high - low)
    height = x[:, 1:] - low[None]
    spans = (low[None] > x[:, 1:]) != (high[None] > x[:, 1:])
    crossing = left[None] + height * ((right - left) / rise)[None]
    return jnp.sum(spans & (x[:, :1] < crossing), axis=1) % 2 == 1


def polygon_sdf(vertices: Float[Array, "v 2"], x: Float[Array, "*batch 2"], *, batch_size: int = 1024) -> Float[Array, "*batch"]:
    """Signed distance to a closed polygon, negative inside by the even-odd rule.

    Args:
        vertices: in either sense of rotation; the last is joined to the first, and no edge needs a length.
        x: points.
        batch_size: points that are worked on at a time.

    Raises:
        ValueError: for fewer than three vertices, or points not in the plane.

    >>> square = jnp.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
    >>> polygon_sdf(square, jnp.array([[1.0, 0.5], [5.0, 6.0]])).tolist()
    [-0.5, 5.0]
    """
    if vertices.ndim != 2 or len(vertices) < 3 or vertices.shape[1] != 2 or x.shape[-1:] != (2,):
        raise ValueError(f"vertices has shape {vertices.shape} and x {x.shape}; they need [v, 2], v at least 3, and [..., 2]")
    vertices, x = floating(vertices, x)
    edge = jnp.roll(vertices, -1, axis=0) - vertices
    lengths = jnp.sum(edge**2, axis=1)

    def one(point):
        away = point[None] - vertices
        along = jnp.sum(away * edge, axis=1) / jnp.where(lengths > 0, lengths, 1)
        nearest = jnp.min(jnp.sum((away - jnp.clip(along, 0, 1)[:, None] * edge) ** 2, axis=1))
        distance = root(nearest)
        return jnp.where(inside_polygon(vertices, point[None])[0], -distance, distance)

    points = x.reshape(-1, 2)
    return jax.lax.map(one, points, batch_size=min(batch_size, max(1, len(points)))).reshape(x.shape[:-1])


def polygon_area(vertices: Float[Array | np.ndarray, "*batch v 2"]) -> Float[Array | np.ndarray, "*batch"] | np.floating:
    """Area by the shoelace formula: positive for a counter-clockwise outline.

    >>> polygon_area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])).item()
    2.0
    """
    xp = jnp if isinstance(vertices, jax.Array) else np
    x, y = vertices[..., 0], vertices[..., 1]
    return xp.sum(x * xp.roll(y, -1, axis=-1) - xp.roll(x, -1, axis=-1) * y, axis=-1) / 2


def points_on_polygon(
    key: jax.Array, vertices: Float[np.ndarray, "v 2"], count: int
) -> tuple[Float[np.ndarray, "count 2"], Float[np.ndarray, "count 2"]]:
    """Uniform points on the outline of a counter-clockwise polygon, and the outward unit normals of their edges.

    Args:
        key: for the draws, on the host.
        vertices: of the polygon.
        count: how many.

    Raises:
        ValueError: for fewer than one point, or an outline without length.

    >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> points, normals = points_on_polygon(jax.random.key(0), square, 5)
    >>> bool(np.allclose(np.sum(normals * (points - 0.5), axis=1), 0.5))
    True
    """
    check_at_least("count", count)
    vertices = np.asarray(vertices, float)
    edge = np.roll(vertices, -1, axis=0) - vertices
    length = np.linalg.norm(edge, axis=1)
    if not length.sum() > 0:
        raise ValueError("vertices lie in one point; an outline needs length")
    draw = generator(key)
    chosen = draw.choice(len(edge), count, p=length / length.sum())
    points = vertices[chosen] + draw.random((count, 1)) * edge[chosen]
    return points, np.stack([edge[chosen, 1], -edge[chosen, 0]], axis=1) / length[chosen, None]

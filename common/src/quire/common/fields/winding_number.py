"""Inside and outside of a triangle mesh by its winding number, which is meaningful for meshes with holes as well."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.data.meshes import Surface
from quire.common.random import generator


def winding_number(
    x: Float[Array, "n d"], vertices: Float[Array, "v d"], faces: Int[Array, "f k"], *, batch_size: int = 64
) -> Float[Array, " n"]:
    """The generalised winding number: the sum of the signed solid angles of all triangles over `4 pi`.

    With a, b, c the corners seen from the point,
    `tan(angle / 2) = a . (b x c) / (|a| |b| |c| + (a . b) |c| + (b . c) |a| + (c . a) |b|)`.

    Args:
        x: points.
        vertices, faces: of the mesh, counter-clockwise from outside.
        batch_size: points that are worked on at a time.

    Returns:
        1 inside a closed mesh, 0 outside, in between near a hole.

    References:
        Jacobson, Kavan and Sorkine-Hornung, *Robust Inside-Outside Segmentation using Generalized Winding Numbers*, 2013.
    """
    corners = vertices[faces]

    def of_point(point):
        a, b, c = jnp.moveaxis(corners - point[None, None], 1, 0)
        la, lb, lc = (jnp.linalg.norm(v, axis=-1) for v in (a, b, c))
        volume = jnp.sum(a * jnp.cross(b, c), axis=-1)
        below = la * lb * lc + jnp.sum(a * b, -1) * lc + jnp.sum(b * c, -1) * la + jnp.sum(c * a, -1) * lb
        return jnp.sum(jnp.arctan2(volume, below)) / (2 * jnp.pi)

    return jax.lax.map(of_point, x, batch_size=batch_size)


def points_inside(key: jax.Array, surface: Surface, count: int, *, tries: int = 20) -> Float[Array, "n 3"]:
    """Uniform points inside a surface, where its winding number exceeds 1/2: uniform in the bounding box, the others rejected.

    Args:
        key: for the points.
        surface: closed, or nearly so.
        count: how many.
        tries: rounds of drawing before giving up.

    Raises:
        ValueError: for fewer than one point, or if the surface encloses (nearly) nothing.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    vertices, faces = jnp.asarray(surface.vertices, float), jnp.asarray(surface.faces)
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    found, total = [], 0
    wind, rng = jax.jit(winding_number), generator(key)
    for _ in range(tries):
        drawn = rng.uniform(low, high, (2 * count, 3))
        found.append(drawn[np.asarray(wind(jnp.asarray(drawn, float), vertices, faces)) > 0.5])
        total += len(found[-1])
        if total >= count:
            return jnp.asarray(np.concatenate(found)[:count], float)
    raise ValueError(f"surface encloses {total} of {2 * count * tries} points of its bounding box; it needs an inside")

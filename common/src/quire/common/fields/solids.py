"""Signed distances to further solids, their unions, and points on surfaces that only a distance is known of."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, is_concrete
from quire.common.roots import length

SDF = Callable[[Array], Array]
"""Signed distance `[..., d] -> [...]`, negative inside."""

ITERATIONS = 12
"""Newton steps to the closest point of an ellipsoid; eight suffice in float32 and ten in float64."""

NEAREST = 1e-6
"""Points nearer to a plane of symmetry of an ellipsoid, in shortest semi-axes, count as so far from it: their closest point may
not be unique."""


def capsule_sdf(
    x: Float[Array | np.ndarray, "*batch d"], half_length: float = 0.5, radius: float = 0.25
) -> Float[Array, "*batch"]:
    """Signed distance to all points within `radius` of a segment along the last axis, `half_length` to either side of 0.

    >>> capsule_sdf(jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.25]])).tolist()
    [0.25, 0.75]
    """
    along = jnp.maximum(jnp.abs(x[..., -1:]) - half_length, 0)
    return length(jnp.concatenate([x[..., :-1], along], -1)) - radius


def cuboid_sdf(x: Float[Array | np.ndarray, "*batch d"], half_sizes: Float[Array | np.ndarray, " d"]) -> Float[Array, "*batch"]:
    """`surfaces.box_sdf` with sizes that may be traced: distance to the nearest point of the box, or depth below its sides.

    >>> cuboid_sdf(jnp.array([[0.0, 0.0], [4.0, 5.0]]), jnp.ones(2)).tolist()
    [-1.0, 5.0]
    """
    half = jnp.broadcast_to(half_sizes, x.shape)
    return length(x - jnp.clip(x, -half, half)) + jnp.minimum((jnp.abs(x) - half).max(-1), 0)


def ring_sdf(x: Float[Array | np.ndarray, "*batch 3"], radius: float | Array, tube: float | Array) -> Float[Array, "*batch"]:
    """`surfaces.torus_sdf` with sizes that may be traced, and a slope of zero where that has none: on its axis and its core.

    >>> " ".join(f"{d:.2f}" for d in ring_sdf(jnp.array([[0.6, 0.0, 0.0], [0.0, 1.0, 0.0]]), 0.6, 0.25))
    '-0.25 0.15'
    """
    return length(jnp.stack([length(x[..., :2]) - radius, x[..., 2]], -1)) - tube


def union(*distances: Float[Array | np.ndarray, "*batch"]) -> Float[Array, "*batch"]:
    """Distance to several solids together, `min_i d_i`: exact outside; inside, where they overlap, at most the true depth.

    Raises:
        ValueError: without a distance, or for shapes that differ.

    >>> union(jnp.array([1.0, -2.0]), jnp.array([0.5, 3.0])).tolist()
    [0.5, -2.0]
    """
    if not distances or len({x.shape for x in distances}) > 1:
        raise ValueError(f"distances have shapes {[x.shape for x in distances]}; it takes at least one, all of one shape")
    found = jnp.asarray(distances[0])
    for distance in distances[1:]:
        found = jnp.minimum(found, distance)
    return found


def ellipsoid_sdf(x: Float[Array | np.ndarray, "*batch d"], semi_axes: Float[Array | np.ndarray, " d"]) -> Float[Array, "*batch"]:
    """Signed distance to an ellipsoid about 0 with axes along those of space, exact up to rounding.

    The closest point c solves `c_i = a_i^2 |x_i| / (t + a_i^2)`, `sum_i (c_i / a_i)^2 = 1` for the largest t, found by Newton's
    method from below; the distance is `<n, x - c>` with the outer normal n of c. Its gradient is n.

    Args:
        x: points.
        semi_axes: positive.

    Raises:
        ValueError: for semi-axes that are not positive, or not as many as coordinates.

    >>> distances = ellipsoid_sdf(jnp.array([[0.0, 0.0, 3.0], [0.9, 0.0, 0.0]]), jnp.array([1.0, 1.0, 2.0]))
    >>> " ".join(f"{d:.4f}" for d in distances)
    '1.0000 -0.1000'

    References:
        Eberly, *Distance from a Point to an Ellipse, an Ellipsoid, or a Hyperellipsoid*, 2013.
    """
    a = jnp.asarray(semi_axes, x.dtype)
    if a.shape != x.shape[-1:] or (is_concrete(semi_axes) and not (np.asarray(semi_axes) > 0).all()):
        raise ValueError(f"semi_axes is {semi_axes}; it must be {x.shape[-1]} positive numbers")
    a = jnp.broadcast_to(a, x.shape)
    least = a.min(-1, keepdims=True)
    r = (a / least) ** 2
    y = jnp.maximum(jnp.abs(x), NEAREST * least)
    z = y / least
    u = jax.lax.stop_gradient(_largest_root(r, z))
    for _ in range(2):  # steps that are differentiated, one for each derivative of the root
        u = u - _excess(r, z, u) / _slope(r, z, u)
    shrink = r / (u + (r - 1))
    closest = shrink * y
    normal = closest / r
    normal = normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)
    return jnp.sum(normal * (jnp.abs(x) - closest), -1)


def _excess(r: Array, z: Array, u: Array) -> Array:
    """`sum_i (sqrt(r_i) z_i / (u + r_i - 1))^2 - 1`, zero at the closest point; `r_i - 1` is 0 for one axis."""
    return jnp.sum(r * (z / (u + (r - 1))) ** 2, -1, keepdims=True) - 1


def _slope(r: Array, z: Array, u: Array) -> Array:
    return -2 * jnp.sum(r * z**2 / (u + (r - 1)) ** 3, -1, keepdims=True)


def _largest_root(r: Array, z: Array) -> Array:
    """Newton's method on a convex falling function, from a point to the left of the root, where one term alone is 1."""
    first = jnp.max(jnp.sqrt(r) * z - (r - 1), -1, keepdims=True)
    return jax.lax.fori_loop(0, ITERATIONS, lambda _, u: u - _excess(r, z, u) / _slope(r, z, u), first)


def surface_points(
    sdf: SDF, n: int, key: jax.Array, *, candidates: int | None = None, half_width: float = 1.0, steps: int = 1
) -> Float[Array, "n 3"]:
    """Points on the surface of a solid that only its distance tells of, nearly uniform.

    Of uniform points in a box, those nearest to the surface lie in a thin shell on both sides of it; they are moved against the
    gradient by their distance. Traceable.

    Args:
        sdf: signed distance.
        n: how many points.
        key: for the draw.
        candidates: points to choose from, `16 n` by default: the more, the thinner the shell.
        half_width: of the box, which should hold the solid.
        steps: of Newton's method; one is enough for a true distance.

    Raises:
        ValueError: for fewer than one point, or fewer candidates than points.

    >>> from quire.common.fields.surfaces import sphere_sdf
    >>> points = surface_points(lambda x: sphere_sdf(x, 0.5), 10, jax.random.key(0))
    >>> print(abs(sphere_sdf(points, 0.5)).max() < 1e-6, points.shape)
    True (10, 3)
    """
    check_at_least("n", n)
    count = 16 * n if candidates is None else candidates
    if count < n:
        raise ValueError(f"candidates is {candidates}; it must be at least n, {n}")
    x = jax.random.uniform(key, (count, 3), minval=-half_width, maxval=half_width)
    return project(sdf, x, n, steps=steps)


def project(field: SDF, x: Float[Array, "m 3"], n: int, *, steps: int) -> Float[Array, "n 3"]:
    """The n points where a field is smallest in magnitude, moved to its zeros: `x - f grad f / |grad f|^2`.

    Args:
        field: `[m, 3] -> [m]`; a point where its gradient vanishes stays.
        x: where to start.
        n: how many points to keep.
        steps: of Newton's method.

    Raises:
        ValueError: if n is not between 1 and the number of points.
    """
    if not 1 <= n <= len(x):
        raise ValueError(f"n is {n}; it must be between 1 and the {len(x)} points")
    x = x[jax.lax.top_k(-jnp.abs(field(x)), n)[1]]

    def step(x, _):
        value, gradient = value_and_gradient(field, x)
        squared = jnp.sum(gradient**2, -1)
        move = value / jnp.where(squared > 0, squared, 1)
        return x - jnp.where(squared > 0, move, 0)[:, None] * gradient, None

    return jax.lax.scan(step, x, length=steps)[0]


def value_and_gradient(field: SDF, x: Float[Array | np.ndarray, "n d"]) -> tuple[Float[Array, " n"], Float[Array, "n d"]]:
    """A field and its gradient at many points; each value may depend on its own point alone.

    >>> value, gradient = value_and_gradient(lambda x: jnp.sum(x**2, -1), jnp.array([[1.0, 2.0]]))
    >>> value.tolist(), gradient.tolist()
    ([5.0], [[2.0, 4.0]])
    """
    value, back = jax.vjp(field, x)
    return value, back(jnp.ones_like(value))[0]

"""Points of solids for networks: of the box `[-1, 1]^d` with its two sides, and of any body given by points inside."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.pde.elastodynamics import Points, Samples
from quire.common.pde.samplers import cell_centres, stratified, uniform

Rule = Literal["random", "stratified", "gauss"]


def box_samples(
    key: jax.Array,
    dim: int,
    resolution: int,
    *,
    rule: Rule = "random",
    stand_for: int | None = None,
    sides: bool = True,
    dtype: jnp.dtype | None = None,
) -> Samples:
    """Points of the box `[-1, 1]^dim` and of its sides `x[0] = -1` and `x[0] = 1`.

    Args:
        key: for the points; Gauss points need none.
        dim: of space.
        resolution: r.
        rule: `"random"`, the authors': `r^dim` independent points and as many cell centres inside, `2 r^(dim - 1)` on each side;
            `"stratified"`: one point in each of `r^dim` cells; `"gauss"`: the product of Gauss-Legendre rules with r nodes, which
            come close to the boundary and integrate smooth energies far better than that many points by chance.
        stand_for: the resolution for which the sums count: weights make them `2 stand_for^dim` points inside and
            `2 stand_for^(dim - 1)` on each side, whatever the rule. `resolution` if left out.
        sides: whether there are points of the sides.
        dtype: of the points.

    Raises:
        ValueError: if `dim` is not 2 or 3, a resolution is not positive, or the rule is unknown.

    >>> samples = box_samples(jax.random.key(0), 2, 5, rule="gauss", stand_for=10)
    >>> samples.elastic.at["x"].shape, round(float(samples.elastic.weight.sum()), 3), samples.left.at["x"].shape
    ((25, 2), 200.0, (5, 2))
    """
    if dim not in (2, 3):
        raise ValueError(f"dim is {dim}; it must be 2 or 3")
    stand_for = resolution if stand_for is None else stand_for
    if min(resolution, stand_for) < 1:
        raise ValueError(f"resolution is {resolution} and stand_for {stand_for}; they must be at least 1")
    if rule not in (rules := ("random", "stratified", "gauss")):
        raise ValueError(f"rule is {rule!r}; choose from {', '.join(rules)}")
    keys = jax.random.split(key, 3)
    x, weight = _cube(keys[0], dim, resolution, rule, dtype or float)
    points = Points({"x": x}, 2 * stand_for**dim * weight)
    if not sides:
        return Samples(points, points)
    faces = []
    for face_key, position in zip(keys[1:], (-1.0, 1.0), strict=True):
        x, weight = _cube(face_key, dim - 1, resolution, rule, dtype or float)
        x = jnp.concatenate([jnp.full((len(x), 1), position, x.dtype), x], axis=1)
        faces.append(Points({"x": x}, 2 * stand_for ** (dim - 1) * weight))
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


def _cube(key, dim, resolution, rule, dtype):
    """Points of `[-1, 1]^dim` and weights that add up to 1."""
    low, high, cells = -jnp.ones(dim, dtype), jnp.ones(dim, dtype), (resolution,) * dim
    if rule == "gauss":
        nodes, weights = np.polynomial.legendre.leggauss(resolution)
        grid = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
        products = np.stack(np.meshgrid(*[weights / 2] * dim, indexing="ij"), axis=-1).reshape(-1, dim).prod(axis=1)
        return jnp.asarray(grid, dtype), jnp.asarray(products, dtype)
    if rule == "stratified":
        x = stratified(key, cells, low, high)
    else:
        x = jnp.concatenate([uniform(key, resolution**dim, low, high), cell_centres(cells, low, high)])
    return x, jnp.full(len(x), 1 / len(x), dtype)

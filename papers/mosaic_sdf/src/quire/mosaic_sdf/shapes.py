"""The shapes that mosaics are fitted to: analytic ones, and scanned surfaces."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.data.meshes import Surface, centred, stanford_surface
from quire.common.fields.solids import SDF, capsule_sdf, project, ring_sdf, union, value_and_gradient
from quire.common.fields.surfaces import box_sdf, mesh_sdf, points_on

HALF_WIDTH = 0.9
"""Half the longest edge of a scanned surface."""


class Shape(NamedTuple):
    """A solid in `[-1, 1]^3`.

    Attributes:
        name: for tables.
        sdf: signed distance `[m, 3] -> [m]`, negative inside.
        surface: its mesh, where it is one.
        block: points whose distances and gradients are computed at a time.
        stand_in_for: data of the paper.
    """

    name: str
    sdf: SDF
    surface: Surface | None = None
    block: int = 4096
    stand_in_for: str = ""


def torus(x: Float[Array | np.ndarray, "*batch 3"]) -> Float[Array, "*batch"]:
    """A ring in the plane of the first two coordinates."""
    return ring_sdf(x, 0.6, 0.25)


CHAIR = (
    ((0.0, 0.0, -0.05), (0.5, 0.5, 0.08)),
    ((0.0, 0.42, 0.45), (0.5, 0.08, 0.45)),
    *(((x, y, -0.5), (0.08, 0.08, 0.4)) for x in (-0.42, 0.42) for y in (-0.42, 0.42)),
)
"""Centres and half sizes: seat, back, four legs."""


def chair(x: Float[Array | np.ndarray, "*batch 3"]) -> Float[Array, "*batch"]:
    """Six boxes: thin parts, edges and concave corners."""

    def part(center, half_sizes):
        return box_sdf(x - jnp.asarray(center, x.dtype).reshape((1,) * (x.ndim - 1) + (3,)), half_sizes)

    return union(*(part(*box) for box in CHAIR))


def jack(x: Float[Array | np.ndarray, "*batch 3"]) -> Float[Array, "*batch"]:
    """Three rods along the axes."""
    return union(*(capsule_sdf(jnp.roll(x, axis, axis=-1), 0.6, 0.18) for axis in range(3)))


ANALYTIC = {"torus": torus, "chair": chair, "jack": jack}
SCANNED = ("bunny", "armadillo")


def open_shape(name: str) -> Shape:
    """`"torus"`, `"chair"` or `"jack"`, or a scanned surface: `"bunny"` or `"armadillo"`.

    Raises:
        DatasetUnavailable: if a scanned surface is asked for and not here.
        ValueError: for another name.
    """
    if name in ANALYTIC:
        return Shape(name, ANALYTIC[name], stand_in_for="meshes of ShapeNet")
    if name not in SCANNED:
        raise ValueError(f"name is {name!r}; choose from {', '.join((*ANALYTIC, *SCANNED))}")
    return mesh_shape(f"Stanford {name}", centred(stanford_surface(name), HALF_WIDTH))


def mesh_shape(name: str, surface: Surface) -> Shape:
    """A triangle mesh, which should lie in `[-1, 1]^3`: exact distances, the sign by the winding number."""
    vertices, faces = jnp.asarray(surface.vertices, jnp.float32), jnp.asarray(surface.faces, jnp.int32)
    return Shape(name, lambda x: mesh_sdf(vertices, faces, x), surface, block=512)


def points_of(shape: Shape, count: int, key: jax.Array) -> Float[np.ndarray, "count 3"]:
    """Points on the surface, float32.

    Raises:
        ValueError: for a count below 1, or a function that is no distance, whose points do not reach a surface.
    """
    check_at_least("count", count)
    if shape.surface is not None:
        return points_on(key, shape.surface, count).astype(np.float32)
    spared = count + count // SPARE + 1
    starts = jax.random.uniform(key, (CANDIDATES * spared, 3), minval=-1, maxval=1)
    found = np.asarray(_projected(shape.sdf, starts, spared))
    found = found[np.abs(distances(shape, found)[0]) < REACHED]  # a union has faces inside of its parts
    if len(found) < count:
        raise ValueError(f"count is {count}; only {len(found)} points reach the surface, so sdf is no distance")
    return found[:count]


SPARE, REACHED, CANDIDATES = 8, 1e-4, 16
"""One point in so many is spare; a point on the surface is at most so far from it, the nearest of so many points each."""

# the draw is a program of its own, which all shapes share
_projected = jax.jit(lambda sdf, x, count: project(sdf, x, count, steps=1), static_argnums=(0, 2))


def distances(shape: Shape, x: Float[Array | np.ndarray, "m 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Signed distances at points `[m]`, and their gradients `[m, 3]`, unit vectors almost everywhere.

    Blocks of one size share a program, however many points there are.
    """
    x = np.asarray(x, np.float32)
    check_at_least("number of points", len(x))
    count = -(-len(x) // shape.block)
    padded = np.pad(x, ((0, count * shape.block - len(x)), (0, 0)), mode="edge").reshape(count, shape.block, 3)
    value, slope = zip(*[_distances(shape.sdf, rows) for rows in padded], strict=True)
    return np.concatenate(value)[: len(x)], np.concatenate(slope)[: len(x)]


_distances = jax.jit(value_and_gradient, static_argnums=0)

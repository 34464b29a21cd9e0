"""Linear finite elements on triangles and tetrahedra, and bilinear ones on grids: meshes, gradients, mass and stiffness.

A P1 function is its values at the nodes; inside a simplex it is `u(x) = sum_i N_i(x) u_i` with barycentric coordinates N_i, whose
gradients are constant.
"""

import itertools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import floating

Pattern = Literal["diagonal", "alternating", "crossed"]


class Mesh(NamedTuple):
    """Triangles or tetrahedra over nodes.

    Attributes:
        nodes: positions `[n, d]`.
        elements: nodes of each simplex `[e, d + 1]`.
    """

    nodes: Float[Array, "n d"]
    elements: Int[Array, "e k"]


def box_mesh(
    cells: tuple[int, ...],
    low: Float[Array | np.ndarray, " d"],
    high: Float[Array | np.ndarray, " d"],
    *,
    pattern: Pattern = "alternating",
) -> Mesh:
    """A regular mesh of a box, every cell cut into simplices of positive volume.

    Args:
        cells: number of cells along each axis; there are one more nodes, the last axis fastest.
        low, high: corners of the box, two or three coordinates.
        pattern: how squares are cut: all along one diagonal, along one and the other by turns, or along both with a node
            in the middle (those nodes come last). Cubes are cut into the six tetrahedra of Kuhn, whatever the pattern.

    Raises:
        ValueError: if `cells` does not name two or three positive numbers, one per dimension, the box has no volume, or the
            pattern is unknown.

    >>> mesh = box_mesh((2, 2), jnp.zeros(2), jnp.ones(2))
    >>> mesh.nodes.shape, mesh.elements.shape
    ((9, 2), (8, 3))
    """
    dim = low.size
    if len(cells) != dim or dim not in (2, 3) or min(cells) < 1:
        raise ValueError(f"cells is {cells}; a box of dimension {dim} needs one positive number per dimension, two or three")
    if pattern not in (patterns := ("diagonal", "alternating", "crossed")):
        raise ValueError(f"pattern is {pattern!r}; choose from {', '.join(patterns)}")
    shape = tuple(n + 1 for n in cells)
    low, high = (np.asarray(corner) for corner in floating(low, high))
    if low.shape != high.shape or not (high > low).all():
        raise ValueError(f"low is {low.tolist()} and high {high.tolist()}; every coordinate of high must be above that of low")
    axes = [low[k] + (high[k] - low[k]) * np.arange(n, dtype=low.dtype) / (n - 1) for k, n in enumerate(shape)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dim)
    corner = np.stack(np.meshgrid(*[np.arange(n) for n in cells], indexing="ij"), axis=-1).reshape(-1, dim)

    def node(*shift):
        return np.ravel_multi_index(tuple((corner + np.array(shift)).T), shape)

    if dim == 3:
        elements = []
        for order in itertools.permutations(range(3)):
            path = np.cumsum([np.zeros(3, int), *np.eye(3, dtype=int)[list(order)]], axis=0)
            elements.append(np.stack([node(*shift) for shift in path], axis=1))
        elements = np.concatenate(elements)
    else:
        a, b, c, d = node(0, 0), node(1, 0), node(1, 1), node(0, 1)
        if pattern == "crossed":
            middle = math.prod(shape) + np.arange(len(corner))
            nodes = np.concatenate([nodes, (nodes[a] + nodes[c]) / 2])
            elements = np.concatenate([np.stack([p, q, middle], 1) for p, q in ((a, b), (b, c), (c, d), (d, a))])
        else:
            turned = (corner.sum(axis=1) % 2 == 1) & (pattern == "alternating")
            rising = [np.stack(t, 1) for t in ((a, b, c), (a, c, d))]
            falling = [np.stack(t, 1) for t in ((a, b, d), (b, c, d))]
            elements = np.concatenate([np.where(turned[:, None], f, r) for r, f in zip(rising, falling, strict=True)])
    edges = nodes[elements[:, 1:]] - nodes[elements[:, :1]]
    swapped = np.concatenate([elements[:, :-2], elements[:, :-3:-1]], axis=1)
    elements = np.where(np.linalg.det(edges)[:, None] > 0, elements, swapped)
    return Mesh(jnp.asarray(nodes), jnp.asarray(elements))


@jax.jit
def shape_gradients(mesh: Mesh) -> tuple[Float[Array, "e k d"], Float[Array, " e"]]:
    """Gradients of the barycentric coordinates of every element, and the elements' volumes (areas).

    >>> slopes, volumes = shape_gradients(Mesh(jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), jnp.array([[0, 1, 2]])))
    >>> (slopes + 0).tolist(), volumes.tolist()
    ([[[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]], [0.5])
    """
    edges = _edges(mesh)
    cofactors = _cofactors(edges)
    determinant = jnp.sum(edges[:, 0] * cofactors[:, 0], axis=-1)
    inner = cofactors / determinant[:, None, None]  # columns of the inverse of the edges: gradients of the coordinates along them
    slopes = jnp.concatenate([-inner.sum(axis=1, keepdims=True), inner], axis=1)
    return slopes, jnp.abs(determinant) / math.factorial(edges.shape[-1])


@jax.jit
def locate(mesh: Mesh, x: Float[Array, "n d"]) -> tuple[Int[Array, " n"], Float[Array, "n k"]]:
    """The element that holds each point, and the barycentric coordinates there. All elements are tried.

    A point outside the mesh gets the element it is least outside of: a coordinate is negative.
    """
    slopes, _ = shape_gradients(mesh)
    origins = mesh.nodes[mesh.elements[:, 0]]

    def of_point(point):
        coordinates = jnp.einsum("ekd,ed->ek", slopes, point[None] - origins).at[:, 0].add(1)
        best = jnp.argmax(coordinates.min(axis=1))
        return best, coordinates[best]

    return jax.lax.map(of_point, x, batch_size=256)


def side_faces(mesh: Mesh, axis: int, position: float) -> tuple[np.ndarray, np.ndarray]:
    """Faces (edges, triangles) of elements that lie in the plane `x[axis] = position`.

    Returns:
        Element of each face `[f]`, and its nodes by their place in that element `[f, d]`.

    Raises:
        ValueError: if there is none, or space has no such axis.
    """
    if not 0 <= axis < mesh.nodes.shape[1]:
        raise ValueError(f"axis is {axis}; the mesh has axes 0 to {mesh.nodes.shape[1] - 1}")
    there = np.isclose(np.asarray(mesh.nodes)[np.asarray(mesh.elements)][:, :, axis], position)
    found = np.flatnonzero(there.sum(axis=1) == there.shape[1] - 1)
    if not len(found):
        raise ValueError(f"no face of the mesh lies at x[{axis}] = {position}")
    return found, np.nonzero(there[found])[1].reshape(len(found), -1)


# --- Mass and stiffness ---


@jax.jit
def lumped_mass(mesh: Mesh) -> Float[Array, " n"]:
    """`int N_i` of every node: the row sums of the mass matrix."""
    _, volumes = shape_gradients(mesh)
    count = mesh.elements.shape[1]
    shares = jnp.broadcast_to((volumes / count)[:, None], mesh.elements.shape)
    return jax.ops.segment_sum(shares.reshape(-1), mesh.elements.reshape(-1), mesh.nodes.shape[0])


def grid_elements(cells: tuple[int, ...]) -> Int[Array, "e k"]:
    """Corners of the cells of a grid, for bilinear (Q1) elements, the last axis fastest in cells, nodes and corners."""
    shape = tuple(n + 1 for n in cells)
    corner = np.stack(np.meshgrid(*[np.arange(n) for n in cells], indexing="ij"), axis=-1).reshape(-1, len(cells))
    shifts = itertools.product((0, 1), repeat=len(cells))
    return jnp.asarray(np.stack([np.ravel_multi_index(tuple((corner + np.array(s)).T), shape) for s in shifts], axis=1))


def grid_matrices(spacing: tuple[float, ...]) -> tuple[Float[Array, "k k"], Float[Array, "k k"]]:
    """Mass and stiffness matrix of one Q1 cell with these edges: products of those of intervals.

    >>> mass, stiffness = grid_matrices((1.0, 1.0))
    >>> print(mass.sum().round(6), (6 * stiffness[0]).round(6))
    1.0 [ 4. -1. -1. -2.]
    """
    masses = [h / 6 * jnp.array([[2.0, 1.0], [1.0, 2.0]]) for h in spacing]
    slopes = [1 / h * jnp.array([[1.0, -1.0], [-1.0, 1.0]]) for h in spacing]

    def product(factors):
        result = factors[0]
        for factor in factors[1:]:
            result = jnp.kron(result, factor)
        return result

    axes = range(len(spacing))
    return product(masses), sum(product([slopes[k] if k == axis else masses[k] for k in axes]) for axis in axes)


def assemble(
    elements: Int[Array, "e k"], matrices: Float[Array, "e k k"] | Float[Array, "k k"], num_nodes: int
) -> Float[Array, "n n"]:
    """The assembled matrix, dense."""
    matrices = jnp.broadcast_to(matrices, (elements.shape[0], *matrices.shape[-2:]))
    rows = jnp.broadcast_to(elements[:, :, None], matrices.shape)
    return jnp.zeros((num_nodes, num_nodes), matrices.dtype).at[rows, rows.mT].add(matrices)


def _edges(mesh: Mesh) -> Float[Array, "e d d"]:
    corners = mesh.nodes[mesh.elements]
    return corners[:, 1:] - corners[:, :1]


def _cofactors(edges: Float[Array, "e d d"]) -> Float[Array, "e d d"]:
    """`det(E) E^-T`: a closed form compiles in a fraction of the time of a factorisation."""
    if edges.shape[-1] not in (2, 3):
        raise ValueError(f"nodes has {edges.shape[-1]} coordinates; a mesh has 2 or 3")
    if edges.shape[-1] == 2:
        (a, b), (c, d) = (jnp.unstack(row, axis=-1) for row in jnp.unstack(edges, axis=-2))
        return jnp.stack([jnp.stack([d, -c], axis=-1), jnp.stack([-b, a], axis=-1)], axis=-2)
    return jnp.cross(jnp.roll(edges, -1, axis=-2), jnp.roll(edges, -2, axis=-2))

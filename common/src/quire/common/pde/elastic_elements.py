"""Elastic solids on finite elements: the same energies as on networks, with nodal displacements for parameters.

A point of a mesh knows its element: `nodes`, barycentric coordinates `shape`, gradients `slopes`. F is constant in an element, so
one point each integrates the elastic energies exactly; mass is lumped at the nodes, where contact acts as well.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.pde.block_tridiagonal import factorise, levels, solve
from quire.common.pde.elastodynamics import Point, Points, Samples
from quire.common.pde.finite_elements import Mesh, locate, lumped_mass, shape_gradients, side_faces
from quire.common.pde.normal_equations import Solve
from quire.common.pde.objective import Block, Objective


def nodal_displacement(values: Float[Array, "n d"], point: Point) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """The displacement that nodal values interpolate."""
    local = values[point["nodes"]]
    return point["shape"] @ local, local.T @ point["slopes"]


@jax.jit
def mesh_points(mesh: Mesh, elements: Int[Array, " n"], shape: Float[Array, "n k"]) -> dict[str, Array]:
    """Points by element and barycentric coordinates, as `nodal_displacement` takes them."""
    slopes, _ = shape_gradients(mesh)
    nodes = mesh.elements[elements]
    x = jnp.einsum("nk,nkd->nd", shape, mesh.nodes[nodes])
    return {"x": x, "nodes": nodes, "shape": shape, "slopes": slopes[elements]}


def located(mesh: Mesh, x: Float[Array, "n d"]) -> dict[str, Array]:
    """Points by position, as `nodal_displacement` takes them."""
    return mesh_points(mesh, *locate(mesh, x)) | {"x": x}


def mesh_samples(mesh: Mesh, *, total: float, side_total: float = 0.0, axis: int = 0) -> Samples:
    """Points and weights of a mesh that integrate what sums over evenly spread points approximate.

    Args:
        mesh: of a solid; it has to fill its bounding box along `axis` if sides are asked for.
        total: sum of the weights inside: the number of points of the sums.
        side_total: sum of the weights of each of the two sides normal to `axis`; 0 for no sides.
        axis: see `side_total`.

    Returns:
        Centroids weighted by volume, nodes by lumped mass, and points of the sides exact for squares of linear functions.

    Raises:
        ValueError: if a total is negative, or no face lies on a side.
    """
    if not total > 0 or side_total < 0:
        raise ValueError(f"total is {total} and side_total {side_total}; they must be positive and at least 0")
    _, first = np.unique(np.asarray(mesh.elements), return_index=True)
    elastic, nodes = _inner_points(mesh, jnp.asarray(first), jnp.asarray(total, mesh.nodes.dtype))
    if not side_total:
        return Samples(elastic, nodes)
    ends = np.asarray(mesh.nodes)[:, axis]
    sides = [_side_points(mesh, axis, position, side_total) for position in (ends.min(), ends.max())]
    return Samples(elastic, nodes, *sides)


@jax.jit
def _inner_points(mesh: Mesh, first: Int[Array, " n"], total: Float[Array, ""]) -> tuple[Points, Points]:
    """Centroids and nodes; `first` are the places of the nodes in the flattened elements."""
    count, corners = mesh.elements.shape
    _, volumes = shape_gradients(mesh)
    centre = jnp.full((count, corners), 1 / corners, mesh.nodes.dtype)
    elastic = Points(mesh_points(mesh, jnp.arange(count), centre), total * volumes / volumes.sum())
    mass = lumped_mass(mesh)
    at_node = jax.nn.one_hot(first % corners, corners, dtype=mesh.nodes.dtype)
    return elastic, Points(mesh_points(mesh, first // corners, at_node), total * mass / mass.sum())


def _side_points(mesh: Mesh, axis: int, position: float, total: float) -> Points:
    elements, places = side_faces(mesh, axis, position)
    size = places.shape[1]
    # Two Gauss points on an edge, the three points (2/3, 1/6, 1/6) in a triangle: exact for quadratics.
    near = 0.5 + 0.5 / 3**0.5 if size == 2 else 2 / 3
    rule = np.full((size, size), (1 - near) / (size - 1)) + (near - (1 - near) / (size - 1)) * np.eye(size)
    shape = np.zeros((len(elements), size, size + 1))
    np.put_along_axis(shape, np.broadcast_to(places[:, None], (len(elements), size, size)), rule[None], axis=2)
    corners = np.asarray(mesh.nodes)[np.take_along_axis(np.asarray(mesh.elements)[elements], places, axis=1)]
    edges = corners[:, 1:] - corners[:, :1]
    areas = np.sqrt(np.linalg.det(edges @ edges.transpose(0, 2, 1)))
    weight = np.repeat(total * areas / areas.sum() / size, size)
    dtype = mesh.nodes.dtype
    points = mesh_points(mesh, jnp.asarray(np.repeat(elements, size)), jnp.asarray(shape.reshape(-1, size + 1), dtype))
    return Points(points, jnp.asarray(weight, dtype))


class MeshSystem(NamedTuple):
    """Normal equations of a mesh in levels: blocks of `J^T J` on the diagonal and below it, and half the gradient."""

    diagonal: Float[Array, "b m m"]
    lower: Float[Array, "b m m"]
    slope: Float[Array, " p"]


class MeshEquations:
    """Normal equations of nodal values on a mesh, for `minimise`: each point of an objective knows the few nodes it depends on.

    Levels of nodes couple with the levels beside them only, so that thousands of nodes are no burden.

    Args:
        mesh: whose nodal values are the parameters `[n, d]`.
    """

    def __init__(self, mesh: Mesh):
        (count, self.dim), self.levels = mesh.nodes.shape, levels(np.asarray(mesh.elements), len(mesh.nodes))
        self.size = count * self.dim
        self.shape = self.levels.count, self.levels.width * self.dim, self.levels.width * self.dim
        used = np.zeros(self.levels.count * self.levels.width, bool)
        used[self.levels.place] = True
        self.used = np.repeat(used, self.dim).reshape(self.shape[:2])

    def zeros(self, theta: Float[Array, " p"]) -> MeshSystem:
        """See `Equations`."""
        return MeshSystem(*[jnp.zeros(self.shape, theta.dtype)] * 2, jnp.zeros_like(theta))

    def assemble(self, objective: Objective, params: Float[Array, "n d"]) -> MeshSystem:
        """See `Equations`."""
        systems, grads = _local_systems(objective, params)
        blocks, slope = jnp.zeros(2 * math.prod(self.shape), params.dtype), grads.reshape(-1) / 2
        for nodes, gram, part in systems:
            own = (nodes[:, :, None] * self.dim + jnp.arange(self.dim)[None, None]).reshape(len(nodes), -1)
            slope = slope.at[own].add(part)
            blocks = blocks.at[self._entries(nodes)].add(gram, mode="drop")
        return MeshSystem(*blocks.reshape(2, *self.shape), slope)

    def solver(self, system: MeshSystem, lam: Float[Array, ""]) -> Solve:
        """See `Equations`."""
        damping = lam * jnp.einsum("bii->", system.diagonal) / self.size
        shift = jnp.where(self.used, damping, 1)
        factor = factorise(system.diagonal + shift[:, :, None] * jnp.eye(self.shape[2], dtype=shift.dtype)[None], system.lower)

        def solved(right):
            spread = jnp.zeros((self.used.size // self.dim, self.dim), right.dtype)
            spread = spread.at[self.levels.place].set(right.reshape(-1, self.dim))
            return solve(factor, spread.reshape(self.shape[:2])).reshape(-1, self.dim)[self.levels.place].reshape(-1)

        return solved

    def _entries(self, nodes: Int[Array, "n k"]) -> Int[Array, "n kd kd"]:
        """Where the values of an element couple, in `diagonal` and then `lower`; beyond both for what is above the diagonal."""
        count, width, _ = self.shape
        place = jnp.asarray(self.levels.place)[nodes][:, :, None] * self.dim + jnp.arange(self.dim)[None, None]
        level, inner = jnp.divmod(place.reshape(len(nodes), -1), width)
        row, below = level[:, :, None], level[:, :, None] - level[:, None]
        entry = ((below * count + row) * width + inner[:, :, None]) * width + inner[:, None]
        return jnp.where(below < 0, 2 * math.prod(self.shape), entry)


def _local_systems(objective: Objective, values: Float[Array, "n d"]):
    """`J^T J` and `J^T r` of every point over its own nodes, and the gradient of the energies."""
    systems = [_local_system(block, values, counts=True) for block in objective.blocks.values()]
    systems += [_local_system(block, values, counts=False) for block in objective.curvatures.values()]
    energies = jax.grad(lambda u: sum((energy(u) for energy in objective.energies.values()), jnp.zeros((), u.dtype)))
    return systems, energies(values)


def _local_system(block: Block, values: Float[Array, "n d"], *, counts: bool):
    nodes = block.points["nodes"]
    own = jnp.broadcast_to(jnp.arange(nodes.shape[1])[None], nodes.shape)  # a point's nodes among its own values
    weight = jnp.broadcast_to(jnp.asarray(block.weight, values.dtype), nodes.shape[:1])

    def of_point(local, point, weight):
        residual, pull = jax.vjp(lambda v: block.residual(v, point), local)
        jac = jax.vmap(pull)(jnp.eye(residual.size, dtype=residual.dtype))[0].reshape(residual.size, -1)
        return weight * jac.T @ jac, weight * jac.T @ residual * counts

    return nodes, *jax.vmap(of_point)(values[nodes], block.points | {"nodes": own}, weight)

"""Elastic solids on finite elements: the same energies as on networks, with nodal displacements for parameters.

A point of a mesh knows its element: `nodes`, barycentric coordinates `shape`, gradients `slopes`. F is constant in an element, so
one point each integrates the elastic energies exactly; mass is lumped at the nodes, where contact acts as well.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Array, Float, Int
from scipy.sparse.csgraph import reverse_cuthill_mckee
from threadpoolctl import threadpool_limits

from quire.common.pde.elastodynamics import Point, Points, Samples
from quire.common.pde.finite_elements import Mesh, locate, lumped_mass, shape_gradients, side_faces
from quire.common.pde.minimise import Info, LevenbergMarquardt
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


class SparseLevenbergMarquardt:
    """`LevenbergMarquardt` for objectives on a mesh, with banded factors: each point knows the few nodes it depends on.

    The same steps as `minimise` takes, until one changes the objective by less than 1e-10 of it, on the host: not traceable, but
    thousands of nodes are no burden. What is compiled is kept in the object.

    Args:
        make: `(*args) -> Objective` whose points have `nodes`; traced.
        solver: damping and number of steps.
    """

    def __init__(self, make: Callable[..., Objective], solver: LevenbergMarquardt):
        self.solver, self._make = solver, make
        self._terms = jax.jit(lambda values, *args: make(*args).terms(values))
        self._system = jax.jit(lambda values, *args: _local_systems(make(*args), values))

    def __call__(self, values: Float[Array, "n d"], *args: Any) -> tuple[Float[Array, "n d"], Info]:
        """Minimise from `values`.

        Args:
            values: at the nodes.
            args: for `make`.

        Returns:
            Values and how it went, as from `minimise`.
        """
        solver, dtype = self.solver, values.dtype
        terms = self._terms(values, *args)
        tolerance = -np.inf if self._make(*args).energies else solver.tolerance
        start = cost = float(sum(terms.values()))
        matrix, slope = self._normal_equations(values, args)
        lam, losses, accepted = solver.damping, [], []
        while len(losses) < solver.steps and cost > tolerance:
            damping = lam * matrix.diagonal().mean()
            update = _solve(matrix + damping * scipy.sparse.identity(slope.size, format="csc"), slope)
            trial = values - jnp.asarray(update.reshape(values.shape), dtype)
            trial_terms = self._terms(trial, *args)
            trial_cost = float(sum(trial_terms.values()))
            better, settled = trial_cost < cost, abs(cost - trial_cost) <= 1e-10 * abs(cost)
            if better:
                values, terms, cost = trial, trial_terms, trial_cost
                matrix, slope = self._normal_equations(values, args)
            lam = float(solver.next_damping(lam, better))
            losses.append(cost)
            accepted.append(better)
            if settled or lam > 1e12:
                break
        rest = solver.steps - len(losses)
        return values, Info(
            jnp.array(len(losses)),
            jnp.array(start, dtype),
            jnp.array(cost, dtype),
            terms,
            jnp.zeros((), dtype),
            jnp.array(lam, dtype),
            jnp.array(losses + [cost] * rest, dtype),
            jnp.array(accepted + [False] * rest),
        )

    def _normal_equations(self, values, args):
        systems, grads = self._system(values, *args)
        dim, size = values.shape[1], values.size
        slope = np.array(grads, float).reshape(-1) / 2
        rows, columns, entries = [], [], []
        for nodes, gram, part in systems:
            dofs = (np.asarray(nodes)[:, :, None] * dim + np.arange(dim)).reshape(len(nodes), -1)
            rows.append(np.broadcast_to(dofs[:, :, None], gram.shape).reshape(-1))
            columns.append(np.broadcast_to(dofs[:, None], gram.shape).reshape(-1))
            entries.append(np.asarray(gram).reshape(-1))
            slope += np.bincount(dofs.reshape(-1), np.asarray(part).reshape(-1), size)
        index = np.concatenate(rows), np.concatenate(columns)
        return scipy.sparse.coo_matrix((np.concatenate(entries), index), (size, size)).tocsc(), slope


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


def _solve(matrix, right):
    """Cholesky of a banded matrix, nodes renumbered by Cuthill and McKee; NaN, a step that is rejected, if it is not positive."""
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    entries = matrix.tocoo()
    row, column = place[entries.row], place[entries.col]
    upper = row <= column
    row, column = row[upper], column[upper]
    width = int((column - row).max())
    banded = np.zeros((width + 1, len(right)))
    banded[width + row - column, column] = entries.data[upper]
    try:
        with threadpool_limits(1, "blas"):  # bands are narrow: threads would only wait for each other
            return scipy.linalg.solveh_banded(banded, right[order], overwrite_ab=True, check_finite=False)[place]
    except scipy.linalg.LinAlgError:
        return np.full_like(right, np.nan)

"""Symmetric matrices whose blocks couple with the blocks beside them only, as those of a mesh cut into levels do.

With diagonal blocks `D_b` and `L_b` below them, the Cholesky factor has `C_b C_b^T = D_b - W_b^T W_b`, `W_b = C_(b-1)^-1 L_b^T`:
one small factorisation after the other, of which a compiled loop holds one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int
from scipy.sparse.csgraph import reverse_cuthill_mckee


class Levels(NamedTuple):
    """An order of nodes in which those of an element lie in one level, or in two that follow one another.

    Attributes:
        place: of each node, its level times `width` plus its place in the level, `[n]`.
        width: places of a level, of which the last level may not use all.
        count: of the levels.
    """

    place: Int[np.ndarray, " n"]
    width: int
    count: int


def levels(elements: Int[np.ndarray, "e k"], num_nodes: int) -> Levels:
    """Cut a mesh into narrow levels: in the order of its nodes, or in that of Cuthill and McKee if those are narrower.

    Args:
        elements: nodes of each element.
        num_nodes: n.

    >>> levels(np.array([[0, 4], [4, 2], [2, 1], [1, 3]]), 5)
    Levels(place=array([4, 1, 2, 0, 3]), width=1, count=5)
    """
    first, second = (elements[:, side].reshape(-1) for side in np.meshgrid(*[np.arange(elements.shape[1])] * 2))
    graph = scipy.sparse.coo_matrix((np.ones(first.size), (first, second)), (num_nodes, num_nodes)).tocsr()
    renumbered = np.empty(num_nodes, int)
    renumbered[reverse_cuthill_mckee(graph, symmetric_mode=True)] = np.arange(num_nodes)
    orders = np.arange(num_nodes), renumbered
    width, place = min(((_width(order[first], order[second]), order) for order in orders), key=lambda found: found[0])
    return Levels(place, width, -(-num_nodes // width))


def _width(first: Int[np.ndarray, " m"], second: Int[np.ndarray, " m"]) -> int:
    """The narrowest levels in which no pair is further apart than from one level to the next."""
    apart = int(np.abs(first - second).max(initial=1))
    return next(w for w in range(-(-apart // 2), apart + 1) if np.abs(first // w - second // w).max(initial=0) <= 1)


class Factor(NamedTuple):
    """Lower triangles C of the diagonal blocks, and W, which couples each block with the one before."""

    diagonal: Float[Array, "b m m"]
    coupling: Float[Array, "b m m"]


def factorise(diagonal: Float[Array, "b m m"], lower: Float[Array, "b m m"]) -> Factor:
    """The Cholesky factor; NaN where the matrix is not positive definite.

    Args:
        diagonal: D.
        lower: L, each block with the one before in its columns; the first, which has none, must be 0.
    """

    def eliminate(before, blocks):
        block, below = blocks
        coupling = solve_triangular(before, below.T, lower=True)
        factor = jnp.linalg.cholesky(block - coupling.T @ coupling, symmetrize_input=False)
        return factor, (factor, coupling)

    return Factor(*jax.lax.scan(eliminate, jnp.eye(diagonal.shape[-1], dtype=diagonal.dtype), (diagonal, lower))[1])


def solve(factor: Factor, right: Float[Array, "b m"]) -> Float[Array, "b m"]:
    """The x of `A x = right`, from the factor of A."""

    def forward(before, blocks):
        diagonal, coupling, right = blocks
        found = solve_triangular(diagonal, right - coupling.T @ before, lower=True)
        return found, found

    def backward(carried, blocks):
        diagonal, coupling, right = blocks
        found = solve_triangular(diagonal, right - carried, lower=True, trans="T")
        return coupling @ found, found

    nothing = jnp.zeros_like(right[0])
    _, half = jax.lax.scan(forward, nothing, (*factor, right))
    return jax.lax.scan(backward, nothing, (*factor, half), reverse=True)[1]

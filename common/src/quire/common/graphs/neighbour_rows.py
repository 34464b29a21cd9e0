"""Neighbours of the nodes of a graph in rows of equal length, which a machine sums without scattering edge by edge.

A node of degree d has `ceil(d / WIDTH)` rows (the ELLPACK format of sparse matrices, with long rows cut). A product then gathers
`WIDTH` features for each entry of a row and adds them at once; only the sums of whole rows are added to their nodes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

WIDTH = 8
"""Neighbours in a row."""

BLOCK = 4096
"""Rows whose sums stand in memory at a time."""


class NeighbourRows(NamedTuple):
    """Rows of neighbours; made by `neighbour_rows`.

    Attributes:
        neighbour: int32 `[r, WIDTH]`; the number of nodes where a row ends before.
        edge: int32 `[r, WIDTH]`, the undirected edge to each; the number of edges where a row ends before.
        node: int32 `[r]`, whose neighbours they are; sorted, the number of nodes for rows that are not needed.
    """

    neighbour: Array
    edge: Array
    node: Array


def neighbour_rows(pairs: Int[np.ndarray, "2 m"], num_nodes: int) -> NeighbourRows:
    """Rows of the undirected edges `pairs`, whose ends lie in `0 .. num_nodes - 1`.

    There are as many as any graph with so many nodes and edges may need, so that one program serves them all; those that this
    one does not need belong to no node.

    >>> rows = neighbour_rows(np.array([[0, 1], [1, 2]]), 3)
    >>> rows.node.tolist(), [row[:2] for row in rows.neighbour.tolist()]
    ([0, 1, 2], [[1, 3], [2, 0], [1, 3]])
    """
    m = pairs.shape[1]
    own, other, edge = np.concatenate(pairs), np.concatenate(pairs[::-1]), np.tile(np.arange(m), 2)
    order = np.argsort(own, kind="stable")
    own, degree = own[order], np.bincount(own, minlength=num_nodes)
    count = -(-degree // WIDTH)
    place = np.arange(2 * m) - (np.cumsum(degree) - degree)[own] + WIDTH * (np.cumsum(count) - count)[own]
    total = min(2 * m, (2 * m + (WIDTH - 1) * num_nodes) // WIDTH)
    node = np.full(total, num_nodes, np.int32)
    node[: count.sum()] = np.repeat(np.arange(num_nodes), count)
    parts = []
    for values, filler in ((other, num_nodes), (edge, m)):
        rows = np.full(WIDTH * total, filler, np.int32)
        rows[place] = values[order]
        parts.append(jnp.asarray(rows.reshape(-1, WIDTH)))
    return NeighbourRows(*parts, jnp.asarray(node))


def sum_neighbours(rows: NeighbourRows, x: Float[Array, "n c"], weight: Float[Array, " m"] | None = None) -> Float[Array, "n c"]:
    """`out_i = sum_j w_ij x_j` over the neighbours j of every node, all weights 1 by default.

    Args:
        rows: of a graph.
        x: features of its nodes.
        weight: of its undirected edges.
    """
    entries = jnp.concatenate([x, jnp.zeros((1, x.shape[1]), x.dtype)])  # what a row lacks is zero, whatever the features are
    weights = None if weight is None else jnp.concatenate([weight, jnp.zeros(1, weight.dtype)])

    def add(total, block):
        scale = None if weights is None else jax.lax.optimization_barrier(_rows_of(weights, block.edge))
        sums = jnp.zeros((), x.dtype)
        for k in range(WIDTH):
            part = _rows_of(entries, block.neighbour[:, k])
            sums = sums + (part if scale is None else scale[:, k : k + 1] * part)
        sums = jax.lax.optimization_barrier(sums)  # the gathers stay one loop over whole rows
        return total.at[block.node].add(sums, mode="drop", indices_are_sorted=True), None

    start, n = jnp.zeros_like(x), len(x)
    if len(rows.node) <= BLOCK:
        return add(start, rows)[0]
    m = 0 if weight is None else len(weight)
    blocks = NeighbourRows(*(_blocks(part, filler) for part, filler in ((rows.neighbour, n), (rows.edge, m), (rows.node, n))))
    return jax.lax.scan(add, start, blocks)[0]


def _rows_of(table: Array, index: Array) -> Array:
    return table.at[index].get(mode="promise_in_bounds")


def _blocks(x: Array, filler: int) -> Array:
    widths = ((0, -len(x) % BLOCK), *[(0, 0)] * (x.ndim - 1))
    return jnp.pad(x, widths, constant_values=filler).reshape(-1, BLOCK, *x.shape[1:])

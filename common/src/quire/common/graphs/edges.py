"""Undirected graphs as edge lists, and the sums over edges that message passing is made of.

Each undirected edge is stored once, as a pair (i, j). What belongs to one *side* of an edge, such as a restriction map, is
listed for all pairs first and for all pairs reversed after: row e < m is of i at edge e, row m + e of j.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.graphs.neighbour_rows import NeighbourRows, neighbour_rows, sum_neighbours

CHUNKS = 8
"""Chunks, at least, in which derivatives by edge weights are computed; see `symmetric_product`."""

EDGES = 8192
"""Edges in a chunk at most."""


@partial(jax.tree_util.register_dataclass, data_fields=["pairs", "rows", "degree"], meta_fields=["num_nodes"])
@dataclass(frozen=True)
class Graph:
    """An undirected graph; made by `undirected`, `bipartite` or `from_directed`, which check it.

    Attributes:
        pairs: int32 `[2, m]`, every undirected edge once.
        rows: the same edges as neighbours of each node, for products.
        degree: int32 `[n]`, number of edges at each node.
        num_nodes: nodes, isolated ones included.
    """

    pairs: Array
    rows: NeighbourRows
    degree: Array
    num_nodes: int

    @property
    def num_edges(self) -> int:
        """Undirected edges m."""
        return self.pairs.shape[-1]

    @property
    def directed(self) -> Int[Array, "2 sides"]:
        """Sources and targets of all sides: the pairs, then the pairs reversed."""
        return jnp.concatenate([self.pairs, self.pairs[::-1]], axis=1)


def undirected(pairs: ArrayLike, num_nodes: int) -> Graph:
    """Graph of undirected edges, each given once in either direction.

    Args:
        pairs: integers `[2, m]`.
        num_nodes: number of nodes.

    Raises:
        ValueError: for a negative number of nodes, a node outside of `0 .. num_nodes - 1`, a self loop or an edge given twice.

    >>> undirected([[0, 1], [1, 2]], 3).directed.tolist()
    [[0, 1, 1, 2], [1, 2, 0, 1]]
    """
    pairs = _edge_array(pairs, "pairs", num_nodes)
    _, count = np.unique(_codes(np.sort(pairs, axis=0), num_nodes), return_counts=True)
    if (count > 1).any():
        raise ValueError(f"pairs holds {int((count > 1).sum())} edges more than once; give every undirected edge once")
    degree = np.bincount(pairs.reshape(-1), minlength=num_nodes)
    return Graph(jnp.asarray(pairs, jnp.int32), neighbour_rows(pairs, num_nodes), jnp.asarray(degree, jnp.int32), int(num_nodes))


def bipartite(user: ArrayLike, item: ArrayLike, num_users: int, num_items: int) -> Graph:
    """Graph of interactions: users are the nodes `0 .. num_users - 1`, items follow.

    Args:
        user, item: integers `[m]`, every interaction once; items counted from 0.
        num_users, num_items: sizes of both sides.

    Raises:
        ValueError: for an index outside of its side, or a repeated interaction.

    >>> bipartite([0, 1], [0, 0], num_users=2, num_items=1).pairs.tolist()
    [[0, 1], [2, 2]]
    """
    sides = []
    for name, index, size in (("user", user, num_users), ("item", item, num_items)):
        index = np.asarray(index)
        if index.ndim != 1 or len(index) != len(np.atleast_1d(user)):
            raise ValueError(f"{name} has shape {index.shape}; user and item need one number for each interaction")
        check_ids(name, index, size)
        sides.append(index.astype(np.int64))  # a small integer type has no room for num_users
    return undirected(np.stack([sides[0], sides[1] + num_users]), num_users + num_items)


def from_directed(edge_index: ArrayLike, num_nodes: int) -> tuple[Graph, np.ndarray]:
    """Graph of a directed list that holds both directions of every edge, in any order.

    Args:
        edge_index: integers `[2, 2 m]`, sources and targets.
        num_nodes: number of nodes.

    Returns:
        The graph, and `order` `[2 m]`: `values[order]` puts what is listed by directed edge into the order of `graph.directed`.

    Raises:
        ValueError: for a node out of range, a self loop, a repeated edge or one without its reverse.
    """
    edge_index = _edge_array(edge_index, "edge_index", num_nodes)
    forward, backward = _codes(edge_index, num_nodes), _codes(edge_index[::-1], num_nodes)
    sort = np.argsort(forward)
    if (np.diff(forward[sort]) == 0).any():
        raise ValueError("edge_index holds an edge more than once; remove the duplicates")
    place = np.minimum(np.searchsorted(forward, backward, sorter=sort), len(sort) - 1)
    reverse = sort[place] if len(sort) else sort
    if (forward[reverse] != backward).any():
        missing = int((forward[reverse] != backward).sum())
        raise ValueError(f"edge_index holds {missing} edges without their reverse; list both directions")
    first = np.flatnonzero(np.arange(len(reverse)) < reverse)
    return undirected(edge_index[:, first], num_nodes), np.concatenate([first, reverse[first]])


def _edge_array(edges, name: str, num_nodes: int) -> np.ndarray:
    check_at_least("num_nodes", num_nodes, 0)
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[0] != 2 or (edges.size and not np.issubdtype(edges.dtype, np.integer)):
        raise ValueError(f"{name} has shape {edges.shape} and dtype {edges.dtype}; it must be integers of shape (2, edges)")
    if edges.size and not 0 <= edges.min() <= edges.max() < num_nodes:
        raise ValueError(
            f"{name} runs from {edges.min()} to {edges.max()}; nodes lie between 0 and num_nodes - 1 = {num_nodes - 1}"
        )
    if (edges[0] == edges[1]).any():
        raise ValueError(f"{name} holds {int((edges[0] == edges[1]).sum())} self loops; remove them")
    return edges.astype(np.int64)


def _codes(edges: np.ndarray, num_nodes: int) -> np.ndarray:
    return edges[0] * num_nodes + edges[1]


# --- Sums over edges ---


def scatter_sides(graph: Graph, first: Float[Array, "m *rest"], second: Float[Array, "m *rest"]) -> Float[Array, "n *rest"]:
    """Sum of what each edge sends to its first and to its second end, by node."""
    out = jax.ops.segment_sum(first, graph.pairs[0], graph.num_nodes)
    return out + jax.ops.segment_sum(second, graph.pairs[1], graph.num_nodes)


def sum_sides(graph: Graph, values: Float[Array, "sides *rest"]) -> Float[Array, "n *rest"]:
    """Sum over the edges at each node of what belongs to its side, listed as in `graph.directed`.

    Raises:
        ValueError: unless there is a row for each side of each edge.
    """
    if values.shape[:1] != (2 * graph.num_edges,):
        raise ValueError(f"values has shape {values.shape}; the sides of {graph.num_edges} edges need {2 * graph.num_edges} rows")
    return scatter_sides(graph, values[: graph.num_edges], values[graph.num_edges :])


def degrees(graph: Graph, dtype: jnp.dtype | type = jnp.float32) -> Float[Array, " n"]:
    """Number of edges at each node."""
    return graph.degree.astype(dtype)


def naive_symmetric_product(graph: Graph, weight: Float[Array, " m"], x: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """`symmetric_product` with the derivatives that automatic differentiation finds. Arguments and errors as there."""
    weight, x = _features(graph, weight, x)
    i, j = graph.pairs
    return scatter_sides(graph, weight[:, None] * x[j], weight[:, None] * x[i])


def symmetric_product(graph: Graph, weight: Float[Array, " m"], x: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Product with the symmetric matrix that has `weight[e]` at both places of edge e: `out_i = sum_j w_ij x_j`.

    Neighbours are summed row by row (`NeighbourRows`): a scatter of every edge takes several times as long, and its messages,
    `2 m c` numbers, are memory that is mapped afresh at every call.

    The derivative by x is the same product of the cotangents. The derivative by the weights,
    `dw_e = <dout_i, x_j> + <dout_j, x_i>`, reads `4 m c` numbers; left to itself, XLA fuses it into everything that is computed
    from it and evaluates it again in each place. A loop over parts of the edges is a border that fusion does not cross, and keeps
    the gathered rows small.

    Args:
        graph: the edges.
        weight: one number per undirected edge.
        x: features of the nodes.

    Raises:
        ValueError: unless there is a weight for every edge and a row of x for every node.
    """
    return _product(graph.pairs, graph.rows, *_features(graph, weight, x))


def adjacency_product(graph: Graph, x: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """`symmetric_product` with all weights 1: the sum over the neighbours of every node.

    Raises:
        ValueError: unless x has a row for every node.

    >>> adjacency_product(undirected([[0, 1], [1, 2]], 3), jnp.array([[1.0], [10.0], [100.0]]))[:, 0].tolist()
    [10.0, 101.0, 10.0]
    """
    check_features(graph, x)
    return _neighbour_sum(graph.rows, *floating(x))


def _features(graph: Graph, weight: Array, x: Array) -> tuple[Array, ...]:
    if weight.shape != (graph.num_edges,):
        raise ValueError(f"weight has shape {weight.shape}; {graph.num_edges} edges need ({graph.num_edges},)")
    check_features(graph, x)
    weight, x = floating(weight, x)
    return weight, x


def check_features(graph: Graph, x: Array) -> None:
    """A row for every node; JAX would read the last row in place of one that is missing.

    Raises:
        ValueError: otherwise.
    """
    if x.ndim != 2 or x.shape[0] != graph.num_nodes:
        raise ValueError(f"x has shape {x.shape}; features of {graph.num_nodes} nodes need ({graph.num_nodes}, channels)")


@jax.custom_vjp
def _neighbour_sum(rows: NeighbourRows, x: Array) -> Array:
    return sum_neighbours(rows, x)


_neighbour_sum.defvjp(lambda rows, x: (_neighbour_sum(rows, x), rows), lambda rows, dy: (None, _neighbour_sum(rows, dy)))


@jax.custom_vjp
def _product(pairs: Array, rows: NeighbourRows, weight: Array, x: Array) -> Array:
    return sum_neighbours(rows, x, weight)


def _product_forward(pairs, rows, weight, x):
    return _product(pairs, rows, weight, x), (pairs, rows, weight, x)


def _product_backward(saved, cotangent):
    pairs, rows, weight, x = saved
    m = len(weight)
    count = max(CHUNKS, -(-m // EDGES))
    chunks = jnp.pad(pairs, ((0, 0), (0, -m % count))).reshape(2, count, -1).swapaxes(0, 1)

    def by_weight(chunk):
        i, j = chunk
        return jnp.sum(cotangent[i] * x[j] + cotangent[j] * x[i], axis=-1)

    d_weight = jax.lax.map(by_weight, chunks).reshape(-1)[:m]
    return None, None, d_weight, _product(pairs, rows, weight, cotangent)


_product.defvjp(_product_forward, _product_backward)

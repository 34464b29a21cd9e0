"""Equivariant polynomials evaluated: as einsums with an optimised order, slice by slice, and by explicit loops."""

from functools import reduce
from itertools import permutations, product
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.graphs.basis import q_in_p
from quire.common.graphs.multigraph import MultiGraph, node_letters

ORDER = "auto"
"""How einsums find their order of contraction: the best one of few edges, a good one of many, where the search would not end."""


def as_matrices(graph: MultiGraph, X: Array | np.ndarray) -> Array:
    """Square matrices, with channels for every edge colour; numbers of JAX's default float if they are integers or booleans.

    Raises:
        ValueError: if they do not fit.
    """
    _check_square(graph, X)
    return jnp.asarray(X) if jnp.issubdtype(X.dtype, jnp.inexact) else floating(X)[0]


def _check_square(graph: MultiGraph, X: Array | np.ndarray) -> None:
    if X.ndim < 2 or X.shape[-1] != X.shape[-2]:
        raise ValueError(f"X has shape {X.shape}; it needs square matrices [..., n, n]")
    if graph.colors and (X.ndim < 3 or X.shape[-3] <= max(graph.colors)):
        raise ValueError(
            f"X has shape {X.shape}; edges of colour {max(graph.colors)} need [..., channels, n, n] with that channel"
        )


def edge_matrices(graph: MultiGraph, X: Array) -> list[Array]:
    """The matrix `[..., n, n]` of every edge."""
    return [X[..., c, :, :] for c in graph.colors] if graph.colors else [X] * graph.degree


def as_diagonal(v: Array) -> Array:
    """Vectors `[..., n]` on the diagonals of matrices."""
    return v[..., None] * jnp.eye(v.shape[-1], dtype=v.dtype).reshape((1,) * (v.ndim - 1) + (v.shape[-1],) * 2)


def evaluate(graph: MultiGraph, X: Float[Array, "*batch n n"], *, distinct: bool = False) -> Array:
    """`P_H(X)`, or `Q_H(X)` with `distinct=True`.

    `P_H(X)_{i_a i_b} = sum_{j: V -> [n], j_a = i_a, j_b = i_b} prod_{(r,s) in E} X_{j_r j_s}`; Q_H sums over injective j.

    Args:
        graph: the multigraph H.
        X: matrices `[..., n, n]`; `[..., channels, n, n]` where the edges have colours. Integers and booleans count as floats.
        distinct: sum over maps that send nodes to distinct indices.

    Returns:
        `[..., n, n]`, `[..., n]` or `[...]` for two, one and no red nodes. Padded graphs: zero rows of X drop out of every sum,
        except over isolated nodes.

    Raises:
        ValueError: if X is not square, lacks a channel, or H has more nodes than there are letters.

    >>> import jax.numpy as jnp
    >>> triangles = MultiGraph.from_spec("ab,bc,ca->")
    >>> float(evaluate(triangles, jnp.ones((3, 3)))), float(evaluate(triangles, jnp.ones((3, 3)), distinct=True))
    (27.0, 6.0)
    """
    X = as_matrices(graph, X)
    if distinct:
        return reduce(add, [coefficient * evaluate(h, X) for h, coefficient in q_in_p(graph).items()])
    if len(set(graph.red)) < len(graph.red):
        return as_diagonal(evaluate(graph.with_red(graph.red[0]), X))
    letters = node_letters(graph.num_nodes)
    terms = [letters[r] + letters[s] for r, s in graph.edges]
    operands = edge_matrices(graph, X)
    touched = {v for e in graph.edges for v in e}
    lone = [v for v in range(graph.num_nodes) if v not in touched]
    batch = X.shape[: -3 if graph.colors else -2]
    ones = [jnp.ones((*batch, X.shape[-1]), X.dtype)] * len(lone)
    if not operands and not ones:
        return jnp.ones(batch, X.dtype)
    spec = ",".join(["..." + t for t in terms] + ["..." + letters[v] for v in lone])
    return jnp.einsum(f"{spec}->...{''.join(letters[r] for r in graph.red)}", *operands, *ones, optimize=ORDER)


def evaluate_by_slices(graph: MultiGraph, X: Float[Array, "n n"]) -> Array:
    """`P_H(X)` with one node fixed to each index in turn, so that no more than one slice of the work is in memory.

    The fixed node is the first red one, or the one with most neighbours: K4 then needs n x n memory instead of n x n x n.

    Args:
        graph: multigraph with an edge at the fixed node; distinct red nodes, no colours.
        X: one matrix `[n, n]`.

    Raises:
        ValueError: if X is not one square matrix, or the graph has colours, equal red nodes or no edge at the node.
    """
    X = as_matrices(graph, X)
    if X.ndim != 2 or graph.colors or len(set(graph.red)) < len(graph.red):
        raise ValueError(f"X has shape {X.shape} and H is {graph}; slices need one matrix, no colours and distinct red nodes")
    fixed = graph.red[0] if graph.red else max(range(graph.num_nodes), key=lambda v: len(graph.neighbours[v]), default=-1)
    if fixed < 0 or not graph.neighbours[fixed] or any(not graph.neighbours[v] for v in range(graph.num_nodes)):
        raise ValueError(f"H is {graph}; slices need an edge to another node at every node")
    letters = node_letters(graph.num_nodes)
    kept = [(r, s) for r, s in graph.edges if fixed not in (r, s)]
    out = "".join(letters[r] for r in graph.red if r != fixed)
    terms = [letters[r] + letters[s] for r, s in kept] + [
        letters[r if s == fixed else s] for r, s in graph.edges if fixed in (r, s) and r != s
    ]

    def slice_at(i):
        vectors = [X[:, i] if s == fixed else X[i] for r, s in graph.edges if fixed in (r, s) and r != s]
        loops = X[i, i] ** sum(r == s == fixed for r, s in graph.edges)
        return loops * jnp.einsum(f"{','.join(terms)}->{out}", *[X] * len(kept), *vectors, optimize=ORDER)

    if X.shape[-1] == 0:
        return jnp.zeros((0,) * len(graph.red), X.dtype)
    slices = jax.lax.map(slice_at, jnp.arange(X.shape[-1]))
    return slices if graph.red else slices.sum(0)


def evaluate_by_loops(graph: MultiGraph, X: np.ndarray, *, distinct: bool = False) -> np.ndarray:
    """The definition, map by map, in NumPy: `n^m` terms. Arguments, result and errors as `evaluate`, without leading axes."""
    X = np.asarray(X)
    _check_square(graph, X)
    X = X.astype(np.result_type(X, np.float64))
    n = X.shape[-1]
    out = np.zeros((n,) * len(graph.red), X.dtype)
    edges = [(*e, c) for e, c in zip(graph.edges, graph.colors or [None] * graph.degree, strict=True)]
    maps = permutations(range(n), graph.num_nodes) if distinct else product(range(n), repeat=graph.num_nodes)
    for j in maps:
        term = 1.0
        for r, s, c in edges:
            term *= X[j[r], j[s]] if c is None else X[c, j[r], j[s]]
        out[tuple(j[r] for r in graph.red)] += term
    return out

"""Stochastic block models of weighted graphs: the description length of a partition, term by term, in nats.

A graph without loops or repeated edges, its nodes in groups. How long is the shortest message that names the groups, the number
of edges between every two of them, the edges, and their weights? The partition with the shortest message is the one that the
graph supports; groups that are not there lengthen it. Arrays may have room for more groups: what is empty does not count.

References:
    Peixoto, *Nonparametric Bayesian inference of the microcanonical stochastic block model*, 2017; *Nonparametric weighted
    stochastic block models*, 2018.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, ScalarLike, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, check_positive, floating, is_concrete
from quire.common.tables import cached_table

Nats = Float[Array, ""] | float


class GroupCounts(NamedTuple):
    """What the description length needs to know of a graph and its groups.

    Attributes:
        edges: between every two groups; within a group twice as many as there are.
        weights: summed over those edges, within a group twice.
        sizes: nodes of each group.
        ln_degree_counts: of each group, the sum of `ln eta_k!` over degrees k that eta_k of its nodes have.
        ln_degrees: the sum of `ln k_i!` over all nodes.
    """

    edges: Float[AnyArray, "groups groups"]
    weights: Float[AnyArray, "groups groups"]
    sizes: Float[AnyArray, " groups"]
    ln_degree_counts: Float[AnyArray, " groups"]
    ln_degrees: Float[AnyArray, ""]


class Tables(NamedTuple):
    """Logarithms of whole numbers that are looked up: `ln n!`, and `ln q(n, m)` of `partition_table`."""

    ln_factorial: Float[AnyArray, " numbers"]
    ln_partitions: Float[AnyArray, "totals parts"]


class DescriptionLength(NamedTuple):
    """The terms of a description length, in nats.

    Attributes:
        adjacency: edges, given how many there are between the groups and, with degrees, at each node.
        partition: which node is in which group.
        edges: how many edges there are between the groups.
        degrees: of the nodes; 0 without degree correction.
        weights: of the edges, given their sums between groups; 0 for a graph without weights.
        weight_sums: those sums.
    """

    adjacency: Nats
    partition: Nats
    edges: Nats
    degrees: Nats
    weights: Nats
    weight_sums: Nats

    @property
    def total(self) -> Nats:
        """The whole message."""
        return sum(self)


@cached_table()
def partition_table(max_total: int, max_parts: int) -> Float[np.ndarray, "totals parts"]:
    """`ln q(n, m)` for `n <= max_total` and `m <= max_parts`: into how many sums of at most m positive numbers n can be written.

    `q(n, m) = q(n, m - 1) + q(n - m, m)` with `q(0, m) = 1`; minus infinity where there is none. Exact at every size.

    Raises:
        ValueError: for a negative size.

    >>> print(f"{np.exp(partition_table(10, 6)[10, 6]):.1f}")
    35.0
    """
    check_at_least("max_total", max_total, 0)
    check_at_least("max_parts", max_parts, 0)
    table = np.full((max_total + 1, max_parts + 1), -np.inf)
    table[0] = 0.0
    for parts in range(1, max_parts + 1):
        # Along every residue modulo m, q(n, m) is the running sum of q(n, m - 1).
        padded = np.pad(table[:, parts - 1], (0, -len(table) % parts), constant_values=-np.inf).reshape(-1, parts)
        table[:, parts] = np.logaddexp.accumulate(padded, axis=0).reshape(-1)[: len(table)]
    return table


@cached_table()
def log_tables(num_nodes: int, num_edges: int, groups: int) -> Tables:
    """What the description lengths of graphs with at most so many nodes, edges and groups look up, in float64."""
    numbers = 2 * num_edges + groups * (groups + 1) // 2 + num_nodes
    ln_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, numbers + 1)))])
    return Tables(ln_factorial, partition_table(2 * num_edges, num_nodes))


def check_graph(a: Shaped[AnyArray, "_ _"], w: Real[AnyArray, "_ _"]) -> None:
    """A symmetric adjacency of zeros and ones without loops, and symmetric weights that are positive on its edges.

    Raises:
        ValueError: if it is not so.
    """
    a, w = np.asarray(a), np.asarray(w)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or w.shape != a.shape or not len(a):
        raise ValueError(f"a has shape {a.shape} and w {w.shape}; they need [nodes, nodes] with at least one node")
    if not np.isin(a, (0, 1)).all() or (a != a.T).any() or a.diagonal().any():
        raise ValueError("a is not the adjacency of a simple graph; it must be symmetric, of zeros and ones, without loops")
    on_edges = w[a != 0]
    if not (np.isfinite(on_edges).all() and (on_edges > 0).all()) or (w != w.T)[a != 0].any():
        raise ValueError("w is not symmetric and positive on every edge; an exponential weight is positive, and 0 is no edge")


def group_counts(
    a: Shaped[AnyArray, "nodes nodes"], w: Real[AnyArray, "nodes nodes"], labels: Int[AnyArray, " _"], groups: int | None = None
) -> GroupCounts:
    """Counts of a graph with its nodes in groups.

    Args:
        a: adjacency, 0 or 1.
        w: weights; only those of edges count.
        labels: the group of each node.
        groups: room for so many; as many as the labels need by default.

    Raises:
        ValueError: if a label is out of range, or there is not one for each node.
    """
    if len(labels) != len(a):
        raise ValueError(f"labels has {len(labels)} numbers; the graph has {len(a)} nodes")
    groups = int(np.max(labels)) + 1 if groups is None else groups
    check_ids("labels", labels, groups)
    a, w = floating(a, w)
    return counts_of(a, w, jnp.asarray(jnp.asarray(labels)[:, None] == jnp.arange(groups)[None], a.dtype))


@jax.jit
def counts_of(
    a: Float[Array, "nodes nodes"], w: Float[Array, "nodes nodes"], member: Float[Array, "nodes groups"]
) -> GroupCounts:
    """Counts from memberships: a row has a 1 for the group of its node, and none for a node that is padding."""
    edges, weights = (member.T @ x @ member for x in (a, w * a))
    spread = jax.scipy.special.gammaln(degree_counts(a, member) + 1).sum(1)
    return GroupCounts(edges, weights, member.sum(0), spread, jax.scipy.special.gammaln(a.sum(1) + 1).sum())


def degree_counts(a: Float[Array, "nodes nodes"], member: Float[Array, "nodes groups"]) -> Float[Array, "groups nodes"]:
    """How many nodes of each group have degree 0, 1, ..."""
    return member.T @ jnp.asarray(a.sum(1)[:, None] == jnp.arange(len(a), dtype=a.dtype)[None], a.dtype)


def description_length(
    counts: GroupCounts,
    tables: Tables,
    *,
    degree_corrected: ScalarLike = False,
    weighted: ScalarLike = True,
) -> DescriptionLength:
    """Description length of a graph whose nodes are in groups.

    With `n_r` nodes in group r, `e_rs` edges between r and s, `e_rr` twice those within, `e_r = sum_s e_rs`, N nodes, E edges, B
    groups that are not empty:

    - adjacency: `-sum_{r<s} ln e_rs! - sum_r [e_rr/2 ln 2 + ln (e_rr/2)!]` and `+ sum_r e_r ln n_r`, or, corrected for degrees,
      `+ sum_r ln e_r! - sum_i ln k_i!`;
    - partition: `ln C(N-1, B-1) + ln N! - sum_r ln n_r! + ln N`;
    - edges: `ln C(B(B+1)/2 + E - 1, E)`;
    - degrees: `sum_r [ln q(e_r, n_r) + ln n_r! - sum_k ln eta_k^r!]`, where eta counts the nodes of each degree;
    - weights, exponential: `-sum [ln Gamma(m) - (m-1) ln x]` over pairs of groups with `m > 1` edges of summed weight x;
    - weight_sums: the same of the number of pairs with an edge and the weight of the graph.

    Args:
        counts: from `group_counts`.
        tables: from `log_tables`, for graphs at least as large.
        degree_corrected, weighted: may be traced, so that one program serves all models.

    Returns:
        The terms, in the dtype of the counts.

    Raises:
        ValueError: if the tables are too short.

    >>> a = 1 - np.eye(3)
    >>> terms = description_length(group_counts(a, a, np.zeros(3, int)), log_tables(3, 3, 1), weighted=False)
    >>> print(f"{float(terms.adjacency):.4f} {float(terms.partition):.4f}")  # 6 ln 3 - 3 ln 2 - ln 3!, ln 3
    2.7205 1.0986
    """
    counts = GroupCounts(*map(jnp.asarray, counts))
    _check_tables(tables, counts.edges, counts.sizes)
    return _terms(counts, tables, degree_corrected, weighted)


@jax.jit
def _terms(counts, tables, degree_corrected, weighted):
    edges, weights, sizes, ln_degree_counts, ln_degrees = counts
    num_nodes, num_edges, groups = sizes.sum(), edges.sum() / 2, (sizes > 0).sum().astype(edges.dtype)
    ln_partitions = jnp.asarray(tables.ln_partitions, edges.dtype)
    factorials = jnp.asarray(tables.ln_factorial, edges.dtype)

    def ln_fac(n):
        return factorials[_whole(n)]

    def ln_choose(n, k):
        return ln_fac(n) - ln_fac(k) - ln_fac(n - k)

    pairs, sums = between_pairs(edges), between_pairs(weights)
    ends, orders = edges.sum(1), ln_fac(sizes).sum()
    plain, corrected = jnp.sum(ends * jnp.log(jnp.maximum(sizes, 1))), ln_fac(ends).sum() - ln_degrees
    adjacency = jnp.where(degree_corrected, corrected, plain) - ln_fac(pairs).sum() - pairs.diagonal().sum() * np.log(2)
    degrees = ln_partitions[_whole(ends), _whole(sizes)].sum() + orders - ln_degree_counts.sum()
    return DescriptionLength(
        adjacency=adjacency,
        partition=ln_choose(num_nodes - 1, groups - 1) + ln_fac(num_nodes) - orders + jnp.log(num_nodes),
        edges=ln_choose(groups * (groups + 1) / 2 + num_edges - 1, num_edges),
        degrees=jnp.where(degree_corrected, degrees, 0),
        weights=jnp.where(weighted, _exponential(ln_fac, pairs, sums).sum(), 0),
        weight_sums=jnp.where(weighted, _exponential(ln_fac, (pairs > 0).sum(), sums.sum()), 0),
    )


def between_pairs(x: Float[Array, "groups groups"]) -> Float[Array, "groups groups"]:
    """Sums between groups, every pair once: above the diagonal as they are, on it half, 0 below."""
    return jnp.triu(x) - jnp.diag(x.diagonal()) / 2


def gamma_prior_weights(counts: GroupCounts, *, shape: ScalarLike = 1.0, scale: ScalarLike | None = None) -> Float[Array, ""]:
    """The weights' part of a description length if the rates of their exponential distributions have a gamma prior.

    `-sum [ln Gamma(m + a) - ln Gamma(a) + a ln b - (a + m) ln(b + x)]` over pairs of groups with m > 0 edges of summed weight x.

    Args:
        counts: from `group_counts`.
        shape: a.
        scale: b; the mean weight of the graph by default.

    Raises:
        ValueError: if one of them is not positive.
    """
    check_positive("shape", shape)
    m, x = between_pairs(jnp.asarray(counts.edges)), between_pairs(jnp.asarray(counts.weights))
    scale = x.sum() / jnp.maximum(m.sum(), 1) if scale is None else check_positive("scale", scale)
    gammaln = jax.scipy.special.gammaln
    density = gammaln(m + shape) - gammaln(shape) + shape * jnp.log(scale) - (shape + m) * jnp.log(scale + x)
    return -jnp.where(m > 0, density, 0).sum()


def _exponential(ln_fac, m, x):
    """Message of m positive numbers whose sum is known to be x."""
    more = m > 1
    return jnp.where(more, (m - 1) * jnp.log(jnp.where(more, x, 1)) - ln_fac(jnp.where(more, m - 1, 0)), 0)


def _whole(x: Array) -> Int[Array, "..."]:
    """Counts as indices; they are whole numbers already."""
    return jnp.round(x).astype(int)


def _check_tables(tables: Tables, edges: AnyArray, sizes: AnyArray) -> None:
    if not is_concrete(edges, sizes):
        return
    ends, nodes, groups = int(edges.sum()), int(sizes.sum()), len(sizes)
    needed = ends // 2 + max(ends // 2, groups * (groups + 1) // 2) + 1, (ends + 1, nodes + 1)
    if len(tables.ln_factorial) < max(needed[0], nodes + 1) or np.any(np.less(tables.ln_partitions.shape, needed[1])):
        raise ValueError(
            f"tables hold {len(tables.ln_factorial)} factorials and partitions {tables.ln_partitions.shape}; "
            f"{nodes} nodes with {ends // 2} edges in {groups} groups need more: see log_tables"
        )

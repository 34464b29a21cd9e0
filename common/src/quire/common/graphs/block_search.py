"""The partition of a graph with the shortest description: nodes move between groups, then two groups merge, down to one group.

Every step is greedy. From a start with many groups, nodes move to whichever group shortens the description most, over and over
until none wants to; then the two groups whose union costs least are merged, and so on. The shortest description on the way
counts, over several starts. Since all numbers of groups are passed, one run tells how the length depends on their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.graphs.block_model import (
    DescriptionLength,
    GroupCounts,
    check_graph,
    counts_of,
    degree_counts,
    description_length,
    log_tables,
)
from quire.common.random import generator

GAIN = 1e-9
"""A move counts if it shortens the description by more, in nats."""

MOST_SWEEPS = 50
"""Sweeps over the nodes between two merges, at most; a handful is usual."""


@dataclass(frozen=True)
class BlockFit:
    """The best partition that was found, and the best with each number of groups.

    Attributes:
        labels: group of each node, `0 .. B - 1`, in the order in which the groups first occur.
        terms: its description length, as floats.
        degree_corrected: the model that it belongs to.
        by_groups: terms and labels of the best partition with so many groups.
    """

    labels: Int[np.ndarray, " nodes"]
    terms: DescriptionLength
    degree_corrected: bool
    by_groups: dict[int, tuple[DescriptionLength, Int[np.ndarray, " nodes"]]]

    @property
    def total(self) -> float:
        """The description length in nats."""
        return float(self.terms.total)


def fit_block_model(
    a: Shaped[AnyArray, "nodes nodes"],
    w: Real[AnyArray, "nodes nodes"],
    key: jax.Array,
    groups: int,
    restarts: int = 8,
    *,
    degree_corrected: bool | None = None,
    weighted: bool = True,
    starts: Sequence[Int[AnyArray, " _"]] = (),
    room: tuple[int, int] | None = None,
) -> BlockFit:
    """The partition with the shortest description, by greedy moves and merges from several starts, in float64.

    Args:
        a: adjacency of a simple graph, 0 or 1.
        w: weights, positive on edges.
        key: of the random starts and of the order in which nodes are visited.
        groups: at most so many.
        restarts: random starts.
        degree_corrected: which model; None takes the one with the shorter description.
        weighted: whether the weights are described too.
        starts: further starts, labels `0 .. groups - 1`.
        room: compile for so many nodes and edges, so that smaller graphs share the program; those of the graph by default.

    Raises:
        ValueError: for what is no graph, sizes below 1, labels out of range, or a graph that is larger than the room.

    >>> a = np.kron(np.eye(2), np.ones((6, 6))) - np.eye(12)  # two cliques
    >>> fit = fit_block_model(a, a, jax.random.key(0), 4, 2, degree_corrected=False, weighted=False)
    >>> fit.labels.tolist()
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    """
    check_graph(a, w)
    check_at_least("groups", groups)
    check_at_least("restarts", restarts + len(starts))
    a = np.asarray(a, float)
    n, num_edges = len(a), int(a.sum()) // 2
    nodes, edges = room or (n, num_edges)
    if n > nodes or num_edges > edges:
        raise ValueError(f"room is {room}; the graph has {n} nodes and {num_edges} edges")
    padded = [np.pad(x, (0, nodes - n)) for x in (a, np.where(a > 0, np.asarray(w, float), 0))]
    labels, orders = _starts(generator(key), n, nodes, groups, restarts, starts)
    models = (False, True) if degree_corrected is None else (bool(degree_corrected),)
    with jax.enable_x64():  # fractions of a nat decide, between sums of thousands
        tables = log_tables(nodes, edges, groups)
        paths = {model: _descend(*padded, labels, orders, tables, n, model, weighted, groups=groups) for model in models}
        by_groups = {model: _best_by_groups(*jax.tree.map(np.asarray, path), n) for model, path in paths.items()}
    best = min(models, key=lambda model: min(terms.total for terms, _ in by_groups[model].values()))
    terms, labels = min(by_groups[best].values(), key=lambda each: each[0].total)
    return BlockFit(labels, terms, best, by_groups[best])


def _starts(draw, n, nodes, groups, restarts, starts):
    """Labels `[starts, nodes]` and orders of visits: random ones, and those that are given."""
    labels = draw.integers(0, groups, (restarts + len(starts), nodes))
    for row, start in zip(labels[restarts:], starts, strict=True):
        if len(start) != n:
            raise ValueError(f"a start has {len(start)} labels; the graph has {n} nodes")
        check_ids("starts", np.asarray(start), groups)
        row[:n] = start
    return labels.astype(np.int32), np.stack([draw.permutation(nodes) for _ in labels]).astype(np.int32)


def _best_by_groups(terms, labels, n) -> dict[int, tuple[DescriptionLength, np.ndarray]]:
    """Of all partitions on the way, the best with each number of groups."""
    best: dict[int, tuple[DescriptionLength, np.ndarray]] = {}
    for place in np.ndindex(labels.shape[:-1]):
        row, found = labels[place][:n], DescriptionLength(*(float(term[place]) for term in terms))
        count = len(np.unique(row))
        if count not in best or found.total < best[count][0].total - GAIN:
            best[count] = found, relabelled(row)
    return dict(sorted(best.items()))


def relabelled(labels: Int[AnyArray, " nodes"]) -> Int[np.ndarray, " nodes"]:
    """The same partition with groups numbered as they first occur.

    >>> relabelled(np.array([5, 5, 2, 5])).tolist()
    [0, 0, 1, 0]
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]


# --- The search, compiled: memberships `[nodes, groups]` and what the description length needs to know of them ---


class _State(NamedTuple):
    member: Float[Array, "nodes groups"]
    counts: GroupCounts
    degrees: Float[Array, "groups nodes"]


@partial(jax.jit, static_argnames="groups")
def _descend(a, w, labels, orders, tables, num_nodes, degree_corrected, weighted, *, groups):
    """Description lengths `[starts, groups]` and labels `[starts, groups, nodes]` on the way down."""

    def terms(counts):
        return description_length(counts, tables, degree_corrected=degree_corrected, weighted=weighted)

    def total(counts):
        return terms(counts).total

    def level(state, order):
        state = _settled(state, order, a, w, total)
        found = terms(state.counts), jnp.argmax(state.member, axis=1)
        return _merged(state, total, tables.ln_factorial), found

    def from_start(labels, order):
        inside = (jnp.arange(len(labels)) < num_nodes)[:, None]
        member = jnp.asarray(inside & (labels[:, None] == jnp.arange(groups)[None]), a.dtype)
        state = _State(member, counts_of(a, w, member), degree_counts(a, member))
        return jax.lax.scan(level, state, jnp.broadcast_to(order[None], (groups, len(order))))[1]

    return jax.vmap(from_start)(labels, orders)


def _settled(state, order, a, w, total):
    """Sweeps over the nodes until none moves."""

    def sweep(carry):
        state, _, sweeps = carry
        before = state.member
        state = jax.lax.fori_loop(0, len(order), lambda i, s: _visited(s, order[i], a, w, total), state)
        return state, jnp.any(state.member != before), sweeps + 1

    def unsettled(carry):
        return carry[1] & (carry[2] < MOST_SWEEPS)

    return jax.lax.while_loop(unsettled, sweep, (state, jnp.asarray(True), 0))[0]


def _visited(state, node, a, w, total):
    """A node in the group, of those that are not empty, where it shortens the description most."""
    own = state.member[node]
    edges, weights = a[node] @ state.member, w[node] @ state.member
    alike = state.degrees[:, a[node].sum().astype(int)]

    def moved(to):
        step = to - own  # 1 where the node arrives, -1 where it leaves
        gone, come = -jnp.log(jnp.maximum(alike, 1)), jnp.log(alike + 1)
        counts = state.counts
        return GroupCounts(
            counts.edges + jnp.outer(step, edges) + jnp.outer(edges, step),
            counts.weights + jnp.outer(step, weights) + jnp.outer(weights, step),
            counts.sizes + step,
            counts.ln_degree_counts + jnp.where(step > 0, come, jnp.where(step < 0, gone, 0)),
            counts.ln_degrees,
        )

    everywhere = jnp.eye(len(own), dtype=own.dtype)
    totals = jnp.where(state.counts.sizes > 0, jax.vmap(lambda to: total(moved(to)))(everywhere), jnp.inf)
    best = jnp.argmin(totals)
    moves = (own.sum() > 0) & (totals[best] < jnp.sum(jnp.where(own > 0, totals, 0)) - GAIN)
    to = jnp.where(moves, everywhere[best], own)
    column = jnp.zeros_like(alike, shape=state.degrees.shape[1]).at[a[node].sum().astype(int)].set(1)
    return _State(state.member.at[node].set(to), moved(to), state.degrees + jnp.outer(to - own, column))


def _merged(state, total, ln_factorial):
    """The two groups together whose union has the shortest description; a single group stays."""
    size = len(state.counts.sizes)
    first, second = np.triu_indices(size, 1)
    if not len(first):
        return state
    unions = np.broadcast_to(np.eye(size), (len(first), size, size)).copy()
    pair = np.arange(len(first))
    unions[pair, first, second], unions[pair, second, second] = 1, 0

    def united(union):
        counts, degrees = state.counts, union @ state.degrees
        edges, weights = (union @ x @ union.T for x in (counts.edges, counts.weights))
        spread = ln_factorial[degrees.astype(int)].sum(1)
        return _State(
            state.member @ union.T, GroupCounts(edges, weights, union @ counts.sizes, spread, counts.ln_degrees), degrees
        )

    sizes = state.counts.sizes
    totals = jax.vmap(lambda union: total(united(union).counts))(jnp.asarray(unions, sizes.dtype))
    totals = jnp.where((sizes[first] > 0) & (sizes[second] > 0), totals, jnp.inf)
    best = jnp.argmin(totals)
    union = jnp.where(jnp.isfinite(totals[best]), jnp.asarray(unions, sizes.dtype)[best], jnp.eye(size, dtype=sizes.dtype))
    return united(union)

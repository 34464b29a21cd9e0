"""Nested block models: the groups of a graph are the nodes of a smaller one, whose groups are nodes again, up to a single group.

The numbers of edges between groups need not be told one by one: they are a multigraph on the groups, which has a block model of
its own. Small groups get cheaper to describe by it.

References:
    Peixoto, *Hierarchical block structures and high-resolution model selection in large networks*, 2014.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids
from quire.common.graphs.block_model import check_graph, description_length, group_counts, log_tables
from quire.common.graphs.block_search import BlockFit, relabelled

Level = Int[AnyArray, " _"]


@dataclass(frozen=True)
class Hierarchy:
    """A nested partition.

    Attributes:
        levels: the group of each node of the graph; the group of each of these groups; and so on to a single group.
        lengths: description length of each level, in nats.
    """

    levels: tuple[Level, ...]
    lengths: tuple[float, ...]

    @property
    def total(self) -> float:
        """The whole description length in nats."""
        return sum(self.lengths)

    def labels(self, level: int) -> Int[np.ndarray, " nodes"]:
        """The groups of the nodes of the graph at a level; 0 is the finest.

        >>> Hierarchy((np.array([0, 1, 2]), np.array([0, 0, 1]), np.array([0, 0])), (3.0, 2.0, 1.0)).labels(1).tolist()
        [0, 0, 1]
        """
        found = np.asarray(self.levels[0])
        for up in self.levels[1 : level + 1]:
            found = np.asarray(up)[found]
        return found


def nested_description_length(
    a: Shaped[AnyArray, "nodes nodes"],
    w: Real[AnyArray, "nodes nodes"],
    levels: Sequence[Level],
    *,
    degree_corrected: bool = False,
    weighted: bool = True,
) -> Float[np.ndarray, " levels"]:
    """Description length of each level of a nested partition.

    The lowest has the terms of `description_length` without that of the edge counts. A level above it, whose n_R groups of groups
    have E_RS edges between them, takes `sum_{R<S} ln ((n_R n_S, E_RS)) + sum_R ln ((n_R (n_R + 1) / 2, E_RR / 2))`, where
    `((n, k)) = C(n + k - 1, k)`; its partition; and its weights, exponential, of the pairs of groups below that have an edge.

    Args:
        a, w: graph, as for `group_counts`.
        levels: groups of nodes, groups of these, and so on.
        degree_corrected, weighted: the model of the lowest level, and whether there are weights.

    Raises:
        ValueError: if there is no level, or a level has not one label for each group below.
    """
    check_graph(a, w)
    if not levels:
        raise ValueError("levels is empty; it needs at least the groups of the nodes")
    counts = group_counts(np.asarray(a), np.asarray(w), levels[0])
    tables = log_tables(len(a), int(np.sum(a)) // 2, len(counts.sizes))
    terms = description_length(counts, tables, degree_corrected=degree_corrected, weighted=weighted)
    edges, weights = np.asarray(counts.edges, float), np.asarray(counts.weights, float)
    lengths = [float(terms.total - terms.edges)]
    for level in levels[1:]:
        level = np.asarray(level)
        if len(level) != len(edges):
            raise ValueError(f"a level has {len(level)} labels; the level below it has {len(edges)} groups")
        check_ids("levels", level, len(edges))
        length, edges, weights = _upper(edges, weights, level, weighted)
        lengths.append(length)
    return np.array(lengths)


def nest(
    fit: BlockFit, a: Shaped[AnyArray, "nodes nodes"], w: Real[AnyArray, "nodes nodes"], *, weighted: bool = True
) -> Hierarchy:
    """The nested partition with the shortest description whose lowest level is one of those that a search met.

    Groups are merged greedily, level by level. A nested description may favour another number of groups than a flat one, so all
    numbers are tried.

    Args:
        fit: from `fit_block_model`.
        a, w: its graph.
        weighted: as it was fitted.
    """
    a, w = np.asarray(a, float), np.asarray(w, float)
    return min((_nested(terms, labels, a, w * a, weighted) for terms, labels in fit.by_groups.values()), key=lambda h: h.total)


def _nested(terms, labels, a, w, weighted) -> Hierarchy:
    member = np.eye(labels.max() + 1)[labels]
    edges, weights = member.T @ a @ member, member.T @ w @ member
    levels, lengths = [labels], [terms.total - terms.edges]
    while len(edges) > 1:
        up = _greedy(edges, weights, weighted)
        length, edges, weights = _upper(edges, weights, up, weighted)
        levels.append(up)
        lengths.append(length)
    return Hierarchy(tuple(levels), tuple(lengths))


def _greedy(edges, weights, weighted) -> Int[np.ndarray, " groups"]:
    """Groups merged pair by pair, down to one; the best on the way that has fewer groups than there were."""
    labels = np.arange(len(edges))
    best = np.inf, labels
    while labels.max() > 0:
        pairs = zip(*np.triu_indices(labels.max() + 1, 1), strict=True)
        unions = [relabelled(np.where(labels == second, first, labels)) for first, second in pairs]
        lengths = [_upper(edges, weights, union, weighted)[0] for union in unions]
        least = int(np.argmin(lengths))
        labels = unions[least]
        best = min(best, (lengths[least], labels), key=lambda each: each[0])
    return best[1]


def _upper(edges, weights, labels, weighted):
    """Length of a level above the lowest, and the edges and weights between its groups; diagonals are doubled."""
    from scipy.special import gammaln

    member = np.eye(labels.max() + 1)[labels]
    sizes, occupied = member.sum(0), np.where(edges > 0, 1 + np.eye(len(edges)), 0)
    e, m, x = (member.T @ each @ member for each in (edges, occupied, weights))
    once = partial(_once, where=np.triu(np.ones(e.shape, bool)))
    cells = np.outer(sizes, sizes) + np.diag(sizes)  # of the pairs within a group, twice, as all diagonals here

    def ln_choose(n, k):
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    length = np.sum(ln_choose(once(cells) + once(e) - 1, once(e)))
    length += (
        ln_choose(len(labels) - 1, len(sizes) - 1) + gammaln(len(labels) + 1) - gammaln(sizes + 1).sum() + np.log(len(labels))
    )
    if weighted:
        count, total = once(m), once(x)
        more = count > 1
        length += np.sum((count[more] - 1) * np.log(total[more]) - gammaln(count[more]))
    return float(length), e, x


def _once(x, where):
    """Every pair of groups once: diagonals, which are doubled, halved."""
    return (x - np.diag(x.diagonal()) / 2)[where]

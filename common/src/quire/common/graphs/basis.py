"""The basis of equivariant polynomials: its enumeration, set partitions, and the change between P_H and Q_H.

`P_H(X)_{red} = sum over all maps j: V -> [n] of prod_{(r,s) in E} X_{j_r j_s}`; `Q_H` is the same over injective maps.
"""

import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import Literal

from quire.common.checks import check_at_least
from quire.common.graphs.multigraph import MultiGraph

Output = Literal["edge", "node", "invariant"]
_NUM_RED = {"invariant": 0, "node": 1, "edge": 2}


def set_partitions(count: int) -> Iterator[list[int]]:
    """All partitions of `count` things, each as the block number of every thing, blocks numbered as they appear.

    Raises:
        ValueError: for fewer than no things.

    >>> len(list(set_partitions(4)))
    15
    """
    check_at_least("count", count, 0)

    def extend(blocks: list[int], used: int) -> Iterator[list[int]]:
        if len(blocks) == count:
            yield list(blocks)
            return
        for block in range(used + 1):
            yield from extend([*blocks, block], max(used, block + 1))

    return extend([], 0)


@cache
def graphs_of_degree(degree: int, simple: bool = False, connected: bool = False) -> tuple[MultiGraph, ...]:
    """All graphs with `degree` edges and no isolated node, one of every isomorphism class, grown edge by edge.

    Args:
        degree: number of edges.
        simple: undirected, without loops and parallel edges.
        connected: connected graphs only.

    Raises:
        ValueError: for a negative degree.
    """
    check_at_least("degree", degree, 0)
    if degree == 0:
        return (MultiGraph(0),)
    found = set()
    for graph in graphs_of_degree(degree - 1, simple, connected):
        m = graph.num_nodes
        for r in range(m + 1):
            for s in range(r if simple else 0, max(r, m - 1) + 2):
                edge, size = (r, s), max(m, r + 1, s + 1)
                if simple and (r == s or edge in graph.edges):
                    continue
                if len({v for v in edge if v >= m}) != size - m or (connected and m and min(edge) >= m):
                    continue
                found.add(MultiGraph(size, (*graph.edges, edge)).canonical(undirected=simple))
    return tuple(sorted(found))


def place_red(graph: MultiGraph, count: int, *, simple: bool = False, isolated: bool = False) -> list[MultiGraph]:
    """All choices of `count` distinct red nodes in order, up to isomorphism.

    Args:
        graph: graph without red nodes.
        count: 0, 1 or 2.
        simple: compare as undirected graphs.
        isolated: let red nodes also stand alone, outside of the edges.
    """
    extra = count if isolated else 0
    found = set()
    for red in permutations(range(graph.num_nodes + extra), count):
        alone = sorted(v for v in red if v >= graph.num_nodes)
        if alone == list(range(graph.num_nodes, graph.num_nodes + len(alone))):
            grown = MultiGraph(graph.num_nodes + len(alone), graph.edges, red)
            found.add(grown.canonical(undirected=simple))
    return sorted(found)


def enumerate_basis(degree: int, output: Output = "edge", *, simple: bool = False, connected: bool = False) -> list[MultiGraph]:
    """Basis of the equivariant polynomials of exactly this degree, one multigraph each.

    Args:
        degree: number of edges.
        output: `"edge"` (n x n; its diagonal elements have `red = (a, a)`), `"node"` (n) or `"invariant"`.
        simple: the elements that stay different on graphs: symmetric 0/1 matrices with a zero diagonal.
        connected: connected multigraphs only, so without isolated red nodes.

    Raises:
        ValueError: for a negative degree or an unknown output.

    >>> [len(enumerate_basis(d, "edge")) for d in range(3)]
    [2, 15, 117]
    """
    if output not in _NUM_RED:
        raise ValueError(f"output is {output!r}; it must be one of {sorted(_NUM_RED)}")
    basis = []
    for graph in graphs_of_degree(degree, simple, connected):
        basis += place_red(graph, _NUM_RED[output], simple=simple, isolated=not connected)
        if output == "edge":
            basis += [g.with_red(*g.red, *g.red) for g in place_red(graph, 1, simple=simple, isolated=not connected)]
    return basis


def orbit_count(degree: int, output: Output) -> int:
    """The same number without growing graphs: orbits of node permutations on the 2d (+ output) indices of X^{(x)d}.

    Endpoints of d ordered pairs are partitioned in all ways, output indices joined to blocks or apart; pairs are unordered
    among each other. Counted by Burnside's lemma over the permutations of the pairs.

    Raises:
        ValueError: for a negative degree or an unknown output.

    >>> [orbit_count(d, "node") for d in range(3)]
    [1, 5, 32]
    """
    check_at_least("degree", degree, 0)
    if output not in _NUM_RED:
        raise ValueError(f"output is {output!r}; it must be one of {sorted(_NUM_RED)}")
    outputs = _NUM_RED[output]
    things = 2 * degree + outputs
    partitions = {tuple(p) for p in set_partitions(things)}
    fixed = 0
    for order in permutations(range(degree)):
        moved = [2 * k + side for k in order for side in (0, 1)] + list(range(2 * degree, things))
        fixed += sum(_numbered([p[i] for i in moved]) == p for p in partitions)
    return fixed // math.factorial(degree)


def _numbered(blocks: list[int]) -> tuple[int, ...]:
    names: dict[int, int] = {}
    return tuple(names.setdefault(b, len(names)) for b in blocks)


def p_in_q(graph: MultiGraph) -> dict[MultiGraph, int]:
    """`P_H = sum over all set partitions pi of V of Q_{H/pi}`: multigraphs and how often each appears."""
    return dict(Counter(graph.relabel(blocks).canonical() for blocks in set_partitions(graph.num_nodes)))


def q_in_p(graph: MultiGraph) -> dict[MultiGraph, int]:
    """Moebius inversion: `Q_H = sum_pi prod_{B in pi} (-1)^{|B|-1} (|B|-1)! P_{H/pi}`."""
    total: Counter[MultiGraph] = Counter()
    for blocks in set_partitions(graph.num_nodes):
        sizes = Counter(blocks).values()
        total[graph.relabel(blocks).canonical()] += math.prod((-1) ** (b - 1) * math.factorial(b - 1) for b in sizes)
    return {h: c for h, c in total.items() if c}

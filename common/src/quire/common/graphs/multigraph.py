"""Multigraphs with red nodes: each names one equivariant polynomial of a matrix."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_letters

from quire.common.checks import check_at_least

Edge = tuple[int, int]


@dataclass(frozen=True, order=True)
class MultiGraph:
    """A directed multigraph, loops and parallel edges included, whose red nodes are the output indices.

    Attributes:
        num_nodes: m; nodes are 0..m-1.
        edges: ordered pairs, a multiset.
        red: nodes that index the output: none (invariant), one (a vector), two (a matrix); `(a, a)` is a diagonal matrix.
        colors: channel of each edge, for several matrices; empty for one matrix.

    Raises:
        ValueError: for a negative number of nodes, a node out of range, more than two red nodes, or colours that do not fit the
            edges.

    >>> MultiGraph(3, ((0, 1), (1, 2)), red=(0, 2)).einsum_spec()
    'ab,bc->ac'
    """

    num_nodes: int
    edges: tuple[Edge, ...] = ()
    red: tuple[int, ...] = ()
    colors: tuple[int, ...] = ()

    def __post_init__(self):
        check_at_least("num_nodes", self.num_nodes, 0)
        object.__setattr__(self, "edges", tuple((int(r), int(s)) for r, s in self.edges))
        object.__setattr__(self, "red", tuple(int(r) for r in self.red))
        object.__setattr__(self, "colors", tuple(int(c) for c in self.colors))
        for name, nodes in (("edges", [v for e in self.edges for v in e]), ("red", self.red)):
            if bad := [v for v in nodes if not 0 <= v < self.num_nodes]:
                raise ValueError(
                    f"{name} names node {bad[0]}; num_nodes is {self.num_nodes}, so nodes are 0..{self.num_nodes - 1}"
                )
        if len(self.red) > 2:
            raise ValueError(f"red is {self.red}; at most two nodes can be red")
        if self.colors and len(self.colors) != len(self.edges):
            raise ValueError(
                f"colors has {len(self.colors)} entries for {len(self.edges)} edges; give one for each edge, or none"
            )
        if self.colors and min(self.colors) < 0:
            raise ValueError(f"colors is {self.colors}; channels are counted from 0")

    @classmethod
    def from_spec(cls, spec: str) -> "MultiGraph":
        """The graph of an einsum string: letters are nodes, pairs are edges, letters after `->` are red.

        Raises:
            ValueError: if the string is not pairs of letters, an arrow and at most two letters.
        """
        left, arrow, right = spec.partition("->")
        pairs = left.split(",") if left else []
        if not arrow or any(len(p) != 2 or not p.isalpha() for p in pairs) or not (right.isalpha() or not right):
            raise ValueError(f"spec is {spec!r}; it needs pairs of letters, '->' and the red letters, such as 'ab,bc->ac'")
        letters = sorted(set(left.replace(",", "")) | set(right))
        index = {letter: i for i, letter in enumerate(letters)}
        return cls(len(letters), tuple((index[p[0]], index[p[1]]) for p in pairs), tuple(index[r] for r in right))

    @property
    def degree(self) -> int:
        """Degree of the polynomial: the number of edges."""
        return len(self.edges)

    @cached_property
    def neighbours(self) -> tuple[frozenset[int], ...]:
        """Distinct neighbours of every node, itself left out, directions ignored."""
        near = [set() for _ in range(self.num_nodes)]
        for r, s in self.edges:
            if r != s:
                near[r].add(s)
                near[s].add(r)
        return tuple(frozenset(x) for x in near)

    def einsum_spec(self) -> str:
        """The polynomial as an einsum string; an isolated red node appears after the arrow only.

        Raises:
            ValueError: for more nodes than there are letters.
        """
        letters = node_letters(self.num_nodes)
        left = ",".join(letters[r] + letters[s] for r, s in self.edges)
        return f"{left}->{''.join(letters[r] for r in self.red)}"

    def relabel(self, order: Sequence[int]) -> "MultiGraph":
        """Node v becomes `order[v]`; nodes that get the same label are merged."""
        edges = tuple((order[r], order[s]) for r, s in self.edges)
        return MultiGraph(max(order, default=-1) + 1, edges, tuple(order[r] for r in self.red), self.colors)

    def with_red(self, *red: int) -> "MultiGraph":
        """The same graph with other red nodes."""
        return MultiGraph(self.num_nodes, self.edges, red, self.colors)

    def canonical(self, *, undirected: bool = False) -> "MultiGraph":
        """The representative of the isomorphism class: equal for isomorphic graphs, red nodes matched in order.

        Colour refinement splits the nodes into cells; where a cell stays larger than one, each of its members is tried as the
        first (members that a swap exchanges, once). Among all labellings the smallest edge list wins.

        Args:
            undirected: let `(r, s)` and `(s, r)` be the same edge, as for symmetric matrices.
        """
        marks = [tuple(i for i, r in enumerate(self.red) if r == v) for v in range(self.num_nodes)]
        colors = self.colors or (0,) * len(self.edges)
        arcs = tuple(zip(self.edges, colors, strict=True))
        if undirected:
            arcs += tuple(((s, r), c) for (r, s), c in arcs if r != s)
        best = min(_arranged(self, labels, undirected) for labels in _labellings(arcs, _ranks(marks)))
        return MultiGraph(self.num_nodes, *best)

    def is_isomorphic(self, other: "MultiGraph", *, undirected: bool = False) -> bool:
        """Whether a relabelling of the nodes turns one into the other, red nodes in order."""
        return self.canonical(undirected=undirected) == other.canonical(undirected=undirected)


def node_letters(count: int) -> str:
    """Letters of the nodes of an einsum string.

    Raises:
        ValueError: if there are more nodes than letters.
    """
    if count > len(ascii_letters):
        raise ValueError(f"num_nodes is {count}; an einsum string has letters for {len(ascii_letters)} nodes")
    return ascii_letters[:count]


def _ranks(values: Sequence) -> list[int]:
    rank = {value: i for i, value in enumerate(sorted(set(values)))}
    return [rank[value] for value in values]


def _refined(arcs: Sequence, cells: list[int]) -> list[int]:
    """Colour refinement: split cells by the multisets of coloured arcs to other cells until nothing changes."""
    while True:
        seen: list[list] = [[] for _ in cells]
        for (r, s), c in arcs:
            seen[r].append((0, c, cells[s], r == s))
            seen[s].append((1, c, cells[r], r == s))
        finer = _ranks([(cell, tuple(sorted(around))) for cell, around in zip(cells, seen, strict=True)])
        if finer == cells or max(finer, default=0) == max(cells, default=0):
            return finer
        cells = finer


def _labellings(arcs: Sequence, cells: list[int]) -> Iterator[list[int]]:
    """Complete labellings that refinement and individualisation reach."""
    cells = _refined(arcs, cells)
    members = [[v for v, cell in enumerate(cells) if cell == number] for number in range(max(cells, default=-1) + 1)]
    cell = next((m for m in members if len(m) > 1), None)
    if cell is None:
        yield cells
        return
    tried: list[int] = []
    multiset = sorted(arcs)
    for v in cell:
        if any(_swapped(arcs, u, v) == multiset for u in tried):
            continue
        tried.append(v)
        yield from _labellings(arcs, [2 * number + (number == cells[v] and w != v) for w, number in enumerate(cells)])


def _swapped(arcs: Sequence, u: int, v: int) -> list:
    swap = {u: v, v: u}
    return sorted(((swap.get(r, r), swap.get(s, s)), c) for (r, s), c in arcs)


def _arranged(graph: MultiGraph, labels: list[int], undirected: bool) -> tuple:
    """Edges, red nodes and colours under a labelling, edges sorted."""
    edges = [(labels[r], labels[s]) for r, s in graph.edges]
    if undirected:
        edges = [(min(e), max(e)) for e in edges]
    pairs = sorted(zip(edges, graph.colors or (0,) * len(edges), strict=True))
    colors = tuple(c for _, c in pairs) if graph.colors else ()
    return tuple(e for e, _ in pairs), tuple(labels[r] for r in graph.red), colors

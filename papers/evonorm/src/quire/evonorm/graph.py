"""Layers as computation graphs: the language of the search, its random graphs and its mutation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quire.common.checks import check_at_least
from quire.evonorm.primitives import BINARY, COMMUTATIVE, PRIMITIVES

INITIAL = ("x", "0", "v0", "v1")
"""The nodes that are given: input, zeros, and two trained numbers for each channel, at first 0 and 1."""
INPUT = 0

Row = tuple[int, int, int]


@dataclass(frozen=True)
class Graph:
    """A layer: rows `(primitive, input 1, input 2)` for the nodes 4, 5, ... in order; the last one is the output.

    Nodes 0 to 3 are `INITIAL`. Rows may hold nodes that the output does not depend on; evolution carries them along.

    Args:
        code: the rows, also as an integer array `[n, 3]`; the second input of a primitive of one map is ignored.

    Raises:
        ValueError: without rows, for a primitive that does not exist, or an input that is not an earlier node.

    >>> graph = Graph([(1, 0, 3), (5, 4, 4), (1, 0, 5), (23, 0, 0), (2, 6, 7)])
    >>> print(graph)
    x * sigmoid(x * v1) / std_whg(x)
    >>> graph == EVONORM_S0
    True
    """

    code: tuple[Row, ...]

    def __init__(self, code: Sequence[Sequence[int]] | np.ndarray):
        rows = np.asarray(code)
        if rows.ndim != 2 or rows.shape[0] < 1 or rows.shape[1] != 3 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"code has shape {rows.shape} and dtype {rows.dtype}; it needs integers [n >= 1, 3]")
        for place, (op, *inputs) in enumerate(rows.tolist()):
            node = place + len(INITIAL)
            if not 0 <= op < len(PRIMITIVES):
                raise ValueError(f"code has primitive {op} at node {node}; it must lie between 0 and {len(PRIMITIVES) - 1}")
            if not all(0 <= i < node for i in inputs):
                raise ValueError(f"code has inputs {inputs} at node {node}; they must be nodes before it")
        object.__setattr__(self, "code", tuple(tuple(row) for row in rows.tolist()))

    def __len__(self) -> int:
        return len(self.code)

    def row(self, node: int) -> tuple[str, tuple[int, ...]]:
        """Primitive and inputs of a node, those that count."""
        op, *inputs = self.code[node - len(INITIAL)]
        name = PRIMITIVES[op]
        return name, tuple(inputs) if name in BINARY else (inputs[0],)

    @cached_property
    def live(self) -> frozenset[int]:
        """The nodes that the output depends on, initial ones included."""
        found, waiting = set(), [len(INITIAL) + len(self) - 1]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += self.row(node)[1] if node >= len(INITIAL) else ()
        return frozenset(found)

    @property
    def depends_on_input(self) -> bool:
        """Whether the output depends on x at all. Most random graphs' does not."""
        return INPUT in self.live

    @property
    def mixes_samples(self) -> bool:
        """Whether a sample's output depends on the rest of the batch."""
        return any(node >= len(INITIAL) and self.row(node)[0].endswith("_bwh") for node in self.live)

    @cached_property
    def digest(self) -> str:
        """The same for graphs that compute the same by the same operations: dead nodes, order and repetition do not count."""
        return self._digests[-1].hex()[:16]

    @cached_property
    def _digests(self) -> list[bytes]:
        digests = [name.encode() for name in INITIAL]
        for node in range(len(INITIAL), len(INITIAL) + len(self)):
            name, inputs = self.row(node)
            parts = [digests[i] for i in inputs]
            parts = sorted(parts) if name in COMMUTATIVE else parts
            digests.append(hashlib.sha256(b"(".join([name.encode(), *parts])).digest())
        return digests

    def simplify(self) -> "Graph":
        """The same function without dead nodes and without nodes computed twice, in an order that only the function decides.

        >>> Graph([(9, 0, 0), (4, 0, 0), (9, 0, 0), (0, 6, 4)]).simplify().code
        ((9, 0, 0), (0, 4, 4))
        """
        number = {digest: node for node, digest in enumerate(self._digests[: len(INITIAL)])}
        rows: list[Row] = []
        waiting = [(len(INITIAL) + len(self) - 1, False)]
        while waiting:
            node, ready = waiting.pop()
            if self._digests[node] in number:
                continue
            name, inputs = self.row(node)
            inputs = sorted(inputs, key=self._digests.__getitem__) if name in COMMUTATIVE else inputs
            if ready:
                places = [number[self._digests[i]] for i in inputs]
                rows.append((PRIMITIVES.index(name), places[0], places[-1]))
                number[self._digests[node]] = len(INITIAL) + len(rows) - 1
            else:
                waiting += [(node, True), *((i, False) for i in reversed(inputs))]
        return Graph(rows)

    def padded(self, rows: int) -> np.ndarray:
        """The code with so many rows: those added are `max(output, output)`, the identity.

        Raises:
            ValueError: if the graph is longer.
        """
        if len(self) > rows:
            raise ValueError(f"rows is {rows}; the graph has {len(self)}")
        last, op = len(INITIAL) + len(self) - 1, PRIMITIVES.index("max")
        extra = [(op, node, node) for node in range(last, len(INITIAL) + rows - 1)]
        return np.array([*self.code, *extra], np.int32)

    def __str__(self) -> str:
        """Algebra; what is used several times and is no short term gets a name of its own."""
        graph = self.simplify()
        texts: list[tuple[str, int]] = [(name, 4) for name in INITIAL]
        uses = [i for node in range(len(INITIAL), len(INITIAL) + len(graph)) for i in graph.row(node)[1]]
        named = []
        for node in range(len(INITIAL), len(INITIAL) + len(graph)):
            name, inputs = graph.row(node)
            text = _term(name, [texts[i] for i in inputs])
            if uses.count(node) > 1 and len(text[0]) > 12:
                named.append(f"t{len(named) + 1} = {text[0]}")
                text = (f"t{len(named)}", 4)
            texts.append(text)
        return "; ".join([*named, texts[-1][0]])


def _term(name: str, parts: list[tuple[str, int]]) -> tuple[str, int]:
    """Text of an operation and how tightly it binds: sums 1, products 2, a sign 3, names and functions 4."""
    parts = sorted(parts, key=lambda part: len(part[0])) if name in COMMUTATIVE else parts
    if name in ("add", "mul", "div"):
        sign, level = {"add": ("+", 1), "mul": ("*", 2), "div": ("/", 2)}[name]
        left, right = parts
        if name == "add" and right[1] == 3:
            return f"{_inside(left, level)} - {right[0][1:]}", level
        return f"{_inside(left, level)} {sign} {_inside(right, level + (name == 'div'))}", level
    if name == "neg":
        return f"-{_inside(parts[0], 3)}", 3
    return f"{name}({', '.join(text for text, _ in parts)})", 4


def _inside(part: tuple[str, int], level: int) -> str:
    return part[0] if part[1] >= level else f"({part[0]})"


# --- Draws ---


def random_graph(rng: np.random.Generator, nodes: int = 10, primitives: Sequence[str] = PRIMITIVES) -> Graph:
    """Every node takes a uniform primitive and uniform inputs among the nodes before it.

    Raises:
        ValueError: if nodes is below 1.

    >>> len(random_graph(np.random.default_rng(0)))
    10
    """
    check_at_least("nodes", nodes)
    return Graph([_draw_row(rng, len(INITIAL) + place, primitives) for place in range(nodes)])


def mutate(graph: Graph, rng: np.random.Generator, primitives: Sequence[str] = PRIMITIVES) -> Graph:
    """A uniform node of the graph, dead or alive, drawn anew: its primitive and its inputs."""
    place = int(rng.integers(len(graph)))
    rows = list(graph.code)
    rows[place] = _draw_row(rng, len(INITIAL) + place, primitives)
    return Graph(rows)


def _draw_row(rng, node, primitives) -> Row:
    op = PRIMITIVES.index(primitives[int(rng.integers(len(primitives)))])
    first, second = map(int, rng.integers(node, size=2))
    return op, first, second


# --- Known layers ---


def _graph(*rows: tuple[str, int, int]) -> Graph:
    return Graph([(PRIMITIVES.index(name), a, b) for name, a, b in rows])


BN_RELU = _graph(
    ("mean_bwh", 0, 0),
    ("neg", 4, 4),
    ("add", 0, 5),
    ("std_bwh", 0, 0),
    ("div", 6, 7),
    ("mul", 8, 3),
    ("add", 9, 2),
    ("max", 10, 1),
)
"""Batch normalisation with v1 and v0 for scale and shift, then ReLU."""
GN_SILU = _graph(
    ("mean_whg", 0, 0),
    ("neg", 4, 4),
    ("add", 0, 5),
    ("std_whg", 0, 0),
    ("div", 6, 7),
    ("mul", 8, 3),
    ("add", 9, 2),
    ("sigmoid", 10, 10),
    ("mul", 10, 11),
)
"""Group normalisation, then SiLU."""
EVONORM_B0 = _graph(("std_bwh", 0, 0), ("mul", 0, 3), ("std_wh", 0, 0), ("add", 5, 6), ("max", 4, 7), ("div", 0, 8))
EVONORM_S0 = _graph(("mul", 0, 3), ("sigmoid", 4, 4), ("mul", 0, 5), ("std_whg", 0, 0), ("div", 6, 7))
KNOWN = {"BN-ReLU": BN_RELU, "GN-SiLU": GN_SILU, "EvoNorm-B0": EVONORM_B0, "EvoNorm-S0": EVONORM_S0}

"""Which polynomials can a graph network compute? Contract one node after the other with what the network has, and see."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.graphs.basis import Output, graphs_of_degree, place_red
from quire.common.graphs.evaluate import ORDER, as_diagonal, as_matrices, edge_matrices
from quire.common.graphs.multigraph import MultiGraph, node_letters


@dataclass(frozen=True)
class Bank:
    """The contractions of a class of networks.

    Attributes:
        name: for tables.
        max_neighbours: a node may be summed out when it has at most so many distinct neighbours; a tensor on them remains.
            Pointwise products (loops, parallel edges) are free.
        max_red: how many distinct output indices the networks have.

    Raises:
        ValueError: for a negative number.
    """

    name: str
    max_neighbours: int
    max_red: int

    def __post_init__(self):
        if self.max_neighbours < 0 or not 0 <= self.max_red <= 2:
            raise ValueError(f"max_neighbours is {self.max_neighbours}, max_red {self.max_red}; they must be >= 0 and 0, 1 or 2")


NODE_BANK = Bank("message passing", max_neighbours=1, max_red=1)
"""`sum_j X_ij h_j` and `sum_j h_j`: message passing."""

EDGE_BANK = Bank("PPGN++", max_neighbours=2, max_red=2)
"""`sum_k A_ik B_kj` besides: matrix products."""


@dataclass(frozen=True)
class Step:
    """One contraction: `node` is summed out; a tensor on `neighbours` remains."""

    node: int
    neighbours: tuple[int, ...]

    def __str__(self) -> str:
        letters = node_letters(max(self.node, *self.neighbours, 0) + 1)
        return f"sum {letters[self.node]} -> [{''.join(letters[v] for v in self.neighbours)}]"


@dataclass(frozen=True)
class Plan:
    """A sequence of contractions that computes `P_H`; call it on matrices.

    Attributes:
        graph: the multigraph H.
        steps: contractions in order.
    """

    graph: MultiGraph
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "; ".join([*map(str, self.steps), f"read [{self.graph.einsum_spec().split('->')[1]}]"])

    def __call__(self, X: Float[Array, "*batch n n"]) -> Array:
        """`P_H(X)` by these contractions alone. Arguments, result and errors as `evaluate`."""
        X = as_matrices(self.graph, X)
        batch = X.shape[: -3 if self.graph.colors else -2]
        n = X.shape[-1]
        factors: list[tuple[tuple[int, ...], Array]] = list(zip(self.graph.edges, edge_matrices(self.graph, X), strict=True))
        for step in self.steps:
            near = [f for f in factors if step.node in f[0]]
            near = near or [((step.node,), jnp.ones((*batch, n), X.dtype))]
            factors = [f for f in factors if step.node not in f[0]]
            factors.append((step.neighbours, _product(near, step.neighbours)))
        red = tuple(dict.fromkeys(self.graph.red))
        factors += [((v,), jnp.ones((*batch, n), X.dtype)) for v in red]
        out = _product(factors, red) if factors else jnp.ones(batch, X.dtype)
        return as_diagonal(out) if len(red) < len(self.graph.red) else out


def _product(factors: Sequence[tuple[tuple[int, ...], Array]], keep: tuple[int, ...]) -> Array:
    """Factors on the same pair are multiplied pointwise; what is left is one contraction (two neighbours: a matrix product)."""
    scopes = sorted({tuple(sorted(set(scope))) for scope, _ in factors})
    letters = node_letters(max([v for s in scopes for v in s], default=-1) + 1)

    def word(scope):
        return "".join(letters[v] for v in scope)

    merged = []
    for scope in scopes:
        here = [(s, x) for s, x in factors if set(s) == set(scope)]
        merged.append(jnp.stack([jnp.einsum(f"...{word(s)}->...{word(scope)}", x) for s, x in here]).prod(0))
    spec = ",".join("..." + word(s) for s in scopes)
    return jnp.einsum(f"{spec}->...{word(keep)}", *merged, optimize=ORDER)


def contraction_plan(graph: MultiGraph, bank: Bank) -> Plan | None:
    """A plan within the bank, or None: nodes are removed greedily, and the order does not matter.

    While a node that is not red has at most `bank.max_neighbours` distinct neighbours, remove it and join them. `P_H` is
    computable exactly when only red nodes remain.

    >>> str(contraction_plan(MultiGraph.from_spec("ab,bc,cd->ad"), EDGE_BANK))
    'sum b -> [ac]; sum c -> [ad]; read [ad]'
    """
    if len(set(graph.red)) > bank.max_red:
        return None
    near = {v: set(graph.neighbours[v]) for v in range(graph.num_nodes)}
    steps = []
    while inner := [v for v in near if v not in graph.red]:
        node = next((v for v in inner if len(near[v]) <= bank.max_neighbours), None)
        if node is None:
            return None
        neighbours = near.pop(node)
        for v in neighbours:
            near[v] = (near[v] | neighbours) - {v, node}
        steps.append(Step(node, tuple(sorted(neighbours))))
    return Plan(graph, tuple(steps))


def is_computable(graph: MultiGraph, bank: Bank) -> bool:
    """Whether networks with these contractions can compute `P_H`."""
    return contraction_plan(graph, bank) is not None


def failures(bank: Bank, degree: int, num_red: int) -> list[MultiGraph]:
    """Connected simple multigraphs of this degree with so many red nodes that the bank cannot compute."""
    return [
        h
        for graph in graphs_of_degree(degree, simple=True, connected=True)
        for h in (place_red(graph, num_red, simple=True) if graph.num_nodes >= num_red else [])
        if not is_computable(h, bank)
    ]


def expressive_degree(bank: Bank, output: Output, max_degree: int = 6) -> int:
    """Largest degree up to which the bank computes every polynomial of simple graphs with this output, `max_degree` at most.

    Edge outputs include node outputs (the diagonal), and those include the invariants.

    Raises:
        ValueError: for an unknown output or a negative degree.
    """
    check_at_least("max_degree", max_degree, 0)
    reds = {"invariant": (0,), "node": (0, 1), "edge": (0, 1, 2)}
    if output not in reds:
        raise ValueError(f"output is {output!r}; it must be one of {sorted(reds)}")
    for degree in range(1, max_degree + 1):
        if any(failures(bank, degree, count) for count in reds[output]):
            return degree - 1
    return max_degree

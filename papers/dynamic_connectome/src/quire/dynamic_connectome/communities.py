"""Communities of a motif: weighted, degree-corrected, nested stochastic block models, chosen by description length."""

from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from quire.common.arrays import AnyArray
from quire.common.graphs.block_hierarchy import Hierarchy, nest
from quire.common.graphs.block_model import check_graph, description_length, group_counts, log_tables
from quire.common.graphs.block_search import BlockFit, fit_block_model

DegreeCorrection = Literal["auto"] | bool


@dataclass(frozen=True)
class Communities:
    """What a block model finds in a motif.

    Attributes:
        labels: group of each neuron; that of neurons without an edge is -1.
        fit: flat block model of the neurons that have edges, or None if none has.
        hierarchy: nested groups of them, or None.
        kept: neurons that have edges.
    """

    labels: Int[np.ndarray, " n"]
    fit: BlockFit | None
    hierarchy: Hierarchy | None
    kept: Int[np.ndarray, " kept"]

    @property
    def degree_corrected(self) -> bool:
        """Whether the model with degrees has the shorter description."""
        return self.fit is not None and self.fit.degree_corrected

    @property
    def evidence(self) -> float:
        """By how many nats the groups shorten the description of a single group; 0 if they do not."""
        return 0.0 if self.fit is None else float(self.fit.by_groups[1][0].total - self.fit.total)


def weighted_sbm_dl(
    a: Shaped[AnyArray, "n n"], w: Real[AnyArray, "n n"], b: Int[AnyArray, " n"], deg_corr: bool = False
) -> dict[str, float]:
    """Description length of a partition, in nats, term by term and in total; see `description_length`.

    Args:
        a: adjacency of a simple graph.
        w: weights, positive on edges.
        b: group of each node, `0 .. B - 1`.
        deg_corr: whether degrees are described too.

    Raises:
        ValueError: for what is no such graph, or labels that do not fit.

    >>> a = 1 - np.eye(3)
    >>> terms = weighted_sbm_dl(a, a, np.zeros(3, int))
    >>> print(f"{terms['adjacency']:.4f} {terms['total']:.4f}")
    2.7205 5.3232
    """
    check_graph(a, w)
    counts = group_counts(np.asarray(a), np.asarray(w), b)
    tables = log_tables(len(a), int(np.sum(a)) // 2, len(counts.sizes))
    terms = description_length(counts, tables, degree_corrected=deg_corr)
    return {name: float(value) for name, value in terms._asdict().items()} | {"total": float(terms.total)}


def fit_weighted_sbm(
    a: Shaped[AnyArray, "n n"],
    w: Real[AnyArray, "n n"],
    key: jax.Array,
    deg_corr: DegreeCorrection = "auto",
    nested: bool = True,
    *,
    groups: int = 8,
    restarts: int = 8,
    weighted: bool = True,
    room: tuple[int, int] | None = None,
) -> Communities:
    """The partition with the shortest description, the degree model chosen by it as well.

    Nodes without an edge are left out: where nothing is said of a neuron, it has no community.

    Args:
        a: adjacency of a simple graph.
        w: weights, positive on edges.
        key: of the search.
        deg_corr: `auto` takes the model with the shorter description, Lambda = DL(without) - DL(with) > 0.
        nested: whether groups of groups are sought as well.
        groups, restarts, room: see `fit_block_model`.
        weighted: False for topology alone.

    Raises:
        ValueError: as `fit_block_model`, or for another `deg_corr`.
    """
    if deg_corr not in ("auto", True, False):
        raise ValueError(f"deg_corr is {deg_corr!r}; it must be 'auto', True or False")
    check_graph(a, w)
    a, w = np.asarray(a, float), np.asarray(w, float)
    kept = np.flatnonzero(a.sum(0) > 0)
    labels = np.full(len(a), -1)
    if not len(kept):
        return Communities(labels, None, None, kept)
    inside = np.ix_(kept, kept)
    corrected = None if deg_corr == "auto" else bool(deg_corr)
    fit = fit_block_model(a[inside], w[inside], key, groups, restarts, degree_corrected=corrected, weighted=weighted, room=room)
    labels[kept] = fit.labels
    return Communities(labels, fit, nest(fit, a[inside], w[inside], weighted=weighted) if nested else None, kept)


def motif_communities(w: Float[AnyArray, "n n"], key: jax.Array, **options) -> Communities:
    """`fit_weighted_sbm` of a weighted graph whose zeros are no edges."""
    return fit_weighted_sbm(np.asarray(w) > 0, w, key, **options)

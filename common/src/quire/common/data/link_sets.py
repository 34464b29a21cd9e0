"""Graphs for link prediction: UMLS, Cora, a generated block graph, ogbl-ddi where it has been exported."""

from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_npy, read_npz, read_text
from quire.common.data.registry import fetch, provided
from quire.common.data.splits import Fractions, random_parts
from quire.common.errors import DatasetCorrupt


@dataclass(frozen=True)
class LinkGraph:
    """An undirected graph whose edges are to be predicted.

    Attributes:
        name: as tables show it.
        pairs: int32 `[2, m]`, i < j, every edge once.
        num_nodes: number of nodes.
    """

    name: str
    pairs: np.ndarray
    num_nodes: int


@dataclass(frozen=True)
class LinkSplit:
    """Edges to train on, to choose on and to test on, and pairs that are no edge at all.

    Attributes:
        train, validation, test: int32 `[2, m]`.
        non_edges: int32 `[2, q]`.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    non_edges: np.ndarray


def link_graph(name: str, edges: np.ndarray, num_nodes: int) -> LinkGraph:
    """Graph of edges in any direction; repeated edges are kept once, self loops dropped.

    Args:
        name: of the graph; its sizes are added.
        edges: integers `[m, 2]`.
        num_nodes: number of nodes.

    Raises:
        ValueError: for another shape or dtype, or a node that does not exist.
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
        raise ValueError(f"edges is {edges.dtype} {edges.shape}; it must be integers [m, 2]")
    if edges.size and not 0 <= edges.min() <= edges.max() < num_nodes:
        raise ValueError(f"edges name nodes {edges.min()} to {edges.max()}; num_nodes is {num_nodes}")
    pairs = np.sort(edges.astype(np.int64).T, axis=0)
    pairs = np.unique(pairs[:, pairs[0] < pairs[1]], axis=1).astype(np.int32)
    return LinkGraph(f"{name}, {num_nodes} nodes, {pairs.shape[1]} edges", pairs, num_nodes)


def umls_graph() -> LinkGraph:
    """Which entities of UMLS are related at all: all relations and parts merged, 135 nodes, 3551 edges.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    parts = (read_text(fetch("kg-small", f"umls/{part}.txt")) for part in ("train", "valid", "test"))
    triples = np.array([line.split("\t") for part in parts for line in part.splitlines() if line])
    names, index = np.unique(triples[:, [0, 2]], return_inverse=True)
    return link_graph("UMLS entities", index.reshape(-1, 2), len(names))


def cora_graph() -> LinkGraph:
    """The citation graph of Cora without its features: 2708 nodes, 5278 edges.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return link_graph("Cora", read_npz(fetch("cora", "cora.npz"), "edges")["edges"], 2708)


def ogbl_ddi_graph() -> LinkGraph:
    """ogbl-ddi (Hu et al. 2020), the edges of its three parts merged.

    Raises:
        DatasetUnavailable: if `ogbl-ddi/edges.npy` is neither below `QUIRE_DATA` nor in the cache.
        DatasetCorrupt: if it holds something else than edges between 4267 nodes.
    """
    path = provided("ogbl-ddi", "edges.npy")
    try:
        return link_graph("ogbl-ddi", read_npy(path), 4267)
    except ValueError as error:
        raise DatasetCorrupt(f"{path}: {error}") from None


def block_graph(num_nodes: int = 150, *, blocks: int = 5, inside: float = 0.6, between: float = 0.08, seed: int = 0) -> LinkGraph:
    """A generated graph of blocks whose nodes are connected often inside and seldom between, with uneven degrees.

    Args:
        num_nodes, blocks: sizes.
        inside, between: probability of an edge between nodes of average activity.
        seed: of the generator.

    Raises:
        ValueError: if a probability is outside of [0, 1], or there is no pair of nodes or no block.
    """
    if num_nodes < 2 or blocks < 1:
        raise ValueError(f"num_nodes is {num_nodes} and blocks {blocks}; they must be at least 2 and 1")
    if not (0 <= inside <= 1 and 0 <= between <= 1):
        raise ValueError(f"inside is {inside} and between {between}; both are probabilities")
    rng = np.random.default_rng(seed)
    block = rng.integers(0, blocks, num_nodes)
    activity = rng.uniform(0.3, 1.7, num_nodes)
    probability = np.where(block[:, None] == block, inside, between) * np.outer(activity, activity)
    linked = np.triu(rng.uniform(size=probability.shape) < probability, 1)
    return link_graph(f"generated graph of {blocks} blocks", np.argwhere(linked), num_nodes)


def split_links(
    graph: LinkGraph, *, fractions: Fractions = (0.8, 0.1, 0.1), num_non_edges: int = 2000, seed: int = 0
) -> LinkSplit:
    """Random split of the edges, with pairs that are in no part.

    Args:
        graph: the graph.
        fractions: of training, validation and test.
        num_non_edges: pairs without an edge, distinct.
        seed: of the shuffle and of the draw.

    Raises:
        ValueError: if the fractions do not sum to 1, a part ends up empty, or the graph has too few pairs without an edge.
    """
    n, m = graph.num_nodes, graph.pairs.shape[1]
    available = n * (n - 1) // 2 - m
    if not 0 <= num_non_edges <= available:
        raise ValueError(f"num_non_edges is {num_non_edges}; this graph has {available} pairs without an edge")
    rng = np.random.default_rng(seed)
    train, validation, test = (graph.pairs[:, part] for part in random_parts(m, fractions, rng))
    edges = graph.pairs[0].astype(np.int64) * n + graph.pairs[1]
    found = np.zeros(0, np.int64)
    while len(found) < num_non_edges:  # rejection: few draws are edges or repeated in a sparse graph
        draw = np.sort(rng.integers(0, n, (2, 2 * num_non_edges)), axis=0)
        codes = (draw[0] * n + draw[1])[draw[0] < draw[1]]
        codes = np.concatenate([found, codes[~np.isin(codes, edges)]])
        found = codes[np.sort(np.unique(codes, return_index=True)[1])]
    non_edges = np.stack(np.divmod(found[:num_non_edges], n)).astype(np.int32)
    return LinkSplit(train, validation, test, non_edges)

"""Graphs for link prediction: UMLS, Cora, a generated block graph, ogbl-ddi where it has been exported."""

from dataclasses import dataclass

import numpy as np

from quire.common.data.registry import REGISTRY, Dataset, File, fetch, provided

KG_SMALL = REGISTRY.add(
    Dataset(
        "kg-small",
        "UMLS: 6529 triples over 135 entities and 46 relations in three parts",
        "licence of the data not stated; not redistributed here",
        "https://github.com/TimDettmers/ConvE (umls.tar.gz)",
        (
            File("umls/train.txt", ("873ef4925516b83e7f6f8cc02b4be51d848828710a7f65a956f0ac4a9e452f35",), 260_013),
            File("umls/valid.txt", ("025c98f8a4891e2a6582ec5b40ee0d904031edad9c52554522f4b7904820c98e",), 32_963),
            File("umls/test.txt", ("a7eb529a3d2810fcc96341ccc97c625a5e202f8389673aa6bd317eeebbb79014",), 32_968),
        ),
        hint="unpack umls.tar.gz of that repository into kg-small/umls",
    )
)
CORA = REGISTRY.add(
    Dataset(
        "cora",
        "citation graph of 2708 papers with 5278 undirected edges",
        "licence of the data not stated; not redistributed here",
        "https://github.com/kimiyoung/planetoid (data/ind.cora.*)",
        (File("cora.npz", ("1989963e36d688b63e8fb3b9cdb57d73ebff2760ac542a843719aea8c901120d",), 90_143),),
        hint="convert it to an .npz with the undirected `edges` [5278, 2]",
    )
)
OGBL_DDI = REGISTRY.add(
    Dataset(
        "ogbl-ddi",
        "interactions of 4267 drugs, 1334889 undirected edges",
        "MIT (Open Graph Benchmark)",
        "https://ogb.stanford.edu/docs/linkprop/#ogbl-ddi",
        hint="load it with the package `ogb` and save all edges as integers [edges, 2] in edges.npy",
    )
)


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
    """Graph of edges in any direction; repeated edges are kept once, self loops dropped."""
    pairs = np.sort(np.asarray(edges, np.int64).reshape(-1, 2).T, axis=0)
    pairs = np.unique(pairs[:, pairs[0] < pairs[1]], axis=1).astype(np.int32)
    return LinkGraph(f"{name}, {num_nodes} nodes, {pairs.shape[1]} edges", pairs, num_nodes)


def umls_graph() -> LinkGraph:
    """Which entities of UMLS are related at all: all relations and parts merged, 135 nodes, 3551 edges.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    lines = [line for file in KG_SMALL.files for line in fetch(KG_SMALL, file.name).read_text(encoding="utf-8").splitlines()]
    triples = np.array([line.split("\t") for line in lines if line])
    names, index = np.unique(triples[:, [0, 2]], return_inverse=True)
    return link_graph("UMLS entities", index.reshape(-1, 2), len(names))


def cora_graph() -> LinkGraph:
    """The citation graph of Cora without its features: 2708 nodes, 5278 edges.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    with np.load(fetch(CORA, "cora.npz"), allow_pickle=False) as arrays:
        return link_graph("Cora", arrays["edges"], 2708)


def ogbl_ddi_graph() -> LinkGraph:
    """ogbl-ddi (Hu et al. 2020), the edges of its three parts merged.

    Raises:
        DatasetUnavailable: if `ogbl-ddi/edges.npy` is neither below `QUIRE_DATA` nor in the cache.
    """
    return link_graph("ogbl-ddi", np.load(provided(OGBL_DDI, "edges.npy"), allow_pickle=False), 4267)


def block_graph(num_nodes: int = 150, *, blocks: int = 5, inside: float = 0.6, between: float = 0.08, seed: int = 0) -> LinkGraph:
    """A generated graph of blocks whose nodes are connected often inside and seldom between, with uneven degrees.

    Args:
        num_nodes, blocks: sizes.
        inside, between: probability of an edge between nodes of average activity.
        seed: of the generator.

    Raises:
        ValueError: if a probability is outside of [0, 1].
    """
    if not (0 <= inside <= 1 and 0 <= between <= 1):
        raise ValueError(f"inside is {inside} and between {between}; both are probabilities")
    rng = np.random.default_rng(seed)
    block = rng.integers(0, blocks, num_nodes)
    activity = rng.uniform(0.3, 1.7, num_nodes)
    probability = np.where(block[:, None] == block, inside, between) * np.outer(activity, activity)
    linked = np.triu(rng.uniform(size=probability.shape) < probability, 1)
    return link_graph(f"generated graph of {blocks} blocks", np.argwhere(linked), num_nodes)


def split_links(
    graph: LinkGraph, *, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), num_non_edges: int = 2000, seed: int = 0
) -> LinkSplit:
    """Random split of the edges, with pairs that are in no part.

    Args:
        graph: the graph.
        fractions: of training, validation and test.
        num_non_edges: pairs without an edge, distinct.
        seed: of the shuffle and of the draw.

    Raises:
        ValueError: if the fractions do not sum to 1 or the graph has too few pairs without an edge.
    """
    if abs(sum(fractions) - 1) > 1e-9 or min(fractions) <= 0:
        raise ValueError(f"fractions is {fractions}; it must be three positive numbers with sum 1")
    n, m = graph.num_nodes, graph.pairs.shape[1]
    available = n * (n - 1) // 2 - m
    if num_non_edges > available:
        raise ValueError(f"num_non_edges is {num_non_edges}; this graph has {available} pairs without an edge")
    rng = np.random.default_rng(seed)
    ends = np.rint(np.cumsum(fractions) * m).astype(int)
    train, validation, test = np.split(graph.pairs[:, rng.permutation(m)], ends[:2], axis=1)
    edges = graph.pairs[0].astype(np.int64) * n + graph.pairs[1]
    found = np.zeros(0, np.int64)
    while len(found) < num_non_edges:  # rejection: few draws are edges or repeated in a sparse graph
        draw = np.sort(rng.integers(0, n, (2, 2 * num_non_edges)), axis=0)
        codes = (draw[0] * n + draw[1])[draw[0] < draw[1]]
        codes = np.concatenate([found, codes[~np.isin(codes, edges)]])
        found = codes[np.sort(np.unique(codes, return_index=True)[1])]
    non_edges = np.stack(np.divmod(found[:num_non_edges], n)).astype(np.int32)
    return LinkSplit(train, validation, test, non_edges)

"""Papers that cite each other, with words and topics: Cora with its standard split, and a generated stand-in."""

from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.registry import fetch
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt
from quire.common.graphs.edges import Graph, undirected
from quire.relative_representations.config import Graphs


@dataclass(frozen=True)
class Citations:
    """A graph whose nodes are to be classified.

    Attributes:
        name: as tables show it.
        graph: citations, undirected.
        words: float32 `[nodes, words]`, 1 where a paper uses a word.
        labels: int32 `[nodes]`, topics from 0.
        train, validation, test: ids of nodes.
        config: the sizes that go with it.
    """

    name: str
    graph: Graph
    words: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    config: Graphs

    @property
    def num_classes(self) -> int:
        """Topics."""
        return int(self.labels.max()) + 1

    @property
    def majority(self) -> float:
        """Accuracy on the test nodes of always answering the most frequent topic of the training nodes."""
        return float(np.mean(self.labels[self.test] == np.bincount(self.labels[self.train]).argmax()))


def open_citations(config: Graphs) -> Source[Citations]:
    """The citations of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
        ValueError: for a set that there is not.
    """
    loaders = {"cora": cora, "generated": generated_citations}
    if config.citation_set not in loaders:
        raise ValueError(f"citation_set is {config.citation_set!r}; it must be one of {', '.join(loaders)}")
    fallback = config.fallback
    return open_or(
        lambda: loaders[config.citation_set](config),
        None if fallback is None else lambda: open_citations(fallback).value,
        stand_in_for="Cora" if config.citation_set == "generated" else "",
        instead_of="Cora",
    )


def cora(config: Graphs) -> Citations:
    """Cora (McCallum et al. 2000) as Yang et al. (2016) split it: 2708 papers, 1433 words, 7 topics, 140 papers to train on.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = fetch("cora", "cora.npz")
    names = ("feature_row", "feature_col", "edges", "labels", "train_idx", "val_idx", "test_idx", "shape")
    arrays = {name: x.astype(np.int64) for name, x in read_npz(path, *names).items()}
    try:
        words = np.zeros(arrays["shape"], np.float32)
        words[arrays["feature_row"], arrays["feature_col"]] = 1
        graph = undirected(arrays["edges"].T, len(words))
        train, validation, test = (arrays[f"{part}_idx"] for part in ("train", "val", "test"))
        labels = arrays["labels"].astype(np.int32)
        if labels.shape != (len(words),) or max(part.max() for part in (train, validation, test)) >= len(words):
            raise ValueError(f"{len(labels)} labels and ids of nodes for {len(words)} papers")
    except (ValueError, IndexError) as error:
        raise DatasetCorrupt(f"{path} is not a graph of papers ({error})") from None
    name = f"Cora, {len(words)} papers, {graph.num_edges} citations, {len(train)} to train on"
    return Citations(name, graph, words, labels, train, validation, test, config)


def generated_citations(config: Graphs, *, papers: int = 1200, topics: int = 5, words: int = 300, seed: int = 0) -> Citations:
    """Papers that cite mostly papers of their topic, and use its words a little more often than others.

    Args:
        config: sizes of what runs on it.
        papers, topics, words: sizes.
        seed: of the generator.

    Raises:
        ValueError: if there are too few papers to train on 20 of each topic.
    """
    if papers < 60 * topics or min(topics, words) < 2:
        raise ValueError(
            f"papers is {papers}, topics {topics}, words {words}; there must be 60 papers a topic, two topics and words"
        )
    draw = np.random.default_rng(seed)
    labels = (np.arange(papers) % topics).astype(np.int32)
    draw.shuffle(labels)
    usual = draw.random((topics, words)) < 0.15
    used = draw.random((papers, words)) < np.where(usual[labels], 0.08, 0.02)
    same = labels[:, None] == labels
    cited = np.triu(draw.random((papers, papers)) < np.where(same, 3.0 * topics, 1.0) / papers, 1)
    order = draw.permutation(papers)
    train = np.concatenate([order[labels[order] == topic][:20] for topic in range(topics)])
    rest = order[~np.isin(order, train)]
    half = len(rest) // 2
    name = f"generated citations of {papers} papers, {len(train)} to train on"
    graph = undirected(np.argwhere(cited).T, papers)
    return Citations(name, graph, used.astype(np.float32), labels, train, rest[:half], rest[half:], config)

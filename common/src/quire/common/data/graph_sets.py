"""Sets of graphs: strongly regular families and small molecules."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from quire.common.data.archives import gunzip, read_text
from quire.common.data.registry import dataset, fetch, provided
from quire.common.errors import DatasetCorrupt
from quire.common.graphs.dense import read_graph6


def strongly_regular(family: str) -> np.ndarray:
    """A family of strongly regular graphs.

    Args:
        family: such as `"sr251256"`.

    Returns:
        uint8 adjacency matrices `[graphs, n, n]`.

    Raises:
        ValueError: for an unknown family.
        DatasetUnavailable, DatasetCorrupt: if the file is missing or damaged.
    """
    path = _listed("sr-graphs", "family", family)
    return np.stack(read_graph6(gunzip(path) if path.suffix == ".gz" else path.read_bytes()))


def _listed(collection: str, argument: str, value: str) -> Path:
    names = {file.name.split(".")[0]: file.name for file in dataset(collection).files}
    if value not in names:
        raise ValueError(f"{argument} is {value!r}; it must be one of {sorted(names)}")
    return fetch(collection, names[value])


@dataclass(frozen=True)
class Molecule:
    """A labelled graph.

    Attributes:
        adjacency: uint8 `[n, n]`.
        tags: int32 `[n]`, kind of atom, from 0.
        target: float64 `[k]`, what is to be predicted; a class is one number.
        bonds: int32 `[n, n]`, kind of bond from 1, 0 where there is none; None where a set does not tell kinds apart.
    """

    adjacency: np.ndarray
    tags: np.ndarray
    target: np.ndarray
    bonds: np.ndarray | None = None


def tu_molecules(name: str) -> list[Molecule]:
    """Molecules of `"MUTAG"`, `"PTC"` or `"NCI1"`.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: if the file is missing or damaged.
    """
    path = _listed("tu-molecules", "name", name)
    lines = iter(read_text(path).splitlines())
    try:
        return [_molecule(lines) for _ in range(int(next(lines)))]
    except (StopIteration, ValueError, IndexError) as error:
        raise DatasetCorrupt(f"{path} is not in the text format of the collection ({error})") from None


def _molecule(lines: Iterator[str]) -> Molecule:
    n, label = map(int, next(lines).split())
    adjacency, tags = np.zeros((n, n), np.uint8), np.zeros(n, np.int32)
    for v in range(n):
        tags[v], degree, *near = map(int, next(lines).split())
        adjacency[v, near[:degree]] = 1
    return Molecule(adjacency, tags, np.array([label], float))


_SPLITS = ("train", "val", "test")


def zinc_12k(split: str) -> list[Molecule]:
    """A split of ZINC-12k: 28 kinds of atoms, 3 of bonds, one target.

    Args:
        split: `"train"` (10000 molecules), `"val"` or `"test"` (1000 each).

    Raises:
        ValueError: for another split.
        DatasetUnavailable, DatasetCorrupt: if the files are missing or do not fit each other.
    """
    _check_split(split)
    folder = provided("zinc-12k", f"ZINC_{split}")
    return _tu_graphs(folder, folder / "index")


def alchemy_12k(split: str) -> list[Molecule]:
    """A split of Alchemy-12k: 6 kinds of atoms, 4 of bonds, 12 targets (raw; the paper standardises them).

    Args:
        split: `"train"` (10000 molecules), `"val"` or `"test"` (1000 each).

    Raises:
        ValueError: for another split.
        DatasetUnavailable, DatasetCorrupt: if the files are missing or do not fit each other.
    """
    _check_split(split)
    folder = provided("alchemy-12k", "alchemy_full")
    return _tu_graphs(folder, folder / f"{split}.index")


def _check_split(split: str) -> None:
    if split not in _SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {list(_SPLITS)}")


def _tu_graphs(folder: Path, index: Path) -> list[Molecule]:
    """The graphs of a folder of the TU collection that an index names. Nodes are numbered from 1 across all graphs."""

    def column(what: str, dtype: type, ndim: Literal[1, 2] = 1) -> np.ndarray:
        return np.loadtxt(folder / f"{folder.name}_{what}.txt", dtype, delimiter=",", ndmin=ndim)

    try:
        edges, owner = column("A", int, 2) - 1, column("graph_indicator", int) - 1
        tags, bonds, targets = column("node_labels", int), column("edge_labels", int), column("graph_attributes", float, 2)
        wanted = [int(number) for number in index.read_text().replace(",", " ").split()]
        targets = targets.reshape(owner.max() + 1, -1)
        _check_columns(edges, owner, tags, bonds, wanted, len(targets))
        nodes = np.searchsorted(owner, np.arange(len(targets) + 1))
        joins = np.searchsorted(owner[edges[:, 0]], np.arange(len(targets) + 1))
        bonds = bonds - bonds.min() + 1
        return [
            _tu_graph(
                edges[joins[g] : joins[g + 1]] - nodes[g],
                bonds[joins[g] : joins[g + 1]],
                tags[nodes[g] : nodes[g + 1]],
                targets[g],
            )
            for g in wanted
        ]
    except (OSError, ValueError, IndexError) as error:
        raise DatasetCorrupt(f"{folder} is not a set of the TU collection with the index {index.name} ({error})") from None


def _check_columns(edges, owner, tags, bonds, wanted, count) -> None:
    if len(tags) != len(owner) or len(bonds) != len(edges):
        raise ValueError(f"{len(tags)} labels of {len(owner)} nodes, {len(bonds)} labels of {len(edges)} edges")
    if (np.diff(owner) < 0).any():
        raise ValueError("nodes are not listed graph by graph")
    if not wanted or not 0 <= min(wanted) <= max(wanted) < count:
        raise ValueError(f"the index must name some of the graphs 0 to {count - 1}")


def _tu_graph(edges: np.ndarray, kinds: np.ndarray, tags: np.ndarray, target: np.ndarray) -> Molecule:
    if len(edges) and (edges.min() < 0 or edges.max() >= len(tags)):
        raise ValueError("an edge joins two graphs, or edges are not listed graph by graph")
    bonds = np.zeros((len(tags), len(tags)), np.int32)
    bonds[edges[:, 0], edges[:, 1]] = kinds
    return Molecule((bonds > 0).astype(np.uint8), tags.astype(np.int32), target, bonds)

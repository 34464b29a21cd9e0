"""Sets of graphs: strongly regular families and small molecules."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quire.common.data.registry import REGISTRY, Dataset, DatasetCorrupt, File, fetch, gunzip, provided
from quire.common.graphs.dense import read_graph6

SR_GRAPHS = REGISTRY.add(
    Dataset(
        "sr-graphs",
        "nine families of strongly regular graphs, graph6; sr251256 is srg(25, 12, 5, 6)",
        "none stated; lists of mathematical objects",
        "https://github.com/omri1348/Equivariant-Polynomaials (data/SR/raw)",
        (
            File("sr16622.g6", ("2e258d3499c8e0f4bf1a9b98edb8bb5956bca794a0c07787d5227121044c50c1",), 64),
            File("sr251256.g6", ("f55f86eb48cd61c3315c62341cc3a8c59289c58504edb3ab859d7ef2068b9aa4",), 780),
            File("sr261034.g6", ("f0b4b4ad4507835703444c0f0990733e2f7cc31524cf91d04ba4a109f1fd52ac",), 570),
            File("sr281264.g6", ("3859424c3e8facd4d3be701ff91fe38d5c43c7b7c1c0562a5d912b096a7ed2aa",), 260),
            File("sr291467.g6", ("ea303aa60f98f01e6cc619884cd7d5716bfc00c38b7feaee080c7ff312781625",), 2870),
            File("sr351668.g6.gz", ("3acaa6f7304565d6874fbb6f2348f0d219d8311543976eb94e09d8ad7c6ef48a",), 181470),
            File("sr351899.g6", ("a63871afc7e8a3a0d390d705c38a40ecc58e22563dcec8fafc9ea2879a361eb7",), 23154),
            File("sr361446.g6", ("f47de3ca58e807e9edbd13002ce3e71ed3ab813aa1517f8babde7dd0ab075854",), 19260),
            File("sr401224.g6", ("b899979459e6304bfff848d112d0ac8d738c837e5e21dc6e9d310a386aee8be6",), 3696),
        ),
        hint="put the .g6 files there (sr351668 as .g6.gz)",
    )
)
TU_MOLECULES = REGISTRY.add(
    Dataset(
        "tu-molecules",
        "MUTAG (188), PTC (344) and NCI1 (4110 molecules), node tags, two classes",
        "MIT (repository); data of the public TU Dortmund collection",
        "https://github.com/muhanzhang/pytorch_DGCNN (data/<name>/<name>.txt)",
        (
            File("MUTAG.txt.gz", ("1f9404ee9499f75a0b753d60f7fc0372579d7dc966d115718cfff56f42b7df55",), 3358),
            File("PTC.txt.gz", ("f1534c3bf1186383c4ed172a8ebe111de30e26f0137fa0f7720931c27418cab7",), 16845),
            File("NCI1.txt.gz", ("91994dc91b6586a074f911b78d3375d59691c0afc19b683dceead538170432cb",), 281468),
        ),
        hint="put the text files there, compressed with gzip -9",
    )
)

ZINC = REGISTRY.add(
    Dataset(
        "zinc-12k",
        "12000 molecules of ZINC with their penalised log P, in the text format of the TU collection",
        "free to use for research; see the site",
        "https://www.chrsmrrs.com/graphkerneldatasets (ZINC_train.zip, ZINC_val.zip, ZINC_test.zip)",
        (),
        hint="unpack ZINC_train, ZINC_val, ZINC_test there, each with a file index: numbers, from 0, of its graphs in ZINC-12k",
    )
)
ALCHEMY = REGISTRY.add(
    Dataset(
        "alchemy-12k",
        "12000 molecules of Alchemy with 12 quantum properties, in the text format of the TU collection",
        "free to use for research; see the site",
        "https://www.chrsmrrs.com/graphkerneldatasets (alchemy_full.zip)",
        (),
        hint="unpack alchemy_full there, with files train.index, val.index and test.index: the graphs of each split, from 0",
    )
)


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
    names = {file.name.split(".")[0]: file.name for file in SR_GRAPHS.files}
    if family not in names:
        raise ValueError(f"family is {family!r}; it must be one of {sorted(names)}")
    path = fetch(SR_GRAPHS, names[family])
    return np.stack(read_graph6(gunzip(path) if path.suffix == ".gz" else path.read_bytes()))


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
    names = {file.name.split(".")[0]: file.name for file in TU_MOLECULES.files}
    if name not in names:
        raise ValueError(f"name is {name!r}; it must be one of {sorted(names)}")
    path = fetch(TU_MOLECULES, names[name])
    lines = iter(gunzip(path).decode("ascii").splitlines())
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
    folder = provided(ZINC, f"ZINC_{split}")
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
    folder = provided(ALCHEMY, "alchemy_full")
    return _tu_graphs(folder, folder / f"{split}.index")


def _check_split(split: str) -> None:
    if split not in _SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {list(_SPLITS)}")


def _tu_graphs(folder: Path, index: Path) -> list[Molecule]:
    """The graphs of a folder of the TU collection that an index names. Nodes are numbered from 1 across all graphs."""

    def column(what: str, dtype: type, ndim: int = 1) -> np.ndarray:
        return np.loadtxt(folder / f"{folder.name}_{what}.txt", dtype, delimiter=",", ndmin=ndim)

    try:
        edges, owner = column("A", int, 2) - 1, column("graph_indicator", int) - 1
        tags, bonds, targets = column("node_labels", int), column("edge_labels", int), column("graph_attributes", float, 2)
        wanted = [int(number) for number in index.read_text().replace(",", " ").split()]
        targets = targets.reshape(owner.max() + 1, -1)
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


def _tu_graph(edges: np.ndarray, kinds: np.ndarray, tags: np.ndarray, target: np.ndarray) -> Molecule:
    if len(edges) and (edges.min() < 0 or edges.max() >= len(tags)):
        raise ValueError("an edge joins two graphs, or edges are not listed graph by graph")
    bonds = np.zeros((len(tags), len(tags)), np.int32)
    bonds[edges[:, 0], edges[:, 1]] = kinds
    return Molecule((bonds > 0).astype(np.uint8), tags.astype(np.int32), target, bonds)

"""Molecules with energies and forces: the extended-XYZ reader and the 3BPA frames."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quire.common.data.registry import REGISTRY, Dataset, DatasetCorrupt, File, fetch, gunzip, local_path

_BPA = "https://raw.githubusercontent.com/davkovacs/BOTNet-datasets/main/dataset_3BPA/"
THREE_BPA = REGISTRY.add(
    Dataset(
        "3bpa",
        "DFT energies and forces of 1000 frames of 3-(benzyloxy)pyridin-2-amine, 27 atoms, from dynamics at 300 to 1200 K",
        "MIT (repository); may be redistributed",
        "https://github.com/davkovacs/BOTNet-datasets (dataset_3BPA)",
        (
            File("train_300K.xyz.gz", ("bd515d340ec0f2f467e9aadf543e3a365d1b8d74ffdef21047c096c9284a53d3",), 470_737),
            File("train_mixedT.xyz.gz", ("5ef371a2e473af6ae7c2d8238a2d9bde94de9452e4c78ea472d9810e24704d35",), 474_208),
            File(
                "iso_atoms.xyz",
                ("e12a2465a2612bf38fd5dabdf64d4b57fc58ce9610a858c54ea1142d517c053f",),
                504,
                _BPA + "iso_atoms.xyz",
            ),
            File(
                "train_300K.xyz",
                ("d109971fab90e2231ad931a83eb704c8d940f5c7d7a8de27fe3b84ea18634c0a",),
                1_504_880,
                _BPA + "train_300K.xyz",
            ),
            File(
                "train_mixedT.xyz",
                ("bc108532964b2ed259eaaabf82e5dfaffa5bda9ac384fc2afabcce192a49250b",),
                1_504_818,
                _BPA + "train_mixedT.xyz",
            ),
        ),
    )
)


@dataclass(frozen=True)
class Molecules:
    """Frames of molecules of one size.

    Attributes:
        name: of the set, as tables show it.
        elements: symbols of the chemical elements, in the order of `species`.
        species: index of each atom's element, int32 `[frames, atoms]`.
        positions: Angstrom, float64 `[frames, atoms, 3]`.
        energy: eV, float64 `[frames]`.
        forces: eV / Angstrom, float64 `[frames, atoms, 3]`.
        atom_energies: energy of each element's isolated atom, eV, float64 `[elements]`.
    """

    name: str
    elements: tuple[str, ...]
    species: np.ndarray
    positions: np.ndarray
    energy: np.ndarray
    forces: np.ndarray
    atom_energies: np.ndarray

    def __len__(self) -> int:
        return len(self.energy)

    def __getitem__(self, frames: slice | np.ndarray) -> "Molecules":
        """Some of the frames."""
        arrays = (a[frames] for a in (self.species, self.positions, self.energy, self.forces))
        return Molecules(self.name, self.elements, *arrays, self.atom_energies)

    @property
    def interaction_energy(self) -> np.ndarray:
        """Energy less that of the isolated atoms, in float64, `[frames]`: the difference of large numbers."""
        return self.energy - self.atom_energies[self.species].sum(axis=1)


@dataclass(frozen=True)
class Frame:
    """One frame of an extended-XYZ file: symbols `[atoms]`, per-atom columns by name, and the comment's values by key."""

    symbols: tuple[str, ...]
    columns: dict[str, np.ndarray]
    info: dict[str, str]


def read_extxyz(text: str, *, source: str = "the file") -> list[Frame]:
    """Frames of an extended-XYZ file: a count, a comment `key=value ... Properties=name:type:width...`, a line for each atom.

    Args:
        text: content of the file.
        source: what an error message calls it.

    Returns:
        Frames; string columns but `species` are left out.

    Raises:
        DatasetCorrupt: if a count is no number, a frame ends early, or a line does not have the announced columns.

    >>> frame = read_extxyz("1\\nProperties=species:S:1:pos:R:3 energy=-1.5\\nH 0 0 1\\n")[0]
    >>> frame.symbols, frame.columns["pos"].tolist(), frame.info["energy"]
    (('H',), [[0.0, 0.0, 1.0]], '-1.5')
    """
    lines = text.splitlines()
    frames, start = [], 0
    while start < len(lines) and lines[start].strip():
        if not lines[start].strip().isdigit():
            raise DatasetCorrupt(f"line {start + 1} of {source} is {lines[start][:40]!r}, not a number of atoms")
        count = int(lines[start])
        rows = [line.split() for line in lines[start + 2 : start + 2 + count]]
        if len(rows) < count:
            raise DatasetCorrupt(f"{source} ends within a frame of {count} atoms that begins at line {start + 1}")
        frames.append(_frame(rows, lines[start + 1], f"{source}, frame at line {start + 1}"))
        start += 2 + count
    return frames


def _frame(rows: list[list[str]], comment: str, source: str) -> Frame:
    info = {key: quoted or plain for key, quoted, plain in re.findall(r'([\w-]+)=(?:"([^"]*)"|(\S+))', comment)}
    layout = info.get("Properties", "species:S:1:pos:R:3").split(":")
    names = list(zip(layout[::3], layout[1::3], map(int, layout[2::3]), strict=True))
    width = sum(size for _, _, size in names)
    if any(len(row) != width for row in rows):
        raise DatasetCorrupt(f"{source}: a line does not have the {width} columns of {info.get('Properties')}")
    symbols, columns, column = (), {}, 0
    for name, kind, size in names:
        cells = [row[column : column + size] for row in rows]
        if kind in "RI":
            columns[name] = np.array(cells, float if kind == "R" else int).reshape(len(rows), size)
        elif name == "species":
            symbols = tuple(cell[0] for cell in cells)
        column += size
    return Frame(symbols, columns, info)


def three_bpa(split: str = "train_300K") -> Molecules:
    """Frames of the 3BPA molecule from molecular dynamics at 300 K, or at 300, 600 and 1200 K; the published
    test files are not included.

    Args:
        split: `"train_300K"` or `"train_mixedT"`, 500 frames each.

    Raises:
        ValueError: for another split.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if split not in ("train_300K", "train_mixedT"):
        raise ValueError(f"split is {split!r}; choose from train_300K, train_mixedT")
    packed = next(file for file in THREE_BPA.files if file.name == f"{split}.xyz.gz")
    if local_path(THREE_BPA, packed.name):
        text = gunzip(fetch(THREE_BPA, packed.name)).decode()
    else:
        text = fetch(THREE_BPA, f"{split}.xyz").read_text()
    atoms = read_extxyz(fetch(THREE_BPA, "iso_atoms.xyz").read_text(), source="iso_atoms.xyz")
    return stack_frames(f"3BPA {split}", read_extxyz(text, source=split), atoms)


def stack_frames(name: str, frames: Sequence[Frame], isolated: Sequence[Frame]) -> Molecules:
    """Frames of one size as arrays; `isolated` holds the frame of one atom of every element.

    Raises:
        DatasetCorrupt: if frames differ in size, or an element has no isolated atom.
    """
    energies = {frame.symbols[0]: float(frame.info["energy"]) for frame in isolated}
    elements = tuple(sorted(energies))
    sizes = {len(frame.symbols) for frame in frames}
    if len(sizes) != 1 or not {s for frame in frames for s in frame.symbols} <= set(elements):
        raise DatasetCorrupt(
            f"{name}: frames have {sorted(sizes)} atoms and isolated atoms are {elements}; need one size, all elements"
        )
    return Molecules(
        name,
        elements,
        np.array([[elements.index(s) for s in frame.symbols] for frame in frames], np.int32),
        np.stack([frame.columns["pos"] for frame in frames]),
        np.array([float(frame.info["energy"]) for frame in frames]),
        np.stack([frame.columns["forces"] for frame in frames]),
        np.array([energies[element] for element in elements]),
    )

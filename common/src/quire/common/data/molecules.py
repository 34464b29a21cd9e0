"""Molecules with energies and forces: the extended-XYZ reader and the 3BPA frames."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


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
        DatasetCorrupt: if there is no frame, a count is no positive number, a frame ends early, or a line does not have the
            announced columns of finite numbers.

    >>> frame = read_extxyz("1\\nProperties=species:S:1:pos:R:3 energy=-1.5\\nH 0 0 1\\n")[0]
    >>> frame.symbols, frame.columns["pos"].tolist(), frame.info["energy"]
    (('H',), [[0.0, 0.0, 1.0]], '-1.5')
    """
    lines = text.rstrip().splitlines()
    if not lines:
        raise DatasetCorrupt(f"{source} has no frame")
    frames, start = [], 0
    while start < len(lines):
        head = lines[start].strip()
        if not (head.isascii() and head.isdecimal() and int(head)):
            raise DatasetCorrupt(f"line {start + 1} of {source} is {head[:40]!r}, not a number of atoms")
        count = int(head)
        rows = [line.split() for line in lines[start + 2 : start + 2 + count]]
        if len(rows) < count:
            raise DatasetCorrupt(f"{source} ends within a frame of {count} atoms that begins at line {start + 1}")
        frames.append(_frame(rows, lines[start + 1], f"{source}, frame at line {start + 1}"))
        start += 2 + count
    return frames


def _frame(rows: list[list[str]], comment: str, source: str) -> Frame:
    info = {key: quoted or plain for key, quoted, plain in re.findall(r'([\w-]+)=(?:"([^"]*)"|(\S+))', comment)}
    announced = info.get("Properties", "species:S:1:pos:R:3")
    layout = announced.split(":")
    if len(layout) % 3 or not all(size.isdecimal() for size in layout[2::3]):
        raise DatasetCorrupt(f"{source}: Properties is {announced!r}; it must be name:type:width, repeated")
    names = list(zip(layout[::3], layout[1::3], map(int, layout[2::3]), strict=True))
    width = sum(size for _, _, size in names)
    if any(len(row) != width for row in rows):
        raise DatasetCorrupt(f"{source}: a line does not have the {width} columns of {announced}")
    symbols, columns, column = (), {}, 0
    for name, kind, size in names:
        cells = [row[column : column + size] for row in rows]
        if kind in "RI":
            columns[name] = _numbers(cells, kind, f"{source}: {name}").reshape(len(rows), size)
        elif name == "species":
            symbols = tuple(cell[0] for cell in cells)
        column += size
    return Frame(symbols, columns, info)


def _numbers(cells: list[list[str]], kind: str, source: str) -> np.ndarray:
    try:
        values = np.array(cells, float if kind == "R" else int)
    except (ValueError, OverflowError) as error:
        raise DatasetCorrupt(f"{source} holds something that is no number ({error})") from None
    if not np.isfinite(values).all():
        raise DatasetCorrupt(f"{source} holds a number that is not finite")
    return values


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
    text = read_text(fetch("3bpa", f"{split}.xyz.gz", f"{split}.xyz"))
    atoms = read_extxyz(read_text(fetch("3bpa", "iso_atoms.xyz")), source="iso_atoms.xyz")
    return stack_frames(f"3BPA {split}", read_extxyz(text, source=split), atoms)


def stack_frames(
    name: str, frames: Sequence[Frame], isolated: Sequence[Frame], *, energy: str = "energy", forces: str = "forces"
) -> Molecules:
    """Frames of one size as arrays.

    Args:
        name: of the set.
        frames: of molecules.
        isolated: a frame of one atom of every element.
        energy, forces: what the files call them; some write `REF_energy` and `REF_forces`.

    Raises:
        DatasetCorrupt: if frames differ in size, a key is missing, or an element has no isolated atom.
    """
    if bad := [frame for frame in isolated if len(frame.symbols) != 1]:
        raise DatasetCorrupt(f"{name}: an isolated atom has the symbols {bad[0].symbols}; it must be one")
    energies = {frame.symbols[0]: _energy(frame, energy, f"{name}, isolated {frame.symbols[0]}") for frame in isolated}
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
        np.stack([_column(frame, "pos", name) for frame in frames]),
        np.array([_energy(frame, energy, name) for frame in frames]),
        np.stack([_column(frame, forces, name) for frame in frames]),
        np.array([energies[element] for element in elements]),
    )


def _energy(frame: Frame, key: str, source: str) -> float:
    if key not in frame.info:
        raise DatasetCorrupt(f"{source} has no {key!r} in the comment of a frame; it has {', '.join(frame.info) or 'nothing'}")
    return float(_numbers([[frame.info[key]]], "R", f"{source}: {key}")[0, 0])


def _column(frame: Frame, key: str, source: str) -> np.ndarray:
    if key not in frame.columns or frame.columns[key].shape[1] != 3:
        widths = ", ".join(f"{name}:{column.shape[1]}" for name, column in frame.columns.items())
        raise DatasetCorrupt(f"{source} has no {key!r} of 3 columns in a frame; it has {widths or 'no numbers'}")
    return frame.columns[key]

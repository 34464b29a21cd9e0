"""Images with several attributes: drawn, derived from CIFAR-10, or photographs listed in tables."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Integer, Num

from quire.common.data.images import cifar10_subset
from quire.common.data.registry import provided
from quire.common.data.shapes import ATTRIBUTES, ShapeStyle, shapes
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt
from quire.common.random import generator
from quire.conditional_cross_attention.config import Preset
from quire.conditional_cross_attention.triplets import MISSING

PAPER_SETS = "FashionAI, DARN, DeepFashion and Zappos50K"


@dataclass(frozen=True, eq=False)
class Part:
    """Images, in memory as an array `[n, h, w, c]` or as `Photographs`, and labels int32 `[n, A]`, -1 where one is missing."""

    images: Any
    labels: Integer[np.ndarray, "n attributes"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class AttributeData:
    """Three parts of a set, its name as tables show it, and the names of its attributes."""

    name: str
    attributes: tuple[str, ...]
    train: Part
    queries: Part
    candidates: Part

    @property
    def num_attributes(self) -> int:
        """A."""
        return len(self.attributes)


@dataclass(frozen=True)
class Photographs:
    """Files that are read when asked for: `photographs[rows]` is uint8 `[rows, size, size, 3]`, their central squares."""

    files: tuple[Path, ...]
    size: int

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: Sequence[int] | np.ndarray | slice) -> Num[np.ndarray, "b size size 3"]:
        return np.stack([self._read(self.files[i]) for i in np.arange(len(self.files))[rows]])

    def _read(self, file: Path) -> np.ndarray:
        from PIL import Image

        try:
            with Image.open(file) as image:
                width, height = image.size
                side = min(width, height)
                x, y = (width - side) / 2, (height - side) / 2
                box = (x, y, x + side, y + side)
                return np.asarray(image.convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC, box))
        except OSError as error:
            raise DatasetCorrupt(f"{file} is no image: {error}") from None


def open_attributes(preset: Preset, key: jax.Array) -> Source[AttributeData]:
    """The images of a preset.

    Args:
        preset: says which.
        key: of drawn images, and of the split of photographs into queries and candidates.

    Raises:
        DatasetUnavailable: if they are missing and cannot be downloaded.
        ValueError: for a set that there is not.
    """
    loaders = {
        "shapes": lambda: drawn_shapes(preset, key),
        "cifar10-subset": lambda: cifar10_attributes(preset, key),
        "fashionai": lambda: photographs_with_attributes("fashionai", preset.vit.image_size),
    }
    if preset.image_set not in loaders:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be one of {', '.join(loaders)}")
    return open_or(loaders[preset.image_set], stand_in_for="" if preset.image_set == "fashionai" else PAPER_SETS)


def drawn_shapes(preset: Preset, key: jax.Array) -> AttributeData:
    """Shapes of four attributes; those for training may be correlated, the others are not."""
    style = ShapeStyle(size=preset.vit.image_size)
    counts = preset.num_train, preset.num_queries, preset.num_candidates
    shares = preset.correlation, 0.0, 0.0
    parts = [
        Part(*shapes(jax.random.fold_in(key, i), n, style, correlation=share))
        for i, (n, share) in enumerate(zip(counts, shares, strict=True))
    ]
    name = f"drawn shapes {style.size} x {style.size}, {counts[0]} train / {counts[1]} queries / {counts[2]} candidates"
    return AttributeData(name, ATTRIBUTES, *parts)


VEHICLES = (0, 1, 8, 9)
"""Classes of CIFAR-10: aeroplane, car, ship, lorry."""


def cifar10_attributes(preset: Preset, key: jax.Array) -> AttributeData:
    """CIFAR-10 with attributes that follow from it: vehicle or animal, colour, brightness.

    The test images are divided into queries and candidates.

    Raises:
        ValueError: if there are fewer test images than asked for.
    """
    data = cifar10_subset()
    asked = preset.num_queries + preset.num_candidates
    if asked > len(data.test):
        raise ValueError(f"num_queries and num_candidates are {asked} together; there are {len(data.test)} test images")
    limits = np.quantile(data.train.images.mean((1, 2, 3)), (1 / 3, 2 / 3))
    train, test = (Part(x.images, derived_attributes(x.images, x.labels, limits)) for x in (data.train, data.test))
    order = generator(key).permutation(len(test))
    rows = order[: preset.num_queries], order[preset.num_queries : asked]
    queries, candidates = (Part(test.images[i], test.labels[i]) for i in rows)
    name = f"{data.name}, {preset.num_queries} of them queries"
    return AttributeData(name, ("vehicle", "colour", "brightness"), train, queries, candidates)


def derived_attributes(
    images: Num[np.ndarray, "n h w 3"], classes: Integer[np.ndarray, " n"], limits: Float[np.ndarray, " 2"]
) -> Integer[np.ndarray, "n 3"]:
    """Attributes of photographs: 1 for a vehicle; the channel with the largest mean, or 3 for grey; the bin of the brightness.

    Args:
        images: bytes.
        classes: of CIFAR-10.
        limits: of the mean grey value, between dark, middle and bright.

    >>> derived_attributes(np.full((1, 2, 2, 3), 9, np.uint8), np.array([8]), np.array([10.0, 20.0])).tolist()
    [[1, 3, 0]]
    """
    means = images.mean((1, 2), dtype=np.float64)
    colour = np.where(np.ptp(means, axis=1) < 0.06 * 255, 3, means.argmax(1))
    brightness = np.searchsorted(limits, means.mean(1))
    return np.stack([np.isin(classes, VEHICLES), colour, brightness], axis=1).astype(np.int32)


def photographs_with_attributes(name: str, size: int) -> AttributeData:
    """Photographs of a set that its tables list: `train.csv`, `query.csv`, `candidate.csv`.

    Args:
        name: of the set.
        size: side of the squares that are cut, in pixels.

    Raises:
        DatasetUnavailable: if a table is missing.
        DatasetCorrupt: if a table is damaged, or the three differ in their attributes.
    """
    tables = [read_table(provided(name, f"{part}.csv")) for part in ("train", "query", "candidate")]
    attributes = tables[0][0]
    if any(table[0] != attributes for table in tables):
        raise DatasetCorrupt(f"{name}: its tables have the attributes {', '.join(str(table[0]) for table in tables)}")
    parts = [Part(Photographs(files, size), labels) for _, files, labels in tables]
    return AttributeData(f"{name}, {len(parts[0])} train", attributes, *parts)


def read_table(path: Path) -> tuple[tuple[str, ...], tuple[Path, ...], Integer[np.ndarray, "n attributes"]]:
    """Attributes, files and labels of a table with the columns `image`, attribute, ...; files are relative to its folder.

    Raises:
        DatasetCorrupt: for another header, a row of another length, a label that is no number from 0 on, or a file outside.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream)) or [[]]
    if len(head) < 2 or head[0] != "image" or not rows:
        raise DatasetCorrupt(f"{path} needs the columns image, attribute, ... and rows")
    folder = path.parent.resolve()
    files = tuple((folder / row[0]).resolve() for row in rows if row)
    cells = [cell for row in rows for cell in row[1:] if cell]
    if any(len(row) != len(head) for row in rows) or not all(cell.isascii() and cell.isdigit() for cell in cells):
        raise DatasetCorrupt(f"{path} has a row of another length than its header, or a label that is no number from 0 on")
    if outside := [file for file in files if not file.is_relative_to(folder)]:
        raise DatasetCorrupt(f"{path} names {outside[0]}, which lies outside of {folder}")
    return tuple(head[1:]), files, np.array([[int(cell) if cell else MISSING for cell in row[1:]] for row in rows], np.int32)

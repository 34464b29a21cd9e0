"""Sparse tensors whose indices are bins of real coordinates: temperatures, particulate matter, curves whose truth is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt
from quire.common.tensors.sparse import SparseTensor


@dataclass(frozen=True)
class TensorSplit:
    """Entries to learn from and entries to predict.

    Attributes:
        name: as tables show it.
        train, test: float64 values; an entry may come more than once.
        coordinates: float64 coordinate in [0, 1] of every index of each mode, ascending.
    """

    name: str
    train: SparseTensor
    test: SparseTensor
    coordinates: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Curves:
    """A tensor that is a product of two known functions.

    Attributes:
        split: its entries, noise included.
        functions: float64 values `[coordinates]` of each mode's function.
    """

    split: TensorSplit
    functions: tuple[np.ndarray, np.ndarray]


def us_temperatures() -> TensorSplit:
    """Yearly mean temperatures of cities in degrees Fahrenheit: latitude x longitude x year, 15 x 95 x 267.

    Fold 0 of the authors of funbat. Coordinates are the middles of equal bins; several cities share a bin.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _binned("US temperatures", fetch("us-temp", "us_temp_fold0.npz"))


def beijing_pm25() -> TensorSplit:
    """Standardised daily particulate matter: temperature x pressure x day, 428 x 501 x 1461.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _binned("Beijing PM2.5", fetch("us-temp", "beijing_pm25_fold0.npz"))


def simulated_curves() -> Curves:
    """Entries of `sin^2(2 pi a) cos(2 pi a) x exp(-2 b) sin(1.5 pi b)` at 90 values of a and of b, with some noise.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = fetch("us-temp", "funbat_simulation_r1.npz")
    x = read_npz(path, "tr_ind", "te_ind", "tr_y", "te_y", "coords1", "coords2", "U1_true", "U2_true")
    coordinates, functions = (x["coords1"], x["coords2"]), (x["U1_true"], x["U2_true"])
    if [f.shape for f in functions] != [t.shape for t in coordinates]:
        raise DatasetCorrupt(f"{path}: there are {[len(f) for f in functions]} values and {[len(t) for t in coordinates]} places")
    return Curves(_split("simulated curves", path, x, coordinates), functions)


def _binned(name: str, path: Path) -> TensorSplit:
    x = read_npz(path, "tr_ind", "te_ind", "tr_y", "te_y", "ndims")
    return _split(name, path, x, tuple((np.arange(size) + 0.5) / size for size in x["ndims"].tolist()))


def _split(name: str, path: Path, x: dict[str, np.ndarray], coordinates: tuple[np.ndarray, ...]) -> TensorSplit:
    dims = tuple(len(t) for t in coordinates)
    try:
        train, test = (SparseTensor(x[f"{part}_ind"], x[f"{part}_y"], dims) for part in ("tr", "te"))
    except ValueError as error:
        raise DatasetCorrupt(f"{path}: {error}") from None
    sizes = " x ".join(map(str, dims))
    return TensorSplit(f"{name}, {sizes}, {len(train)} train / {len(test)} test entries", train, test, coordinates)

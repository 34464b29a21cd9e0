"""Tensors: MovieLens as user x item x week, the authors' files, and a generated one."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from quire.common.checks import check_at_least
from quire.common.data.archives import read_member, read_text
from quire.common.data.recsys import read_columns
from quire.common.data.registry import fetch
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt
from quire.common.random import generator
from quire.common.tensors.sparse import SparseTensor, split
from quire.dain.config import Setting

WEEK = 7 * 24 * 3600
"""Seconds."""

FRACTIONS = (0.72, 0.18, 0.1)
"""Of training, validation and test cells: 90 and 10 %, and a fifth of the former for validation."""


@dataclass(frozen=True)
class TensorData:
    """A tensor.

    Attributes:
        name: as tables show it.
        tensor: its cells.
        share: of them that take part.
    """

    name: str
    tensor: SparseTensor
    share: float = 1.0


def read_tensor(path: str | Path) -> SparseTensor:
    """A tensor in the authors' format: a cell a line, its indices from 0 and its value, with white space between.

    Args:
        path: plain or compressed with gzip.

    Raises:
        DatasetCorrupt: if a line is shorter, or holds something else.
    """
    path = Path(path)
    rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
    if not rows or len({len(row) for row in rows}) > 1 or len(rows[0]) < 2:
        raise DatasetCorrupt(f"{path.name} needs lines of as many numbers each, two at least: indices and a value")
    try:
        indices = np.array([row[:-1] for row in rows], np.int64)
        return SparseTensor.of(indices, np.array([row[-1] for row in rows], float))
    except (ValueError, OverflowError) as error:
        raise DatasetCorrupt(f"{path.name} holds no cells of a tensor ({error})") from None


def dain_synthetic(path: str | Path | None = None) -> TensorData:
    """The authors' example, 10,000 cells of a tensor of 1000 x 1000 x 1000.

    Args:
        path: a file; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _named("the authors' synthetic tensor", read_tensor(path or fetch("dain-synthetic", "synthetic_10K.tensor.gz")))


def movielens_100k(path: str | Path | None = None) -> TensorData:
    """MovieLens 100K (Harper and Konstan 2015), ratings by user, item and week.

    Args:
        path: a `u.data`, plain or compressed with gzip, or the zip of the publisher; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _rated("MovieLens 100K", path or fetch("movielens-100k", "u.data.gz", "ml-100k.zip"), "u.data")


def movielens_1m(path: str | Path | None = None) -> TensorData:
    """MovieLens 1M (Harper and Konstan 2015), ratings by user, item and week.

    Args:
        path: a `ratings.dat`, plain or compressed with gzip, or the zip of the publisher; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _rated("MovieLens 1M", path or fetch("movielens-1m", "ml-1m.zip"), "ratings.dat", "::")


def _rated(name, path, member, separator=None):
    path = Path(path)
    text = read_member(path, member).decode("latin-1") if path.suffix == ".zip" else read_text(path)
    user, item, rating, time = read_columns(text, 4, separator=separator, source=path.name)
    if (rating < 1).any() or (rating > 5).any():
        raise DatasetCorrupt(f"{path.name} has ratings from {rating.min()} to {rating.max()}; they lie between 1 and 5")
    week = (time - time.min()) // WEEK
    if week.max() > 10_000:
        raise DatasetCorrupt(f"{path.name} spans {week.max()} weeks; its fourth column needs to be a time in seconds")
    modes = [np.unique(labels, return_inverse=True)[1].reshape(-1) for labels in (user, item)]
    return _named(name, SparseTensor.of(np.stack([*modes, week], axis=1), rating))


def generated_tensor(
    key: jax.Array, dims: tuple[int, ...] = (300, 200, 30), cells: int = 20_000, rank: int = 3, noise: float = 0.3
) -> TensorData:
    """Random cells of `3 + 1.5 tanh(sum_r a_r b_r c_r) + noise`, with factors drawn from N(0.6, 0.36): ratings without a file.

    Args:
        key: of the draws.
        dims: sizes of the modes.
        cells: how many different ones are observed.
        rank: R.
        noise: its standard deviation.

    Raises:
        ValueError: for a size below 1, or more cells than there are.

    >>> generated_tensor(jax.random.key(0), (4, 3, 2), 10).name
    'generated tensor, 4 x 3 x 2, 10 cells'
    """
    for name, value in [("rank", rank), ("cells", cells), *((f"dims[{k}]", size) for k, size in enumerate(dims))]:
        check_at_least(name, value)
    if cells > np.prod(dims, dtype=float):
        raise ValueError(f"cells is {cells}; a tensor of {dims} has {np.prod(dims, dtype=float):.0f}")
    draw = generator(key)
    numbers = np.unique(draw.integers(0, np.prod(dims), 2 * cells))
    if len(numbers) < cells:
        numbers = np.arange(np.prod(dims))
    indices = np.stack(np.unravel_index(draw.permutation(numbers)[:cells], dims), axis=1)
    factors = [0.6 * (1 + draw.standard_normal((size, rank))) for size in dims]
    inner = np.prod([factor[i] for factor, i in zip(factors, indices.T, strict=True)], axis=0).sum(1)
    values = 3 + 1.5 * np.tanh(inner) + noise * draw.standard_normal(cells)
    return _named("generated tensor", SparseTensor(indices, values, tuple(dims)))


def _named(name: str, tensor: SparseTensor) -> TensorData:
    return TensorData(f"{name}, {' x '.join(map(str, tensor.dims))}, {len(tensor)} cells", tensor)


def open_tensor(setting: Setting, key: jax.Array) -> Source[TensorData]:
    """The tensor of a setting, or that of its fallback where its file is not on this machine.

    Args:
        setting: says which.
        key: of a generated one.

    Raises:
        DatasetUnavailable: if it is missing, cannot be downloaded, and nothing stands in.
        ValueError: for a tensor that there is not.
    """
    loaders = {
        "movielens-100k": movielens_100k,
        "movielens-1m": movielens_1m,
        "dain-synthetic": dain_synthetic,
        "generated": lambda: generated_tensor(key, (900, 1200, 30), 20_000, noise=0.9),  # as few and as noisy as ratings
    }
    if setting.tensor not in loaders:
        raise ValueError(f"tensor is {setting.tensor!r}; it must be one of {', '.join(loaders)}")
    fallback = setting.fallback

    def load() -> TensorData:
        data = loaders[setting.tensor]()
        part = "" if setting.share == 1 else f"{setting.share:.0%} of "
        return TensorData(part + data.name, data.tensor, setting.share)

    return open_or(
        load,
        None if fallback is None else lambda: open_tensor(fallback, key).value,
        stand_in_for="the paper's tensors of MovieLens, Foursquare, Reddit and LastFM",
    )


def parts(tensor: SparseTensor, key: jax.Array, share: float = 1.0) -> tuple[SparseTensor, SparseTensor, SparseTensor]:
    """Training, validation and test cells, out of a random share of all cells; sizes of the modes are those of the tensor.

    Raises:
        ValueError: if a part would be empty.
    """
    rest = () if share == 1 else (1 - share,)
    train, validation, test = split(tensor, (*rest, *(share * fraction for fraction in FRACTIONS)), key)[-3:]
    return train, validation, test

"""Tensors from formulas: what runs without a file."""

import numpy as np
from jaxtyping import Float

from quire.common.data.tensor_sets import Curves, TensorSplit
from quire.common.tensors.sparse import SparseTensor


def first_curve(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`sin^2(2 pi t) cos(2 pi t)`, the authors' simulation."""
    return np.sin(2 * np.pi * t) ** 2 * np.cos(2 * np.pi * t)


def second_curve(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`exp(-2 t) sin(1.5 pi t)`."""
    return np.exp(-2 * t) * np.sin(1.5 * np.pi * t)


def generated_curves(size: int = 90, entries: int = 675, seed: int = 0) -> Curves:
    """The two curves at random places, and as many entries to learn from as to predict, without noise.

    Args:
        size: places of each mode.
        entries: of each part.
        seed: of the generator.
    """
    draw = np.random.default_rng(seed)
    coordinates = tuple(np.sort(draw.uniform(size=size)) for _ in range(2))
    functions = first_curve(coordinates[0]), second_curve(coordinates[1])
    chosen = np.stack(np.divmod(draw.permutation(size**2)[: 2 * entries], size), axis=1)
    values = functions[0][chosen[:, 0]] * functions[1][chosen[:, 1]]
    parts = [SparseTensor(chosen[part], values[part], (size, size)) for part in (slice(entries), slice(entries, None))]
    return Curves(
        TensorSplit(f"generated curves, {size} x {size}, {entries} train / {entries} test", *parts, coordinates), functions
    )


def generated_temperatures(
    dims: tuple[int, int, int] = (15, 95, 267), cells: int = 88, train: int = 44_755, test: int = 11_189, seed: int = 0
) -> TensorSplit:
    """Temperatures in degrees Fahrenheit that look like those of cities: colder to the north, a coast, good and bad years.

    Args:
        dims: latitudes, longitudes, years.
        cells: pairs of latitude and longitude that have a city.
        train, test: entries.
        seed: of the generator.
    """
    draw = np.random.default_rng(seed)
    latitude, longitude, year = coordinates = tuple((np.arange(size) + 0.5) / size for size in dims)
    places = np.stack(np.divmod(draw.permutation(dims[0] * dims[1])[:cells], dims[1]), axis=1)
    a, b = latitude[places[:, 0]], longitude[places[:, 1]]
    climate = 72 - 32 * a + 3 * np.cos(2 * np.pi * b) + 4 * a * np.sin(3 * np.pi * b) + draw.normal(size=cells)
    weather = 2 * year**2 + np.convolve(draw.normal(size=len(year) + 4), np.full(5, 0.4), "valid")
    chosen = draw.integers(0, cells, train + test), draw.integers(0, dims[2], train + test)
    values = climate[chosen[0]] + weather[chosen[1]] + 1.2 * draw.normal(size=train + test)
    indices = np.column_stack([places[chosen[0]], chosen[1]])
    parts = [SparseTensor(indices[part], values[part], dims) for part in (slice(train), slice(train, None))]
    return TensorSplit(f"generated temperatures, {' x '.join(map(str, dims))}, {train} train / {test} test", *parts, coordinates)

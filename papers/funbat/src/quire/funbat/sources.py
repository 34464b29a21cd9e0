"""The tensors of a completion, by name, and what stands in for them."""

from dataclasses import dataclass

import numpy as np

from quire.common.data.source import Source, open_or
from quire.common.data.tensor_sets import Curves, TensorSplit, beijing_pm25, simulated_curves, us_temperatures
from quire.common.tensors.sparse import SparseTensor
from quire.funbat.config import Completion
from quire.funbat.generated import generated_curves, generated_temperatures


@dataclass(frozen=True)
class Problem:
    """A tensor to complete.

    Attributes:
        name: as tables show it.
        completion: the settings that go with these data.
        split: entries; curves without their noise.
        functions: of curves; empty for others.
    """

    name: str
    completion: Completion
    split: TensorSplit
    functions: tuple[np.ndarray, ...] = ()


def open_problem(completion: Completion) -> Source[Problem]:
    """The tensor of a completion, or that of its fallback where the files are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, and nothing stands in.
        ValueError: for a data set that there is not.
    """
    loaders = {
        "generated curves": lambda: _curves(generated_curves(), completion),
        "generated temperatures": lambda: _entries(generated_temperatures(), completion),
        "simulated curves": lambda: _curves(simulated_curves(), completion),
        "us temperatures": lambda: _entries(us_temperatures(), completion),
        "beijing pm2.5": lambda: _entries(beijing_pm25(), completion),
    }
    if completion.data_set not in loaders:
        raise ValueError(f"data_set is {completion.data_set!r}; it must be one of {', '.join(loaders)}")
    fallback = completion.fallback
    return open_or(
        loaders[completion.data_set],
        None if fallback is None else lambda: open_problem(fallback).value,
        instead_of=completion.data_set,
    )


def _entries(split: TensorSplit, completion: Completion) -> Problem:
    return Problem(split.name, completion, split)


def _curves(curves: Curves, completion: Completion) -> Problem:
    """Values without noise, so that what is added is known and predictions are judged by the truth."""
    first, second = curves.functions

    def clean(part: SparseTensor) -> SparseTensor:
        return SparseTensor(part.indices, first[part.indices[:, 0]] * second[part.indices[:, 1]], part.dims)

    split = curves.split
    split = TensorSplit(split.name, clean(split.train), clean(split.test), split.coordinates)
    return Problem(split.name, completion, split, curves.functions)

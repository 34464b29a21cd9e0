"""Weights of other code: read from safetensors, loaded strictly under the names that they have there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file

M = TypeVar("M", bound=nnx.Module)
Arrays = Mapping[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Where the value of a parameter comes from.

    Attributes:
        names: of the arrays that it is made of.
        convert: makes it of them.
        shape: from the shape of the parameter to that which each array must have; None where `convert` takes several.
    """

    names: tuple[str, ...]
    convert: Callable[..., Any] = lambda x: x
    shape: Callable[[Shape], Shape] | None = None


def same(name: str) -> Source:
    """An array as it is."""
    return Source((name,), shape=lambda shape: shape)


def transposed(name: str) -> Source:
    """An array with its axes reversed, as PyTorch keeps linear maps: `[out, in]`."""
    return Source((name,), lambda x: x.T, lambda shape: shape[::-1])


def stacked(names: Sequence[str], convert: Callable[[Any], Any] = lambda x: x) -> Source:
    """The arrays of several layers, each converted, along a new leading axis."""
    return Source(tuple(names), lambda *arrays: np.stack([convert(np.asarray(x)) for x in arrays]))


Names = Mapping[tuple, str | Source]
"""From the path of a parameter, as `nnx.to_flat_state` has it, to a name or a source."""


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by their names. Nothing in such a file is executed; headers beyond 100 MB are refused.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming a file that is damaged, or holds a type that NumPy does not have.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"path is {path}; there is no such file")
    try:
        return load_file(path)
    except (SafetensorError, AttributeError, TypeError) as error:
        raise ValueError(f"path is {path}; it cannot be read as safetensors: {error}") from error


def load(model: M, state: Arrays, names: Names, *, dtype: Any = None) -> M:
    """Put the arrays of a state dictionary into a model.

    Leading axes of length 1 that a parameter does not have (`[1, n, d]` for `[n, d]`) are dropped.

    Args:
        model: changed in place; it may be abstract (`nnx.eval_shape`), which spares its initialisers.
        state: arrays by name. Leave out beforehand what the model has no use for.
        names: a source for every parameter, and for other variables that are to be loaded (running statistics).
        dtype: of the loaded values; that of each variable if left out.

    Returns:
        The model.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped in `state`, and what `names` lacks or has in excess.

    >>> model = nnx.eval_shape(lambda: nnx.Linear(2, 1, rngs=nnx.Rngs(0)))
    >>> names = {("kernel",): transposed("fc.weight"), ("bias",): "fc.bias"}
    >>> load(model, {"fc.weight": np.array([[1.0, 2.0]]), "fc.bias": np.array([3.0])}, names)(jnp.ones(2)).tolist()
    [6.0]
    >>> load(model, {"fc.weight": np.ones((2, 2)), "fc.b": np.ones(1)}, names)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: state dictionary does not fit the model; missing: fc.bias; unexpected: fc.b; ...
    """
    variables = dict(nnx.to_flat_state(nnx.state(model)))
    sources = {path: same(source) if isinstance(source, str) else source for path, source in names.items()}
    wanted = {name for source in sources.values() for name in source.names}
    problems = {
        "missing": sorted(wanted - set(state)),
        "unexpected": sorted(set(state) - wanted),
        "without a name": sorted(_dotted(path) for path, x in variables.items() if path not in sources and _needs_value(x)),
        "not in the model": sorted(_dotted(path) for path in sources if path not in variables),
    }
    values, misshapen = {}, []
    for path, source in sources.items():
        if path in variables and all(name in state for name in source.names):
            try:
                values[path] = _value(state, source, tuple(variables[path].shape))
            except ValueError as error:
                misshapen.append(str(error))
    problems["mis-shaped"] = misshapen
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_listed(found)}" for what, found in problems.items() if found)
        raise ValueError(f"state dictionary does not fit the model; {listed}")
    filled = {path: variables[path].replace(jnp.asarray(x, dtype or variables[path].dtype)) for path, x in values.items()}
    nnx.update(model, nnx.from_flat_state(filled))
    return model


def _value(state: Arrays, source: Source, shape: Shape) -> np.ndarray:
    arrays = [np.asarray(state[name]) for name in source.names]
    found, label = [x.shape for x in arrays], ", ".join(source.names)
    if source.shape is not None:
        needed = source.shape(shape)
        arrays = [_without_leading_ones(x, len(needed)) for x in arrays]
        if any(x.shape != needed for x in arrays):
            raise ValueError(f"{label} is {found[0]}, not {needed}")
    try:
        value = np.asarray(source.convert(*arrays))
    except (ValueError, IndexError) as error:
        raise ValueError(f"{label} is {', '.join(map(str, found))}, which cannot become {shape}") from error
    if (value := _without_leading_ones(value, len(shape))).shape != shape:
        raise ValueError(f"{label} is {', '.join(map(str, found))} and becomes {value.shape}, not {shape}")
    return value


def _without_leading_ones(x: np.ndarray, ndim: int) -> np.ndarray:
    extra = x.ndim - ndim
    return x.reshape(x.shape[extra:]) if extra > 0 and x.shape[:extra] == (1,) * extra else x


def _needs_value(variable: Any) -> bool:
    return isinstance(variable, nnx.Param) or isinstance(variable.get_value(), jax.ShapeDtypeStruct)


def _dotted(path: tuple) -> str:
    return ".".join(map(str, path))


def _listed(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

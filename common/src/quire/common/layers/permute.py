"""Hidden units in another order: every axis that counts the same units is permuted alike, and the function stays what it was."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Int


class UnitAxis(NamedTuple):
    """An axis of a variable that counts units.

    Attributes:
        path: of the variable in the model, as `("layers", 0, "kernel")`.
        axis: which of its axes; negative ones count from the end.
        outer: how many times the units follow each other on it: 3 for the heads of queries, keys and values in one matrix, the
            positions of a flattened image, channels last.
        inner: numbers of one unit that stand together: the channels of a head.
    """

    path: tuple
    axis: int
    outer: int = 1
    inner: int = 1


def written(model: nnx.Module, *paths: Sequence, outer: int = 1, inner: int = 1) -> list[UnitAxis]:
    """Axes of the units that modules write or normalise: outputs of maps and embeddings, all parameters of norms.

    Args:
        model: that contains them.
        paths: of the modules.
        outer, inner: see `UnitAxis`.

    Raises:
        ValueError: if there is no such module, or it has no variables.
    """
    return [UnitAxis(path, -1, outer, inner) for module in paths for path in _variables(model, module)]


def read(model: nnx.Module, *paths: Sequence, outer: int = 1, inner: int = 1) -> list[UnitAxis]:
    """Axes of the units that maps read: the inputs of their kernels. Arguments and errors as for `written`."""
    kernels = [path for module in paths for path in _variables(model, module) if path[-1] == "kernel"]
    if len(kernels) != len(paths):
        raise ValueError(f"paths are {paths}; {len(kernels)} of these modules have a kernel that reads units")
    return [UnitAxis(path, -2, outer, inner) for path in kernels]


def _variables(model: nnx.Module, module: Sequence) -> list[tuple]:
    size = len(tuple(module))
    found = [path for path, _ in nnx.to_flat_state(nnx.state(model)) if path[:size] == tuple(module)]
    if not found:
        raise ValueError(f"paths has {tuple(module)}; the model has no variables there")
    return found


def permute_units(model: nnx.Module, perms: Iterable[tuple[Int[np.ndarray, " _"], Sequence[UnitAxis]]]) -> nnx.Module:
    """A copy of a model whose units stand in other orders: unit `order[i]` of the model becomes unit i.

    Nothing is checked but sizes: that the axes of one order are all those that count these units, on both sides of whatever acts
    on each unit alike (ReLU, norms), is what `written` and `read` are for. A residual stream is one set of units, written by
    the embedding and by every branch.

    Args:
        model: any nnx module.
        perms: orders and the axes that they hold for.

    Returns:
        A model of its own; the one given stays as it is.

    Raises:
        ValueError: if an order is no permutation, an axis has another size than its units need, or a variable is missing.

    >>> model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(3, 1, rngs=nnx.Rngs(1)))
    >>> units = written(model, ("layers", 0)) + read(model, ("layers", 2))
    >>> x = jnp.ones((1, 2))
    >>> bool(jnp.allclose(permute_units(model, [(np.array([2, 0, 1]), units)])(x), model(x), atol=1e-6))
    True
    """
    graph, state = nnx.split(model)
    variables = dict(nnx.to_flat_state(state))
    arrays = {path: np.asarray(variable[...]) for path, variable in variables.items()}
    for order, axes in perms:
        order = np.asarray(order)
        if order.ndim != 1 or not np.array_equal(np.sort(order), np.arange(len(order))):
            raise ValueError(f"order is {order}; it needs every number from 0 to {order.size - 1} once")
        for where in axes:
            if where.path not in arrays:
                raise ValueError(f"path is {where.path}; the model has no such variable")
            arrays[where.path] = _permuted(arrays[where.path], order, where)
    flat = [(path, variable.replace(jnp.asarray(arrays[path]))) for path, variable in variables.items()]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _permuted(x: np.ndarray, order: np.ndarray, where: UnitAxis) -> np.ndarray:
    size = where.outer * len(order) * where.inner
    if not -x.ndim <= where.axis < x.ndim or x.shape[where.axis] != size:
        raise ValueError(f"{where.path} has shape {x.shape}; axis {where.axis} needs {size} entries")
    places = np.arange(size).reshape(where.outer, len(order), where.inner)[:, order].ravel()
    return x.take(places, where.axis)

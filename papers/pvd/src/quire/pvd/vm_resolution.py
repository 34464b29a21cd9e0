"""Planes and lines at another size: finer while training goes on, and cut to the box that the scene fills."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.checks import check_at_least, check_finite
from quire.common.fields.grids import LINES, PLANES
from quire.common.fields.radiance import CLIP, VMField

Sizes = tuple[int, int, int]


def sizes_of(field: VMField) -> Sizes:
    """Nodes along the three coordinates."""
    a, b, _ = field.planes[0].shape
    return a, b, field.planes[1].shape[1]


def upsampling_sizes(first: int, last: int, times: int) -> list[int]:
    """Nodes an axis after each of some refinements, equally spaced on a logarithmic scale.

    Raises:
        ValueError: if there is none, or the last is smaller than the first.

    >>> upsampling_sizes(128, 300, 3)
    [170, 226, 300]
    """
    check_at_least("times", times)
    check_at_least("first", first, 2)
    check_at_least("last", last, first)
    return [round(n) for n in np.geomspace(first, last, times + 1)[1:]]


def upsample(field: VMField, sizes: Sizes) -> VMField:
    """The field on other nodes, by linear interpolation; the same function where the old nodes are among the new.

    Args:
        field: left as it is.
        sizes: nodes along the three coordinates.

    Raises:
        ValueError: for fewer than two nodes.
    """
    for size in sizes:
        check_at_least("sizes", size, 2)
    hats = [_hats(old, new) for old, new in zip(sizes_of(field), sizes, strict=True)]

    def finer(values: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        for place, axis in enumerate(axes):
            values = np.moveaxis(np.tensordot(hats[axis], values, (1, place)), 0, place)
        return values

    return _remade(field, finer)


def shrink(field: VMField, low: Sequence[float], high: Sequence[float]) -> tuple[VMField, np.ndarray]:
    """The field cut to the nodes around a box; `[-1, 1]^3` of the new one is that box of the old one.

    Args:
        field: left as it is.
        low, high: corners of the box in `[-1, 1]^3`; moved outwards to nodes.

    Returns:
        The field, and the corners `[2, 3]` that it has now.

    Raises:
        ValueError: if the box is empty or leaves the cube.
    """
    bottom, top = np.asarray(low, float), np.asarray(high, float)
    if not ((bottom >= -1) & (bottom < top) & (top <= 1)).all():
        raise ValueError(f"low is {bottom.tolist()} and high {top.tolist()}; they must bound a box within [-1, 1]^3")
    cells = np.array(sizes_of(field)) - 1
    first = np.floor((bottom + 1) / 2 * cells + 1e-9).astype(int)
    last = np.ceil((top + 1) / 2 * cells - 1e-9).astype(int)
    kept = [slice(a, b + 1) for a, b in zip(first, last, strict=True)]
    smaller = _remade(field, lambda values, axes: values[tuple(kept[axis] for axis in axes)])
    return smaller, np.stack([2 * first / cells - 1, 2 * last / cells - 1])


def occupied_box(field: VMField, threshold: float = 10.0, *, nodes: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the box around all nodes of a regular grid that are denser than a threshold, one cell wider.

    Raises:
        ValueError: if nothing is as dense, or the density is somewhere no number.
    """
    line = np.linspace(-1, 1, check_at_least("nodes", nodes, 2), dtype=np.float32)
    x = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    graph, params = nnx.split(field)
    log_density = jax.jit(lambda params, x: nnx.merge(graph, params).features(x)[:, 0])(params, x)
    check_finite("log-density of the field", log_density)
    dense = x[np.exp(np.clip(log_density, *CLIP)) > threshold]
    if not len(dense):
        raise ValueError(f"threshold is {threshold}; the field is nowhere as dense")
    cell = 2 / (nodes - 1)
    return np.maximum(dense.min(0) - cell, -1), np.minimum(dense.max(0) + cell, 1)


def _hats(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Weights of linear interpolation from equally spaced nodes to others over the same interval."""
    place = np.linspace(0, old - 1, new)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(old)[None]))


def _remade(field: VMField, change: Callable[[np.ndarray, Sequence[int]], np.ndarray]) -> VMField:
    """The field with `change(values, coordinates)` of every plane and line, by NumPy: their shapes differ each time."""
    other = nnx.clone(field)
    for target, axes in zip([*other.planes, *other.lines], [*PLANES, *[(axis,) for axis in LINES]], strict=True):
        target.set_value(jnp.asarray(change(np.asarray(target[...]), axes), target.dtype))
    return other

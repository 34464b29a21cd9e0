"""Planes and lines at another size: finer while training goes on, and cut to the box that the scene fills."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.fields.grids import LINES, PLANES, sample_grid
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
    return _resampled(field, [np.linspace(-1, 1, size) for size in sizes])


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
    low, high = np.asarray(low, float), np.asarray(high, float)
    if not ((low >= -1) & (low < high) & (high <= 1)).all():
        raise ValueError(f"low is {low.tolist()} and high {high.tolist()}; they must bound a box within [-1, 1]^3")
    cells = np.array(sizes_of(field)) - 1
    first = np.floor((low + 1) / 2 * cells + 1e-9).astype(int)
    last = np.ceil((high + 1) / 2 * cells - 1e-9).astype(int)
    nodes = [2 * np.arange(a, b + 1) / n - 1 for a, b, n in zip(first, last, cells, strict=True)]
    return _resampled(field, nodes), np.stack([2 * first / cells - 1, 2 * last / cells - 1])


def occupied_box(field: VMField, threshold: float = 10.0, *, nodes: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the box around all nodes of a regular grid that are denser than a threshold, one cell wider.

    Raises:
        ValueError: if nothing is as dense.
    """
    line = np.linspace(-1, 1, check_at_least("nodes", nodes, 2), dtype=np.float32)
    x = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    graph, params = nnx.split(field)
    log_density = jax.jit(lambda params, x: nnx.merge(graph, params).features(x)[:, 0])(params, x)
    dense = x[np.exp(np.clip(log_density, *CLIP)) > threshold]
    if not len(dense):
        raise ValueError(f"threshold is {threshold}; the field is nowhere as dense")
    cell = 2 / (nodes - 1)
    return np.maximum(dense.min(0) - cell, -1), np.minimum(dense.max(0) + cell, 1)


def _resampled(field: VMField, nodes: Sequence[Float[np.ndarray, " n"]]) -> VMField:
    other = nnx.clone(field)
    for target, pair in zip(other.planes, PLANES, strict=True):
        u, v = (nodes[axis] for axis in pair)
        x = jnp.asarray(np.stack(np.meshgrid(u, v, indexing="ij"), -1).reshape(-1, 2), target.dtype)
        target.set_value(sample_grid(target[...], x, outside="border").reshape(len(u), len(v), target.shape[-1]))
    for target, axis in zip(other.lines, LINES, strict=True):
        target.set_value(sample_grid(target[...], jnp.asarray(nodes[axis][:, None], target.dtype), outside="border"))
    return other

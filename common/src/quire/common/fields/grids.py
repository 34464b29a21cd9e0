"""Features on regular grids: linear interpolation in any dimension, and the product of planes and lines."""

import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating


def sample_grid(
    values: Float[Array | np.ndarray, "*sizes c"], x: Float[Array | np.ndarray, "n d"], *, outside: str = "zero"
) -> Float[Array, "n c"]:
    """Linear interpolation of a grid whose first and last nodes lie at -1 and 1.

    Args:
        values: one to three axes of nodes, in the order of the coordinates, then channels.
        x: points; NaN gives NaN.
        outside: `"zero"` (nodes beyond the border are zero, so values fade within one cell) or `"border"` (those of the border).

    Raises:
        ValueError: if there are not as many axes as coordinates, an axis has no node, or for another `outside`.

    >>> sample_grid(jnp.array([[0.0], [1.0], [4.0]]), jnp.array([[-1.0], [0.5], [1.0], [1.5]])).ravel().tolist()
    [0.0, 2.5, 4.0, 2.0]
    """
    values, x = floating(values)[0], floating(x)[0]
    sizes, dim = values.shape[:-1], x.shape[-1]
    if len(sizes) != dim or 0 in sizes:
        raise ValueError(f"values has axes of {sizes} nodes; x has {dim} coordinates, each needs a node")
    if outside not in ("zero", "border"):
        raise ValueError(f"outside is {outside!r}; choose from 'zero', 'border'")
    last = jnp.asarray([size - 1 for size in sizes], x.dtype)[None]
    position = (x + 1) / 2 * last
    if outside == "border":
        position = jnp.clip(position, 0, last)
    cell = jnp.floor(position)
    fraction = position - cell
    out = jnp.zeros((len(x), values.shape[-1]), values.dtype)
    for corner in itertools.product((0, 1), repeat=dim):
        step = jnp.asarray(corner, x.dtype)[None]
        node = cell + step
        weight = jnp.prod(jnp.where(step > 0, fraction, 1 - fraction), axis=-1)
        beyond = ((node < 0) | (node > last)).any(-1)  # not that of NaN, which stays NaN
        index = jnp.clip(node, 0, last).astype(jnp.int32)
        out += jnp.where(beyond, 0, weight)[:, None] * values[tuple(jnp.moveaxis(index, -1, 0))]
    return out


PLANES = ((0, 1), (0, 2), (1, 2))
LINES = (2, 1, 0)
"""Coordinates of the three planes, and of the line that each is multiplied with."""


def vm_features(
    planes: tuple[Float[Array, "_ _ _"], ...], lines: tuple[Float[Array, "_ _"], ...], x: Float[Array, "n 3"]
) -> Float[Array, "n m"]:
    """Products of a plane and a line for each of the three axes (the vector-matrix decomposition of a 3-D tensor).

    Args:
        planes: `[a, b, rank]` over the coordinates (0, 1), (0, 2), (1, 2).
        lines: `[c, rank]` over the coordinates 2, 1, 0, of the ranks of the planes.
        x: points; zero outside `[-1, 1]^3`.

    Returns:
        The products, the ranks of the first pair first.

    Raises:
        ValueError: unless there are three of each, over three coordinates.

    References:
        Chen et al., *TensoRF*, 2022, equation 6.
    """
    if len(planes) != 3 or len(lines) != 3 or x.shape[-1] != 3:
        raise ValueError(f"{len(planes)} planes and {len(lines)} lines at {x.shape[-1]} coordinates; it takes three of each")
    parts = [
        sample_grid(plane, x[:, list(pair)]) * sample_grid(line, x[:, [axis]])
        for plane, line, pair, axis in zip(planes, lines, PLANES, LINES, strict=True)
    ]
    return jnp.concatenate(parts, axis=-1)

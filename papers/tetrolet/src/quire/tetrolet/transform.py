"""The tetrolet transform (Krommweh 2010): Haar wavelets whose supports follow the image.

One level cuts the image into blocks of 4 x 4 pixels. A tiling cuts a block into four sets of four pixels p, and `c = W p` gives
each of them one low-pass and three high-pass coefficients. The tiling with the least l1-norm of the high-pass is taken.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import at_least_float32, check_at_least, check_finite, check_ids, is_concrete
from quire.tetrolet.tilings import HAAR, Tilings, squares, tetrominoes

Image = Real[Array | np.ndarray, "*batch height width"]
_matmul = partial(jnp.matmul, precision="highest")


class Coeffs(NamedTuple):
    """Coefficients of images.

    Attributes:
        low: what is left after the last level.
        high: of every level, the finest first: detail l - 1 of set s of a block at `[..., l - 1, s]`.
        index: of every level, the tiling of each block.
    """

    low: Float[Array, "*batch height width"]
    high: tuple[Float[Array, "*batch rows columns 3 4"], ...]
    index: tuple[Int[Array, "*batch rows columns"], ...]


def max_levels(height: int, width: int) -> int:
    """How often an image can be transformed: both sides must be multiples of 4 each time, and are halved.

    >>> max_levels(32, 32), max_levels(12, 24), max_levels(6, 8)
    (4, 1, 0)
    """
    levels = 0
    while min(height, width) >= 4 and height % 4 == width % 4 == 0:
        height, width, levels = height // 2, width // 2, levels + 1
    return levels


def tetrolet(
    x: Image, levels: int | None = None, *, tilings: Tilings | None = None, theta: float | Array | None = None
) -> Coeffs:
    """Tetrolet coefficients of images.

    With the tilings fixed the map is orthonormal: `itetrolet` undoes it, and squares of coefficients add up to those of pixels.

    Args:
        x: `[..., height, width]`, sides multiples of 4; pixels of any scale.
        levels: 1 to `max_levels`; as many as there are by default.
        tilings: to choose among; all 117 by default.
        theta: by how much a cost may exceed the least one, as a part of it. Of the tilings that are allowed, the one is taken
            that most blocks of the image allow, so that the index map has a lower entropy. At 0 this concerns exact ties. By
            default there is no such preference, and the first tiling of the least cost is taken.

    Returns:
        Coefficients, floating point, at least float32.

    Raises:
        ValueError: for sides that are no multiples of 4, levels out of range, numbers that are not finite, theta below 0.

    >>> c = tetrolet(np.eye(8), 1)
    >>> c.low.shape, c.high[0].shape, c.index[0].tolist()
    ((4, 4), (2, 2, 3, 4), [[0, 0], [0, 0]])
    """
    levels = check_image(x, levels)
    if theta is not None and is_concrete(theta) and not np.asarray(theta) >= 0:
        raise ValueError(f"theta is {theta}; it must be at least 0")
    return _forward(*at_least_float32(x), _on_device(tilings or tetrominoes()), theta, levels)


def haar2d(x: Image, levels: int | None = None) -> Coeffs:
    """Haar wavelet coefficients, in the same form: every block is cut into four squares.

    >>> haar2d(np.ones((4, 4))).low.tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    return tetrolet(x, levels, tilings=squares())


def check_image(x: Image, levels: int | None) -> int:
    """The number of levels, or a `ValueError`."""
    if x.ndim < 2 or not x.size or x.shape[-2] % 4 or x.shape[-1] % 4:
        raise ValueError(f"x has shape {x.shape}; it needs images [..., height, width] with sides that are multiples of 4")
    check_finite("x", x)
    most = max_levels(*x.shape[-2:])
    levels = most if levels is None else check_at_least("levels", levels)
    if levels > most:
        raise ValueError(f"levels is {levels}; images of {x.shape[-2]} x {x.shape[-1]} have at most {most}")
    return levels


@partial(jax.jit, static_argnames="levels")
def _forward(x: Array, tilings: Tilings, theta: Array | None, levels: int) -> Coeffs:
    low, high, index = x, [], []
    for _ in range(levels):
        blocks = _cut(low, 4)
        chosen = _choose(_costs(blocks, tilings), theta)
        c = _details(blocks, chosen, tilings)
        low = _join(c[..., 0], 2)
        high.append(jnp.swapaxes(c[..., 1:], -1, -2))
        index.append(chosen)
    return Coeffs(low, tuple(high), tuple(index))


def tiling_costs(x: Image, tilings: Tilings | None = None) -> Float[Array, "*batch rows columns tilings"]:
    """The l1-norm of the twelve details of every block under every tiling, at the finest level.

    Raises:
        ValueError: as for `tetrolet`.

    >>> tiling_costs(np.eye(4))[0, 0, :2].tolist()  # four squares, four rows
    [2.0, 6.0]
    """
    check_image(x, 1)
    return _costs(_cut(*at_least_float32(x), 4), _on_device(tilings or tetrominoes()))


def _costs(blocks: Float[Array, "*lead 16"], tilings: Tilings) -> Float[Array, "*lead tilings"]:
    """Details of each different set once; a tiling's cost is the sum over its four sets, which a matrix of ones adds fastest."""
    dtype = blocks.dtype
    cells = blocks.reshape(-1, 16)
    details = _matmul(cells, jnp.asarray(tilings.details, dtype).reshape(-1, 16).T).reshape(len(cells), 3, -1)
    costs = _matmul(jnp.abs(details).sum(axis=1), jnp.asarray(tilings.has, dtype).T)
    return costs.reshape(*blocks.shape[:-1], -1)


def _choose(costs: Float[Array, "*lead tilings"], theta: Array | None) -> Int[Array, "*lead"]:
    """The first tiling of the least cost, or the most popular one among those near it."""
    least, count = costs.min(axis=-1, keepdims=True), costs.shape[-1]
    allowed = costs <= (least if theta is None else (1 + jnp.asarray(theta, costs.dtype)) * least)
    if theta is not None:
        popularity = jnp.where(allowed, allowed.sum(axis=(-3, -2), keepdims=True), 0)
        allowed &= popularity == popularity.max(axis=-1, keepdims=True)
    number = jnp.arange(count, dtype=jnp.int32).reshape(*[1] * (costs.ndim - 1), -1)
    first = jnp.where(allowed, number, count).min(axis=-1)
    return jnp.where(first < count, first, 0)  # none where costs are NaN: the coefficients then say so


def _details(blocks: Float[Array, "*lead 16"], index: Int[Array, "*lead"], tilings: Tilings) -> Float[Array, "*lead 4 4"]:
    """`[..., s, l]`: coefficient l of set s."""
    order = jnp.asarray(tilings.order)[index]
    pixels = jnp.take_along_axis(blocks, order, axis=-1).reshape(*index.shape, 4, 4)
    return _matmul(pixels, jnp.asarray(HAAR, blocks.dtype))


def itetrolet(c: Coeffs, tilings: Tilings | None = None) -> Float[Array, "*batch height width"]:
    """Images from their coefficients: `p = W^T c` for every set, put where the stored tiling has it.

    Args:
        c: of `tetrolet`.
        tilings: those that the indices number.

    Raises:
        ValueError: for sizes that do not belong together, or an index that is no tiling.

    >>> x = np.arange(64.0).reshape(8, 8)
    >>> np.allclose(itetrolet(tetrolet(x)), x, atol=1e-4)
    True
    """
    tilings = tilings or tetrominoes()
    _check_sizes(c)
    for index in c.index:
        check_ids("index", index, len(tilings.order))
    return _inverse(c, _on_device(tilings))


def _on_device(tilings: Tilings) -> Tilings:
    return Tilings(*(jnp.asarray(table) for table in tilings))


def _check_sizes(c: Coeffs) -> None:
    after = [*((*index.shape[:-2], 4 * index.shape[-2], 4 * index.shape[-1]) for index in c.index[1:]), c.low.shape]
    before = [(*index.shape[:-2], 2 * index.shape[-2], 2 * index.shape[-1]) for index in c.index]
    high = [x.shape for x in c.high]
    if not c.index or high != [(*index.shape, 3, 4) for index in c.index] or before != after:
        shapes = f"low {c.low.shape}, high {high}, index {[index.shape for index in c.index]}"
        raise ValueError(f"c has the shapes {shapes}; it needs those that `tetrolet` gives, one level at least")


@jax.jit
def _inverse(c: Coeffs, tilings: Tilings) -> Array:
    low, *highs = at_least_float32(c.low, *c.high)
    for high, index in zip(reversed(highs), reversed(c.index), strict=True):
        coefficients = jnp.concatenate([_cut(low, 2)[..., None], jnp.swapaxes(high, -1, -2)], axis=-1)
        pixels = _matmul(coefficients, jnp.asarray(HAAR, low.dtype)).reshape(*index.shape, 16)
        low = _join(jnp.take_along_axis(pixels, jnp.asarray(tilings.place)[index], axis=-1), 4)
    return low


def _cut(x: Float[Array, "*batch height width"], side: int) -> Float[Array, "*batch rows columns cells"]:
    *batch, height, width = x.shape
    parts = x.reshape(*batch, height // side, side, width // side, side)
    return jnp.swapaxes(parts, -3, -2).reshape(*batch, height // side, width // side, side * side)


def _join(blocks: Float[Array, "*batch rows columns cells"], side: int) -> Float[Array, "*batch height width"]:
    *batch, rows, columns, _ = blocks.shape
    parts = jnp.swapaxes(blocks.reshape(*batch, rows, columns, side, side), -3, -2)
    return parts.reshape(*batch, rows * side, columns * side)


def flatten(c: Coeffs) -> Float[Array, "*batch pixels"]:
    """All coefficients of every image in one row, the low-pass first, then the details from the coarsest level on.

    >>> flatten(haar2d(np.ones((2, 8, 8)))).shape
    (2, 64)
    """
    batch = c.low.shape[:-2]
    return jnp.concatenate([part.reshape(*batch, -1) for part in (c.low, *reversed(c.high))], axis=-1)


def unflatten(flat: Float[Array, "*batch pixels"], like: Coeffs) -> Coeffs:
    """Coefficients in the form of `like`, from their row."""
    batch, sizes = like.low.shape[:-2], [like.low[..., :, :].shape[-2:], *(high.shape[-4:] for high in reversed(like.high))]
    ends = np.cumsum([int(np.prod(size)) for size in sizes])[:-1]
    low, *high = (part.reshape(*batch, *size) for part, size in zip(jnp.split(flat, ends, axis=-1), sizes, strict=True))
    return Coeffs(low, tuple(reversed(high)), like.index)


def features(c: Coeffs, *, details: bool = False) -> Float[Array, "batch features"]:
    """What a classifier sees of images: the low-pass in a row, and the sizes of the details behind it if asked for.

    >>> features(haar2d(np.ones((2, 8, 8)), 1)).shape, features(haar2d(np.ones((2, 8, 8)), 1), details=True).shape
    ((2, 16), (2, 64))
    """
    size = c.low.shape[-2] * c.low.shape[-1]
    return jnp.abs(flatten(c)).at[..., :size].set(c.low.reshape(*c.low.shape[:-2], size)) if details else flatten(c)[..., :size]

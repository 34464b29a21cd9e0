"""Local affine maps: every pixel is read where its own translation, rotation, scale and shears send it."""

import math
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import floating

Mode = Literal["edge", "reflect", "zero"]
Parameter = AnyArray | float
"""A field `[..., h, w]`, or one number for what all fields of a kind have in common."""


class RandomFieldParams(NamedTuple):
    """A field for every parameter, `[..., h, w]`; zero is the identity.

    Attributes:
        tx, ty: translation in parts of the width and the height.
        rot: angle in radians.
        log_scale: logarithm of a scale; what is read lies further out, so a positive one shrinks the picture.
        shear_x, shear_y: how far x moves with y, and y with x.
        brightness, contrast, saturation: logarithms of factors.
        hue: angle, in turns.
    """

    tx: Parameter
    ty: Parameter
    rot: Parameter
    log_scale: Parameter
    shear_x: Parameter
    shear_y: Parameter
    brightness: Parameter
    contrast: Parameter
    saturation: Parameter
    hue: Parameter


FIELDS = RandomFieldParams._fields
NUM_GEOMETRIC = 6
"""How many of them move pixels; the others change colours."""


def params_from(fields: Float[Array, "*batch 10 h w"]) -> RandomFieldParams:
    """Fields `[..., 10, h, w]` by their names, in the order of `RandomFieldParams`.

    Raises:
        ValueError: unless there are ten.
    """
    if fields.ndim < 3 or fields.shape[-3] != len(FIELDS):
        raise ValueError(f"fields has shape {fields.shape}; it needs [..., {len(FIELDS)}, h, w]")
    return RandomFieldParams(*(fields[..., i, :, :] for i in range(len(FIELDS))))


@jax.jit
def local_affine_grid(params: RandomFieldParams) -> Float[Array, "*batch h w 2"]:
    """Where every pixel is read, `(y, x)` in pixels from the first one.

    With the centre `c`, `u = p - c`:  `source(p) = c + e^log_scale R(rot) [[1, shear_x], [shear_y, 1]] u + (tx W, ty H)`,
    each parameter that of the pixel. Constant fields are one affine map.
    """
    tx, ty, rot, log_scale, shear_x, shear_y = floating(*params[:NUM_GEOMETRIC])
    height, width = tx.shape[-2:]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    v, u = (jnp.arange(height) - middle_y)[:, None].astype(tx.dtype), (jnp.arange(width) - middle_x)[None].astype(tx.dtype)
    u, v = (jnp.broadcast_to(part, tx.shape) for part in (u, v))
    moved_x, moved_y = u + shear_x * v, v + shear_y * u
    cos, sin, scale = jnp.cos(rot), jnp.sin(rot), jnp.exp(log_scale)
    x = middle_x + scale * (cos * moved_x - sin * moved_y) + tx * width
    y = middle_y + scale * (sin * moved_x + cos * moved_y) + ty * height
    return jnp.stack([y, x], -1)


def warp_bilinear(
    images: Real[Array | np.ndarray, "*batch h w c"], grid: Real[Array | np.ndarray, "*batch h2 w2 2"], mode: Mode = "edge"
) -> Float[Array, "*batch h2 w2 c"]:
    """The images at the places of the grid, read between pixels by bilinear interpolation.

    Args:
        images: any range.
        grid: `(y, x)` in pixels, see `local_affine_grid`.
        mode: outside of the image: its edge goes on, it is reflected about its outermost pixels, or there is nothing.

    Raises:
        ValueError: for another mode, an image without pixels, or shapes that do not fit.
    """
    if mode not in ("edge", "reflect", "zero"):
        raise ValueError(f"mode is {mode!r}; choose from 'edge', 'reflect', 'zero'")
    images, grid = floating(images, grid)
    if images.ndim < 3 or not math.prod(images.shape[-3:-1]) or grid.shape[:-3] != images.shape[:-3] or grid.shape[-1:] != (2,):
        raise ValueError(f"images has shape {images.shape} and grid {grid.shape}; they need [..., h, w, c] and [..., h, w, 2]")
    return _read(images, grid, mode)


@partial(jax.jit, static_argnames="mode")
def _read(images: Array, grid: Array, mode: Mode) -> Array:
    *batch, height, width, channels = images.shape
    (y, inside_y), (x, inside_x) = (_within(grid[..., i], side, mode) for i, side in enumerate((height, width)))
    top, left = (jnp.clip(jnp.floor(p), 0, max(side - 2, 0)) for p, side in ((y, height), (x, width)))
    down, right = (y - top)[..., None], (x - left)[..., None]
    row, column = top.astype(jnp.int32), left.astype(jnp.int32)
    count = math.prod(batch)
    flat = images.reshape(count, height * width, channels)

    def tap(i: int, j: int) -> Array:
        place = jnp.minimum(row + i, height - 1) * width + jnp.minimum(column + j, width - 1)
        places = place.reshape(count, math.prod(place.shape[-2:]), 1)
        return jnp.take_along_axis(flat, places, axis=1).reshape(*place.shape, channels)

    upper = (1 - right) * tap(0, 0) + right * tap(0, 1)
    lower = (1 - right) * tap(1, 0) + right * tap(1, 1)
    out = (1 - down) * upper + down * lower
    return out if mode != "zero" else out * (inside_y * inside_x)[..., None]


def _within(place: Array, side: int, mode: Mode) -> tuple[Array, Array]:
    """Places between the first and the last pixel, and the weight of what is there: it falls to zero one pixel outside."""
    last = side - 1
    if mode == "reflect" and last:
        place = last - jnp.abs(jnp.mod(place, 2 * last) - last)
    inside = jnp.clip(1 - jnp.maximum(-place, place - last), 0, 1)
    return jnp.clip(place, 0, last), inside


def jacobian_det(grid: Real[Array | np.ndarray, "*batch h w 2"]) -> Float[Array, "*batch h w"]:
    """Determinant of the derivative of the source by the pixel, by differences: negative where the picture is folded over.

    Raises:
        ValueError: if a side is below 2.
    """
    (grid,) = floating(grid)
    if grid.ndim < 3 or grid.shape[-1] != 2 or min(grid.shape[-3:-1]) < 2:
        raise ValueError(f"grid has shape {grid.shape}; it needs [..., h, w, 2] with sides of at least 2")
    by_row, by_column = jnp.gradient(grid, axis=(-3, -2))
    return by_row[..., 0] * by_column[..., 1] - by_row[..., 1] * by_column[..., 0]

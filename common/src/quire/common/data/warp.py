"""Images moved by affine maps and homographies, read between pixels by bilinear interpolation.

Positions are in pixels from the centre of the image, x to the right and y down, as the rows of an image run.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import floating


def affine_warp(
    images: Real[Array | np.ndarray, "n h w c"],
    matrix: Real[Array | np.ndarray, "2 2"] | Real[Array | np.ndarray, "n 2 2"],
    shift: Real[Array | np.ndarray, "2"] | Real[Array | np.ndarray, "n 2"] | float = 0.0,
    *,
    fill: float = 0.0,
) -> Float[Array, "n h w c"]:
    """What is at p goes to `A p + t`: `out(p) = in(A^-1 (p - t))`.

    Args:
        images: `[n, h, w, c]`; bytes and other integers become floating.
        matrix: A, one for all images or one for each.
        shift: t in pixels (x, y), one for all images or one for each.
        fill: value outside of the image.

    Returns:
        `[n, h, w, c]`; NaN where a matrix has no inverse.

    Raises:
        ValueError: if the shapes do not fit.

    >>> image = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1].set(1.0)
    >>> affine_warp(image, jnp.eye(2), jnp.array([1.0, 0.0]))[0, :, :, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    images, matrix, shift = _arguments(images, matrix, shift)
    n = len(images)
    matrix = _for_each("matrix", matrix, (n, 2, 2))
    shift = _for_each("shift", jnp.broadcast_to(shift, (2,)) if shift.ndim == 0 else shift, (n, 2))
    back = jnp.linalg.inv(matrix)
    last = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0], back.dtype), (n, 1, 3))
    offset = -jnp.einsum("nij,nj->ni", back, shift, precision="highest")[..., None]
    return _read(images, jnp.concatenate([jnp.concatenate([back, offset], -1), last], 1), fill)


def homography_warp(
    images: Real[Array | np.ndarray, "n h w c"],
    homography: Real[Array | np.ndarray, "3 3"] | Real[Array | np.ndarray, "n 3 3"],
    *,
    fill: float = 0.0,
) -> Float[Array, "n h w c"]:
    """What is at p goes to `q` with `(q, 1) ~ H (p, 1)`, in homogeneous coordinates.

    Args:
        images: `[n, h, w, c]`; bytes and other integers become floating.
        homography: H, one for all images or one for each; see `homography_from_points`.
        fill: value outside of the image, and beyond the horizon.

    Returns:
        `[n, h, w, c]`; NaN where a matrix has no inverse.

    Raises:
        ValueError: if the shapes do not fit.

    >>> image = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> print(homography_warp(image, jnp.diag(jnp.array([-1.0, 1.0, 1.0])))[0, :, :, 0])
    [[1. 0.]
     [3. 2.]]
    """
    images, homography = _arguments(images, homography)
    homography = _for_each("homography", homography, (len(images), 3, 3))
    sign = jnp.where(homography[:, 2:, 2:] < 0, -1.0, 1.0).astype(homography.dtype)  # H and -H are one; the centre is in view
    return _read(images, jnp.linalg.inv(homography * sign), fill)


def homography_from_points(
    source: Real[Array | np.ndarray, "*batch 4 2"], target: Real[Array | np.ndarray, "*batch 4 2"]
) -> Float[Array, "*batch 3 3"]:
    """The homography that takes four points to four others, its last entry 1.

    Args:
        source, target: points (x, y) `[..., 4, 2]`, no three of the same four on a line.

    Raises:
        ValueError: if the shapes differ or are not `[..., 4, 2]`.

    >>> square = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> print(homography_from_points(square, square + 2.0).round(3) + 0.0)
    [[1. 0. 2.]
     [0. 1. 2.]
     [0. 0. 1.]]
    """
    source, target = floating(source, target)
    if source.shape != target.shape or source.shape[-2:] != (4, 2):
        raise ValueError(f"source is {source.shape} and target {target.shape}; both must be [..., 4, 2]")
    (x, y), (u, v) = (jnp.moveaxis(points, -1, 0) for points in (source, target))
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    rows = [
        jnp.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1),
        jnp.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1),
    ]
    entries = jnp.linalg.solve(jnp.concatenate(rows, -2), jnp.concatenate([u, v], -1)[..., None])[..., 0]
    return jnp.concatenate([entries, jnp.ones_like(entries[..., :1])], -1).reshape(*entries.shape[:-1], 3, 3)


def _arguments(images: Any, *others: Any) -> tuple[Array, ...]:
    """All in one floating dtype; positions have at least 32 bits."""
    images, *rest = floating(images, *others)
    if images.ndim != 4:
        raise ValueError(f"images has shape {images.shape}; it must be [n, h, w, c]")
    wide = jnp.promote_types(images.dtype, jnp.float32)
    return tuple(x.astype(wide) for x in (images, *rest))


def _for_each(name, value, shape):
    if value.shape not in (shape, shape[1:]):
        raise ValueError(f"{name} has shape {value.shape}; it must be {shape[1:]} or {shape}")
    return jnp.broadcast_to(value, shape)


def _read(images, back, fill):
    """Every image at `H (p, 1)` for its pixels p."""
    _, h, w, _ = images.shape
    y, x = jnp.meshgrid(jnp.arange(h) - (h - 1) / 2, jnp.arange(w) - (w - 1) / 2, indexing="ij")
    points = jnp.stack([x, y, jnp.ones_like(x)]).astype(images.dtype)
    u, v, depth = jnp.einsum("nij,jhw->inhw", back, points, precision="highest")
    ahead = depth > 0
    depth = jnp.where(ahead, depth, 1)
    rows, columns = v / depth + (h - 1) / 2, u / depth + (w - 1) / 2
    # far outside, where indices of 32 bits still count
    rows, columns = (jnp.where(ahead, jnp.clip(p, -1e6, 1e6), -1e6) for p in (rows, columns))

    def channel(image, rows, columns):
        return jax.scipy.ndimage.map_coordinates(image, [rows, columns], order=1, mode="constant", cval=fill)

    over_channels = jax.vmap(channel, (2, None, None), 2)
    invertible = jnp.isfinite(back).all((1, 2))[:, None, None, None]
    return jnp.where(invertible, jax.vmap(over_channels)(images, rows, columns), jnp.nan)

"""Weights as rows of short vectors, the form in which vector quantisation reads them, and back."""

import math
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating

Order = Literal["auto", "kernels", "channels"]


def to_subvectors(w: Real[AnyArray, "..."], m: int, order: Order = "auto", *, pad: bool = False) -> Float[Array, "n m"]:
    """Weights `[out, in]` or `[out, in, *kernel]` cut into rows of m numbers.

    Two orders: `"kernels"` reads whole kernels one after the other, `[out, in, *kernel]`; `"channels"` reads the input channels
    of one place of the kernel, `[out, *kernel, in]`. They are the same for `[out, in]`.

    Args:
        w: weights, the output channels first.
        m: length of a row.
        order: `"auto"` takes whole kernels where m is a multiple of their size.
        pad: fill the last row with zeros where m does not divide the number of weights.

    Raises:
        ValueError: for fewer than two axes, m below 1, an unknown order, or an m that does not divide without `pad`.

    >>> to_subvectors(jnp.arange(8.0).reshape(1, 2, 2, 2), 4).tolist()
    [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]
    >>> to_subvectors(jnp.arange(8.0).reshape(1, 2, 2, 2), 2).tolist()
    [[0.0, 4.0], [1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]
    """
    (w,) = floating(w)
    flat = _ordered(w, _order(w.shape, m, order)).reshape(-1)
    missing = -flat.size % m
    if missing and not pad:
        raise ValueError(f"m is {m}; it must divide the {flat.size} weights of shape {w.shape}, or say pad=True")
    return jnp.pad(flat, (0, missing)).reshape(-1, m)


def from_subvectors(rows: Real[AnyArray, "n m"], shape: tuple[int, ...], order: Order = "auto") -> Float[Array, "..."]:
    """The weights of a shape from their rows; what `pad` added is cut off.

    Args:
        rows: as `to_subvectors` gives them.
        shape: of the weights.
        order: the one that was used.

    Raises:
        ValueError: if the rows are not those of this shape.

    >>> w = jnp.arange(12.0).reshape(2, 3, 2)
    >>> bool((from_subvectors(to_subvectors(w, 3), w.shape) == w).all())
    True
    """
    (rows,) = floating(rows)
    if rows.ndim != 2 or len(rows) != -(-math.prod(shape) // max(rows.shape[-1], 1)):
        raise ValueError(f"rows has shape {rows.shape}; weights of shape {shape} have other rows")
    order = _order(shape, rows.shape[1], order)
    flat = rows.reshape(-1)[: math.prod(shape)]
    if order == "kernels":
        return flat.reshape(shape)
    return jnp.moveaxis(flat.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


def _order(shape: tuple[int, ...], m: int, order: Order) -> Order:
    check_at_least("m", m)
    if len(shape) < 2:
        raise ValueError(f"weights have shape {shape}; they need output and input channels")
    if order not in ("auto", "kernels", "channels"):
        raise ValueError(f"order is {order!r}; it must be auto, kernels or channels")
    if order != "auto":
        return order
    return "kernels" if m % math.prod(shape[2:]) == 0 else "channels"


def _ordered(w: Array, order: Order) -> Array:
    return w if order == "kernels" else jnp.moveaxis(w, 1, -1)

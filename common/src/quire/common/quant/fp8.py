"""Eight-bit floats: casts that saturate, and groups of numbers with a scale each.

E4M3 (`float8_e4m3fn`) reaches 448 and has no infinity; E5M2 reaches 57344. JAX's own casts turn what lies above into NaN and
infinity, so numbers are clipped first.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Format = Literal["e4m3", "e5m2"]
FORMATS = {"e4m3": jnp.float8_e4m3fn, "e5m2": jnp.float8_e5m2}


def fp8_dtype(format: Format) -> jnp.dtype:
    """The dtype of a format.

    Raises:
        ValueError: for an unknown format.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; choose from {', '.join(FORMATS)}")
    return jnp.dtype(FORMATS[format])


def fp8_max(format: Format) -> float:
    """Largest finite number of a format.

    >>> fp8_max("e4m3"), fp8_max("e5m2")
    (448.0, 57344.0)
    """
    return float(jnp.finfo(fp8_dtype(format)).max)


def fp8_cast(x: Float[Array, "*shape"], format: Format = "e4m3") -> Array:
    """Rounded to the nearest eight-bit float, ties to even; what is too large becomes the largest; NaN stays NaN.

    >>> fp8_cast(jnp.array([1.06, 500.0, -jnp.inf])).astype(jnp.float32).tolist()
    [1.0, 448.0, -448.0]
    """
    largest = fp8_max(format)
    return jnp.clip(x, -largest, largest).astype(fp8_dtype(format))


class Groups(NamedTuple):
    """Codes in the shape of what was quantised, and one scale per group along the last axis."""

    codes: Array
    scale: Float[Array, "*shape groups"]


def group_scales(x: Float[Array, "*shape dim"], group: int, format: Format = "e4m3", eps: float = 1e-10) -> Array:
    """`(max |x| + eps) / largest` of every group of consecutive numbers along the last axis, float32 `[..., groups]`.

    Args:
        x: numbers; the last group may be partial.
        group: numbers a group.
        format: of the codes.
        eps: keeps the scale of zeros positive.

    Raises:
        ValueError: for a group below 1, a scalar, or a last axis without numbers.
    """
    if group < 1 or x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"group is {group} and x has shape {x.shape}; they need at least 1, and numbers along the last axis")
    grouped = split_groups(jnp.abs(x.astype(jnp.float32)), group)
    return (grouped.max(-1) + jnp.float32(eps)) / fp8_max(format)


def split_groups(x: Array, group: int, fill: float = 0.0) -> Array:
    """`[..., dim]` as `[..., groups, group]`, the last group filled up."""
    spare = -x.shape[-1] % group
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, spare)], constant_values=fill) if spare else x
    return padded.reshape(*x.shape[:-1], padded.shape[-1] // group, group)


def join_groups(x: Array, dim: int) -> Array:
    """`[..., groups, group]` as `[..., dim]`, without what fills the last group."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])[..., :dim]


def quantize_groups(
    x: Float[Array, "*shape dim"],
    group: int,
    format: Format = "e4m3",
    *,
    eps: float = 1e-10,
    scale_dtype: jnp.dtype = jnp.float32,
) -> Groups:
    """Codes `fp8(x / S)` with one scale S a group.

    Args:
        x: numbers.
        group: numbers a group, consecutive along the last axis.
        format: of the codes.
        eps: see `group_scales`.
        scale_dtype: of the stored scale. Codes are divided by the unrounded one, as fused kernels do.

    Raises:
        ValueError: see `group_scales`.

    >>> q = quantize_groups(jnp.array([1.0, 2.0, 0.0, 0.0]), 2)
    >>> dequantize_groups(q, 2).tolist()
    [1.0, 2.0, 0.0, 0.0]
    """
    scale = group_scales(x, group, format, eps)
    codes = fp8_cast(split_groups(x.astype(jnp.float32), group) / scale[..., None], format)
    return Groups(join_groups(codes, x.shape[-1]), scale.astype(scale_dtype))


def dequantize_groups(q: Groups, group: int) -> Float[Array, "*shape dim"]:
    """Numbers of codes, `codes S`, float32.

    Raises:
        ValueError: unless there is one scale for each group.
    """
    if group < 1 or q.scale.shape != (*q.codes.shape[:-1], -(-q.codes.shape[-1] // group)):
        raise ValueError(f"group is {group}; codes of shape {q.codes.shape} have scales of shape {q.scale.shape}")
    values = split_groups(q.codes.astype(jnp.float32), group) * q.scale.astype(jnp.float32)[..., None]
    return join_groups(values, q.codes.shape[-1])


def straight_through(x: Array, quantized: Array) -> Array:
    """The value of `quantized` with the derivative of `x`."""
    return x + jax.lax.stop_gradient(quantized.astype(x.dtype) - x)

"""How activations are stored between the forward and the backward pass, and between one operation and the next.

Per group of 16 along the features for operations that work number by number, one scale for a whole tensor for linear maps, so
that their matrix products run on eight-bit tensor cores: the paper's mixed granularity.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.quant.fp8 import Format, Groups, dequantize_groups, fp8_cast, fp8_max, group_scales, quantize_groups

Storage = Literal["float32", "bfloat16", "tensor", "group"]
"""Two kinds of wide numbers, and eight-bit floats with one scale for a tensor or one for each group."""
GROUP = 16
"""Numbers a group, along the last axis."""


class Activation(NamedTuple):
    """A tensor as it is stored.

    Attributes:
        codes: eight-bit floats, or wide numbers as they are.
        scale: `[..., dim / 16]` bfloat16, one float32 number, or None for wide numbers.
        value: what was stored. Operations read the codes; only derivatives pass through here, as if nothing had been rounded.
    """

    codes: Array
    scale: Float[Array, "..."] | None
    value: Float[Array, "*shape"]

    @property
    def storage(self) -> Storage:
        """How it is stored."""
        if self.scale is None:
            return "bfloat16" if self.codes.dtype == jnp.bfloat16 else "float32"
        return "group" if self.scale.ndim else "tensor"


def derivative(of_value: Float[Array, "*shape"]) -> Activation:
    """What a backward rule answers for a stored input: the derivative of its value; codes and scale have none."""
    return Activation._make((None, None, of_value))


def quantize_group(x: Real[Array, "*shape dim"], group: int = GROUP, format: Format = "e4m3") -> Groups:
    """Codes of `x / S` with `S = (max |x| + 1e-10) / L` for each group along the last axis, L the format's largest number.

    The scale is kept in bfloat16, while codes are divided by the unrounded one.

    Args:
        x: numbers; the group must divide the last axis.
        group: numbers a group.
        format: of the codes.

    Returns:
        Codes in the shape of x and scales `[..., dim / group]`.

    Raises:
        ValueError: if the group does not divide the last axis, or the format is unknown.

    References:
        Section 5.1; the tile of 1 x 16 is that of the authors' code.

    >>> q = quantize_group(jnp.arange(16.0))
    >>> q.codes[-3:].astype(jnp.float32).tolist(), float(q.scale[0])
    ([384.0, 416.0, 448.0], 0.033447265625)
    """
    _check_divides(x, group)
    return quantize_groups(x.astype(jnp.float32), group, format, scale_dtype=jnp.dtype(jnp.bfloat16))


def quantize_tensor(
    x: Real[Array, "*shape dim"], format: Format = "e4m3", group: int = GROUP, *, rounded: bool = False
) -> tuple[Array, Float[Array, ""]]:
    """Codes of `x / s`, s the largest of the group scales in bfloat16: a maximum in two stages, of which the first is local.

    Args:
        x: numbers; the group must divide the last axis.
        format: of the codes.
        group: numbers a group in the first stage; without effect on the result, but for the rounding of the scales.
        rounded: take the codes of x in bfloat16 while the scale is that of the exact x, as behind a normalisation.

    Returns:
        Codes in the shape of x, and the scale, float32.

    Raises:
        ValueError: as for `quantize_group`.

    References:
        Section 5.2, Group Scaling.

    >>> codes, scale = quantize_tensor(jnp.array([[1.0] * 16, [2.0] * 16]))
    >>> codes[:, 0].astype(jnp.float32).tolist(), round(float(scale), 5)
    ([224.0, 448.0], 0.00446)
    """
    _check_divides(x, group)
    scales = group_scales(x.astype(jnp.float32), group, format).astype(jnp.bfloat16).astype(jnp.float32)
    scale = scales.max(initial=1e-10 / fp8_max(format))  # of no rows: that of zeros
    x = x.astype(jnp.bfloat16) if rounded else x
    return fp8_cast(x.astype(jnp.float32) / scale, format), scale


def encode(
    x: Real[Array, "*shape dim"], storage: Storage, format: Format = "e4m3", *, group: int = GROUP, rounded: bool = False
) -> tuple[Array, Float[Array, "..."] | None]:
    """Codes and scale of a tensor, as `storage` says; wide numbers have no scale.

    Raises:
        ValueError: for an unknown storage, and as `quantize_group`.
    """
    if storage not in get_args(Storage):
        raise ValueError(f"storage is {storage!r}; choose from {', '.join(get_args(Storage))}")
    if storage == "tensor":
        return quantize_tensor(x, format, group, rounded=rounded)
    if storage == "group":
        return tuple(quantize_group(x, GROUP, format))
    return x.astype(storage), None


def decode(codes: Array, scale: Float[Array, "..."] | None) -> Float[Array, "*shape dim"]:
    """Numbers of codes, float32."""
    if scale is None:
        return codes.astype(jnp.float32)
    if scale.ndim == 0:
        return codes.astype(jnp.float32) * scale
    return dequantize_groups(Groups(codes, scale), GROUP)


def store(x: Real[Array, "*shape dim"], storage: Storage, *, group: int = GROUP, rounded: bool = False) -> Activation:
    """A tensor stored, E4M3 where eight bits are asked for. Derivatives pass as if it were not.

    Args:
        x: numbers, integers become float32.
        storage: how.
        group, rounded: of per-tensor scales, see `quantize_tensor`.

    Raises:
        ValueError: as for `encode`.

    >>> a = store(jnp.linspace(0, 1, 16), "group")
    >>> a.storage, a.codes.dtype.name, a.scale.dtype.name
    ('group', 'float8_e4m3fn', 'bfloat16')
    """
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
    codes, scale = encode(jax.lax.stop_gradient(x), storage, group=group, rounded=rounded)
    return Activation(codes, scale, x)


def _check_divides(x, group):
    if x.ndim < 1 or group < 1 or x.shape[-1] == 0 or x.shape[-1] % group:
        raise ValueError(f"x has shape {x.shape} and group is {group}; the group must divide the last axis, which has numbers")

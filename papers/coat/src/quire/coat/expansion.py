"""Dynamic range expansion: a power law that stretches a group of numbers over all that an eight-bit float can hold.

AdamW's moments span a few powers of two within a group, E4M3 spans eighteen: most codes would stay unused. Before they are
quantised, the numbers of a group are raised to a power k such that the ratio of the largest to the smallest fills the format.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least
from quire.common.quant.fp8 import (
    Format,
    Groups,
    dequantize_groups,
    fp8_cast,
    fp8_max,
    join_groups,
    quantize_groups,
    split_groups,
)

TINY = 1e-30
"""Added to the largest and the smallest magnitude of a group."""
LARGEST_POWER = 64.0
"""Of groups whose numbers are all equal, for which any power would do."""


class MomentCodes(NamedTuple):
    """A quantised tensor.

    Attributes:
        codes: eight-bit floats, in the shape of the tensor.
        scale: float32, one for each group of the flattened tensor.
        k: power of each group, float32; None without expansion.
        center: geometric mean of the largest and the smallest magnitude of each group, float32; None without expansion.
    """

    codes: Array
    scale: Float[Array, " groups"]
    k: Float[Array, " groups"] | None = None
    center: Float[Array, " groups"] | None = None


def expand_quantize(x: Real[Array, "*shape"], group: int = 128, granularity: int = 16, *, format: Format = "e4m3") -> MomentCodes:
    """Codes of `sign(x) (|x| / c)^k / S`, group by group.

    With M and m the largest and the smallest nonzero magnitude, `c = sqrt(M m)`, `R = M / m` and L the largest number of the
    format: `k = floor(granularity log(L^2 / 2) / log R) / granularity` and `S = (M / c)^k / L`.

    Args:
        x: floating-point numbers of any shape; groups run over the flattened tensor, the last may be partial.
        group: numbers a group.
        granularity: k is a multiple of `1 / granularity`.
        format: of the codes.

    Returns:
        Codes in the shape of x, and scale, power and centre of each group. A group without dynamic range, of zeros or of one
        magnitude, gets the largest power, 64.

    Raises:
        ValueError: for numbers that are not floating-point, an empty x, an unknown format, or sizes below 1.

    References:
        Section 4.1, equations 3 and 4; range and granularity are those of the authors' code, which takes `L^2 / 2` where the
        paper takes `L / smallest`.

    >>> q = expand_quantize(jnp.array([1.0, 2.0, -4.0]))
    >>> [f"{number:.2f}" for number in (*q.k, *q.center, *expand_dequantize(q))]
    ['8.25', '2.00', '0.97', '2.00', '-4.00']
    """
    check_quantizable(x, group)
    check_at_least("granularity", granularity)
    grouped = split_groups(x.ravel().astype(jnp.float32), group)
    magnitude = jnp.abs(grouped)
    largest, smallest = extremes(magnitude)
    largest, smallest = largest + jnp.float32(TINY), smallest + jnp.float32(TINY)
    k = _power(largest / smallest, granularity, format)
    center = jnp.sqrt(largest) * jnp.sqrt(smallest)
    expanded = jnp.sign(grouped) * (magnitude / center[:, None]) ** k[:, None]
    scale = (largest / center) ** k / fp8_max(format)
    codes = fp8_cast(expanded / scale[:, None], format)
    return MomentCodes(join_groups(codes, x.size).reshape(x.shape), scale, k, center)


def expand_dequantize(q: MomentCodes, group: int = 128) -> Float[Array, "*shape"]:
    """Numbers of codes, `sign(y) |y|^(1 / k) c` with `y = codes S`, float32 in the shape of the codes.

    Raises:
        ValueError: for codes of `plain_quantize`.

    >>> print(expand_dequantize(expand_quantize(jnp.zeros(2))))
    [0. 0.]
    """
    if q.k is None or q.center is None:
        raise ValueError("q has no powers and centres; plain_dequantize reads codes without expansion")
    y = split_groups(q.codes.ravel().astype(jnp.float32), group) * q.scale[:, None]
    values = jnp.sign(y) * jnp.abs(y) ** (1 / q.k[:, None]) * q.center[:, None]
    return join_groups(values, q.codes.size).reshape(q.codes.shape)


def plain_quantize(x: Real[Array, "*shape"], group: int = 128, *, format: Format = "e4m3") -> MomentCodes:
    """Codes of `x / S` with `S = (max |x| + 1e-20) / L`, group by group: the baseline without expansion.

    Args, Raises: as for `expand_quantize`.

    >>> plain_dequantize(plain_quantize(jnp.array([0.5, -448.0]))).tolist()
    [0.5, -448.0]
    """
    check_quantizable(x, group)
    q = quantize_groups(x.ravel(), group, format, eps=1e-20)
    return MomentCodes(q.codes.reshape(x.shape), q.scale)


def plain_dequantize(q: MomentCodes, group: int = 128) -> Float[Array, "*shape"]:
    """Numbers of codes, `codes S`, float32 in the shape of the codes."""
    return dequantize_groups(Groups(q.codes.ravel(), q.scale), group).reshape(q.codes.shape)


def extremes(magnitude: Float[Array, "groups group"]) -> tuple[Float[Array, " groups"], Float[Array, " groups"]]:
    """Largest and smallest nonzero magnitude of each group; both are zero where all are."""
    largest = magnitude.max(-1)
    smallest = jnp.where(magnitude == 0, jnp.inf, magnitude).min(-1)
    return largest, jnp.where(jnp.isinf(smallest), largest, smallest)


def check_quantizable(x: Array, group: int) -> None:
    """There are floating-point numbers to quantise.

    Raises:
        ValueError: if there are none, or group is below 1.
    """
    check_at_least("group", group)
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.size == 0:
        raise ValueError(f"x has dtype {x.dtype} and shape {x.shape}; it must hold floating-point numbers")


def _power(ratio, granularity, format):
    """`k` for groups of this dynamic range; ratios are kept from 1, where k is unbounded, and from infinity, where it is zero."""
    full = jnp.log2(jnp.float32(fp8_max(format) ** 2 / 2))
    ratio = jnp.clip(ratio, 1 + 1e-3, jnp.finfo(jnp.float32).max)
    return jnp.minimum(jnp.floor(full / jnp.log2(ratio) * granularity) / granularity, LARGEST_POWER)

"""How much of an eight-bit format the codes of a tensor use."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.coat.expansion import MomentCodes, extremes
from quire.common.quant.fp8 import split_groups


def code_histogram(codes: Array) -> Int[np.ndarray, " 256"]:
    """How often each of the 256 bit patterns occurs.

    >>> int(code_histogram(jnp.zeros(3, jnp.float8_e4m3fn))[0])
    3
    """
    return np.bincount(np.asarray(codes).view(np.uint8).ravel(), minlength=256)


def utilisation(codes: Array) -> float:
    """Share of the positive patterns' magnitudes that occur, zero and what is not finite left out.

    >>> round(utilisation(jnp.array([1.0, 2.0], jnp.float8_e4m3fn)), 4)
    0.0159
    """
    used = code_histogram(codes)
    magnitudes = np.arange(128, dtype=np.uint8).view(codes.dtype).astype(np.float32)
    possible = np.isfinite(magnitudes) & (magnitudes > 0)
    return float(((used[:128] + used[128:]) > 0)[possible].mean())


def dynamic_range(q: MomentCodes, group: int = 128) -> Float[Array, " groups"]:
    """Ratio of the largest to the smallest nonzero magnitude among the codes of each group; 1 for a group of zeros.

    >>> print(dynamic_range(MomentCodes(jnp.array([1.0, 0.0, -8.0], jnp.float8_e4m3fn), jnp.ones(1))))
    [8.]
    """
    largest, smallest = extremes(split_groups(jnp.abs(q.codes.ravel().astype(jnp.float32)), group))
    return jnp.where(largest > 0, largest / jnp.where(smallest > 0, smallest, 1), 1)


def direction_error(
    m: Float[Array, " n"], v: Float[Array, " n"], stored_m: Float[Array, " n"], stored_v: Float[Array, " n"], eps: float = 1e-8
) -> Float[Array, ""]:
    """Relative squared error of AdamW's direction `m / (sqrt(v) + eps)` when the moments are those that were stored."""
    exact = m / (jnp.sqrt(v) + eps)
    return jnp.sum((stored_m / (jnp.sqrt(stored_v) + eps) - exact) ** 2) / jnp.sum(exact**2)

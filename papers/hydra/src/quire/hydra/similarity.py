"""The similarity of an anchor and a key inside of the anchor's sub-space."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating
from quire.common.layers.nested import unit_rows
from quire.common.layers.norms import at_least_float32

GateMode = Literal["cosine", "squared"]
CLOSED = 1e-20
"""Square of the length, of unit vectors behind gates up to 1, below which nothing of a vector is taken to be left."""


def gated_cosine(
    z: Num[AnyArray, "batch dim"], keys: Num[AnyArray, "n dim"], gate: Num[AnyArray, "batch dim"], mode: GateMode = "cosine"
) -> Float[Array, "batch n"]:
    """`s_ij = cos(g_i z_i, g_i k_j)`: anchor and key both behind the gate of the anchor.

    No array `[batch, n, dim]` is made: `<g z, g k> = <g^2 z, k>` and `|g k|^2 = <g^2, k^2>`, two matrix products.

    Args:
        z: anchors.
        keys: what they are compared with; z itself in the one-view form.
        gate: of every anchor, not negative.
        mode: `"cosine"`; or `"squared"`, `<g_i^2 z_i / |z_i|, k_j / |k_j|>`, which is no cosine: the largest `g^2` bounds it.

    Returns:
        Similarities, in float32 at least. A vector that the gate hides is similar to nothing, with a derivative of zero.

    Raises:
        ValueError: for another mode, or shapes that do not fit.

    >>> z, gate = jnp.array([[3.0, 4.0]]), jnp.array([[1.0, 0.5]])
    >>> print(f"{gated_cosine(z, jnp.array([[3.0, -4.0]]), gate)[0, 0]:.4f}")  # (9 - 4) / (9 + 4)
    0.3846
    """
    if mode not in get_args(GateMode):
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(get_args(GateMode))}")
    if z.ndim != 2 or gate.shape != z.shape or keys.ndim != 2 or keys.shape[1] != z.shape[1]:
        raise ValueError(f"z, keys and gate have shapes {z.shape}, {keys.shape}, {gate.shape}; they need [b, d], [n, d], [b, d]")
    z, keys, gate = (at_least_float32(x) for x in floating(z, keys, gate))
    z, keys = unit_rows(z), unit_rows(keys)  # a cosine does not depend on lengths; squares of unit vectors are in range
    if mode == "squared":
        return (gate**2 * z) @ keys.T
    squares = _at_most_one(gate) ** 2
    inverse_z = _inverse_root(jnp.sum(squares * z**2, axis=1, keepdims=True))
    return (squares * z) @ keys.T * inverse_z * _inverse_root(squares @ (keys**2).T)


def _at_most_one(gate):
    """A cosine does not depend on the size of the gate either: the largest of its numbers is made 1."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(gate), axis=1, keepdims=True, initial=0.0))
    return gate / jnp.where(largest == 0, 1, largest)


def _inverse_root(squares):
    """`squares^(-1/2)`, and 0 where nothing is left."""
    left = ~(squares < CLOSED)  # NaN stays NaN
    return jnp.where(left, jax.lax.rsqrt(jnp.where(left, squares, 1)), 0)

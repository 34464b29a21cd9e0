"""The first k numbers of a vector where k is only known when the step runs."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quire.common.checks import is_concrete
from quire.common.layers.nested import truncate


def padded_prefix(z: Float[Array, "*batch dim"], size: int | Int[Array, ""]) -> Float[Array, "*batch width"]:
    """The first `size` numbers, their two halves padded with zeros to the half of the whole width each.

    Zeros change no cosine, and halves that stay halves no angle: every loss of cosines and of angles between complex halves has
    the value that it has at `z[..., :size]`, in an array whose shape does not depend on `size`.

    Args:
        z: vectors; the result has their dimension, or one more where that is odd.
        size: k, even, at most `dim`.

    Returns:
        `[z_1 .. z_{k/2}, 0 .., z_{k/2+1} .. z_k, 0 ..]`; NaN for a traced size that is odd or out of range.

    Raises:
        ValueError: for a size that is odd or out of range.

    >>> print(padded_prefix(jnp.arange(1.0, 7.0), jnp.array(4)))
    [1. 2. 0. 3. 4. 0.]
    """
    dim = z.shape[-1]
    if is_concrete(size) and not (2 <= size <= dim and size % 2 == 0):
        raise ValueError(f"size is {size}; it must be even, and between 2 and {dim}")
    place = jnp.arange((dim + 1) // 2)
    inside = place < size // 2
    halves = [jnp.where(inside, jnp.take(z, start + place, axis=-1, mode="clip"), 0) for start in (0, size // 2)]
    fits = (size >= 2) & (size <= dim) & (size % 2 == 0)
    return jnp.where(fits, jnp.concatenate(halves, axis=-1), jnp.nan)


def prefix(z: Float[Array, "*batch dim"], size: int | Int[Array, ""]) -> Float[Array, "*batch width"]:
    """`z[..., :size]` for a number, `padded_prefix` for a traced one.

    Raises:
        ValueError: for a number that is not between 1 and `dim`.
    """
    return truncate(z, int(size), normalize=False) if is_concrete(size) else padded_prefix(z, size)

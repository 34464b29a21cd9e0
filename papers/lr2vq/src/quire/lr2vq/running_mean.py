"""The running mean: section 2 of the paper."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real


def running_mean(x: Real[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """Mean of everything so far, `y_i = 1/i sum_{j <= i} x_j`. (1)

    Args:
        x: numbers `[..., n]`; integers are promoted to floating point.

    Returns:
        `[..., n]`.

    Raises:
        ValueError: if there is no number to take a mean of.

    >>> running_mean(jnp.array([1.0, 2.0, 6.0])).tolist()
    [1.0, 1.5, 3.0]
    """
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x has shape {x.shape}; a running mean needs at least one number on its last axis")
    x = x.astype(jnp.result_type(x, float))
    count = jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    return jnp.cumsum(x, axis=-1) / jnp.broadcast_to(count, x.shape)

"""Dropout with an explicit key."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def dropout(x: Float[Array, "*shape"], rate: float, key: jax.Array | None) -> Float[Array, "*shape"]:
    """Zero each entry with probability `rate` and divide the others by `1 - rate`; without a key nothing happens.

    Raises:
        ValueError: if `rate` lies outside `[0, 1)`.

    >>> print(dropout(jnp.ones(3), 0.5, None))
    [1. 1. 1.]
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; a probability to drop lies in [0, 1)")
    if key is None or rate == 0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)

"""Dropout and stochastic depth, with an explicit key."""

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
    return _drop(x, rate, key, x.shape)


def drop_path(x: Float[Array, "batch *shape"], rate: float, key: jax.Array | None) -> Float[Array, "batch *shape"]:
    """Stochastic depth: `dropout` of whole samples, for the branch of a residual block, `x + drop_path(branch(x), ...)`.

    Raises:
        ValueError: if `rate` lies outside `[0, 1)`, or x is a single number.

    >>> print(drop_path(jnp.ones((4, 3)), 0.5, jax.random.key(1)).sum(1))
    [6. 0. 6. 6.]
    """
    if x.ndim == 0:
        raise ValueError("x is a single number; its first axis must be that of the samples")
    return _drop(x, rate, key, (x.shape[0],) + (1,) * (x.ndim - 1))


def _drop(x, rate, key, shape):
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; a probability to drop lies in [0, 1)")
    if key is None or rate == 0:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, shape), x / (1 - rate), 0)

"""Initial weights that several papers draw alike."""

import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checks import check_at_least


def uniform_fan_in(fan_in: int) -> nnx.Initializer:
    """Uniform in `± 1 / sqrt(fan_in)`, the default of PyTorch's linear layers, for weights and biases.

    Raises:
        ValueError: if `fan_in` is below 1.
    """
    bound = check_at_least("fan_in", fan_in) ** -0.5
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


def linear(fan_in: int, fan_out: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear map whose weights and biases start as PyTorch's do."""
    init = uniform_fan_in(fan_in)
    return nnx.Linear(fan_in, fan_out, use_bias=use_bias, kernel_init=init, bias_init=init, rngs=rngs)


def he_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """He's normal weights, of variance `2 / fan_in`, the last axis of `shape` being the outputs.

    Drawn on the host, also inside of a traced function: JAX would compile a generator for every shape, which takes a network
    longer than everything else in its construction.

    >>> weights = he_normal(jax.random.key(0), (3, 3, 50, 100))
    >>> print(weights.shape, f"{weights.std() * (9 * 50 / 2) ** 0.5:.2f}")
    (3, 3, 50, 100) 1.00
    """
    return normal((2 / math.prod(shape[:-1])) ** 0.5)(key, shape, dtype)


def normal(std: float) -> nnx.Initializer:
    """Normal weights of standard deviation `std`, drawn on the host as those of `he_normal`.

    Raises:
        ValueError: if `std` is negative.

    >>> print(f"{normal(0.02)(jax.random.key(0), (100, 100)).std():.3f}")
    0.020
    """
    if std < 0:
        raise ValueError(f"std is {std}; it must be at least 0")

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        def draw(data):
            return (std * np.random.default_rng(np.asarray(data)).standard_normal(shape)).astype(dtype)

        data = jax.random.key_data(key)
        if isinstance(data, jax.core.Tracer):
            return jax.pure_callback(draw, jax.ShapeDtypeStruct(shape, dtype), data, vmap_method="sequential")
        return jnp.asarray(draw(data))

    return init

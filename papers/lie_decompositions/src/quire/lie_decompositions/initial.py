"""Initial weights: uniform numbers, drawn on the host."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.special import erf

from quire.common.checks import is_concrete
from quire.common.layers.initialisers import normal


def uniform(bound: float) -> nnx.Initializer:
    """Uniform in `+-bound`: the error function of normal numbers, which are drawn without compiling a generator for every shape.

    >>> weights = uniform(0.5)(jax.random.key(0), (1000,))
    >>> print(f"{abs(weights).max():.1f} {weights.std() * 12**0.5:.1f}")
    0.5 1.0
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        numbers = normal(math.sqrt(0.5))(key, shape, dtype)
        if not is_concrete(numbers):
            return bound * jax.lax.erf(numbers)
        return jnp.asarray(bound * erf(np.asarray(numbers)), dtype)

    return init


def linear(fan_in: int, fan_out: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear map whose weights and biases start uniform in `+-1 / sqrt(fan_in)`."""
    init = uniform(fan_in**-0.5)
    return nnx.Linear(fan_in, fan_out, use_bias=use_bias, kernel_init=init, bias_init=init, rngs=rngs)

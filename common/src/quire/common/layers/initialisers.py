"""Initial weights that several papers draw alike."""

import jax
import jax.numpy as jnp
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

"""Initial weights of all layers: normal, drawn on the host."""

import jax.numpy as jnp
from flax import nnx

from quire.common.layers.initialisers import normal


def normal_weights(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int = 1) -> nnx.Param:
    """Normal weights of variance `1 / fan_in`, in JAX's default float.

    >>> normal_weights(nnx.Rngs(0), (4, 3), 4).shape
    (4, 3)
    """
    return nnx.Param(normal(fan_in**-0.5)(rngs.params(), shape, jnp.result_type(float)))

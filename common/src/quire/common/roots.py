"""Square roots and lengths that have a derivative everywhere: at zero, where a root has no slope, it is zero."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Real

from quire.common.checks import floating


def root(x: Real[Array | np.ndarray, "*shape"]) -> Array:
    """`sqrt(x)` with the derivative 0 at 0; NaN stays NaN.

    >>> import jax
    >>> float(root(jnp.array(4.0))), float(jax.grad(root)(0.0))
    (2.0, 0.0)
    """
    (x,) = floating(x)
    zero = x == 0  # not `x > 0`, which would turn NaN into a number
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def length(x: Real[Array | np.ndarray, "*shape d"]) -> Array:
    """Euclidean length of the last axis, with the derivative 0 at the zero vector.

    >>> length(jnp.array([3.0, 4.0])).item()
    5.0
    """
    (x,) = floating(x)
    return root(jnp.sum(x**2, axis=-1))

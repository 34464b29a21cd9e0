"""How many directions a representation uses: its singular values and their entropy.

References:
    Roy and Vetterli, *The effective rank: A measure of effective dimensionality*, 2007.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import at_least_float32


def singular_values(z: Float[Array, "n dim"]) -> Float[Array, " k"]:
    """Singular values of the centred rows, descending; `k = min(n, dim)`. Rows that are all equal give exact zeros.

    Raises:
        ValueError: if there are no rows.
    """
    if z.ndim != 2 or not len(z):
        raise ValueError(f"z has shape {z.shape}; it needs rows [n, dim], at least one")
    (z,) = at_least_float32(z)
    z = z - z[:1]  # exact where all are equal, and the mean that is left costs no digits
    return jnp.linalg.svd(z - z.mean(axis=0, keepdims=True), compute_uv=False)


def log_singular_values(z: Float[Array, "n dim"]) -> Float[Array, " k"]:
    """Natural logarithms of `singular_values`; a collapsed direction shows as minus infinity, or what rounding leaves of it."""
    return jnp.log(singular_values(z))


def effective_rank(z: Float[Array, "n dim"]) -> Float[Array, ""]:
    """`exp(-sum p log p)` with p the singular values over their sum: 1 for a line, dim for a ball; 0 if all are equal.

    >>> print(f"{effective_rank(jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])):.3f}")
    2.000
    """
    values = singular_values(z)
    total = values.sum()
    equal = total == 0
    p = values / jnp.where(equal, 1, total)
    entropy = -jnp.sum(p * jnp.log(jnp.where(p == 0, 1, p)))
    return jnp.where(equal, total, jnp.exp(entropy))

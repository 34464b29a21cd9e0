"""What a solution should keep: mass and energy of fields given by their values at evenly spread points."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.fields.operators import Field, divergence

Values = Float[Array, "*series n m"] | Float[np.ndarray, "*series n m"]


def mass(values: Values) -> Float[Array, "*series"]:
    """Mean value over points, summed over components; constant under advection by a velocity without divergence."""
    return jnp.asarray(values).mean(axis=-2).sum(axis=-1)


def kinetic_energy(values: Values) -> Float[Array, "*series"]:
    """`mean |u|^2 / 2` over points; constant for an inviscid fluid in a box.

    >>> print(kinetic_energy(jnp.array([[3.0, 4.0], [0.0, 0.0]])))
    6.25
    """
    return 0.5 * jnp.sum(jnp.asarray(values) ** 2, axis=-1).mean(axis=-1)


def root_mean_square_divergence(velocity: Field, points: Float[Array, "n d"]) -> Float[Array, ""]:
    """`sqrt(mean (div u)^2)` over points."""
    return jnp.sqrt(jnp.mean(jax.vmap(lambda x: divergence(velocity, x))(points) ** 2))

"""Derivatives of a field in space, at one point; `jax.vmap` takes them to many.

A field is a function of one point, `f(x[d]) -> [m]`. Derivatives are forward mode: space has one to three dimensions, while
parameters, which are many, are left to reverse mode outside.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import floating

Field = Callable[[Array], Array]
"""`f(x[d]) -> [m]`."""


def value_and_jacobian(field: Field, x: Float[Array, " d"]) -> tuple[Float[Array, " m"], Float[Array, "m d"]]:
    """Value and Jacobian `J[i, k] = d f_i / d x_k`, from one forward pass with d tangents.

    >>> value, jacobian = value_and_jacobian(lambda x: jnp.stack([x[0] * x[1], x[0] ** 2]), jnp.array([2.0, 3.0]))
    >>> print(value, jacobian.tolist())
    [6. 4.] [[3.0, 2.0], [4.0, 0.0]]
    """
    (x,) = floating(x)
    value, tangents = jax.vmap(lambda v: jax.jvp(field, (x,), (v,)), out_axes=(None, -1))(jnp.eye(x.size, dtype=x.dtype))
    return value, tangents


def jacobian(field: Field, x: Float[Array, " d"]) -> Float[Array, "m d"]:
    """`J[i, k] = d f_i / d x_k`."""
    return value_and_jacobian(field, x)[1]


def gradient(field: Field, x: Float[Array, " d"]) -> Float[Array, " d"]:
    """Gradient of a field with one component.

    Raises:
        ValueError: if the field has more components.
    """
    rows = jacobian(field, x)
    if rows.shape[0] != 1:
        raise ValueError(f"field has {rows.shape[0]} components; a gradient needs 1 (use jacobian)")
    return rows[0]


def divergence(field: Field, x: Float[Array, " d"]) -> Float[Array, ""]:
    """`sum_k d f_k / d x_k` of a field with as many components as space has dimensions.

    Raises:
        ValueError: for another number of components.
    """
    rows = jacobian(field, x)
    if rows.shape[0] != rows.shape[1]:
        raise ValueError(f"field has {rows.shape[0]} components in dimension {rows.shape[1]}; a divergence needs as many")
    return jnp.trace(rows)


def laplacian(field: Field, x: Float[Array, " d"]) -> Float[Array, " m"]:
    """`sum_k d^2 f / d x_k^2`, by two nested forward passes along each axis; the mixed derivatives are never formed.

    >>> print(laplacian(lambda x: jnp.sum(x**3, keepdims=True), jnp.array([1.0, 2.0])))
    [18.]
    """

    (x,) = floating(x)

    def second(v):
        return jax.jvp(lambda y: jax.jvp(field, (y,), (v,))[1], (x,), (v,))[1]

    return jax.vmap(second)(jnp.eye(x.size, dtype=x.dtype)).sum(axis=0)

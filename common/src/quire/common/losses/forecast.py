"""Losses of the M4 competition: absolute errors in units of the series.

Each has a mask of 0 and 1; masked steps count in the denominator of the mean, and a quotient by zero is taken as 0.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def smape_loss(
    forecast: Float[Array, "b h"], target: Float[Array, "b h"], mask: Float[Array, "b h"] | None = None
) -> Float[Array, ""]:
    """`200 mean(|f - y| / (|f| + |y|) mask)`; the denominator carries no gradient.

    >>> print(smape_loss(jnp.array([[1.0, 0.0]]), jnp.array([[3.0, 0.0]])))
    50.0
    """
    scale = jax.lax.stop_gradient(jnp.abs(forecast) + jnp.abs(target))
    return 200 * jnp.mean(_masked(jnp.abs(forecast - target), scale, mask))


def mape_loss(
    forecast: Float[Array, "b h"], target: Float[Array, "b h"], mask: Float[Array, "b h"] | None = None
) -> Float[Array, ""]:
    """`mean(|f - y| mask / y)`, without the factor 100 and with the sign of y, as published code has it."""
    return jnp.mean(_masked(jnp.abs(forecast - target), target, mask))


def mase_loss(
    insample: Float[Array, "b t"],
    forecast: Float[Array, "b h"],
    target: Float[Array, "b h"],
    frequency: int,
    mask: Float[Array, "b h"] | None = None,
) -> Float[Array, ""]:
    """`mean(|f - y| mask / s)` with `s = mean_t |x_t - x_(t - frequency)|` of each series.

    Args:
        insample: the series before the forecast, longer than `frequency`.
        forecast, target, mask: `[b, h]`.
        frequency: steps in a season.

    Raises:
        ValueError: if `frequency` does not lie between 1 and the length of `insample` less 1.
    """
    if not 1 <= frequency < insample.shape[1]:
        raise ValueError(f"frequency is {frequency}; it must lie between 1 and {insample.shape[1] - 1}")
    seasonal = jnp.abs(insample[:, frequency:] - insample[:, :-frequency]).mean(axis=1, keepdims=True)
    return jnp.mean(_masked(jnp.abs(forecast - target), jnp.broadcast_to(seasonal, target.shape), mask))


def _masked(error: Array, scale: Array, mask: Array | None) -> Array:
    """`error * mask / scale`, 0 where the scale is 0; both branches are finite, so that gradients are."""
    quotient = jnp.where(scale == 0, 0, error / jnp.where(scale == 0, 1, scale))
    return quotient if mask is None else quotient * mask

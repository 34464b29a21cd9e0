"""Losses of the M4 competition: absolute errors in units of the series.

Each has a mask of 0 and 1; masked steps count in the denominator of the mean, whatever they hold, and a quotient by zero is
taken as 0. All raise `ValueError` if the shapes differ or there is no step.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import floating


def smape_loss(
    forecast: Float[Array, "b h"], target: Float[Array, "b h"], mask: Float[Array, "b h"] | None = None
) -> Float[Array, ""]:
    """`200 mean(|f - y| / (|f| + |y|) mask)`; the denominator carries no gradient.

    >>> print(smape_loss(jnp.array([[1.0, 0.0]]), jnp.array([[3.0, 0.0]])))
    50.0
    """
    forecast, target, mask = _steps(forecast, target, mask)
    scale = jax.lax.stop_gradient(jnp.abs(forecast) + jnp.abs(target))
    return 200 * jnp.mean(_masked(jnp.abs(forecast - target), scale, mask))


def mape_loss(
    forecast: Float[Array, "b h"], target: Float[Array, "b h"], mask: Float[Array, "b h"] | None = None
) -> Float[Array, ""]:
    """`mean(|f - y| mask / y)`, without the factor 100 and with the sign of y, as published code has it."""
    forecast, target, mask = _steps(forecast, target, mask)
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
    forecast, target, mask = _steps(forecast, target, mask)
    if insample.shape[0] != target.shape[0]:
        raise ValueError(f"insample has {insample.shape[0]} series and target {target.shape[0]}; they must be the same")
    (insample,) = floating(insample)
    seasonal = jnp.abs(insample[:, frequency:] - insample[:, :-frequency]).mean(axis=1, keepdims=True)
    return jnp.mean(_masked(jnp.abs(forecast - target), jnp.broadcast_to(seasonal, target.shape), mask))


def _steps(forecast: Array, target: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    """The three as floating-point numbers of one shape, with zeros where the mask is 0, lest something that is missing counts."""
    shapes = [x.shape for x in (forecast, target, mask) if x is not None]
    if len(set(shapes)) > 1 or 0 in shapes[0]:
        raise ValueError(f"forecast, target and mask have shapes {shapes}; they must be the same, with at least one step")
    forecast, target = floating(forecast, target)
    if mask is None:
        return forecast, target, jnp.ones_like(target)
    return jnp.where(mask == 0, 0, forecast), jnp.where(mask == 0, 0, target), mask.astype(target.dtype)


def _masked(error: Array, scale: Array, mask: Array) -> Array:
    """`error * mask / scale`, 0 where the scale is 0; both branches are finite, so that gradients are."""
    return jnp.where(scale == 0, 0, error / jnp.where(scale == 0, 1, scale)) * mask

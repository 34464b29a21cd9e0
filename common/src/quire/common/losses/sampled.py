"""Losses over a large set of classes that look at a few drawn ones only."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.checks import check_positive, floating


def negative_sampling_loss(
    positive: Real[Array, "*batch"],
    negative: Real[Array, "*batch k"],
    weight: Real[Array, "*#batch k"] | float = 1.0,
    *,
    saturation: float | None = None,
) -> Float[Array, "*batch"]:
    """One binary classification for the true class and each drawn one, `-log sig(s) - sum_k w_k log sig(-s_k)`.

    Args:
        positive: score of the true class.
        negative: scores of the drawn classes.
        weight: of every drawn class, not negative: 0 for one that does not count, `K / k` where k of them are shared by a batch
            and stand for K. Shapes broadcast by their sizes of one.
        saturation: beyond this score the *derivative* by it is 0 or ±1, as word2vec's table of the sigmoid has it (6 there); the
            loss itself stays.

    Returns:
        The loss of every example, in nats.

    Raises:
        ValueError: if shapes do not fit, or the saturation is not positive.

    >>> loss = negative_sampling_loss(jnp.array(0.0), jnp.array([0.0, 0.0]), jnp.array([1.0, 0.5]))
    >>> print(f"{loss:.4f}")
    1.7329

    References:
        Mikolov et al. 2013, equation 4.
    """
    positive, negative, weight = floating(positive, negative, jnp.asarray(weight))
    if negative.ndim != positive.ndim + 1 or negative.shape[:-1] != positive.shape:
        raise ValueError(
            f"negative has shape {negative.shape}; it needs that of positive and one axis more, {positive.shape} + (k,)"
        )
    if weight.ndim not in (0, negative.ndim):
        raise ValueError(f"weight has shape {weight.shape}; it needs as many axes as negative, {negative.ndim}, or none")
    log_sigmoid = jax.nn.log_sigmoid
    if saturation is not None:
        log_sigmoid = partial(_saturated_log_sigmoid, check_positive("saturation", saturation))
    return -log_sigmoid(positive) - jnp.sum(weight * log_sigmoid(-negative), axis=-1)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _saturated_log_sigmoid(limit: float, score: Array) -> Array:
    return jax.nn.log_sigmoid(score)


@_saturated_log_sigmoid.defjvp
def _(limit, primals, tangents):
    (score,), (tangent,) = primals, tangents
    return jax.nn.log_sigmoid(score), saturated_slope(score, limit) * tangent


def saturated_slope(score: Real[Array, "*shape"], limit: float = 6.0) -> Float[Array, "*shape"]:
    """Derivative `1 - sig(s)` of `log sig(s)`, but 0 above the limit and 1 below minus the limit.

    >>> print(saturated_slope(jnp.array([-7.0, 0.0, 7.0])))
    [1.  0.5 0. ]
    """
    (score,) = floating(score)
    return jnp.where(score > limit, 0.0, jnp.where(score < -limit, 1.0, jax.nn.sigmoid(-score)))

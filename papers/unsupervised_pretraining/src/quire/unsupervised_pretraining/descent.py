"""Gradient descent on the whole of the data: for likelihoods and risks that have no closed form."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


@partial(jax.jit, static_argnames=("loss", "steps"))
def descend(
    loss: Callable[[Any, Any], Float[Array, ""]], params: Any, data: Any, rate: float | Array, *, steps: int
) -> tuple[Any, Float[Array, " steps"]]:
    """Adam with a rate that falls to zero as a cosine; the minimum is then met to many digits.

    Args:
        loss: `loss(params, data)`, of all data at once.
        params: where to start, a pytree.
        data: arrays that the loss needs.
        rate: the first learning rate.
        steps: how many.

    Returns:
        Parameters, and the loss before every step. What diverges is NaN in both.
    """
    tx = optax.adam(optax.cosine_decay_schedule(1.0, max(steps, 1)))

    def step(carry, _):
        params, state = carry
        value, slope = jax.value_and_grad(loss)(params, data)
        updates, state = tx.update(slope, state)
        return (optax.apply_updates(params, jax.tree.map(lambda u: (rate * u).astype(u.dtype), updates)), state), value

    params = jax.tree.map(jnp.asarray, params)
    (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), None, length=steps)
    return params, losses

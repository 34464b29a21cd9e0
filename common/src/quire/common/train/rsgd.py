"""Stochastic gradient descent on subspaces, as an optax transformation.

References:
    Bonnabel, *Stochastic Gradient Descent on Riemannian Manifolds*, 2013; Wang, *Get the Best of Both Worlds*, 2023, section 3.3.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from quire.common.checks import check_at_least
from quire.common.manifolds.grassmann import exp, project_tangent, qr_retract, transport


class RsgdState(NamedTuple):
    """Steps done, and the momentum of every basis."""

    count: Array
    momentum: optax.Updates


def rsgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    *,
    dampening: float = 0.0,
    reorth_every: int = 5,
    move: Callable[[Array, Array, Array], Array] = exp,
    retract: Callable[[Array], Array] = qr_retract,
    transport_momentum: bool = False,
) -> optax.GradientTransformation:
    """Moves orthonormal bases `[..., d, k]` along geodesics against the gradient; `optax.apply_updates` then gives bases again.

    `M <- momentum M + (1 - dampening) D` (M = D at first), `G = M - S S^T M`, and S goes the geodesic of -G for the learning
    rate. The first step and every `reorth_every`-th after it end with a retraction, which takes off what rounding adds. Columns
    of zeros at the end, which pad subspaces of fewer dimensions to one shape, stay zeros.

    Args:
        learning_rate: length of a step, or a schedule.
        momentum: share of the last direction that is kept.
        dampening: share of the gradient that is left out of it.
        reorth_every: steps between retractions.
        move: `(S, tangent, time) -> S`: `exp`, `exp_by_gram` where k is much smaller than d, or
            `lambda s, g, t: qr_retract(s + t * g)`, a step off the manifold and back.
        retract: to an orthonormal basis of the same subspace. A plain QR decomposition, as in the authors' code, may turn columns
            around, which the momentum does not follow.
        transport_momentum: carry the momentum along the geodesic to where the basis goes; otherwise it stays as it is
            (Euclidean), and is projected anew.

    Raises:
        ValueError: for numbers out of range; in `update`, without parameters.
    """
    check_at_least("reorth_every", reorth_every)
    if not 0 <= momentum < 1 or not 0 <= dampening <= 1:
        raise ValueError(f"momentum is {momentum} and dampening {dampening}; they must lie in [0, 1) and [0, 1]")

    def init(params):
        return RsgdState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("rsgd needs the parameters: call update(gradients, state, params)")
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        share = jnp.where(state.count == 0, 1.0, 1 - dampening)
        moved = jax.tree.map(lambda m, d: momentum * m + share.astype(d.dtype) * d, state.momentum, updates)
        again = state.count % reorth_every == 0

        def step(basis, direction):
            tangent = -project_tangent(basis, direction)
            end = move(basis, tangent, jnp.asarray(rate, basis.dtype))
            end = jax.lax.cond(again, retract, lambda b: b, end)
            pads = jnp.all(basis == 0, axis=-2, keepdims=True)
            return jnp.where(pads, 0, end) - basis

        steps = jax.tree.map(step, params, moved)
        if transport_momentum:

            def carry(basis, m):
                tangent = project_tangent(basis, m)
                return transport(basis, -tangent, tangent, jnp.asarray(rate, basis.dtype))

            moved = jax.tree.map(carry, params, moved)
        return steps, RsgdState(state.count + 1, moved)

    return optax.GradientTransformation(init, update)


def retracted(tx: optax.GradientTransformation, retract: Callable[[Array], Array] = qr_retract) -> optax.GradientTransformation:
    """Another optimiser, every step of which is followed by a retraction: descent that does not know of the manifold.

    Args:
        tx: the optimiser.
        retract: of each `[..., d, k]`.

    Raises:
        ValueError: in `update`, without parameters.

    >>> tx = retracted(optax.sgd(1.0))
    >>> line = jnp.array([[1.0], [0.0]])
    >>> updates, _ = tx.update(jnp.array([[0.0], [-1.0]]), tx.init(line), line)
    >>> print((line + updates).round(3).ravel())
    [0.707 0.707]
    """

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("retracted needs the parameters: call update(gradients, state, params)")
        updates, state = tx.update(updates, state, params)
        return jax.tree.map(lambda basis, step: retract(basis + step) - basis, params, updates), state

    return optax.GradientTransformation(tx.init, update)

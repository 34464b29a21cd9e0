"""Learners: pooled least squares, the best worst case (group DRO), and invariant risk minimisation of a linear representation."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive
from quire.common.random import generator
from quire.pac_invariance.invariance import optimal_predictor, orthonormal_rows, risk
from quire.pac_invariance.moments import Moments, check_environments, mix, pooled


def erm(moments: Moments) -> Float[Array, "*batch d"]:
    """Least squares on all covariates and all environments together."""
    return optimal_predictor(pooled(moments))


def group_dro(moments: Moments, *, steps: int = 200, rate: float = 0.3) -> Float[Array, " d"]:
    """The predictor whose largest risk over the training environments is smallest.

    `min_b max_e R_e(b) = max_q min_b sum_e q_e R_e(b)` over weights q: multiplicative updates, with the best b each time. The
    predictor with the smallest worst risk of all that were met is returned.

    Args:
        moments: of x and y, an axis of environments.
        steps: updates.
        rate: of the updates, in units of one over the mean risk at the start.

    Raises:
        ValueError: without an environment or a step, or for a rate that is not positive.
    """
    check_environments(moments)
    check_at_least("steps", steps)
    check_positive("rate", rate)
    return _group_dro(moments, rate, steps)


@partial(jax.jit, static_argnames="steps")
def _group_dro(moments: Moments, rate: float | Array, steps: int) -> Array:
    unit = risk(moments, erm(moments)).mean()
    unit = jnp.where(unit > 0, unit, 1)

    def step(carry, _):
        log_weights, best, least = carry
        weights = jax.nn.softmax(log_weights)
        b = optimal_predictor(Moments(*(jnp.tensordot(weights, part, 1) for part in moments)))
        risks = risk(moments, b)
        better = risks.max() < least
        return (log_weights + rate * risks / unit, jnp.where(better, b, best), jnp.minimum(risks.max(), least)), None

    start = jnp.zeros_like(moments.yy), erm(moments), risk(moments, erm(moments)).max()
    return jax.lax.scan(step, start, length=steps)[0][1]


class LinearRepresentation(NamedTuple):
    """A representation with orthonormal rows `[k, d]` and the predictor from it `[k]`."""

    phi: Float[Array, "k d"]
    w: Float[Array, " k"]

    @property
    def coefficients(self) -> Float[Array, " d"]:
        """`phi^T w`, what the covariates are multiplied with."""
        return self.phi.T @ self.w


def irm_linear(
    moments: Moments, start: Float[Array | np.ndarray, "k d"], *, lam: float | Array = 10.0, steps: int = 500, rate: float = 0.02
) -> LinearRepresentation:
    """Invariant risk minimisation: mean risk, and a penalty where the shared predictor is not the best (Arjovsky et al. 2019).

    `mean_e R_e(phi, w) + lam |grad_w R_e(phi, w)|^2` by Adam. The penalty of IRMv1 vanishes as phi shrinks and w grows; here phi
    has orthonormal rows, made so in every step, and w is free. At the end w is the best one for all environments together.

    Args:
        moments: of x and y, an axis of environments.
        start: phi at the start, its rows orthonormalised; see `irm_start`.
        lam: weight of the penalty.
        steps: of Adam, with a rate that falls as a cosine.
        rate: at the start.

    Raises:
        ValueError: without an environment or a step, or for sizes that do not fit.
    """
    check_environments(moments)
    check_at_least("steps", steps)
    return _irm_linear(moments, jnp.asarray(start, moments.xx.dtype), lam, rate, steps)


@partial(jax.jit, static_argnames="steps")
def _irm_linear(moments: Moments, phi: Array, lam: float | Array, rate: float | Array, steps: int) -> LinearRepresentation:
    def loss(params):
        seen = mix(moments, orthonormal_rows(params["phi"]))
        gradient = 2 * ((seen.xx @ params["w"][:, None])[..., 0] - seen.xy)
        return (risk(seen, params["w"]) + lam * (gradient**2).sum(-1)).mean() / (1 + lam)

    tx = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    params = {"phi": phi, "w": optimal_predictor(pooled(moments), orthonormal_rows(phi))}
    params = jax.lax.scan(step, (params, tx.init(params)), length=steps)[0][0]
    phi = orthonormal_rows(params["phi"])
    return LinearRepresentation(phi, optimal_predictor(pooled(moments), phi))


def irm_start(key: jax.Array, k: int, d: int) -> Float[np.ndarray, "k d"]:
    """A random representation to start from.

    Raises:
        ValueError: unless 1 <= k <= d.
    """
    if not 1 <= k <= d:
        raise ValueError(f"k is {k}; it must lie between 1 and the {d} covariates")
    return generator(key).standard_normal((k, d))

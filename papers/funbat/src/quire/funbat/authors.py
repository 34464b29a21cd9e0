"""The authors' conventions: their layout of the core, and their way of predicting between coordinates."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.tensors.state_space import SDE, discretise
from quire.funbat.cep import inverse
from quire.funbat.model import Gaussian


def from_authors_core(x: Float[AnyArray, "*size"], rank: int) -> Float[np.ndarray, "*size"]:
    """The authors' `gamma`, whose slowest index is that of the *last* mode, in the order of this package: first mode slowest.

    Args:
        x: `[R^K]`, or a covariance `[R^K, R^K]`.
        rank: R.

    Raises:
        ValueError: if an axis is not a power of the rank, or there is none.

    >>> from_authors_core(np.array([0.0, 1.0, 2.0, 3.0]), 2).tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    check_at_least("rank", rank)
    x = np.asarray(x)
    modes = round(np.log(max(len(x), 1)) / np.log(rank)) if x.ndim and rank > 1 else 1
    if not x.ndim or any(size != rank**modes for size in x.shape):
        raise ValueError(f"x has shape {x.shape}; every axis needs to be a power of the rank, {rank}")
    order = np.arange(rank**modes).reshape((rank,) * modes).transpose().reshape(-1)
    return x[np.ix_(*(order,) * x.ndim)]


@jax.jit
def authors_merge(
    t: Real[AnyArray, " coordinates"],
    mean: Float[AnyArray, "coordinates state"],
    covariance: Float[AnyArray, "coordinates state state"],
    sde: SDE,
    t_new: Real[AnyArray, " new"],
) -> Gaussian:
    """Functions at new coordinates as the authors predict them, from the smoothed states of the two neighbours.

    With the gaps d1 and d2 to them, `O_i = A_i P_i A_i^T + Q_i`, `P* = (O_1^{-1} + A_2^T O_2^{-1} A_2)^{-1}` and
    `m* = P* (O_1^{-1} A_1 m_1 + O_2^{-1} A_2 m_2)`. Both neighbours know all observations, so that these count twice; the product
    that is meant has another `A_2^T` in its second term. `functions_at` is exact. Beyond the last coordinate and, by the process
    run backwards, before the first, this is exact too; a coordinate of the chain keeps its own posterior.

    Args:
        t: coordinates of the states, ascending.
        mean, covariance: from `rts_smoother`.
        sde: from `matern_sde`.
        t_new: anywhere.
    """
    t_new = jnp.asarray(t_new, t.dtype)
    left = jnp.searchsorted(t, t_new, side="right") - 1
    first, second = jnp.maximum(left, 0), jnp.minimum(left + 1, len(t) - 1)
    (a1, q1), (a2, q2) = (discretise(sde, gap) for gap in (jnp.maximum(t_new - t[first], 0), jnp.maximum(t[second] - t_new, 0)))
    forth = _step(a1, q1, mean[first], covariance[first])
    back_a = sde.stationary @ _t(a2) @ inverse(sde.stationary)
    back_q = sde.stationary[None] - back_a @ sde.stationary @ _t(back_a)
    back = _step(back_a, back_q, mean[second], covariance[second])
    merged = _merged(forth, _step(a2, q2, mean[second], covariance[second]), a2)
    before, known = left < 0, t_new == t[first]
    beyond = left == len(t) - 1

    def chosen(forth, back, merged):
        axes = tuple(range(1, forth.ndim))
        at_end = jnp.expand_dims(beyond | known, axes)
        return jnp.where(jnp.expand_dims(before, axes), back, jnp.where(at_end, forth, merged))

    m, p = (chosen(*parts) for parts in zip(forth, back, merged, strict=True))
    return Gaussian(m @ sde.observation.T, sde.observation @ p @ sde.observation.T)


def _merged(first: Gaussian, second: Gaussian, a2: Float[Array, "new state state"]) -> Gaussian:
    o1, o2 = (cho_factor(x.covariance) for x in (first, second))
    identity = jnp.broadcast_to(jnp.eye(a2.shape[-1], dtype=a2.dtype), a2.shape)
    p = inverse(cho_solve(o1, identity) + _t(a2) @ cho_solve(o2, a2))
    pull = cho_solve(o1, first.mean[..., None]) + cho_solve(o2, second.mean[..., None])
    return Gaussian((p @ pull)[..., 0], p)


def _step(a: Array, q: Array, mean: Array, covariance: Array) -> Gaussian:
    return Gaussian((a @ mean[..., None])[..., 0], a @ covariance @ _t(a) + q)


def _t(x: Array) -> Array:
    return jnp.swapaxes(x, -1, -2)

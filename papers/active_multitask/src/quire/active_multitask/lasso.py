"""The LASSO from an estimated target head to estimated source heads, by FISTA (Beck and Teboulle 2009) with restarts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.active_multitask.relevance import AnyReal, check_heads
from quire.common.checks import check_at_least, is_concrete

PATH = np.geomspace(1.0, 1e-3, 40)
"""Penalties of a path, as parts of the least one that makes every coefficient zero."""


class _State(NamedTuple):
    nu: Array
    ahead: Array
    momentum: Array
    change: Array
    iteration: Array


def soft_threshold(x: Float[Array, "*shape"], by: float | Array) -> Float[Array, "*shape"]:
    """`sign(x) max(|x| - by, 0)`, the proximal map of the 1-norm.

    >>> print(soft_threshold(jnp.array([3.0, 0.5]), 1.0))
    [2. 0.]
    """
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - by, 0)


def lasso(
    W: Real[AnyReal, "k tasks"], w: Real[AnyReal, " k"], lam: float | Array | np.ndarray, *, iters: int = 20_000
) -> Float[Array, " tasks"]:
    """`argmin_nu 0.5 ||W nu - w||_2^2 + lam ||nu||_1`.

    Momentum starts again whenever it points uphill. The loop ends when a step changes nothing but the last digits.

    Args:
        W: heads of the source tasks, a column each; their lengths count and are not normalised away.
        w: head of the target.
        lam: penalty, at least 0, in units of `W^T w`.
        iters: at most so many steps; where a penalty far below the largest needs more, what is reached by then is returned.

    Returns:
        Coefficients of the tasks. Traceable and for `vmap`, forward only.

    Raises:
        ValueError: for shapes that do not fit, a negative penalty, or fewer steps than one.

    >>> print(np.round(lasso(np.array([[1.0, 0.5]]), np.array([1.0]), 0.25).tolist(), 3))
    [0.75 0.  ]
    """
    W, w = check_heads(W, w)
    check_at_least("iters", iters)
    if is_concrete(lam) and not np.asarray(lam) >= 0:
        raise ValueError(f"lam is {lam}; it must be at least 0")
    return _fista(W, w, jnp.asarray(lam, W.dtype), iters)


@partial(jax.jit, static_argnames="iters")
def _fista(W: Array, w: Array, lam: Array, iters: int) -> Array:
    scale = jnp.maximum(jnp.linalg.norm(W, 2) ** 2, jnp.finfo(W.dtype).tiny)
    tolerance = 4 * jnp.finfo(W.dtype).eps

    def step(s: _State) -> _State:
        nu = soft_threshold(s.ahead - W.T @ (W @ s.ahead - w) / scale, lam / scale)
        uphill = jnp.vdot(s.ahead - nu, nu - s.nu) > 0
        grown = jnp.where(uphill, 1.0, (1 + jnp.sqrt(1 + 4 * s.momentum**2)) / 2)
        ahead = nu + jnp.where(uphill, 0.0, (s.momentum - 1) / grown) * (nu - s.nu)
        change = jnp.abs(nu - s.ahead).max() / jnp.maximum(jnp.abs(nu).max(), jnp.finfo(nu.dtype).tiny)
        return _State(nu, ahead, grown.astype(nu.dtype), change, s.iteration + 1)

    def unsettled(s: _State) -> Array:
        return (s.change > tolerance) & (s.iteration < iters)

    zero = jnp.zeros(W.shape[1], W.dtype)
    start = _State(zero, zero, jnp.ones((), W.dtype), jnp.full((), jnp.inf, W.dtype), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(unsettled, step, start).nu


def lasso_path(
    W: Real[AnyReal, "k tasks"], w: Real[AnyReal, " k"], parts: Real[AnyReal, " path"] = PATH
) -> tuple[Float[Array, " path"], Float[Array, "path tasks"]]:
    """LASSO for falling penalties, given as parts of `||W^T w||_inf`, from which on everything is zero.

    Returns:
        Penalties and coefficients.

    >>> penalties, nu = lasso_path(np.array([[1.0, 0.5]]), np.array([1.0]), np.array([1.0, 0.5]))
    >>> print(penalties, nu.round(3)[1])
    [1.  0.5] [0.5 0. ]
    """
    W, w = check_heads(W, w)
    penalties = jnp.abs(W.T @ w).max() * jnp.asarray(parts, W.dtype)
    return penalties, jax.vmap(lambda lam: lasso(W, w, lam))(penalties)


def lasso_at_error(W: Real[AnyReal, "k tasks"], w: Real[AnyReal, " k"], error: float | Array) -> Float[Array, " tasks"]:
    """Of the path, the largest penalty whose fit misses w by no more than w itself is known: `||W nu - w||_2 <= error`.

    Args:
        W, w: estimated heads.
        error: standard error of w, as a length.

    Returns:
        Coefficients of the tasks; those of the smallest penalty if none comes so near.

    >>> print(lasso_at_error(np.array([[1.0, 0.5]]), np.array([1.0]), 0.25).round(1))
    [0.8 0. ]
    """
    W, w = check_heads(W, w)
    return _sparsest_near(W, w, jnp.asarray(error, W.dtype))


@jax.jit
def _sparsest_near(W: Array, w: Array, error: Array) -> Array:
    _, nu = lasso_path(W, w)
    near = jnp.linalg.norm(nu @ W.T - jnp.broadcast_to(w, (len(nu), len(w))), axis=1) <= error
    return nu[jnp.where(near.any(), jnp.argmax(near), len(nu) - 1)]

"""Matern Gaussian processes on a line as linear stochastic differential equations: regression in linear time.

A process with a Matern kernel and its first derivatives form a Markov state `z`: `dz = F z dt + noise`, `u = H z`. From one
coordinate to the next, `z' = A z + q`, `q ~ N(0, Q)`; a Kalman filter passes over the coordinates once, a smoother (Rauch, Tung
and Striebel 1965) back once. The result is the Gaussian process posterior, without its cubic cost. Filter and smoother come as a
scan and as an associative scan of logarithmic depth, for machines that are wide.

References:
    Hartikainen and Särkkä, *Kalman filtering and smoothing solutions to temporal Gaussian process regression models*, 2010.
    Särkkä and García-Fernández, *Temporal parallelization of Bayesian smoothers*, 2021, arXiv 1905.13002, lemmas 8 and 10.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import cho_factor, cho_solve, solve_triangular
from jaxtyping import Array, Bool, Float, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, floating, is_concrete

ORDERS = {0.5: 1, 1.5: 2, 2.5: 3}


class SDE(NamedTuple):
    """Independent processes with one kernel, as one state: all values, then all first derivatives, and so on.

    Attributes:
        drift: F `[state, state]`, with one eigenvalue, `-rate`.
        stationary: covariance of the state before anything is observed, `[state, state]`.
        observation: H `[size, state]`, which reads the values off.
        rate: of forgetting, 1 / unit of the coordinate.
    """

    drift: Float[Array, "state state"]
    stationary: Float[Array, "state state"]
    observation: Float[Array, "size state"]
    rate: Float[Array, ""]


def matern_sde(nu: float, variance: ScalarLike, lengthscale: ScalarLike, size: int = 1) -> SDE:
    """Matern kernels of smoothness 1/2, 3/2 or 5/2 in state-space form.

    `k(r) = s exp(-r / l)` for 1/2; `s (1 + a r) exp(-a r)`, `a = sqrt(3) / l`, for 3/2; `s (1 + a r + a^2 r^2 / 3) exp(-a r)`,
    `a = sqrt(5) / l`, for 5/2.

    Args:
        nu: smoothness, 1/2, 3/2 or 5/2.
        variance: s, positive.
        lengthscale: l, positive, in units of the coordinate.
        size: number of independent processes.

    Raises:
        ValueError: for another smoothness, a size below 1, or numbers that are not positive.

    >>> print(np.asarray(matern_sde(1.5, 2.0, 1.0).stationary, float).round(3))
    [[2. 0.]
     [0. 6.]]
    """
    if nu not in ORDERS:
        raise ValueError(f"nu is {nu}; it must be one of {list(ORDERS)}")
    check_at_least("size", size)
    variance, lengthscale = floating(check_positive("variance", variance), check_positive("lengthscale", lengthscale))
    order = ORDERS[nu]
    rate = math.sqrt(2 * nu) / lengthscale
    powers = [-math.comb(order, i) * rate ** (order - i) for i in range(order)]  # of (d/dt + rate)^order
    drift = jnp.eye(order, k=1, dtype=rate.dtype).at[-1].set(jnp.stack(powers))
    moments = jnp.array({1: [[1.0]], 2: [[1, 0], [0, 1]], 3: [[1, 0, -1 / 3], [0, 1 / 3, 0], [-1 / 3, 0, 1]]}[order], rate.dtype)
    scales = rate ** jnp.arange(order)
    stationary = variance * moments * scales[:, None] * scales[None]
    identity = jnp.eye(size, dtype=rate.dtype)
    reads_value = jnp.eye(1, order, dtype=rate.dtype)
    return SDE(jnp.kron(drift, identity), jnp.kron(stationary, identity), jnp.kron(reads_value, identity), rate)


def discretise(
    sde: SDE, gap: Float[Array, "*batch"] | float
) -> tuple[Float[Array, "*batch state state"], Float[Array, "*batch state state"]]:
    """Transition `A = exp(F gap)` and noise `Q = P - A P A^T` of a step from one coordinate to the next.

    `F + rate I` is nilpotent, so that the exponential is a polynomial times `exp(-rate gap)`.

    Args:
        sde: from `matern_sde`.
        gap: distances, not negative.

    Raises:
        ValueError: for a negative gap (of one that holds numbers).

    >>> a, q = discretise(matern_sde(0.5, 1.0, 1.0), jnp.log(2.0))
    >>> f"{a[0, 0]:.2f} {q[0, 0]:.2f}"
    '0.50 0.75'
    """
    gap = jnp.asarray(gap, sde.drift.dtype)
    if is_concrete(gap) and (np.asarray(gap) < 0).any():
        raise ValueError(f"gap is {gap}; it cannot be negative")
    size, state = sde.observation.shape
    identity = jnp.eye(state, dtype=gap.dtype)
    shifted = jnp.multiply.outer(gap, sde.drift + sde.rate * identity)
    term = series = jnp.broadcast_to(identity, shifted.shape)
    for i in range(1, state // size):
        term = term @ shifted / i
        series = series + term
    a = jnp.exp(-sde.rate * gap)[..., None, None] * series
    return a, jnp.broadcast_to(sde.stationary, a.shape) - a @ sde.stationary @ _t(a)


class Filtered(NamedTuple):
    """States given the observations up to each coordinate, and the log density of all observations."""

    mean: Float[Array, "coordinates state"]
    covariance: Float[Array, "coordinates state state"]
    log_marginal: Float[Array, ""]


def kalman_filter(
    t: Real[AnyArray, " _"],
    y: Real[AnyArray, "_ _"],
    noise: Real[AnyArray, "_ _ _"],
    sde: SDE,
    observed: Bool[AnyArray, " _"] | None = None,
    *,
    parallel: bool = False,
) -> Filtered:
    """States given the observations `y = u + N(0, noise)` up to and at each coordinate.

    Args:
        t: coordinates in ascending order; equal ones are one state, observed twice.
        y: observations; where nothing is observed, any finite numbers.
        noise: covariance of each observation.
        sde: from `matern_sde`.
        observed: which coordinates are; all by default. Others tell what the process is there: predictions at new coordinates.
        parallel: by an associative scan, with some 10 times the operations.

    Raises:
        ValueError: if shapes do not fit, there is no coordinate, or t descends or is not finite (of one that holds numbers).
    """
    t, y, noise = floating(t, y, noise)
    observed = jnp.ones(t.shape, bool) if observed is None else jnp.asarray(observed)
    _check_series(t, y, noise, observed, sde)
    return _filtered(t, y, noise, observed, sde, parallel)


@partial(jax.jit, static_argnames="parallel")
def _filtered(t, y, noise, observed, sde, parallel):
    a, q = discretise(sde, jnp.diff(t, prepend=t[:1]))
    mean, covariance = (_filter_associative if parallel else _filter_scan)(a, q, y, noise, observed, sde)
    before = jnp.concatenate([jnp.zeros_like(mean[:1]), mean[:-1]]), jnp.concatenate([sde.stationary[None], covariance[:-1]])
    predicted = _predict(a, q, *before)
    return Filtered(mean, covariance, _log_density(y, noise, observed, *predicted, sde.observation))


def rts_smoother(
    t: Real[AnyArray, " _"], filtered: Filtered, sde: SDE, *, parallel: bool = False
) -> tuple[Float[Array, "coordinates state"], Float[Array, "coordinates state state"]]:
    """Means and covariances of the states given all observations; `smoothed_values` reads the processes off.

    Args:
        t: the coordinates that were filtered.
        filtered: from `kalman_filter`.
        sde: from `matern_sde`.
        parallel: by an associative scan.

    Raises:
        ValueError: if there is not one coordinate for each state.
    """
    if t.shape != filtered.mean.shape[:1]:
        raise ValueError(f"t has shape {t.shape}; filtered needs {filtered.mean.shape[:1]}")
    return _smoothed(jnp.asarray(t, filtered.mean.dtype), filtered, sde, parallel)


@partial(jax.jit, static_argnames="parallel")
def _smoothed(t, filtered, sde, parallel):
    a, q = discretise(sde, jnp.diff(t))
    return (_smooth_associative if parallel else _smooth_scan)(a, q, filtered.mean, filtered.covariance)


def smoothed_values(
    mean: Float[Array, "coordinates state"], covariance: Float[Array, "coordinates state state"], sde: SDE
) -> tuple[Float[Array, "coordinates size"], Float[Array, "coordinates size size"]]:
    """Means and covariances of the processes themselves, from those of the states."""
    return mean @ sde.observation.T, sde.observation @ covariance @ sde.observation.T


def log_marginal(
    t: Real[AnyArray, " _"],
    y: Real[AnyArray, "_ _"],
    noise: Real[AnyArray, "_ _ _"],
    sde: SDE,
    observed: Bool[AnyArray, " _"] | None = None,
) -> Float[Array, ""]:
    """Log density of the observations; differentiable in variance and lengthscale. Arguments as of `kalman_filter`."""
    return kalman_filter(t, y, noise, sde, observed).log_marginal


def _t(x: Array) -> Array:
    return jnp.swapaxes(x, -1, -2)


def _apply(a: Array, x: Array) -> Array:
    return (a @ x[..., None])[..., 0]


def _solve(a: Array, b: Array) -> Array:
    """`a^{-1} b` for positive definite a."""
    return cho_solve(cho_factor(a), b)


def _predict(a, q, mean, covariance):
    return _apply(a, mean), a @ covariance @ _t(a) + q


def _update(mean, covariance, y, noise, seen, h):
    """The state after one observation, in Joseph's form, which keeps covariances positive; as it was where nothing is seen."""
    gain = _t(_solve(h @ covariance @ h.T + noise, h @ covariance)) * seen
    keep = jnp.eye(len(mean), dtype=mean.dtype) - gain @ h
    return mean + gain @ (y - h @ mean), keep @ covariance @ keep.T + gain @ noise @ gain.T


def _filter_scan(a, q, y, noise, observed, sde):
    def step(state, x):
        a, q, y, noise, seen = x
        state = _update(*_predict(a, q, *state), y, noise, seen, sde.observation)
        return state, state

    start = jnp.zeros(len(sde.drift), y.dtype), sde.stationary  # a step of length 0 from there is the prior
    return lax.scan(step, start, (a, q, y, noise, observed))[1]


def _filter_associative(a, q, y, noise, observed, sde):
    h, identity = sde.observation, jnp.eye(len(sde.drift), dtype=y.dtype)[None]
    first = (jnp.arange(len(y)) == 0)[:, None, None]
    a, q = (
        jnp.where(first, 0, a),
        jnp.where(first, sde.stationary[None], q),
    )  # before the first coordinate there is nothing to carry on
    seen = observed[:, None, None]
    weight = _solve(h @ q @ h.T + noise, jnp.broadcast_to(h, (len(y), *h.shape))) * seen  # S^{-1} H
    keep = identity - q @ h.T @ weight
    pull = _apply(_t(weight), y)  # H^T S^{-1} y
    elements = keep @ a, _apply(q, pull), keep @ q, _apply(_t(a), pull), _t(a) @ h.T @ weight @ a

    def join(earlier, later):
        (a1, b1, c1, e1, j1), (a2, b2, c2, e2, j2) = earlier, later
        forth = _t(jnp.linalg.solve(identity + _t(c1 @ j2), _t(a2)))  # A2 (I + C1 J2)^{-1}
        back = _t(jnp.linalg.solve(identity + _t(j2 @ c1), a1))  # A1^T (I + J2 C1)^{-1}
        b = _apply(forth, b1 + _apply(c1, e2)) + b2
        e = _apply(back, e2 - _apply(j2, b1)) + e1
        return forth @ a1, b, forth @ c1 @ _t(a2) + c2, e, back @ j2 @ a1 + j1

    _, mean, covariance, _, _ = lax.associative_scan(join, elements)
    return mean, covariance


def _smoother_gain(a, q, covariance):
    return _t(_solve(a @ covariance @ _t(a) + q, a @ covariance))


def _smooth_scan(a, q, mean, covariance):
    def step(after, x):
        a, q, mean, covariance = x
        predicted_mean, predicted = _predict(a, q, mean, covariance)
        gain = _smoother_gain(a, q, covariance)
        state = mean + gain @ (after[0] - predicted_mean), covariance + gain @ (after[1] - predicted) @ gain.T
        return state, state

    last = mean[-1], covariance[-1]
    means, covariances = lax.scan(step, last, (a, q, mean[:-1], covariance[:-1]), reverse=True)[1]
    return jnp.concatenate([means, mean[-1:]]), jnp.concatenate([covariances, covariance[-1:]])


def _smooth_associative(a, q, mean, covariance):
    gain = _smoother_gain(a, q, covariance[:-1])
    predicted_mean, predicted = _predict(a, q, mean[:-1], covariance[:-1])
    shift = mean[:-1] - _apply(gain, predicted_mean)
    left = covariance[:-1] - gain @ predicted @ _t(gain)
    last = jnp.zeros_like(covariance[-1:]), mean[-1:], covariance[-1:]
    elements = tuple(jnp.concatenate([x, end]) for x, end in zip((gain, shift, left), last, strict=True))

    def join(later, earlier):
        (e2, g2, l2), (e1, g1, l1) = later, earlier
        return e1 @ e2, _apply(e1, g2) + g1, e1 @ l2 @ _t(e1) + l1

    _, mean, covariance = lax.associative_scan(join, elements, reverse=True)
    return mean, covariance


def _log_density(y, noise, observed, mean, covariance, h):
    """Sum over the observed coordinates of the log density of each observation given those before it."""
    spread = h @ covariance @ h.T + noise
    spread = jnp.where(observed[:, None, None], spread, jnp.eye(len(h), dtype=y.dtype)[None])
    error = jnp.where(observed[:, None], y - mean @ h.T, 0)
    factor = jnp.linalg.cholesky(spread)
    white = solve_triangular(factor, error[..., None], lower=True)[..., 0]
    log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
    terms = -0.5 * (jnp.sum(white**2, axis=-1) + log_det + len(h) * math.log(2 * math.pi))
    return jnp.sum(jnp.where(observed, terms, 0))


def _check_series(t, y, noise, observed, sde) -> None:
    size = len(sde.observation)
    check_at_least("number of coordinates", len(t))
    shapes = y.shape, noise.shape, observed.shape
    if t.ndim != 1 or shapes != ((len(t), size), (len(t), size, size), t.shape):
        raise ValueError(
            f"t has shape {t.shape}, y, noise and observed {shapes}; y needs {(len(t), size)}, noise one more axis of {size}"
        )
    if is_concrete(t) and not (np.isfinite(t).all() and (np.diff(t) >= 0).all()):
        raise ValueError("t descends or is not finite; coordinates must be finite and in ascending order")

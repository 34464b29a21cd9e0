"""Flow matching: straight paths from noise to data, the regression of their velocity, and the integration of what was learned.

References:
    Lipman et al., *Flow Matching for Generative Modeling*, 2023, arXiv 2210.02747; Ho and Salimans, *Classifier-Free Diffusion
    Guidance*, 2022, arXiv 2207.12598.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating

Velocity = Callable[[Array, Array], Array]
"""`v(x, t)`, of the shape of `x`."""


class Path(NamedTuple):
    """A point of the way from noise to data, and the velocity there.

    Attributes:
        x: `(1 - t) x_0 + t x_1`.
        velocity: `x_1 - x_0`.
    """

    x: Array
    velocity: Array


def linear_path(
    x0: Float[Array | np.ndarray, "*shape"],
    x1: Float[Array | np.ndarray, "*shape"],
    t: Float[Array | np.ndarray, "*batch"] | float,
) -> Path:
    """Where straight paths are at time t: `x_t = (1 - t) x_0 + t x_1`, `dx_t/dt = x_1 - x_0`.

    Args:
        x0: noise.
        x1: data.
        t: time in 0..1, over the leading axes of both; one number serves all.

    Raises:
        ValueError: if noise and data differ in shape, or t does not fit their leading axes.

    >>> linear_path(jnp.zeros((2, 1)), jnp.array([[4.0], [8.0]]), jnp.array([0.25, 0.5])).x.tolist()
    [[1.0], [4.0]]
    """
    x0, x1, t = floating(x0, x1, t)
    if x0.shape != x1.shape or t.shape != x0.shape[: t.ndim]:
        raise ValueError(f"x0, x1 and t have shapes {x0.shape}, {x1.shape} and {t.shape}; t needs leading axes of both")
    t = t.reshape(t.shape + (1,) * (x0.ndim - t.ndim))
    return Path((1 - t) * x0 + t * x1, x1 - x0)


def flow_loss(
    velocity: Velocity,
    x0: Float[Array | np.ndarray, "batch *shape"],
    x1: Float[Array | np.ndarray, "batch *shape"],
    t: Float[Array | np.ndarray, " batch"],
) -> Float[Array, ""]:
    """Mean squared error of a velocity on straight paths: `mean (v(x_t, t) - (x_1 - x_0))^2`, over all entries.

    Args:
        velocity: `v(x, t)` with one time for every row of x.
        x0: noise, standard normal usually.
        x1: data.
        t: times, uniform in 0..1 usually.

    Raises:
        ValueError: as `linear_path`, for an empty batch, or a velocity of another shape.

    >>> still = lambda x, t: 0 * x
    >>> flow_loss(still, jnp.zeros((2, 3)), 2 * jnp.ones((2, 3)), jnp.array([0.1, 0.7])).item()
    4.0
    """
    path = linear_path(x0, x1, t)
    if not path.x.size:
        raise ValueError(f"x0 has shape {path.x.shape}; a mean needs at least one number")
    found = velocity(path.x, jnp.asarray(t, path.x.dtype))
    if found.shape != path.x.shape:
        raise ValueError(f"velocity gives shape {found.shape}; it must be that of x, {path.x.shape}")
    return jnp.mean((found - path.velocity) ** 2)


def noise_and_times(key: jax.Array, x1: Float[Array | np.ndarray, "batch *shape"]) -> tuple[Array, Array]:
    """Standard normal `x_0` of the shape of the data, and a uniform time in 0..1 for every row."""
    of_noise, of_time = jax.random.split(key)
    (x1,) = floating(x1)
    return jax.random.normal(of_noise, x1.shape, x1.dtype), jax.random.uniform(of_time, x1.shape[:1], x1.dtype)


def guide(without: Float[Array, "*shape"], given: Float[Array, "*shape"], w: float | Array) -> Float[Array, "*shape"]:
    """Classifier-free guidance: `(1 - w) v_without + w v_given`.

    Args:
        without, given: velocities without and with the condition.
        w: 0 ignores the condition, 1 is the conditional velocity, above 1 exaggerates it.

    >>> guide(jnp.zeros(2), jnp.array([1.0, 2.0]), 2.5).tolist()
    [2.5, 5.0]
    """
    return (1 - w) * without + w * given


def guided(velocity: Callable[[Array, Array, Any], Array], w: float | Array) -> Callable[[Array, Array, Any], Array]:
    """`guide` as a velocity: `(1 - w) v(x, t, None) + w v(x, t, condition)`.

    Args:
        velocity: `v(x, t, condition)`, without a condition where that is None. Where one call can answer both, on a batch of
            twice the size, `guide` what it answers: a loop around two calls takes twice as long to compile.
        w: as for `guide`.

    >>> v = lambda x, t, c: jnp.zeros(2) if c is None else c
    >>> guided(v, 2.5)(jnp.zeros(2), 0.0, jnp.array([1.0, 2.0])).tolist()
    [2.5, 5.0]
    """
    return lambda x, t, condition: guide(velocity(x, t, None), velocity(x, t, condition), w)


def _euler(v, x, t, h):
    return x + h * v(x, t)


def _midpoint(v, x, t, h):
    return x + h * v(x + h / 2 * v(x, t), t + h / 2)


def _heun(v, x, t, h):
    slope = v(x, t)
    return x + h / 2 * (slope + v(x + h * slope, t + h))


METHODS = {"euler": _euler, "midpoint": _midpoint, "heun": _heun}
"""Steps of orders 1, 2 and 2; all but the first look at the velocity twice a step."""


def integrate(
    velocity: Velocity,
    x0: Float[Array | np.ndarray, "*shape"],
    steps: int,
    method: str = "midpoint",
    *,
    start: float = 0.0,
    stop: float = 1.0,
    trajectory: bool = False,
) -> Array:
    """Solve `dx/dt = v(x, t)` by equal steps, in one compiled loop.

    Args:
        velocity: `v(x, t)`, t one number in the dtype of x.
        x0: where it starts.
        steps: how many.
        method: `"euler"`, `"midpoint"` or `"heun"`.
        start, stop: first and last time; backwards where stop is smaller.
        trajectory: whether to return all states, `[steps + 1, ...]`, the first and the last included.

    Returns:
        The state at the last time.

    Raises:
        ValueError: for fewer than one step, or another method.

    >>> print(f"{integrate(lambda x, t: x, jnp.ones(()), 100):.4f}")
    2.7182
    """
    check_at_least("steps", steps)
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose from {', '.join(METHODS)}")
    (x0,) = floating(x0)
    h = (stop - start) / steps

    def step(x, number):
        t = (start + h * number).astype(x.dtype)
        x = METHODS[method](velocity, x, t, h)
        return x, x if trajectory else None

    last, states = jax.lax.scan(step, x0, jnp.arange(steps, dtype=x0.dtype))
    return jnp.concatenate([x0[None], states]) if trajectory else last


class Adaptive(NamedTuple):
    """A solution with steps that an error estimate chose.

    Attributes:
        x: the state at the last time, NumPy.
        evaluations: how often the velocity was asked.
    """

    x: np.ndarray
    evaluations: int


def integrate_adaptive(
    velocity: Velocity, x0: Float[Array | np.ndarray, "*shape"], *, rtol: float = 1e-5, atol: float = 1e-5, method: str = "RK45"
) -> Adaptive:
    """Solve `dx/dt = v(x, t)` from 0 to 1 by SciPy's `solve_ivp`, which chooses its steps; on the host.

    Args:
        velocity: `v(x, t)`; compile it beforehand.
        x0: where it starts.
        rtol, atol: tolerated errors, relative and absolute.
        method: one of SciPy's.

    Raises:
        ValueError: if the solver gives up, the velocity is not finite, or for a method that SciPy does not have.

    >>> print(f"{integrate_adaptive(lambda x, t: x, jnp.ones(1)).x[0]:.4f}")
    2.7183
    """
    from scipy.integrate import solve_ivp

    x0 = np.asarray(floating(x0)[0])

    def flat(t, x):
        slope = np.asarray(velocity(jnp.asarray(x.reshape(x0.shape), x0.dtype), jnp.asarray(t, x0.dtype)), float).ravel()
        if not np.isfinite(slope).all():  # the solver would look for a step short enough for ever
            raise ValueError(f"velocity is not finite at t = {t:.6g}; the solver needs numbers")
        return slope

    found = solve_ivp(flat, (0.0, 1.0), x0.ravel().astype(float), method=method, rtol=rtol, atol=atol)
    if not found.success:
        raise ValueError(f"the solver gave up with rtol {rtol} and atol {atol}: {found.message}")
    return Adaptive(found.y[:, -1].reshape(x0.shape).astype(x0.dtype), int(found.nfev))

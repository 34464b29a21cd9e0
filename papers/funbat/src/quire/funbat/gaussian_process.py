"""Gaussian process regression of a series in both ways: by filter and smoother, and by linear algebra on all observations."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.tensors.state_space import kalman_filter, matern_sde, rts_smoother, smoothed_values


def matern_kernel(
    nu: float, variance: float | Array, lengthscale: ScalarLike, r: Real[AnyArray, "*shape"]
) -> Float[Array, "*shape"]:
    """Covariance at distance r of a process with smoothness 1/2, 3/2 or 5/2.

    Raises:
        ValueError: for another smoothness.

    >>> print(f"{matern_kernel(1.5, 2.0, 1.0, jnp.ones(())):.4f}")
    0.9667
    """
    polynomials = {0.5: (1,), 1.5: (1, 1), 2.5: (1, 1, 1 / 3)}
    if nu not in polynomials:
        raise ValueError(f"nu is {nu}; it must be one of {list(polynomials)}")
    scaled = math.sqrt(2 * nu) / lengthscale * jnp.abs(r)
    return variance * sum(c * scaled**i for i, c in enumerate(polynomials[nu])) * jnp.exp(-scaled)


@partial(jax.jit, static_argnames="nu")
def gp_posterior(
    t: Real[AnyArray, " n"],
    y: Real[AnyArray, "n size"],
    noise: Real[AnyArray, "n size size"],
    t_new: Real[AnyArray, " new"],
    *,
    nu: float,
    variance: float | Array,
    lengthscale: ScalarLike,
) -> tuple[Float[AnyArray, "new size"], Float[AnyArray, "new size size"], Float[AnyArray, ""]]:
    """Posterior of independent processes at new coordinates, given `y = u(t) + N(0, noise)`, in time `(n size)^3`.

    Args:
        t: coordinates, in any order.
        y: observations.
        noise: covariance of each observation.
        t_new: where to predict.
        nu, variance, lengthscale: of the kernel.

    Returns:
        Means, covariances, and the log density of the observations.

    Raises:
        ValueError: without an observation.
    """
    t, y, noise, t_new = floating(t, y, noise, t_new)
    check_at_least("number of observations", len(t))
    (n, size), identity = y.shape, jnp.eye(y.shape[1], dtype=y.dtype)

    def kernel(a, b):
        return jnp.kron(matern_kernel(nu, variance, lengthscale, a[:, None] - b[None]), identity)

    places = jnp.arange(n)
    spread = jnp.zeros((n, size, n, size), y.dtype).at[places, :, places].set(noise)
    factor = cho_factor(kernel(t, t) + spread.reshape(n * size, -1), lower=True)
    cross = kernel(t_new, t)
    weights = cho_solve(factor, jnp.ravel(y))
    mean = (cross @ weights).reshape(-1, size)
    explained = jnp.einsum("tin,tnj->tij", *_blocks(cross, cho_solve(factor, cross.T), size))
    log_marginal = -0.5 * (jnp.ravel(y) @ weights + n * size * math.log(2 * math.pi)) - jnp.sum(jnp.log(jnp.diagonal(factor[0])))
    return mean, variance * identity[None] - explained, log_marginal


def _blocks(cross: Array, solved: Array, size: int) -> tuple[Array, Array]:
    """Rows and columns of each new coordinate."""
    n = cross.shape[1]
    return cross.reshape(-1, size, n), jnp.moveaxis(solved.reshape(n, -1, size), 1, 0)


@partial(jax.jit, static_argnames=("nu", "parallel"))
def chain_posterior(
    t: Real[AnyArray, " n"],
    y: Real[AnyArray, "n size"],
    noise: Real[AnyArray, "n size size"],
    observed: Bool[AnyArray, " n"],
    variance: ScalarLike,
    lengthscale: ScalarLike,
    *,
    nu: float,
    parallel: bool = False,
) -> tuple[Float[Array, "n size"], Float[Array, "n size size"], Float[Array, ""]]:
    """What `gp_posterior` computes, in time linear in the number of coordinates: section 4.2.

    Args:
        t: coordinates in ascending order.
        y, noise: observations and their covariances; any numbers where nothing is observed.
        observed: which coordinates are; the others are predictions.
        variance, lengthscale, nu: of the kernel.
        parallel: by an associative scan.
    """
    sde = matern_sde(nu, variance, lengthscale, y.shape[1])
    filtered = kalman_filter(t, y, noise, sde, observed, parallel=parallel)
    return *smoothed_values(*rts_smoother(t, filtered, sde, parallel=parallel), sde), filtered.log_marginal

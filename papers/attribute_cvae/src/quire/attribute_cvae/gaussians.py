"""Normal distributions with independent coordinates, given by their mean and the logarithm of their variance."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, floating

LOG_2PI = float(np.log(2 * np.pi))


class Normal(NamedTuple):
    """`N(mean, exp(logvar))`, one distribution a row; floating `[..., d]`."""

    mean: AnyArray
    logvar: AnyArray


def divergence_by_coordinate(q: Normal, p: Normal) -> Real[Array, "*n d"]:
    """`KL(q || p)` of every coordinate in nats, section on the objective:

    `(logvar_p - logvar_q + (exp(logvar_q) + (mean_q - mean_p)^2) / exp(logvar_p) - 1) / 2`.

    Written as `expm1(r) - r` of the logarithm r of the ratio of variances, which is exact where both are nearly alike.

    Args:
        q, p: of one shape.

    Returns:
        In the dtype that all four arrays promote to, at least float32 inside.

    Raises:
        ValueError: if the shapes differ.
    """
    shapes = {np.shape(x) for x in (*q, *p)}
    if len(shapes) > 1:
        raise ValueError(f"q and p have shapes {sorted(shapes)}; means and logarithms of variances need one shape")
    dtype = floating(*q, *p)[0].dtype
    mean_q, logvar_q, mean_p, logvar_p = at_least_float32(*q, *p)
    ratio = logvar_q - logvar_p
    return (0.5 * (jnp.expm1(ratio) - ratio + (mean_q - mean_p) ** 2 * jnp.exp(-logvar_p))).astype(dtype)


def gaussian_kl(
    mean_q: Real[AnyArray, "*n d"],
    logvar_q: Real[AnyArray, "*n d"],
    mean_p: Real[AnyArray, "*n d"],
    logvar_p: Real[AnyArray, "*n d"],
) -> Real[Array, "*n"]:
    """`KL(q || p)` in nats of two normal distributions with independent coordinates; see `divergence_by_coordinate`.

    >>> print(f"{gaussian_kl(np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)))[0]:.1f}")
    1.0
    """
    return divergence_by_coordinate(Normal(mean_q, logvar_q), Normal(mean_p, logvar_p)).sum(-1)


def log_density(z: Real[AnyArray, "*n d"], of: Normal) -> Real[Array, "..."]:
    """`log N(z; mean, exp(logvar))`, summed over coordinates; leading axes broadcast.

    >>> print(f"{log_density(np.zeros((1, 2)), Normal(np.zeros((1, 2)), np.zeros((1, 2))))[0]:.3f}")
    -1.838

    Raises:
        ValueError: if the last axes differ.
    """
    if len({np.shape(x)[-1:] for x in (z, *of)}) > 1:
        raise ValueError(f"z has shape {np.shape(z)}, the mean {np.shape(of.mean)}; they need as many coordinates")
    dtype = floating(z, *of)[0].dtype
    z, mean, logvar = at_least_float32(z, *of)
    return (-0.5 * ((z - mean) ** 2 * jnp.exp(-logvar) + logvar + LOG_2PI).sum(-1)).astype(dtype)


def at_noise(of: Normal, eps: Real[AnyArray, "*n d"], temperature: float | Array = 1.0) -> Real[Array, "..."]:
    """`mean + temperature exp(logvar / 2) eps`: a draw, given standard normal numbers eps; leading axes broadcast."""
    mean, logvar, eps = floating(*of, eps)
    return mean + temperature * jnp.exp(logvar / 2) * eps


def standard_normal(n: int, d: int) -> Normal:
    """n times the standard normal distribution."""
    return Normal(jnp.zeros((n, d)), jnp.zeros((n, d)))

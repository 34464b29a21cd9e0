"""Distances between distributions: Gaussians of mean zero in closed form, anything with a density by its samples.

Squared Hellinger distance `H^2 = 1 - int sqrt(p q)`, total variation `TV = int |p - q| / 2`; `H^2 <= TV <= sqrt(2) H`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least


def squared_hellinger_gaussian(s1: Real[AnyArray, "*batch d d"], s2: Real[AnyArray, "*batch d d"]) -> Float[Array, "*batch"]:
    """`H^2` of N(0, S1) and N(0, S2): `1 - det(S1)^(1/4) det(S2)^(1/4) / det((S1 + S2) / 2)^(1/2)`.

    By the eigenvalues of `S1^-1 S2`, whose distance from 1 is kept to all digits: close ones have a distance as well.

    Args:
        s1, s2: covariances, positive definite; NaN comes of others.

    Raises:
        ValueError: if they are not square or differ in shape.

    >>> print(f"{float(squared_hellinger_gaussian(jnp.eye(1), 4 * jnp.eye(1))):.4f}")
    0.1056
    """
    excess = _relative_excess(s1, s2)
    # log of (1 + e/2)^2 / (1 + e) is that of 1 + e^2 / (4 (1 + e))
    return -jnp.expm1(-0.25 * jnp.sum(jnp.log1p(excess**2 / (4 * (1 + excess))), axis=-1))


def kl_gaussian(s1: Real[AnyArray, "*batch d d"], s2: Real[AnyArray, "*batch d d"]) -> Float[Array, "*batch"]:
    """`KL(N(0, S1) | N(0, S2)) = (tr(S2^-1 S1) - d + log det S2 - log det S1) / 2`, in nats.

    Raises:
        ValueError: as `squared_hellinger_gaussian`.

    >>> print(f"{float(kl_gaussian(4 * jnp.eye(1), jnp.eye(1))):.4f}")
    0.8069
    """
    excess = _relative_excess(s2, s1)
    return 0.5 * jnp.sum(excess - jnp.log1p(excess), axis=-1)


def _relative_excess(s1, s2) -> Float[Array, "*batch d"]:
    """Eigenvalues of `S1^-1 S2 - I`, by those of `L^-1 (S2 - S1) L^-T` with `S1 = L L^T`."""
    s1, s2 = at_least_float32(s1, s2)
    if s1.ndim < 2 or s1.shape != s2.shape or s1.shape[-1] != s1.shape[-2]:
        raise ValueError(f"s1 and s2 have shapes {s1.shape} and {s2.shape}; they need two square ones alike")
    root = jnp.linalg.cholesky(s1)
    half = jnp.linalg.solve(root, s2 - s1)
    return jnp.linalg.eigvalsh(jnp.linalg.solve(root, jnp.swapaxes(half, -1, -2)))


def total_variation(log_p: Real[AnyArray, " n"], log_q: Real[AnyArray, " n"]) -> Float[Array, ""]:
    """Estimate of `TV(p, q) = E_p max(0, 1 - q / p)` from log densities at samples of p.

    Raises:
        ValueError: without a sample, or if the numbers of samples differ.

    >>> print(total_variation(jnp.zeros(4), jnp.log(jnp.array([0.5, 1.5, 1.0, 1.0]))))
    0.125
    """
    return jnp.mean(jnp.maximum(0, -jnp.expm1(_log_ratio(log_p, log_q))))


def squared_hellinger(log_p: Real[AnyArray, " n"], log_q: Real[AnyArray, " n"]) -> Float[Array, ""]:
    """Estimate of `H^2(p, q) = E_p (1 - sqrt(q / p))^2 / 2` from log densities at samples of p: never negative.

    Raises:
        ValueError: as `total_variation`.
    """
    return 0.5 * jnp.mean(jnp.expm1(0.5 * _log_ratio(log_p, log_q)) ** 2)


def _log_ratio(log_p, log_q) -> Float[Array, " n"]:
    log_p, log_q = at_least_float32(log_p, log_q)
    if log_p.ndim != 1 or log_p.shape != log_q.shape:
        raise ValueError(f"log_p and log_q have shapes {log_p.shape} and {log_q.shape}; they need one number for every sample")
    check_at_least("number of samples", len(log_p))
    return log_q - log_p

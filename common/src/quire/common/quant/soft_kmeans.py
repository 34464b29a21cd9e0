"""Differentiable k-means: rows are assigned by a softmax of distances, so that gradients reach rows and centres.

References:
    Cho et al., *DKM: Differentiable k-Means Clustering Layer for Neural Network Compression*, 2022.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, floating

NEAREST = 1e-12
"""Added to squared distances: a root has no slope at zero."""


class SoftClusters(NamedTuple):
    """Centres `[k, dim]`, attention of every row to them `[n, k]` (rows sum to 1), and `attention @ centres`, `[n, dim]`."""

    centres: Array
    attention: Array
    rows: Array


def soft_assign(x: Real[AnyArray, "n dim"], centres: Real[AnyArray, "..."], tau: ScalarLike) -> Float[Array, "n k"]:
    """`softmax_j(-|x_n - c_j| / tau)`.

    Args:
        x: one vector a row.
        centres: `[k, dim]`, at least one.
        tau: temperature; the smaller, the harder.

    Raises:
        ValueError: if dimensions differ, there is no centre, or tau is not positive.

    >>> soft_assign(jnp.array([[0.5]]), jnp.array([[0.0], [1.0]]), 1.0).tolist()
    [[0.5, 0.5]]
    """
    check_positive("tau", tau)
    if x.ndim != 2 or centres.ndim != 2 or len(centres) == 0 or x.shape[1] != centres.shape[1]:
        raise ValueError(f"x has shape {x.shape} and centres {centres.shape}; they need [n, dim] and [k, dim], k at least 1")
    x, centres = floating(x, centres)
    squared = jnp.sum((x[:, None] - centres[None]) ** 2, axis=-1)
    return jax.nn.softmax(-jnp.sqrt(squared + NEAREST) / tau, axis=1)


def dkm(x: Real[AnyArray, "n dim"], centres: Real[AnyArray, "..."], tau: ScalarLike, iters: int = 5) -> SoftClusters:
    """Soft k-means: `c_j <- sum_n A_nj x_n / sum_n A_nj`, `iters` times, then the attention to the centres found.

    A centre to which no row attends stays where it is. Steps are recomputed for gradients, so memory does not grow with `iters`.

    Args:
        x: one vector a row.
        centres: the first ones, `[k, dim]`.
        tau: temperature.
        iters: updates of the centres.

    Raises:
        ValueError: as `soft_assign`, or for negative iterations.

    >>> found = dkm(jnp.array([[0.0], [0.2], [5.0]]), jnp.array([[0.0], [4.0]]), 0.05)
    >>> [f"{x:.2f}" for x in found.rows.ravel()]
    ['0.10', '0.10', '5.00']
    """
    check_at_least("iters", iters, 0)
    x, centres = floating(x, centres)
    tau = jnp.asarray(check_positive("tau", tau), x.dtype)

    @jax.checkpoint
    def step(centres, _):
        attention = soft_assign(x, centres, tau)
        mass = attention.sum(0)
        unused = mass == 0
        means = attention.T @ x / jnp.where(unused, 1, mass)[:, None]
        return jnp.where(unused[:, None], centres, means), None

    centres = jax.lax.scan(step, centres, None, length=iters)[0]
    attention = soft_assign(x, centres, tau)
    return SoftClusters(centres, attention, attention @ centres)

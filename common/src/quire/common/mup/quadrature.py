"""Expectations over Gaussians: Gauss-Hermite nodes where the dimension is small, particles where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import special

from quire.common.checks import check_at_least

MAX_NODES = 2_000_000


def gauss_hermite(points: int, dim: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights with `E[g(z)] = sum_i weight_i g(node_i)` for `z ~ N(0, I_dim)`, exact to degree `2 points - 1`.

    Args:
        points: nodes along each axis.
        dim: of the Gaussian; there are `points ** dim` nodes.

    Returns:
        Nodes `[points ** dim, dim]`, weights `[points ** dim]`, float64.

    Raises:
        ValueError: if a size is below 1 or the grid would exceed two million nodes.

    >>> z, w = gauss_hermite(3)
    >>> round(float(w @ z[:, 0] ** 4), 12)
    3.0
    """
    if points < 1 or dim < 1:
        raise ValueError(f"points is {points} and dim {dim}; both must be at least 1")
    if points**dim > MAX_NODES:
        raise ValueError(f"points ** dim is {points**dim}, more than {MAX_NODES} nodes; use gaussian_particles for dim {dim}")
    z, w = special.roots_hermitenorm(points)
    nodes = np.stack(np.meshgrid(*[z] * dim, indexing="ij"), -1).reshape(-1, dim)
    weights = np.stack(np.meshgrid(*[w / w.sum()] * dim, indexing="ij"), -1).reshape(-1, dim).prod(1)
    return nodes, weights


def gaussian_particles(key: jax.Array, count: int, dim: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """Monte-Carlo nodes and weights in place of a grid, in antithetic pairs, so that odd moments vanish.

    Raises:
        ValueError: if `count` is odd or not positive, or `dim` below 1.
    """
    check_at_least("dim", dim)
    if count < 2 or count % 2:
        raise ValueError(f"count is {count}; antithetic particles need a positive even number")
    half = jax.random.normal(key, (count // 2, dim))
    return jnp.concatenate([half, -half]), jnp.full(count, 1 / count)

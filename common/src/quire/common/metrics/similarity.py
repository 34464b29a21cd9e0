"""Similarity of representations."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating


def linear_cka(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> Float[Array, ""]:
    """Linear centred kernel alignment, `|Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)` of centred columns, between 0 and 1.

    It does not change under rotation or scaling of either side. Constant features are similar to nothing: 0.

    Args:
        x, y: one example a row.

    Raises:
        ValueError: if the numbers of examples differ or are 0.

    References:
        Kornblith et al., *Similarity of Neural Network Representations Revisited*, 2019, arXiv 1905.00414, section 3.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> print(linear_cka(x, 5 * x[:, ::-1]).round(5))
    1.0
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"x has {x.shape[0]} examples and y {y.shape[0]}; they must be the same")
    check_at_least("number of examples", x.shape[0])
    x, y = (_centred(z) for z in floating(x, y))
    squared = jnp.sum((x.T @ x) ** 2) * jnp.sum((y.T @ y) ** 2)
    return jnp.sum((y.T @ x) ** 2) / jnp.sqrt(jnp.where(squared == 0, 1, squared))


def _centred(x: Float[Array, "n p"]) -> Float[Array, "n p"]:
    """Columns of mean 0, the largest entry 1. A constant column is exactly 0, not what rounding leaves of it."""
    x = x - x[:1]  # exact where all are equal, and the mean that is left costs no digits
    centred = x - x.mean(axis=0, keepdims=True)
    size = jax.lax.stop_gradient(jnp.abs(centred).max(initial=0))  # no scale matters, so none needs a derivative
    return centred / jnp.where(size == 0, 1, size)

"""Similarity of representations."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def linear_cka(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> Float[Array, ""]:
    """Linear centred kernel alignment, `|Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)` of centred columns, between 0 and 1.

    It does not change under rotation or scaling of either side.

    Args:
        x, y: one example a row.

    Raises:
        ValueError: if the numbers of examples differ.

    References:
        Kornblith et al., *Similarity of Neural Network Representations Revisited*, 2019, arXiv 1905.00414, section 3.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> print(linear_cka(x, 5 * x[:, ::-1]).round(5))
    1.0
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"x has {x.shape[0]} examples and y {y.shape[0]}; they must be the same")
    x, y = x - x.mean(axis=0, keepdims=True), y - y.mean(axis=0, keepdims=True)
    return jnp.sum((y.T @ x) ** 2) / (jnp.linalg.norm(x.T @ x) * jnp.linalg.norm(y.T @ y))

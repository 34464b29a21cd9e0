"""Nested representations: every prefix of a vector is a representation of its own."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def check_sizes(sizes: Sequence[int], dim: int) -> tuple[int, ...]:
    """The sizes as a tuple, checked.

    Raises:
        ValueError: unless they are positive, strictly increasing and at most `dim`.
    """
    sizes = tuple(sizes)
    increasing = all(a < b for a, b in pairwise(sizes))
    if not sizes or sizes[0] < 1 or not increasing or sizes[-1] > dim:
        raise ValueError(f"sizes is {sizes}; it needs positive, strictly increasing sizes of at most {dim}")
    return sizes


def prefixes(z: Float[Array, "*batch dim"], sizes: Sequence[int]) -> list[Float[Array, "*batch size"]]:
    """The first m numbers of every vector, for each m of `sizes`.

    Raises:
        ValueError: see `check_sizes`.

    >>> [part.shape for part in prefixes(jnp.ones((5, 8)), (2, 4, 8))]
    [(5, 2), (5, 4), (5, 8)]
    """
    return [z[..., :size] for size in check_sizes(sizes, z.shape[-1])]


def truncate(z: Float[Array, "*batch dim"], size: int, normalize: bool = True) -> Float[Array, "*batch size"]:
    """The first `size` numbers of every vector, scaled to unit length AFTER truncation; a zero prefix stays zero.

    Args:
        z: vectors.
        size: how many numbers to keep.
        normalize: whether to scale.

    Raises:
        ValueError: for a size below 1 or above `dim`.

    >>> print(truncate(jnp.array([3.0, 4.0, 12.0]), 2))
    [0.6 0.8]
    """
    (size,) = check_sizes((size,), z.shape[-1])
    return unit_rows(z[..., :size]) if normalize else z[..., :size]


def unit_rows(z: Float[Array | np.ndarray, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Vectors of unit length; zero vectors stay zero, with a gradient of zero.

    The largest entry is divided out first, so that neither tiny nor huge vectors under- or overflow.

    >>> print(unit_rows(jnp.array([[3e-30, 4e-30], [0.0, 0.0]])))
    [[0.6 0.8]
     [0.  0. ]]
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(z), axis=-1, keepdims=True, initial=0.0))  # it cancels: no derivative
    scaled = z / jnp.where(largest == 0, 1, largest)
    squares = jnp.sum(scaled**2, axis=-1, keepdims=True)
    return jnp.where(largest == 0, 0, scaled / jnp.sqrt(jnp.where(largest == 0, 1, squares)))

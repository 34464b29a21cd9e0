"""Checks of arguments that every module shares: sizes, ids, and arrays in one floating dtype."""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def is_concrete(*arrays: Any) -> bool:
    """Whether the numbers can be looked at: False while JAX traces any of them."""
    return not any(isinstance(x, jax.core.Tracer) for x in arrays)


def check_at_least(name: str, value: int, least: int = 1) -> int:
    """The value, or a `ValueError` if it is less than `least`.

    >>> check_at_least("depth", 0)
    Traceback (most recent call last):
    ValueError: depth is 0; it must be at least 1
    """
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
    return value


def check_ids(name: str, ids: Any, size: int) -> None:
    """Ids are integers in `0 .. size - 1`.

    The numbers of traced ids cannot be looked at; only their dtype is checked. Where such an id may be wrong, read by
    `jnp.take(..., mode="fill")`, which answers NaN.

    Args:
        name: of the argument, for the message.
        ids: integers of any shape.
        size: how many things there are.

    Raises:
        ValueError: if `ids` are no integers or one is out of range.

    >>> check_ids("tokens", np.array([0, 7]), 5)
    Traceback (most recent call last):
    ValueError: tokens runs from 0 to 7; it must lie between 0 and 4
    """
    dtype = ids.dtype if hasattr(ids, "dtype") else np.asarray(ids).dtype
    if not jnp.issubdtype(dtype, jnp.integer) and np.size(ids):
        raise ValueError(f"{name} has dtype {dtype}; ids are integers")
    if not is_concrete(ids) or not np.size(ids):
        return
    numbers = np.asarray(ids)  # by NumPy: inside `jit`, JAX traces what is computed from known arrays too
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest < 0 or highest >= size:
        raise ValueError(f"{name} runs from {lowest} to {highest}; it must lie between 0 and {size - 1}")


def check_positive(name: str, value: Any) -> Any:
    """The value, or a `ValueError` unless it is positive; a traced value passes.

    >>> check_positive("eps", 0.0)
    Traceback (most recent call last):
    ValueError: eps is 0.0; it must be positive
    """
    if is_concrete(value) and not np.asarray(value) > 0:
        raise ValueError(f"{name} is {value}; it must be positive")
    return value


def floating(*arrays: Any) -> tuple[Array, ...]:
    """The arrays in the one floating dtype that JAX promotes them to; integers and booleans become the default float.

    >>> [x.dtype.name for x in floating(jnp.zeros(1, int), jnp.zeros(1, jnp.bfloat16))]
    ['bfloat16', 'bfloat16']
    >>> floating(np.array([1, 2], np.uint8))[0].dtype.name
    'float32'

    Raises:
        ValueError: if an array is complex or holds no numbers.
    """
    arrays = tuple(x if isinstance(x, jax.Array) else np.asarray(x) for x in arrays)
    for x in arrays:
        if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool):
            raise ValueError(f"an array has dtype {x.dtype}; it must hold real numbers")
    dtype = jnp.result_type(*arrays)
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
    return tuple(jnp.asarray(x, dtype) for x in arrays)


def at_least_float32(*arrays: Any) -> tuple[Array, ...]:
    """As `floating`, half precision as float32: LAPACK has no other, and long sums and counts need its digits.

    >>> [x.dtype.name for x in at_least_float32(jnp.zeros(1, jnp.bfloat16), np.array([True]))]
    ['float32', 'float32']

    Raises:
        ValueError: as for `floating`.
    """
    arrays = floating(*arrays)
    return tuple(x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in arrays)


def check_finite(name: str, x: Any) -> None:
    """All numbers are finite, of an array that can be looked at: what is chosen by comparisons would make an answer of NaN.

    >>> check_finite("queries", np.array([1.0, np.nan]))
    Traceback (most recent call last):
    ValueError: queries has 1 numbers that are not finite; it must have none
    """
    if is_concrete(x) and (count := int((~np.isfinite(np.asarray(x, np.float64))).sum())):
        raise ValueError(f"{name} has {count} numbers that are not finite; it must have none")

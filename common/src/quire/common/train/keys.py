"""Random keys where only integers will do: in files, and on the devices of other processes."""

from typing import Any

import jax
import jax.numpy as jnp


def is_key(x: Any) -> bool:
    """Whether an array is one of random keys."""
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def without_keys(tree: Any) -> Any:
    """The tree with the integers of its random keys."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x) else x, tree)


def with_keys(like: Any, tree: Any) -> Any:
    """Inverse of `without_keys`; `like` says which leaves are keys, and of which kind.

    >>> key = jax.random.key(3)
    >>> bool(with_keys(key, without_keys(key)) == key)
    True
    """
    return jax.tree.map(lambda k, x: jax.random.wrap_key_data(x, impl=jax.random.key_impl(k)) if is_key(k) else x, like, tree)

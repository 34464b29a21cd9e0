"""Keys and values of the tokens so far, in arrays of a fixed length: one compiled step serves a whole generation."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import check_at_least, is_concrete


class KVCache(NamedTuple):
    """Keys and values of one attention layer; the first `length` positions are filled.

    Attributes:
        keys: `[batch, heads, capacity, dim]`.
        values: `[batch, heads, capacity, dim]`.
        length: tokens so far.
    """

    keys: Float[Array, "batch heads capacity dim"]
    values: Float[Array, "batch heads capacity dim"]
    length: Int[Array, ""]

    @classmethod
    def empty(cls, batch: int, num_heads: int, capacity: int, dim: int, dtype: DTypeLike = jnp.float32) -> "KVCache":
        """A cache for `capacity` tokens.

        Raises:
            ValueError: if a size is below 1.
        """
        for name, size in (("batch", batch), ("num_heads", num_heads), ("capacity", capacity), ("dim", dim)):
            check_at_least(name, size)
        zeros = jnp.zeros((batch, num_heads, capacity, dim), dtype)
        return cls(zeros, zeros, jnp.zeros((), jnp.int32))

    def append(self, keys: Float[Array, "*_"], values: Float[Array, "*_"]) -> "KVCache":
        """The cache with n more tokens.

        Raises:
            ValueError: if they do not fit. Of a traced length nothing is known: tokens beyond the
                capacity then make all keys NaN.
        """
        batch, heads, capacity, dim = self.keys.shape
        n = keys.shape[2] if keys.ndim == 4 else -1
        if keys.shape != values.shape or keys.shape != (batch, heads, n, dim):
            raise ValueError(f"keys have shape {keys.shape}, values {values.shape}; the cache needs {(batch, heads, 'n', dim)}")
        if n > capacity or (is_concrete(self.length) and int(self.length) + n > capacity):
            raise ValueError(f"keys hold {n} tokens; the cache has {self.length} of {capacity} already")
        zero = jnp.zeros((), jnp.int32)
        start = (zero, zero, self.length, zero)
        overflow = jnp.where(self.length + n > capacity, jnp.asarray(np.nan, self.keys.dtype), 0)
        filled = lax.dynamic_update_slice(self.keys, keys.astype(self.keys.dtype), start) + overflow
        return type(self)(filled, lax.dynamic_update_slice(self.values, values.astype(self.values.dtype), start), self.length + n)

    def mask(self, n: int = 1) -> Bool[Array, "n capacity"]:
        """What the last n tokens may attend to: all tokens up to themselves."""
        positions = self.length - n + jnp.arange(n)
        return jnp.arange(self.keys.shape[2])[None] <= positions[:, None]

"""Vectors of which a few entries count: the largest ones, and inner products of what is left."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import check_at_least, check_ids, floating


class Entries(NamedTuple):
    """Some entries of vectors; an index of a vector stands for one entry only.

    Attributes:
        index: where they stand, `[*batch, n]`.
        value: what they hold, `[*batch, n]`.
    """

    index: Int[Array, "*batch n"]
    value: Float[Array, "*batch n"]

    def dense(self, size: int) -> Float[Array, "*batch size"]:
        """Vectors of that many entries, 0 where none is kept.

        Raises:
            ValueError: if an index is out of range.
        """
        check_ids("index", self.index, size)
        return jnp.put_along_axis(
            jnp.zeros((*self.value.shape[:-1], size), self.value.dtype), self.index, self.value, axis=-1, inplace=False
        )


def top_entries(x: Real[Array, "*batch size"], n: int) -> Entries:
    """The n largest entries of every vector in descending order; of equal ones the first.

    Raises:
        ValueError: unless n lies between 1 and the size.

    >>> top_entries(jnp.array([0.5, 3.0, 1.0]), 2)
    Entries(index=Array([1, 2], dtype=int32), value=Array([3., 1.], dtype=float32))
    """
    if not 1 <= n <= x.shape[-1]:
        raise ValueError(f"n is {n}; it must lie between 1 and the size, {x.shape[-1]}")
    value, index = lax.top_k(floating(x)[0], n)
    return Entries(index, value)


def sparse_dot(a: Entries, b: Entries) -> Float[Array, "*batch"]:
    """Inner products of vectors of which only these entries are not 0; batches broadcast.

    Every entry of a is compared with every one of b: n^2 comparisons, no array of the vectors' size.

    >>> float(sparse_dot(Entries(jnp.array([4, 1]), jnp.array([2.0, 3.0])), Entries(jnp.array([1, 7]), jnp.array([5.0, 9.0]))))
    15.0
    """
    check_at_least("number of entries", min(a.index.shape[-1], b.index.shape[-1]))
    (a_index, b_index), (a_value, b_value) = (_aligned(x, y) for x, y in zip(a, b, strict=True))
    same = a_index[..., :, None] == b_index[..., None, :]
    return jnp.sum(jnp.where(same, a_value[..., :, None] * b_value[..., None, :], 0), axis=(-2, -1))


def _aligned(a: Array, b: Array) -> tuple[Array, Array]:
    """Both with as many axes, so that batches broadcast."""
    axes = max(a.ndim, b.ndim)
    return a.reshape((1,) * (axes - a.ndim) + a.shape), b.reshape((1,) * (axes - b.ndim) + b.shape)


def sparse_dense_dot(entries: Entries, vectors: Real[np.ndarray | Array, "n size"]) -> Float[Array, "*batch n"]:
    """Inner products of sparse vectors with dense ones, by gathering the entries that count.

    Raises:
        ValueError: if an index is out of range.

    >>> sparse_dense_dot(Entries(jnp.array([2]), jnp.array([2.0])), jnp.array([[1.0, 0.0, 5.0]])).tolist()
    [10.0]
    """
    check_ids("index", entries.index, vectors.shape[-1])
    (vectors,) = floating(vectors)
    gathered = jnp.moveaxis(vectors[:, entries.index], 0, -2)  # [*batch, n, entries]
    return jnp.einsum("...ne,...e->...n", gathered, entries.value)

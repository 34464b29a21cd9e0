"""The nearest of a set of centres, exactly, in blocks of points."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quire.common.checks import floating

SPARE = 4
"""Candidates beyond k whose distances are computed again, since expanded squares err in their last digits."""


@partial(jax.jit, static_argnames=("k", "block"))
def nearest(
    x: Float[Array, "n d"], centres: Float[Array, "m d"], k: int, block: int | None = None
) -> tuple[Float[Array, "n k"], Int[Array, "n k"]]:
    """The k nearest centres of every point, nearest first; the smaller index wins a tie.

    Candidates come from `|c|^2 - 2 <x, c>` by one matrix product a block, their distances from the differences themselves.

    Args:
        x: points.
        centres: at least k.
        k: how many.
        block: points worked on at once, which bounds memory at `block * m`; all by default.

    Returns:
        Squared distances and rows of `centres` (int32).

    Raises:
        ValueError: if k is not between 1 and the number of centres, the dimensions differ, or block is below 1.

    >>> nearest(jnp.array([[0.9]]), jnp.array([[0.0], [2.0], [1.0]]), 2)[1].tolist()
    [[2, 0]]
    """
    if x.shape[1] != centres.shape[1]:
        raise ValueError(f"centres have {centres.shape[1]} coordinates; x has {x.shape[1]}")
    if not 1 <= k <= len(centres):
        raise ValueError(f"k is {k}; it must be between 1 and the {len(centres)} centres")
    if block is not None and block < 1:
        raise ValueError(f"block is {block}; it must be at least 1")
    x, centres = floating(x, centres)
    origin = centres.mean(0, keepdims=True)
    about = centres - origin
    half_norms = 0.5 * jnp.sum(about**2, axis=1)

    def of_block(rows):
        scores = (rows - origin) @ about.T - half_norms[None]
        candidates = jnp.sort(jax.lax.top_k(scores, min(k + SPARE, len(centres)))[1], axis=1)
        squared = jnp.sum((rows[:, None] - centres[candidates]) ** 2, axis=-1)
        lowest, place = jax.lax.top_k(-squared, k)
        return -lowest, jnp.take_along_axis(candidates, place, axis=1).astype(jnp.int32)

    if block is None or block >= len(x):
        return of_block(x)
    count = -(-len(x) // block)
    padded = jnp.pad(x, ((0, count * block - len(x)), (0, 0))).reshape(count, block, -1)
    squared, index = jax.lax.map(of_block, padded)
    return squared.reshape(-1, k)[: len(x)], index.reshape(-1, k)[: len(x)]

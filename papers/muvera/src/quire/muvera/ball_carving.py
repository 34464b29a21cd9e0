"""Ball carving: query tokens that say nearly the same become one, so that re-ranking compares fewer vectors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import floating


class Carved(NamedTuple):
    """A query in fewer vectors.

    Attributes:
        labels: group of every token, in the order of the pivots; -1 for padding. int32 `[m]`.
        sums: of the tokens of every group, `[m, d]`, zeros behind the last group. Not normalised.
        mask: which rows of `sums` are groups, `[m]`.
    """

    labels: Int[Array, " m"]
    sums: Float[Array, "m d"]
    mask: Bool[Array, " m"]


@jax.jit
def ball_carve(query: Float[Array, "m d"], tau: float | Float[Array, ""], mask: Bool[Array, " m"] | None = None) -> Carved:
    """The first token that is in no group yet gathers all such tokens with `<q, q'> >= tau`, until none is left.

    Tokens are compared with the pivot only, not with each other.

    Args:
        query: unit vectors.
        tau: the radius of a ball, as a cosine; above 1 every token stays alone.
        mask: which tokens are real; all by default.

    Raises:
        ValueError: for a query without tokens.

    >>> carved = ball_carve(jnp.array([[1.0, 0.0], [0.8, 0.6], [0.28, 0.96]]), 0.75)
    >>> carved.labels.tolist(), carved.mask.tolist()
    ([0, 0, 1], [True, True, False])
    """
    (query,) = floating(query)
    m = len(query)
    if m == 0:
        raise ValueError("query has no tokens; it needs at least one")
    real = jnp.ones(m, bool) if mask is None else mask
    near = query @ query.T >= tau

    def carve(i, state):
        labels, groups = state
        free = real & (labels < 0)
        members = free & free[i] & (near[i] | (jnp.arange(m) == i))
        return jnp.where(members, groups, labels), groups + free[i]

    start = (jnp.full(m, -1, jnp.int32), jnp.zeros((), jnp.int32))
    labels, groups = jax.lax.fori_loop(0, m, carve, start)
    sums = jax.ops.segment_sum(query, jnp.where(labels < 0, m, labels), m)
    return Carved(labels, sums, jnp.arange(m) < groups)

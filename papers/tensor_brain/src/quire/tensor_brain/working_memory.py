"""The working-memory layer: a recurrent state that remembers what was decoded and feeds back to the blackboard."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.tensor_brain.index_layer import normal
from quire.tensor_brain.representation import activation


class MemoryWeights(NamedTuple):
    """Connections of the working memory.

    Attributes:
        V, U, v0: from the blackboard `[r_h, r]`, from its own past `[r_h, r_h]`, bias `[r_h]`.
        B: back to the blackboard `[r, r_h]`; zero is the ablation without a working memory.
    """

    V: AnyArray
    U: AnyArray
    v0: AnyArray
    B: AnyArray


def remember(memory: MemoryWeights, h: Float[AnyArray, " r_h"], q: Num[AnyArray, " r"]) -> Float[Array, " r_h"]:
    """The next state, `tanh(V gamma(q) + U h + v0)`.

    >>> w = MemoryWeights(jnp.ones((1, 2)), jnp.ones((1, 1)), jnp.array([-1.0]), jnp.ones((2, 1)))
    >>> remember(w, jnp.zeros(1), jnp.zeros(2)).tolist()
    [0.0]
    """
    return jnp.tanh(memory.V @ activation(q) + memory.U @ h + memory.v0)


class WorkingMemory(nnx.Module):
    """Holder of `MemoryWeights`, drawn from `N(0, 1 / width of the input)`.

    Raises:
        ValueError: if r or r_h is not positive.
    """

    def __init__(self, r: int, r_h: int, *, rngs: nnx.Rngs):
        check_at_least("r", r)
        check_at_least("r_h", r_h)
        draw = generator(rngs.params())
        self.V, self.U, self.B = (nnx.Param(normal(draw, (a, b), b**-0.5)) for a, b in ((r_h, r), (r_h, r_h), (r, r_h)))
        self.v0 = nnx.Param(jnp.zeros(r_h))

    @property
    def weights(self) -> MemoryWeights:
        """The arrays."""
        return MemoryWeights(self.V[...], self.U[...], self.v0[...], self.B[...])

"""The index layer: one unit for every concept, whose connections to the representation layer are the concept's embedding.

Concepts are of three kinds, entities, predicates and time instances, and the units of one kind compete among themselves.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.random import generator
from quire.tensor_brain.representation import activation


class Index(NamedTuple):
    """Units of one kind of concept.

    Attributes:
        embeddings: `[k, r]`, read bottom-up, and top-down too unless `broadcast` is given.
        bias: `[k]`, or None for none.
        broadcast: `[k, r]`, separate top-down weights: an ablation. The paper ties both directions.
    """

    embeddings: AnyArray
    bias: AnyArray | None = None
    broadcast: AnyArray | None = None

    @property
    def size(self) -> int:
        """How many units there are."""
        return self.embeddings.shape[0]


def index_logits(index: Index, q: Num[AnyArray, " r"]) -> Float[Array, " k"]:
    """`a0_k + <a_k, gamma(q)>`, the logits of a softmax over the units of one kind.

    >>> index_logits(Index(jnp.array([[2.0, 4.0]])), jnp.zeros(2)).tolist()
    [3.0]
    """
    logits = jnp.asarray(index.embeddings) @ activation(q)
    return logits if index.bias is None else logits + index.bias


def top_down(index: Index, unit: Int[AnyArray, ""] | int) -> Float[Array, " r"]:
    """What a firing unit writes to the blackboard: its embedding. NaN for a traced unit beyond the last.

    Raises:
        ValueError: if there is no such unit.
    """
    check_ids("unit", unit, index.size)
    weights = index.embeddings if index.broadcast is None else index.broadcast
    return jnp.take(jnp.asarray(weights), unit, axis=0, mode="fill")


class ConceptEmbeddings(nnx.Module):
    """Entities, predicates and time instances: embeddings `N(0, scale^2)` and biases 0.

    Args:
        num_entities, num_predicates: at least 1.
        num_times: episodes that are there from the start.
        r: width of the representation layer.
        scale: standard deviation of the embeddings.
        rngs: random keys.

    Raises:
        ValueError: if a size is not positive (`num_times` may be 0).
    """

    def __init__(self, num_entities: int, num_predicates: int, num_times: int, r: int, *, scale: float = 0.3, rngs: nnx.Rngs):
        for name, size in (("num_entities", num_entities), ("num_predicates", num_predicates), ("r", r)):
            check_at_least(name, size)
        check_at_least("num_times", num_times, 0)
        draw = generator(rngs.params())
        self.entities, self.predicates, self.times = (
            nnx.Param(normal(draw, (size, r), scale)) for size in (num_entities, num_predicates, num_times)
        )
        self.entity_bias, self.predicate_bias = (nnx.Param(jnp.zeros(size)) for size in (num_entities, num_predicates))

    @property
    def entity_index(self) -> Index:
        """Units of the entities."""
        return Index(self.entities[...], self.entity_bias[...])

    @property
    def predicate_index(self) -> Index:
        """Units of the predicates."""
        return Index(self.predicates[...], self.predicate_bias[...])


def normal(draw, shape: tuple[int, ...], scale: float) -> jax.Array:
    """Initial weights `N(0, scale^2)` in float32, drawn on the host."""
    return jnp.asarray(scale * draw.standard_normal(shape), jnp.float32)

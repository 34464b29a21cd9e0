"""The semantic decoder: subject, object and predicate, one after the other, from whatever is on the blackboard.

    q0 given                                      s ~ softmax(a0 + A gamma(q0))
    h1 = tanh(V gamma(q0 + a_s) + v0)             q1 = q0 + a_s + B h1      o ~ softmax(a0 + A gamma(q1))
    h2 = tanh(V gamma(q1 + a_o) + U h1 + v0)      q2 = q1 + a_o + B h2      p ~ softmax(p0 + P gamma(q2))

Functions decode one blackboard; `jax.vmap` makes batches. Triples are columns subject, predicate, object; the axes of a joint
distribution are subject, object, predicate, in the order of decoding.
"""

from functools import reduce
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.tensor_brain.index_layer import Index, index_logits, top_down
from quire.tensor_brain.representation import check_blackboard
from quire.tensor_brain.working_memory import MemoryWeights, remember

Id = Int[AnyArray, ""] | int


class DecoderWeights(NamedTuple):
    """What the decoder needs: the units of entities and predicates, and the working memory."""

    entities: Index
    predicates: Index
    memory: MemoryWeights


class StepLogits(NamedTuple):
    """Logits of the three decisions: `[n_E]`, `[n_E]`, `[n_P]`."""

    subject: Array
    object: Array
    predicate: Array


class Blackboard(NamedTuple):
    """Pre-activation `[r]` and working memory `[r_h]` between two decisions."""

    q: Array
    h: Array


def start(weights: DecoderWeights, q0: Num[AnyArray, " r"]) -> Blackboard:
    """The blackboard before the first decision; the working memory is empty."""
    check_blackboard(q0, weights.entities.embeddings.shape[1])
    return Blackboard(jnp.asarray(q0), jnp.zeros(weights.memory.v0.shape, weights.memory.v0.dtype))


def attend(weights: DecoderWeights, board: Blackboard, entity: Id) -> Blackboard:
    """The embedding broadcast: a decided entity is loaded on the blackboard, `q + a + B h'`, and remembered in `h'`."""
    loaded = board.q + top_down(weights.entities, entity)
    h = remember(weights.memory, board.h, loaded)
    return Blackboard(loaded + weights.memory.B @ h, h)


def step_logits(weights: DecoderWeights, q0: Num[AnyArray, " r"], s: Id, o: Id) -> StepLogits:
    """Logits of the three decisions when subject and object are decided as given (teacher forcing).

    Raises:
        ValueError: if q0 is not `[r]`, or an id is out of range.
    """
    board = start(weights, q0)
    first = attend(weights, board, s)
    second = attend(weights, first, o)
    entities = (index_logits(weights.entities, b.q) for b in (board, first))
    return StepLogits(*entities, index_logits(weights.predicates, second.q))


def log_prob(weights: DecoderWeights, q0: Num[AnyArray, " r"], s: Id, p: Id, o: Id) -> Float[Array, ""]:
    """`log P(s | q0) + log P(o | s, q0) + log P(p | s, o, q0)`.

    Raises:
        ValueError: if q0 is not `[r]`, or an id is out of range.
    """
    logits = step_logits(weights, q0, s, o)
    check_ids("p", p, weights.predicates.size)
    chosen = zip(logits, (s, o, p), strict=True)
    return reduce(add, (jnp.take(jax.nn.log_softmax(x), i, mode="fill") for x, i in chosen))


def log_probs(weights: DecoderWeights, q0: Num[AnyArray, "b r"], triples: Int[AnyArray, "b 3"]) -> Float[Array, " b"]:
    """`log_prob` of a triple (subject, predicate, object) for each blackboard.

    Raises:
        ValueError: if there is no triple, the shapes do not fit, or an id is out of range.
    """
    if triples.ndim != 2 or triples.shape[1] != 3 or not len(triples) or q0.shape[:1] != triples.shape[:1]:
        raise ValueError(f"triples has shape {triples.shape} and q0 {q0.shape}; they need [b, 3] and [b, r], b at least 1")
    check_ids("entities", triples[:, ::2], weights.entities.size)
    check_ids("predicates", triples[:, 1], weights.predicates.size)
    return jax.vmap(lambda q, t: log_prob(weights, q, t[0], t[1], t[2]))(q0, jnp.asarray(triples))


def log_joint(weights: DecoderWeights, q0: Num[AnyArray, " r"]) -> Float[Array, "n_E n_E n_P"]:
    """Logarithm of the probability of every triple, for small worlds: `n_E^2 (2 r r_h + n_P r)` multiplications.

    Raises:
        ValueError: if q0 is not `[r]`.
    """
    board, everyone = start(weights, q0), jnp.arange(weights.entities.size)
    first = jax.vmap(lambda s: attend(weights, board, s))(everyone)
    second = jax.vmap(lambda b: jax.vmap(lambda o: attend(weights, b, o))(everyone))(first)
    subject = jax.nn.log_softmax(index_logits(weights.entities, board.q))
    objects = jax.nn.log_softmax(jax.vmap(lambda q: index_logits(weights.entities, q))(first.q))
    predicates = jax.nn.log_softmax(jax.vmap(jax.vmap(lambda q: index_logits(weights.predicates, q)))(second.q))
    return (subject[:, None] + objects)[..., None] + predicates


def joint(weights: DecoderWeights, q0: Num[AnyArray, " r"]) -> Float[Array, "n_E n_E n_P"]:
    """`P(s, o, p | q0)`, axes subject, object, predicate; sums to 1.

    Raises:
        ValueError: if q0 is not `[r]`.
    """
    return jnp.exp(log_joint(weights, q0))


def sample(weights: DecoderWeights, key: jax.Array, q0: Num[AnyArray, " r"], n: int) -> Int[Array, "n 3"]:
    """n independent triples (subject, predicate, object) from the joint distribution.

    Raises:
        ValueError: if q0 is not `[r]`, or n is below 1.
    """
    check_at_least("n", n)
    return jax.vmap(lambda key: sample_one(weights, key, q0))(jax.random.split(key, n))


def sample_one(weights: DecoderWeights, key: jax.Array, q0: Num[AnyArray, " r"]) -> Int[Array, " 3"]:
    """A triple, each decision sampled: perception that becomes explicit."""
    keys = jax.random.split(key, 3)
    return _decide(weights, q0, lambda logits, step: jax.random.categorical(keys[step], logits))


def greedy(weights: DecoderWeights, q0: Num[AnyArray, " r"]) -> Int[Array, " 3"]:
    """The triple of the most probable decision at each step; ties go to the lower id.

    Raises:
        ValueError: if q0 is not `[r]`.
    """
    return _decide(weights, q0, lambda logits, step: jnp.argmax(logits))


def _decide(weights, q0, choose) -> Array:
    board = start(weights, q0)
    s = choose(index_logits(weights.entities, board.q), 0)
    board = attend(weights, board, s)
    o = choose(index_logits(weights.entities, board.q), 1)
    board = attend(weights, board, o)
    p = choose(index_logits(weights.predicates, board.q), 2)
    return jnp.stack([s, p, o]).astype(jnp.int32)


def beam(weights: DecoderWeights, q0: Num[AnyArray, " r"], width: int) -> tuple[Int[Array, "w 3"], Float[Array, " w"]]:
    """The most probable triples among those that a beam of partial ones reaches, the best first, and their log-probabilities.

    With `width = n_E^2` it is exact.

    Args:
        weights: of the decoder.
        q0: `[r]`.
        width: partial triples that are kept at each step; no more triples than there are come back.

    Raises:
        ValueError: if q0 is not `[r]`, or width is below 1.
    """
    check_at_least("width", width)

    def extend(index, boards, scores):
        logits = jax.vmap(lambda q: index_logits(index, q))(boards.q)
        total = scores[:, None] + jax.nn.log_softmax(logits)
        scores, flat = jax.lax.top_k(total.ravel(), min(width, total.size))
        return scores, flat // index.size, flat % index.size

    def follow(boards, parent, entity):
        return jax.vmap(lambda b, e: attend(weights, b, e))(jax.tree.map(lambda x: x[parent], boards), entity)

    boards = jax.tree.map(lambda x: x[None], start(weights, q0))
    scores, parent, s = extend(weights.entities, boards, jnp.zeros(1))
    boards = follow(boards, parent, s)
    scores, parent, o = extend(weights.entities, boards, scores)
    boards, s = follow(boards, parent, o), s[parent]
    scores, parent, p = extend(weights.predicates, boards, scores)
    return jnp.stack([s[parent], p, o[parent]], axis=1).astype(jnp.int32), scores


def answer(weights: DecoderWeights, q0: Num[AnyArray, " r"], s: Id, p: Id) -> Float[Array, " n_E"]:
    """`P(o | s, p, q0)`, proportional to `P(o | s) P(p | s, o)`: a question with subject and predicate clamped.

    Raises:
        ValueError: if q0 is not `[r]`, or an id is out of range.
    """
    check_ids("p", p, weights.predicates.size)
    board = attend(weights, start(weights, q0), s)
    second = jax.vmap(lambda o: attend(weights, board, o))(jnp.arange(weights.entities.size))
    predicates = jax.nn.log_softmax(jax.vmap(lambda q: index_logits(weights.predicates, q))(second.q))
    objects = jax.nn.log_softmax(index_logits(weights.entities, board.q))
    return jax.nn.softmax(objects + jnp.take(predicates, p, axis=1, mode="fill"))


def relation(weights: DecoderWeights, q0: Num[AnyArray, " r"], s: Id, o: Id) -> Float[Array, " n_P"]:
    """`P(p | s, o, q0)`: how two given entities are related.

    Raises:
        ValueError: if q0 is not `[r]`, or an id is out of range.
    """
    return jax.nn.softmax(step_logits(weights, q0, s, o).predicate)

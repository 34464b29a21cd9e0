"""Perception, episodic memory and semantic memory: three ways of loading the blackboard of one decoder."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating
from quire.common.random import generator
from quire.tensor_brain import decoder
from quire.tensor_brain.decoder import DecoderWeights, Id
from quire.tensor_brain.index_layer import ConceptEmbeddings, Index, index_logits, normal
from quire.tensor_brain.working_memory import WorkingMemory


def perceive(W: Num[AnyArray, "r r_u"], w0: Num[AnyArray, " r"], u: Num[AnyArray, " r_u"]) -> Float[Array, " r"]:
    """`q0 = W u + w0`: what the sensory memory holds is loaded on the blackboard.

    Raises:
        ValueError: if the shapes do not fit.

    >>> perceive(jnp.array([[1.0, 2.0]]), jnp.array([0.5]), jnp.array([1.0, 1.0])).tolist()
    [3.5]
    """
    if u.shape != W.shape[1:] or w0.shape != W.shape[:1]:
        raise ValueError(f"W has shape {W.shape}, w0 {w0.shape}, u {u.shape}; they need [r, r_u], [r] and [r_u]")
    W, w0, u = floating(W, w0, u)
    return W @ u + w0


def write(times: Num[AnyArray, "n_T r"], q0: Num[AnyArray, " r"]) -> Float[Array, "n_T+1 r"]:
    """One-shot formation of an episode: a new time unit whose embedding is what was on the blackboard, `a_t = q0`.

    Raises:
        ValueError: if q0 is not of the length of the embeddings.
    """
    if q0.shape != times.shape[1:]:
        raise ValueError(f"q0 has shape {q0.shape}; embeddings of times need {times.shape[1:]}")
    times, q0 = floating(times, q0)
    return jnp.concatenate([times, q0[None]])


def cue(times: Num[AnyArray, "n_T r"], q: Num[AnyArray, " r"]) -> Float[Array, " n_T"]:
    """`P(t | q) = softmax_t <a_t, gamma(q)>`: which episode the blackboard reminds of.

    Raises:
        ValueError: without an episode.
    """
    check_at_least("number of episodes", len(times))
    return jax.nn.softmax(index_logits(Index(times), q))


class Perception(nnx.Module):
    """Sensory memory of r_u numbers and its map to the blackboard; `perceive` with weights `N(0, 1 / r_u)`.

    Raises:
        ValueError: if r_u or r is not positive.
    """

    def __init__(self, r_u: int, r: int, *, rngs: nnx.Rngs):
        check_at_least("r_u", r_u)
        check_at_least("r", r)
        self.W = nnx.Param(normal(generator(rngs.params()), (r, r_u), r_u**-0.5))
        self.w0 = nnx.Param(jnp.zeros(r))

    def __call__(self, u: Num[AnyArray, " r_u"]) -> Float[Array, " r"]:
        """The blackboard of an input `[r_u]`."""
        return perceive(self.W[...], self.w0[...], u)


class EpisodicMemory(nnx.Module):
    """Episodes, each the embedding of a time unit. It grows by writing, outside of compiled functions.

    Args:
        r: width of the representation layer.
        times: `[n_T, r]` to begin with; none by default.

    Raises:
        ValueError: if r is not positive, or `times` is not `[n_T, r]`.
    """

    def __init__(self, r: int, times: Num[AnyArray, "n_T r"] | None = None):
        check_at_least("r", r)
        times = jnp.zeros((0, r)) if times is None else jnp.asarray(times)
        if times.shape[1:] != (r,):
            raise ValueError(f"times has shape {times.shape}; it must be [n_T, {r}]")
        self.times = nnx.Variable(times)

    def write(self, q0: Num[AnyArray, " r"]) -> int:
        """Store what is on the blackboard; the number of its time unit."""
        self.times = nnx.Variable(write(self.times[...], q0))
        return len(self.times[...]) - 1

    def recall(self, t: Id) -> Float[Array, " r"]:
        """The blackboard of an episode.

        Raises:
            ValueError: if there is no such episode.
        """
        check_ids("t", t, len(self.times[...]))
        return jnp.take(self.times[...], t, axis=0, mode="fill")

    def cue(self, q: Num[AnyArray, " r"]) -> Float[Array, " n_T"]:
        """How probable every episode is, given what is on the blackboard."""
        return cue(self.times[...], q)


class SemanticDecoder(nnx.Module):
    """Holder of the weights of a decoder.

    Args:
        num_entities, num_predicates: concepts.
        r: width of the representation layer.
        r_h: width of the working memory.
        scale: standard deviation of the initial embeddings.
        rngs: random keys.

    Raises:
        ValueError: if a size is not positive.

    >>> model = SemanticDecoder(4, 3, r=5, r_h=6, rngs=nnx.Rngs(0))
    >>> print(f"{model.joint(jnp.zeros(5)).sum():.4f}")
    1.0000
    """

    def __init__(self, num_entities: int, num_predicates: int, r: int, r_h: int, *, scale: float = 0.3, rngs: nnx.Rngs):
        self.concepts = ConceptEmbeddings(num_entities, num_predicates, 0, r, scale=scale, rngs=rngs)
        self.memory = WorkingMemory(r, r_h, rngs=rngs)

    @property
    def weights(self) -> DecoderWeights:
        """What the functions of `decoder` take."""
        return DecoderWeights(self.concepts.entity_index, self.concepts.predicate_index, self.memory.weights)

    def __call__(self, q0: Num[AnyArray, " r"], s: Id, o: Id) -> decoder.StepLogits:
        """Logits of the three decisions, subject and object given."""
        return decoder.step_logits(self.weights, q0, s, o)

    def log_prob(self, q0: Num[AnyArray, " r"], s: Id, p: Id, o: Id) -> Float[Array, ""]:
        """Log-probability of a triple."""
        return decoder.log_prob(self.weights, q0, s, p, o)

    def joint(self, q0: Num[AnyArray, " r"]) -> Float[Array, "n_E n_E n_P"]:
        """Probability of every triple, axes subject, object, predicate."""
        return decoder.joint(self.weights, q0)

    def sample(self, key: jax.Array, q0: Num[AnyArray, " r"], n: int) -> Int[Array, "n 3"]:
        """Triples (subject, predicate, object)."""
        return decoder.sample(self.weights, key, q0, n)

    def beam(self, q0: Num[AnyArray, " r"], width: int) -> tuple[Int[Array, "w 3"], Float[Array, " w"]]:
        """The most probable triples that a beam finds, and their log-probabilities."""
        return decoder.beam(self.weights, q0, width)


class SemanticMemory(nnx.Module):
    """What is known at no particular time: a learned embedding `abar` before a decoder.

    Args:
        semantic_decoder: shared with perception and episodic memory.
        rngs: random keys.
    """

    def __init__(self, semantic_decoder: SemanticDecoder, *, scale: float = 0.3, rngs: nnx.Rngs):
        self.decoder = semantic_decoder
        self.abar = nnx.Param(normal(generator(rngs.params()), (semantic_decoder.weights.memory.B.shape[0],), scale))

    def q0(self) -> Float[Array, " r"]:
        """The blackboard of semantic memory."""
        return self.abar[...]

    def answer(self, s: Id, p: Id) -> Float[Array, " n_E"]:
        """`P(o | s, p)`, the answer to a question.

        Raises:
            ValueError: if an id is out of range.
        """
        return decoder.answer(self.decoder.weights, self.q0(), s, p)


class TensorBrain(nnx.Module):
    """One decoder, loaded by perception or by semantic memory: `.perception`, `.semantic`, `.decoder`.

    Episodes are kept beside it, in an `EpisodicMemory`.

    Args:
        num_entities, num_predicates: concepts.
        r_u: numbers in the sensory memory.
        r, r_h: widths of the representation layer and the working memory.
        rngs: random keys.
    """

    def __init__(self, num_entities: int, num_predicates: int, r_u: int, r: int, r_h: int, *, rngs: nnx.Rngs):
        self.perception = Perception(r_u, r, rngs=rngs)
        self.semantic = SemanticMemory(SemanticDecoder(num_entities, num_predicates, r, r_h, rngs=rngs), rngs=rngs)

    @property
    def decoder(self) -> SemanticDecoder:
        """Shared by all modes."""
        return self.semantic.decoder

"""From episodic to semantic memory: mixtures of episodes, replay, and marginalisation of time."""

import jax
import jax.numpy as jnp
from jax.scipy.special import rel_entr
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.tensor_brain.decoder import DecoderWeights, log_joint, sample_one


def mixture(
    weights: DecoderWeights, times: Float[AnyArray, "n_T r"], prior: Num[AnyArray, " n_T"] | None = None
) -> Float[Array, "n_E n_E n_P"]:
    """`sum_t pi_t P(s, o, p | t)`: what is true at some time, the target of consolidation.

    Args:
        weights: of the decoder.
        times: embeddings of the episodes.
        prior: pi, which sums to 1; uniform by default.

    Raises:
        ValueError: without an episode, or if there is not one weight for each.
    """
    check_at_least("number of episodes", len(times))
    prior = jnp.full(len(times), 1 / len(times)) if prior is None else jnp.asarray(prior)
    if prior.shape != times.shape[:1]:
        raise ValueError(f"prior has shape {prior.shape}; {len(times)} episodes need ({len(times)},)")
    joints = jnp.exp(jax.vmap(lambda a: log_joint(weights, a))(jnp.asarray(times)))
    return jnp.einsum("t,tsop->sop", prior, joints)


def replay(weights: DecoderWeights, key: jax.Array, times: Float[AnyArray, "n_T r"], n: int) -> Int[Array, "n 3"]:
    """n triples (subject, predicate, object), each decoded from an episode that is drawn anew.

    Raises:
        ValueError: without an episode, or if n is below 1.
    """
    check_at_least("number of episodes", len(times))
    check_at_least("n", n)
    which, decode = jax.random.split(key)
    chosen = jnp.asarray(times)[jax.random.randint(which, (n,), 0, len(times))]
    return jax.vmap(lambda key, a: sample_one(weights, key, a))(jax.random.split(decode, n), chosen)


def replay_counts(triples: Int[AnyArray, "n 3"], num_entities: int, num_predicates: int) -> Float[Array, "n_E n_E n_P"]:
    """Share of the triples at every place of a joint distribution. Training on them needs no more than these shares.

    >>> replay_counts(jnp.array([[0, 0, 1], [0, 0, 1]]), 2, 1).ravel().tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    check_at_least("number of triples", len(triples))
    s, p, o = jnp.asarray(triples).T
    return jnp.zeros((num_entities, num_entities, num_predicates)).at[s, o, p].add(1 / len(triples))


def divergence(p: Num[AnyArray, "*axes"], q: Num[AnyArray, "*axes"]) -> Float[Array, ""]:
    """Kullback-Leibler divergence `sum p log(p / q)` in nats.

    Raises:
        ValueError: if the shapes differ.

    >>> print(f"{divergence(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5])):.4f}")
    0.6931
    """
    if p.shape != q.shape:
        raise ValueError(f"p has shape {p.shape} and q {q.shape}; they need one shape")
    p, q = floating(p, q)
    return rel_entr(p, q).sum()


def product_of_marginals(joint: Num[AnyArray, "n_E n_E n_P"]) -> Float[Array, "n_E n_E n_P"]:
    """`P(s) P(o) P(p)`: subject, object and predicate as if they had nothing to do with each other."""
    (joint,) = floating(joint)
    s, o, p = (joint.sum(axes) for axes in ((1, 2), (0, 2), (0, 1)))
    return jnp.einsum("s,o,p->sop", s, o, p)


def marginalise_time(times: Num[AnyArray, "n_T r"]) -> Float[Array, " r"]:
    """`sum_t a_t`, the time factor whose CP score `sum_i a_s a_p a_o a_t` is the sum of the scores over all times."""
    (times,) = floating(times)
    return times.sum(0)

"""Similarity of words that have several vectors, with and without a context; cosines on the scale `s = (1 + cos) / 2`."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids, floating
from quire.common.layers.nested import unit_rows
from quire.common.metrics.rank_correlation import spearman
from quire.text_vectors.senses import prune


def sense_cosines(a: Float[AnyArray, "n S d"], b: Float[AnyArray, "n S d"]) -> Float[Array, "n S S"]:
    """s of every sense of the first word with every sense of the second.

    >>> print(sense_cosines(jnp.array([[[1.0, 0.0]]]), jnp.array([[[-1.0, 0.0]]])))
    [[[0.]]]
    """
    a, b = floating(a, b)
    return (1 + jnp.einsum("nsd,ntd->nst", unit_rows(a), unit_rows(b))) / 2


def avg_sim(scores: Float[AnyArray, "n S S"], kept_a: Bool[AnyArray, "n S"], kept_b: Bool[AnyArray, "n S"]) -> Float[Array, " n"]:
    """avgSim: plain mean over pairs of kept senses; NaN where a word keeps none.

    >>> keeps = jnp.ones((1, 2), bool)
    >>> print(avg_sim(jnp.array([[[1.0, 0.0], [0.5, 0.5]]]), keeps, keeps))
    [0.5]
    """
    pairs = (kept_a[:, :, None] & kept_b[:, None]).astype(scores.dtype)
    count = pairs.sum((1, 2))
    return jnp.where(count > 0, jnp.sum(scores * pairs, (1, 2)) / jnp.maximum(count, 1), jnp.nan)


def weighted_sim(
    scores: Float[AnyArray, "n S S"], p_a: Float[AnyArray, "n S"], p_b: Float[AnyArray, "n S"]
) -> Float[Array, " n"]:
    """`sum_st p_s q_t s(s, t)`: avgSimP with the priors of kept senses (0 for the others), avgSimC with probabilities in context.

    >>> print(weighted_sim(jnp.array([[[1.0, 0.0], [0.5, 0.5]]]), jnp.array([[0.5, 0.5]]), jnp.array([[1.0, 0.0]])))
    [0.75]
    """
    return jnp.einsum("nst,ns,nt->n", scores, p_a, p_b)


def local_sim(scores: Float[AnyArray, "n S S"], p_a: Float[AnyArray, "n S"], p_b: Float[AnyArray, "n S"]) -> Float[Array, " n"]:
    """localSim: the likeliest sense of each word in its context, pruned or not.

    >>> print(local_sim(jnp.array([[[1.0, 0.2], [0.5, 0.5]]]), jnp.array([[0.9, 0.1]]), jnp.array([[0.3, 0.7]])))
    [0.2]
    """
    return scores[np.arange(len(scores)), p_a.argmax(1), p_b.argmax(1)]


def similarities(
    sense: Float[AnyArray, "V S d"],
    prior: Float[AnyArray, "V S"],
    threshold: float,
    a: Int[AnyArray, " n"],
    b: Int[AnyArray, " n"],
    in_context: tuple[Float[AnyArray, "n S"], Float[AnyArray, "n S"]] | None = None,
) -> dict[str, Float[np.ndarray, " n"]]:
    """All similarities of pairs of words, and that of one vector a word, the mean of its senses by the prior.

    Args:
        sense: vectors.
        prior: of the senses.
        threshold: of pruning.
        a, b: words.
        in_context: probabilities of their senses, for avgSimC and localSim.

    Raises:
        ValueError: for ids out of range.
    """
    for name, ids in (("a", a), ("b", b)):
        check_ids(name, ids, len(sense))
    found = _similarities(sense, prior, prune(prior, threshold), a, b, in_context)
    return {name: np.asarray(x) for name, x in found.items()}


@jax.jit
def _similarities(sense, prior, kept, a, b, in_context):
    scores = sense_cosines(sense[a], sense[b])
    prior = jnp.asarray(prior, scores.dtype)
    pruned, means = jnp.where(kept, prior, 0), jnp.einsum("vs,vsd->vd", prior, sense)
    found = {
        "one vector": sense_cosines(means[a][:, None], means[b][:, None])[:, 0, 0],
        "avgSim": avg_sim(scores, kept[a], kept[b]),
        "avgSimP": weighted_sim(scores, pruned[a], pruned[b]),
    }
    if in_context is not None:
        found |= {"avgSimC": weighted_sim(scores, *in_context), "localSim": local_sim(scores, *in_context)}
    return found


def correlations(found: Mapping[str, Float[AnyArray, " n"]], ratings: Real[AnyArray, " n"]) -> dict[str, float]:
    """100 times Spearman's correlation of each similarity with ratings; NaN where one of them is constant.

    >>> correlations({"rising": np.array([0.1, 0.2, 0.9])}, np.array([1.0, 2.0, 3.0]))
    {'rising': 100.0}
    """
    return {name: 100 * spearman(np.asarray(x), np.asarray(ratings)) for name, x in found.items()}


def rated_pairs(
    pairs: Sequence[tuple[str, str, float]], words: Mapping[str, int]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Ids and ratings of the pairs whose words are both known.

    >>> rated_pairs([("cat", "dog", 7.0), ("cat", "ox", 1.0)], {"cat": 1, "dog": 2})
    (array([1]), array([2]), array([7.]))
    """
    known = [(words[a], words[b], rating) for a, b, rating in pairs if a in words and b in words]
    first, second, ratings = np.array(known, float).reshape(-1, 3).T
    return first.astype(int), second.astype(int), ratings

"""The Bayesian brain: semantic memory as the prior of what perception is about to see, and two trivial priors beside it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids, check_positive, floating, is_concrete


def log_posterior(
    log_perception: Float[AnyArray, "*axes"],
    log_prior: Float[AnyArray, "*axes"],
    log_base: Float[AnyArray, "*axes"] | None = None,
) -> Float[Array, "*axes"]:
    """`log P(spo | u)`, from `P_perc(spo | u) P_sem(spo) / P_base(spo)` normalised over all triples.

    Args:
        log_perception: of the decoder, loaded by perception.
        log_prior: of semantic memory, say.
        log_base: the distribution of triples that perception was trained on; uniform by default.

    Raises:
        ValueError: if the shapes differ.
    """
    _check_shapes(log_perception, log_prior, log_base)
    log_perception, log_prior = floating(log_perception, log_prior)
    total = log_perception + log_prior
    total = total if log_base is None else total - log_base
    return total - logsumexp(total)


def posterior(
    perception: Num[AnyArray, "*axes"], prior: Num[AnyArray, "*axes"], base: Num[AnyArray, "*axes"] | None = None
) -> Float[Array, "*axes"]:
    """`log_posterior` for probabilities; they may be zero, those of the base not where the others are positive.

    Raises:
        ValueError: if the shapes differ, or no triple is possible under both. Where that cannot be looked at, NaN.

    >>> [f"{x:.2f}" for x in posterior(jnp.array([0.5, 0.5]), jnp.array([0.2, 0.8]))]
    ['0.20', '0.80']
    """
    _check_shapes(perception, prior, base)
    perception, prior = floating(perception, prior)
    # Each relative to its largest number, so that the product of two small ones is not rounded to nothing. The scales cancel.
    scales = [jax.lax.stop_gradient(jnp.max(x, initial=0)) for x in (perception, prior)]
    product = (perception / scales[0]) * (prior / scales[1])
    product = product if base is None else jnp.where(product > 0, product / jnp.where(product > 0, base, 1), 0)
    total = product.sum()
    if is_concrete(total) and not total > 0:
        raise ValueError(f"perception times prior sums to {float(total)}; some triple must be possible under both")
    return product / total


def predicate_marginal(
    triples: Int[AnyArray, "n 3"], num_entities: int, num_predicates: int, smoothing: float = 1.0
) -> Float[np.ndarray, "n_E n_E n_P"]:
    """A trivial prior: how often each predicate occurs among known triples, whatever subject and object.

    Raises:
        ValueError: without a triple, for ids out of range, or smoothing that is not positive.

    >>> predicate_marginal(np.array([[0, 1, 0]]), 1, 2, smoothing=0.5).ravel().tolist()
    [0.25, 0.75]
    """
    _check_triples(triples, num_entities, num_predicates, smoothing)
    counts = np.bincount(np.asarray(triples)[:, 1], minlength=num_predicates) + smoothing
    return np.broadcast_to(counts / counts.sum() / num_entities**2, (num_entities, num_entities, num_predicates))


def lookup_table(
    triples: Int[AnyArray, "n 3"], num_entities: int, num_predicates: int, smoothing: float = 0.1
) -> Float[np.ndarray, "n_E n_E n_P"]:
    """A prior without any generalisation: counts of the known triples, plus `smoothing` for every possible one.

    Raises:
        ValueError: without a triple, for ids out of range, or smoothing that is not positive.
    """
    _check_triples(triples, num_entities, num_predicates, smoothing)
    counts = np.full((num_entities, num_entities, num_predicates), smoothing)
    s, p, o = np.asarray(triples).T
    np.add.at(counts, (s, o, p), 1)
    return counts / counts.sum()


def _check_shapes(perception, prior, base) -> None:
    if perception.shape != prior.shape or (base is not None and base.shape != prior.shape):
        other = "none" if base is None else base.shape
        raise ValueError(f"perception has shape {perception.shape}, prior {prior.shape}, base {other}; they need one shape")


def _check_triples(triples, num_entities, num_predicates, smoothing) -> None:
    if not len(triples):
        raise ValueError("triples is empty; at least one is needed")
    check_ids("entities", np.asarray(triples)[:, ::2], num_entities)
    check_ids("predicates", np.asarray(triples)[:, 1], num_predicates)
    check_positive("smoothing", smoothing)

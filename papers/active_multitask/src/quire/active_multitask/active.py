"""Active sampling with unknown relevance: a warm start, an estimate of the relevance, samples by it, and all of it again.

The loop knows nothing of what a representation is: a learner fits one to the data and hands out heads.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.active_multitask.allocation import STRATEGIES, Strategy, allocate
from quire.active_multitask.lasso import lasso_at_error
from quire.active_multitask.multitask import Fit, Head, Moments, fit_mtrl, target_head
from quire.active_multitask.relevance import shortest_fit
from quire.common.checks import check_at_least

SLACK = 0.5
"""How far the LASSO may miss the target's head, in standard errors of it. At 1 it leaves out sources that matter."""


class Estimate(NamedTuple):
    """What a learner makes of its data.

    Attributes:
        heads: of the sources, `[k, tasks]`.
        target: head of the target on the same features, with its error.
        model: the representation.
    """

    heads: Array
    target: Head
    model: Any


class Data(Protocol):
    """Samples of all sources, in any form that can be added to."""

    def __add__(self, other: Any) -> Any: ...


Sampler = Callable[[np.ndarray], Any]
"""`sampler(counts [tasks])` draws new samples of the sources: `Data`."""
Learner = Callable[[Any, Any], Estimate]
"""`learner(data, target)` fits a representation to the sources and a head on it to the target."""


class Run(NamedTuple):
    """The end of a run: the estimate, the relevance that the last samples went by, and how many each task got in all."""

    estimate: Estimate
    nu: Array
    counts: np.ndarray


def linear_learner(k: int, rounds: int = 10) -> Learner:
    """Alternating least squares for data that are `Moments`; its model is the basis `[d, k]`."""

    def learn(data: Moments, target: Moments) -> Estimate:
        fit: Fit = fit_mtrl(data, k, rounds=rounds)
        return Estimate(fit.heads, target_head(target, fit.basis), fit.basis)

    return learn


def estimate_relevance(estimate: Estimate, strategy: Strategy) -> Float[Array, " tasks"]:
    """nu from estimated heads: the LASSO at half the error of the target's head (`l1`), the shortest fit (`l2`), or all alike.

    >>> head = Head(jnp.array([1.0]), jnp.array(0.1), jnp.array(0.2))
    >>> print(estimate_relevance(Estimate(jnp.array([[1.0, 0.5]]), head, None), "l1") != 0)
    [ True False]
    """
    if strategy == "l1":
        return lasso_at_error(estimate.heads, estimate.target.w, SLACK * estimate.target.error)
    return shortest_fit(estimate.heads, estimate.target.w) if strategy == "l2" else jnp.ones(estimate.heads.shape[1])


def run_amtrl(
    sampler: Sampler,
    target: Any,
    learner: Learner,
    budget: int,
    strategy: Strategy,
    *,
    tasks: int,
    n_min: int,
    epochs: int = 1,
) -> Run:
    """A-MTRL by one of three strategies, with the same number of samples for each.

    Every task gives `n_min` samples to begin with. What is left of the budget is spent in epochs of doubling size, each by the
    relevance that all samples so far suggest; the representation is then fitted anew to all of them.

    Args:
        sampler: draws samples of the sources.
        target: samples of the target, as the learner takes them.
        learner: `linear_learner(k)`, or one of a network.
        budget: samples of the sources in all; rounding up adds fewer than one a task and epoch.
        strategy: `"uniform"` (P-MTRL), `"l2"` (L2-A-MTRL) or `"l1"` (L1-A-MTRL).
        tasks: number of sources.
        n_min: of the warm start; some times the dimension, or the heads mean nothing.
        epochs: how often the relevance is estimated.

    Returns:
        The final estimate, the last relevance, and the counts.

    Raises:
        ValueError: for another strategy, no task, no epoch, or a budget that the warm start exceeds.
    """
    for name, value in (("tasks", tasks), ("n_min", n_min), ("epochs", epochs)):
        check_at_least(name, value)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}; it must be one of {', '.join(STRATEGIES)}")
    if budget < tasks * n_min:
        raise ValueError(f"budget is {budget}; the warm start takes {n_min} samples of each of {tasks} tasks")
    counts, nu = np.full(tasks, n_min), jnp.ones(tasks)
    data, left = sampler(counts), budget - tasks * n_min
    for epoch in range(epochs):
        if strategy != "uniform":
            nu = estimate_relevance(learner(data, target), strategy)
        new = allocate(nu, left * 2**epoch / (2**epochs - 1), strategy)
        data, counts = data + sampler(new), counts + new
    return Run(learner(data, target), nu, counts)

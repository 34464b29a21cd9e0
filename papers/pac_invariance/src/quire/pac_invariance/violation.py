"""The uniform statement: of all representations that are invariant on m training interventions, the worst one on unseen ones."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.roots import length
from quire.pac_invariance.invariance import optimal_predictor
from quire.pac_invariance.moments import Moments, check_environments
from quire.pac_invariance.subsets import of_subsets


class ViolationCurve(NamedTuple):
    """By number m of training interventions.

    Attributes:
        worst: largest violation rate of the representations that are eps-approximately invariant in training; 0 if there is none.
        invariant: share of the representations that are.
        random: mean violation rate of all representations, invariant in training or not.
    """

    worst: Float[Array, "*batch m"]
    invariant: Float[Array, "*batch m"]
    random: Float[Array, "*batch m"]


def subset_gaps(moments: Moments, w: Float[Array, "*batch s q"], subsets: Int[AnyArray, "s q"]) -> Float[Array, "e *batch s"]:
    """Gradient gaps of predictors from subsets in every environment, all at once.

    Args:
        moments: of x and y, an axis of environments.
        w: predictors, zero at padded places; several for a subset if there are leading axes.
        subsets: see `quire.pac_invariance.subsets.all_subsets`.
    """
    seen = of_subsets(moments, subsets)
    at = jnp.einsum("esij,...sj->e...si", seen.xx, w)
    return length(at - seen.xy.reshape(len(seen.xy), *[1] * (w.ndim - 2), *subsets.shape))


def violation_curve(
    train: Moments,
    test: Moments,
    subsets: Int[AnyArray, "s q"],
    counts: tuple[int, ...],
    eps: float | Array,
    w: Float[Array, "s q"] | None = None,
) -> ViolationCurve:
    """Choose by the first m training interventions, judge on others.

    Args:
        train: of at least `max(counts)` interventions, in the order in which they arrive.
        test: of unseen interventions.
        subsets: the representations.
        counts: numbers m.
        eps: largest gradient gap that counts as invariant.
        w: predictors that are fixed beforehand; by default, the best ones for the m training interventions together.

    Raises:
        ValueError: without environments, for a count that is not positive or more than there are.
    """
    check_environments(train)
    check_environments(test)
    if not counts or min(counts) < 1 or max(counts) > len(train.yy):
        raise ValueError(f"counts is {counts}; it needs numbers from 1 to the {len(train.yy)} training interventions")
    if w is None:
        share = np.array([[1 / m] * m + [0] * (len(train.yy) - m) for m in counts])
        means = Moments(*(jnp.tensordot(jnp.asarray(share, part.dtype), part, 1) for part in train))
        w = optimal_predictor(of_subsets(means, subsets))
    else:
        w = jnp.broadcast_to(w, (len(counts), *w.shape))
    seen = jnp.arange(len(train.yy))[:, None, None] < np.array(counts)[None, :, None]
    invariant = ((subset_gaps(train, w, subsets) <= eps) | ~seen).all(0)
    violated = 1 - jnp.mean(subset_gaps(test, w, subsets) <= eps, axis=0)
    return ViolationCurve(jnp.where(invariant, violated, 0).max(-1), invariant.mean(-1), violated.mean(-1))


@partial(jax.jit, static_argnames="counts")
def violation_curves(
    train: Moments,
    test: Moments,
    subsets: Int[AnyArray, "s q"],
    counts: tuple[int, ...],
    eps: float | Array,
    w: Float[Array, "models s q"] | None = None,
) -> ViolationCurve:
    """As `violation_curve` for several models, along a leading axis of all moments and predictors, one at a time."""
    return jax.lax.map(lambda each: violation_curve(*each[:2], subsets, counts, eps, each[2]), (train, test, w))

"""Subsets of the covariates as representations: all of them at once, each by the few numbers that it reads.

A subset of at most q covariates is a row of q indices, padded with -1. Its moments are picked from those of all covariates, and a
padded place gets a 1 on the diagonal and zeros beside it: matrices of one shape serve all subsets, and none is larger than q.
"""

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, is_concrete
from quire.common.roots import length
from quire.pac_invariance.invariance import optimal_predictor, risk
from quire.pac_invariance.moments import Moments, check_environments, pooled


def all_subsets(d: int, max_size: int) -> Int[np.ndarray, "s q"]:
    """All subsets of d covariates with 1 to `max_size` of them, small ones first. The empty one, always invariant, is left out.

    Raises:
        ValueError: unless 1 <= max_size <= d.

    >>> all_subsets(3, 2).tolist()
    [[0, -1], [1, -1], [2, -1], [0, 1], [0, 2], [1, 2]]
    """
    check_at_least("max_size", max_size)
    if max_size > d:
        raise ValueError(f"max_size is {max_size}; there are {d} covariates")
    rows = [chosen + (-1,) * (max_size - size) for size in range(1, max_size + 1) for chosen in combinations(range(d), size)]
    return np.array(rows)


def from_masks(masks: Bool[np.ndarray, "s d"]) -> Int[np.ndarray, "s q"]:
    """Subsets given by masks, as indices.

    Raises:
        ValueError: if one is empty.

    >>> from_masks(np.array([[True, False, True], [False, True, False]])).tolist()
    [[0, 2], [1, -1]]
    """
    masks = np.asarray(masks, bool)
    if masks.ndim != 2 or not masks.any(1).all():
        raise ValueError(f"masks has shape {masks.shape}; it needs [s, d] with a covariate in every row")
    q = masks.sum(1).max(initial=1)
    return np.array([[*chosen, *[-1] * (q - len(chosen))] for chosen in map(np.flatnonzero, masks)]).reshape(-1, q)


def selection(subset: Int[AnyArray, " q"], d: int) -> Float[np.ndarray, "k d"]:
    """A subset as a representation, rows of the identity.

    >>> selection(np.array([2, -1]), 3).tolist()
    [[0.0, 0.0, 1.0]]
    """
    return np.eye(d)[subset[subset >= 0]]


def check_subsets(subsets: Int[AnyArray, "s q"], d: int) -> None:
    """Indices of d covariates, or -1; at least one subset, none empty. Traced ones pass, but for their shape.

    Raises:
        ValueError: otherwise.
    """
    if subsets.ndim != 2 or not len(subsets) or (is_concrete(subsets) and not (subsets >= 0).any(1).all()):
        raise ValueError(f"subsets has shape {subsets.shape}; it needs [s, q] with a covariate in every row, at least one row")
    check_ids("subsets + 1", subsets + 1, d + 1)


def of_subsets(moments: Moments, subsets: Int[AnyArray, "s q"]) -> Moments:
    """Moments of every subset, `[*batch, s, q, q]` and so on; see the head of the module for padded places.

    Raises:
        ValueError: if a subset has an index that is no covariate, or none.

    >>> moments = Moments(jnp.array([[1.0, 0.5], [0.5, 2.0]]), jnp.array([3.0, 4.0]), jnp.array(9.0))
    >>> of_subsets(moments, np.array([[1, -1]])).xx.tolist()
    [[[2.0, 0.0], [0.0, 1.0]]]
    """
    check_subsets(subsets, moments.xy.shape[-1])
    used = subsets >= 0
    both = used[:, :, None] & used[:, None, :]
    xx = moments.xx[..., subsets[:, :, None], subsets[:, None, :]]
    eye = jnp.eye(subsets.shape[1], dtype=xx.dtype)
    xx = jnp.where(both, xx, jnp.broadcast_to(eye, xx.shape))
    xy = jnp.where(used, moments.xy[..., subsets], 0)
    return Moments(xx, xy, jnp.broadcast_to(moments.yy[..., None], xy.shape[:-1]))


class SubsetSearch(NamedTuple):
    """What is known of every subset, from environments with known moments.

    Attributes:
        w: best predictors for all environments together, zero at padded places, `[s, q]`.
        gradient_gap, coefficient_gap, risk_gap: as `quire.pac_invariance.invariance.gap`, `[s]`.
        pooled_risk, worst_risk: of w, mean and largest over the environments, `[s]`.
    """

    w: Float[Array, "s q"]
    gradient_gap: Float[Array, " s"]
    coefficient_gap: Float[Array, " s"]
    risk_gap: Float[Array, " s"]
    pooled_risk: Float[Array, " s"]
    worst_risk: Float[Array, " s"]

    def best(self, eps: float | Array) -> Int[Array, ""]:
        """Of the subsets whose gradient gap is at most eps the one with the smallest pooled risk; of none, the smallest gap."""
        invariant = self.gradient_gap <= eps
        score = jnp.where(invariant, self.pooled_risk, jnp.inf)
        return jnp.where(invariant.any(), jnp.argmin(score), jnp.argmin(self.gradient_gap))


def search_subsets(moments: Moments, subsets: Int[AnyArray, "s q"]) -> SubsetSearch:
    """Look at every subset: its pooled predictor, the three gaps, its risks.

    Args:
        moments: of x and y, an axis of environments.
        subsets: see `all_subsets`.

    Raises:
        ValueError: without an environment, or for indices that are no covariates.

    >>> moments = Moments(jnp.eye(2)[None], jnp.array([[1.0, 0.0]]), jnp.array([2.0]))
    >>> search_subsets(moments, all_subsets(2, 1)).worst_risk.tolist()
    [1.0, 2.0]
    """
    check_environments(moments)
    check_subsets(subsets, moments.xy.shape[-1])
    return _search_subsets(moments, subsets)


@jax.jit
def _search_subsets(moments: Moments, subsets: Array) -> SubsetSearch:
    seen = of_subsets(moments, subsets)
    w, each = optimal_predictor(of_subsets(pooled(moments), subsets)), optimal_predictor(seen)
    gradient = length((seen.xx @ w[None, ..., None])[..., 0] - seen.xy).max(0)
    apart = length(each[:, None] - each[None]).max((0, 1))
    risks, excess = risk(seen, w), risk(seen, w) - risk(seen, each)
    return SubsetSearch(w, gradient, apart, excess.max(0), risks.mean(0), risks.max(0))


def as_coefficients(w: Float[AnyArray, "*batch q"], subsets: Int[AnyArray, "..."], d: int) -> Float[Array, "*batch d"]:
    """Predictors from subsets, as coefficients of all d covariates.

    >>> as_coefficients(jnp.array([5.0, 0.0]), np.array([1, -1]), 3).tolist()
    [0.0, 5.0, 0.0]
    """
    subsets = jnp.asarray(subsets)[..., None]
    hot = subsets == jnp.arange(d).reshape((1,) * (subsets.ndim - 1) + (d,))
    return jnp.where(hot, jnp.asarray(w)[..., None], 0).sum(-2)

"""Nonnegative factorisation of affinities: each term says when, in which animals, and between which pairs of neurons."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.common.tensors.nonnegative import match_factors, nonnegative_cp, unit_columns


@dataclass(frozen=True)
class Factors:
    """Terms `weight_r f_t^r o f_w^r o f_a^r`, the heaviest first; columns have norm 1.

    Attributes:
        weights: of the terms.
        time: when, f_t.
        animals: in which animals, f_w.
        pairs: between which neurons, f_a.
        errors: relative error after every sweep.
    """

    weights: Float[np.ndarray, " rank"]
    time: Float[np.ndarray, "frames rank"]
    animals: Float[np.ndarray, "animals rank"]
    pairs: Float[np.ndarray, "pairs rank"]
    errors: Float[np.ndarray, " sweeps"]

    @property
    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three factors in the order of the tensor's axes."""
        return self.time, self.animals, self.pairs

    @property
    def error(self) -> float:
        """Relative error after the last sweep."""
        return float(self.errors[-1])


def ncp_starts(
    x: Real[AnyArray, "frames animals pairs"],
    rank: int | Sequence[int],
    key: jax.Array,
    mask: Bool[AnyArray, "animals pairs"] | None = None,
    iters: int = 60,
    starts: int = 4,
    *,
    method: str = "hals",
) -> list[Factors]:
    """One factorisation for each start, uniform in (0, 1), all in one program.

    Args:
        x: not negative.
        rank: R; or one for each start. Columns beyond the rank of a start are zeros and stay zeros.
        key: of the starts.
        mask: which pairs were observed in which animals; None for all.
        iters: sweeps over the three modes.
        starts: how many; ignored where `rank` has one for each.
        method: `hals`, or `mu` for multiplicative updates.

    Raises:
        ValueError: for a rank or a number below 1, negative entries, or a mask that does not fit.
    """
    x = np.asarray(x)
    ranks = [int(rank)] * starts if isinstance(rank, int | np.integer) else list(rank)
    check_at_least("starts", len(ranks))
    check_at_least("rank", min(ranks))
    check_at_least("iters", iters)
    observed = _observed(x, mask)
    draw, widest = generator(key), max(ranks)
    alive = np.arange(widest) < np.array(ranks)[:, None, None]
    start = [np.asarray(draw.uniform(size=(len(ranks), size, widest)) * alive, np.float32) for size in x.shape]
    x = np.where(observed[None], x, 0)
    x = x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float32)
    found, errors = _run(jnp.asarray(x), start, None if mask is None else jnp.asarray(observed), iters=iters, method=method)
    results = []
    for i, own in enumerate(ranks):
        weights, modes = unit_columns([np.asarray(factor[i]) for factor in found])
        results.append(Factors(weights[:own], *(factor[:, :own] for factor in modes), np.asarray(errors[i])))
    return results


@partial(jax.jit, static_argnames=("iters", "method"))
def _run(x, start, mask, *, iters, method):
    if mask is not None:
        mask = jnp.broadcast_to(mask[None], x.shape)
    return jax.vmap(lambda each: nonnegative_cp(x, each, iters, method=method, mask=mask))(start)


def _observed(x: np.ndarray, mask) -> np.ndarray:
    if x.ndim != 3 or not x.size:
        raise ValueError(f"x has shape {x.shape}; it must be [frames, animals, pairs], none of them 0")
    observed = np.ones(x.shape[1:], bool) if mask is None else np.asarray(mask) != 0
    if observed.shape != x.shape[1:]:
        raise ValueError(f"mask has shape {observed.shape}; it must be that of animals and pairs, {x.shape[1:]}")
    if not (x[:, observed] >= 0).all():
        raise ValueError("x holds a negative number or NaN; affinities are not negative, and what is missing is masked")
    return observed


def ncp_hals(
    x: Real[AnyArray, "frames animals pairs"],
    rank: int,
    key: jax.Array,
    mask: Bool[AnyArray, "animals pairs"] | None = None,
    iters: int = 60,
    starts: int = 4,
) -> Factors:
    """The best of several starts by hierarchical alternating least squares.

    Args, Raises: as `ncp_starts`.

    >>> x = np.einsum("t,w,p->twp", [1.0, 0.0, 2.0], [1.0, 3.0], [1.0, 2.0, 0.0])
    >>> f = ncp_hals(x, 1, jax.random.key(0), iters=5, starts=1)
    >>> [f"{entry:.3f}" for entry in f.pairs[:, 0]], f.error < 1e-5
    (['0.447', '0.894', '0.000'], True)
    """
    return best_of(ncp_starts(x, rank, key, mask, iters, starts))


def ncp_mu(
    x: Real[AnyArray, "frames animals pairs"],
    rank: int,
    key: jax.Array,
    mask: Bool[AnyArray, "animals pairs"] | None = None,
    iters: int = 200,
    starts: int = 4,
) -> Factors:
    """The best of several starts by multiplicative updates, which need more sweeps.

    Args, Raises: as `ncp_starts`.
    """
    return best_of(ncp_starts(x, rank, key, mask, iters, starts, method="mu"))


def best_of(results: Sequence[Factors]) -> Factors:
    """The one with the least error."""
    return min(results, key=lambda each: each.error)


# --- How many terms? ---


def explained(factors: Factors) -> float:
    """Share of the sum of squares that the terms explain, `1 - error^2`."""
    return 1 - factors.error**2


def core_consistency(x: Real[AnyArray, "frames animals pairs"], factors: Factors) -> float:
    """How near the least-squares Tucker core of these factors is to a diagonal of ones, in percent (Bro and Kiers 2003).

    `100 (1 - |G - I|^2 / R)`, where `G` solves `x ~ G x_1 F_t x_2 F_w x_3 F_a`. About 100 if the terms are enough and none is too
    many; low or negative if terms share what is there.

    Args:
        x: as it was factored, nothing missing.
        factors: of it.

    >>> x = np.ones((3, 2, 4))
    >>> print(f"{core_consistency(x, ncp_hals(x, 1, jax.random.key(0), iters=3, starts=1)):.1f}")
    100.0
    """
    rank = len(factors.weights)
    scaled = [factors.time * factors.weights, factors.animals, factors.pairs]
    inverses = [np.linalg.pinv(factor.astype(float)) for factor in scaled]
    core = np.einsum("twp,at,bw,cp->abc", np.asarray(x, float), *inverses, optimize=True)
    diagonal = np.zeros_like(core)
    diagonal[(np.arange(rank),) * 3] = 1
    return float(100 * (1 - np.sum((core - diagonal) ** 2) / rank))


def stability(results: Sequence[Factors]) -> float:
    """How alike the factorisations of different starts are: products of cosines of matched terms, averaged over pairs of starts.

    Raises:
        ValueError: for fewer than two.
    """
    check_at_least("results", len(results), 2)
    found = [match_factors(a.modes, b.modes)[1].mean() for i, a in enumerate(results) for b in results[i + 1 :]]
    return float(np.mean(found))


@dataclass(frozen=True)
class RankRow:
    """What speaks for a number of terms; see `explained`, `core_consistency` and `stability`."""

    rank: int
    explained: float
    core_consistency: float
    stability: float


def rank_table(
    x: Real[AnyArray, "frames animals pairs"], ranks: Sequence[int], key: jax.Array, iters: int = 60, starts: int = 3
) -> list[RankRow]:
    """The three diagnostics for each rank, all ranks and starts in one program.

    Args:
        x: nothing missing.
        ranks: to compare.
        key, iters, starts: as `ncp_starts`; at least 2 starts for each rank.

    Raises:
        ValueError: as `ncp_starts`, or for fewer than two starts.
    """
    check_at_least("starts", starts, 2)
    results = ncp_starts(x, [rank for rank in ranks for _ in range(starts)], key, None, iters)
    rows = []
    for i, rank in enumerate(ranks):
        own = results[i * starts : (i + 1) * starts]
        best = best_of(own)
        rows.append(RankRow(rank, explained(best), core_consistency(x, best), stability(own)))
    return rows

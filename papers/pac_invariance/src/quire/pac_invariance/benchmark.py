"""What `quire bench pac_invariance` times: gaps of all pairs, by the few numbers that a subset reads, and by masked matrices."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.bench import Benchmark, Case
from quire.common.roots import length
from quire.pac_invariance.graphs import random_sem
from quire.pac_invariance.interventions import InterventionFamily
from quire.pac_invariance.invariance import optimal_predictor
from quire.pac_invariance.moments import Moments, pooled, split
from quire.pac_invariance.paper import paper
from quire.pac_invariance.subsets import all_subsets, of_subsets
from quire.pac_invariance.violation import subset_gaps

ENVIRONMENTS = 32


def gathered_gaps(moments: Moments, subsets: Int[Array, "s q"]) -> Float[Array, "e s"]:
    """Pooled predictors and their gradient gaps: matrices as small as the subsets."""
    return subset_gaps(moments, optimal_predictor(of_subsets(pooled(moments), subsets)), subsets)


def masked_gaps(moments: Moments, subsets: Int[Array, "s q"]) -> Float[Array, "e s"]:
    """The same with `M S M + (I - M)` for every subset: matrices as large as there are covariates."""
    d = moments.xy.shape[-1]
    mask = (subsets[:, :, None] == jnp.arange(d)[None, None]).any(1)
    both, eye, together = mask[:, :, None] & mask[:, None, :], jnp.eye(d, dtype=moments.xx.dtype), pooled(moments)
    w = jnp.linalg.solve(jnp.where(both, together.xx[None], eye[None]), jnp.where(mask, together.xy[None], 0)[..., None])[..., 0]
    at = jnp.einsum("edf,sf->esd", moments.xx, w)
    return length(jnp.where(mask[None], at - moments.xy[:, None], 0))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Single covariates and pairs, 32 environments: the slopes are 2 for pairs, and 4 where each gap costs d squared."""
    sem = random_sem(key, n + 1)
    moments = split(InterventionFamily((int(sem.children[0]),)).draw(sem, key, ENVIRONMENTS).second_moments(), sem.target)
    args = moments, jnp.asarray(all_subsets(n, 2), np.int32)
    return {"gathered": Case(gathered_gaps, args), "masked": Case(masked_gaps, args)}


paper.benchmark = Benchmark("Gaps of all subsets of two", size="covariates d", sizes=(16, 32, 64, 128), cases=cases)

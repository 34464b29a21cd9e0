"""What holds exactly: the parents of the target are invariant, and interventions change covariances in few directions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.pac_invariance.graphs import nearest_nodes, random_sem
from quire.pac_invariance.interventions import KINDS, Environments, InterventionFamily
from quire.pac_invariance.invariance import KINDS as GAPS
from quire.pac_invariance.invariance import gap, optimal_predictor, risk
from quire.pac_invariance.moments import Moments
from quire.pac_invariance.problems import moments_of

ERM_GAP, LEAST = "gap of all covariates", "gap of all covariates, smallest"


def parent_errors(key: jax.Array, count: int, dtype: Any) -> dict[str, float]:
    """Largest gaps of the parents over random models and interventions of every kind; and those of all covariates.

    Beside the three gaps: how far best predictors and residual variances are from the equation of the target. The gap of all
    covariates cannot be larger than the target has noise; where parents explain nearly all of it, it is small.
    """
    keys, drawn, sems = jax.random.split(key, count), [], []
    for number, one in enumerate(keys):
        sem = random_sem(one, 8)
        family = InterventionFamily(tuple(nearest_nodes(sem, 3)), 2.0, 2.0, mean_shift=number % 2, kind=KINDS[number % 3])
        untouched = Environments(sem.A[None], sem.noise_var[None], np.zeros((1, 8)))
        drawn.append(Environments(*map(np.concatenate, zip(untouched, family.draw(sem, one, 6), strict=True))))
        sems.append(sem)
    moments = jax.tree.map(lambda x: x.astype(dtype), moments_of(drawn, sems))
    mask = np.array([np.isin(sem.covariates, sem.parents) for sem in sems])
    weights = np.array([sem.A[sem.target, sem.covariates] for sem in sems])
    noise = np.array([sem.noise_var[sem.target] for sem in sems])
    found = {name: np.asarray(values) for name, values in _of_parents(moments, mask.astype(dtype)).items()}
    found["structural weights"] = np.abs(found["structural weights"] - weights[:, None])
    found["noise"] = np.abs(found["noise"] - noise[:, None])
    of_all = found.pop(ERM_GAP)
    return {name: float(values.max()) for name, values in found.items()} | {
        ERM_GAP: float(of_all.mean()),
        LEAST: float(of_all.min()),
    }


@jax.jit
@jax.vmap
def _of_parents(moments: Moments, mask: jax.Array) -> dict[str, jax.Array]:
    """Gaps, best predictors and their risks in every environment; a covariate that is no parent is multiplied by zero."""
    phi = jnp.diag(mask)
    w = optimal_predictor(moments, phi)
    found = {f"{kind} gap": gap(moments, phi, kind=kind) for kind in GAPS}
    return found | {
        "structural weights": w,
        "noise": risk(moments, w),
        ERM_GAP: gap(moments, jnp.eye(len(mask), dtype=mask.dtype)),
    }


def change_spectrum(key: jax.Array, p: int, num_sites: int) -> tuple[np.ndarray, int]:
    """Singular values of all changes of a covariance under interventions, side by side; and how many may be nonzero.

    `Sigma^e - Sigma` is spanned by the columns of `(I - A)^-1` at the sites and the columns of Sigma at their parents: vectors
    that do not depend on the intervention. One for each site, one for each parent of a site, whatever p is.
    """
    sem = random_sem(key, p)
    sites = nearest_nodes(sem, num_sites)
    changes = InterventionFamily(tuple(sites)).draw(sem, key, 4 * num_sites + 8).second_moments() - sem.cov()[None]
    values = np.linalg.svd(np.concatenate(np.asarray(changes), axis=1), compute_uv=False)
    return values / values[0], num_sites + int((sem.A[sites] != 0).any(0).sum())

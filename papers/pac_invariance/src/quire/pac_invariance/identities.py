"""What holds exactly: the parents of the target are invariant, and interventions change covariances in few directions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.pac_invariance.graphs import nearest_nodes, random_sem
from quire.pac_invariance.interventions import KINDS, InterventionFamily
from quire.pac_invariance.invariance import KINDS as GAPS
from quire.pac_invariance.invariance import gap, optimal_predictor, risk
from quire.pac_invariance.moments import Moments, split

ERM_GAP = "ERM on all covariates"


def parent_errors(key: jax.Array, count: int, dtype: Any) -> dict[str, float]:
    """Largest gaps of the parents over random models and interventions of every kind; and the smallest one of all covariates.

    Beside the three gaps: how far best predictors and residual variances are from the equation of the target.
    """
    found: dict[str, list[float]] = {f"{kind} gap": [] for kind in GAPS} | {"structural weights": [], "noise": [], ERM_GAP: []}
    for number, one in enumerate(jax.random.split(key, count)):
        sem = random_sem(one, 8)
        family = InterventionFamily(tuple(nearest_nodes(sem, 3)), kind=KINDS[number % 3], mean_shift=number % 2)
        moments = split(jnp.asarray(family.draw(sem, one, 6).second_moments(), dtype), sem.target)
        selected = np.eye(7)[np.isin(sem.covariates, sem.parents)]
        gaps, weights, noise = _of_parents(moments, selected)
        for name, value in gaps.items():
            found[f"{name} gap"].append(float(value))
        found["structural weights"].append(float(jnp.abs(weights - sem.A[sem.target, sem.parents][None]).max()))
        found["noise"].append(float(jnp.abs(noise - sem.noise_var[sem.target]).max()))
        found[ERM_GAP].append(float(gap(moments, np.eye(7))))
    return {name: float(np.min(values) if name == ERM_GAP else np.max(values)) for name, values in found.items()}


@jax.jit
def _of_parents(moments: Moments, phi: jax.Array) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    w = optimal_predictor(moments, phi)
    return {kind: gap(moments, phi, kind=kind) for kind in GAPS}, w, risk(moments, w @ phi)


def change_spectrum(key: jax.Array, p: int, num_sites: int) -> tuple[np.ndarray, int]:
    """Singular values of all changes of a covariance under interventions, side by side, the largest 1; and how many may not vanish.

    `Sigma^e - Sigma` is spanned by the columns of `(I - A)^-1` at the sites and the columns of Sigma at their parents: vectors
    that do not depend on the intervention. One for each site, one for each parent of a site, whatever p is.
    """
    sem = random_sem(key, p)
    sites = nearest_nodes(sem, num_sites)
    changes = InterventionFamily(tuple(sites)).draw(sem, key, 4 * num_sites + 8).second_moments() - sem.cov()[None]
    values = np.linalg.svd(np.concatenate(np.asarray(changes), axis=1))[1]
    return values / values[0], num_sites + int((sem.A[sites] != 0).any(0).sum())

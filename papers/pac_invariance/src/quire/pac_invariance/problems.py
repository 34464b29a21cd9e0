"""Random problems: a model, a family of interventions, and moments of what is drawn from it, stacked over models."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.random import generator
from quire.pac_invariance.graphs import nearest_nodes, random_sem
from quire.pac_invariance.interventions import Environments, InterventionFamily
from quire.pac_invariance.moments import Moments
from quire.pac_invariance.sem import LinearSEM

Placement = Literal["nearest", "random"]


class Problem(NamedTuple):
    """A model, interventions on it, and the key that further draws come from."""

    sem: LinearSEM
    family: InterventionFamily
    key: jax.Array

    def environments(self, stream: int, n: int) -> Environments:
        """n interventions; another stream gives others."""
        return self.family.draw(self.sem, jax.random.fold_in(self.key, stream), n)


def random_problems(
    key: jax.Array, count: int, p: int, in_degree: int, num_sites: int, strength: float, placement: Placement = "nearest"
) -> list[Problem]:
    """Random models, intervened on at the nodes nearest to the target, a child first, or at random ones."""
    found = []
    for one in jax.random.split(jax.random.fold_in(key, p), count):
        sem = random_sem(one, p, in_degree)
        sites = nearest_nodes(sem, num_sites)
        if placement == "random":
            sites = generator(jax.random.fold_in(one, 1)).choice(sem.covariates, num_sites, replace=False)
        found.append(Problem(sem, InterventionFamily(tuple(sites), strength, strength), one))
    return found


def draw_moments(problems: Sequence[Problem], stream: int, n: int) -> Moments:
    """Moments of n interventions for each model, `[models, n, ...]`."""
    drawn = [problem.environments(stream, n) for problem in problems]
    return moments_of(drawn, [problem.sem for problem in problems])


def moments_of(environments: Sequence[Environments], sems: Sequence[LinearSEM]) -> Moments:
    """Moments of environments of several models, whose targets may differ, `[models, n, ...]`."""
    stacked = Environments(*(np.stack(part) for part in zip(*environments, strict=True)))
    order = np.array([[*sem.covariates, sem.target] for sem in sems])
    return _taken_apart(*stacked, order)


@jax.jit
def _taken_apart(A, noise_var, shift, order):
    cov = Environments(A, noise_var, shift).second_moments()
    return jax.vmap(_with_target_last)(cov, order)


def _with_target_last(cov, order):
    cov = cov[:, order[:, None], order[None, :]]
    return Moments(cov[:, :-1, :-1], cov[:, :-1, -1], cov[:, -1, -1])


def first(moments: Moments, n: int) -> Moments:
    """The first n interventions of every model."""
    return jax.tree.map(lambda x: x[:, :n], moments)


def after(moments: Moments, n: int) -> Moments:
    """Those after the first n."""
    return jax.tree.map(lambda x: x[:, n:], moments)


@jax.jit
def mix_each(moments: Moments, G: jax.Array) -> Moments:
    """As `quire.pac_invariance.moments.mix`, with a map for every model, `[models, q, d]`."""
    xx = jnp.einsum("mqd,medf,mrf->meqr", G, moments.xx, G)
    return Moments(xx, jnp.einsum("mqd,med->meq", G, moments.xy), moments.yy)

"""Interventions: environments in which the equations of some nodes, the sites, have other weights and other noise."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.pac_invariance.sem import LinearSEM, sample, second_moments

KINDS = ("scale", "shift", "hard")


class Environments(NamedTuple):
    """Models of the same nodes, one for each environment: edge weights `[..., p, p]`, variances and means of noise `[..., p]`."""

    A: Float[np.ndarray, "... p p"]
    noise_var: Float[np.ndarray, "... p"]
    shift: Float[np.ndarray, "... p"]

    def second_moments(self) -> Float[Array, "... p p"]:
        """`E v v^T` in every environment; where no mean is shifted, the covariance."""
        return second_moments(*self)

    def sample(self, key: jax.Array, n: int) -> Float[np.ndarray, "e n p"]:
        """n vectors from each environment, with normal noise."""
        return sample(*self, key=key, n=n)


@dataclass(frozen=True)
class InterventionFamily:
    """A distribution over interventions at given sites; every edge into a site and its noise have parameters of their own.

    With z and u uniform on [-1, 1], independent for every edge, site and environment:

    - `scale`: `A_ij (1 + edge_scale z)`; `shift`: `A_ij + edge_scale z` for every edge that is there; `hard`: `A_ij = 0`;
    - the noise of a site gets the variance `noise_var exp(noise_scale u)` and the mean `mean_shift u'`.

    Attributes:
        sites: nodes that are intervened on.
        edge_scale, noise_scale, mean_shift: strengths, not negative.
        kind: what happens to the edges into a site.
        allow_target: whether the target may be among the sites; then its parents are not invariant.

    Raises:
        ValueError: for no site, a repeated or negative one, a negative strength, or another kind.

    >>> from quire.pac_invariance.graphs import chain
    >>> family = InterventionFamily((0, 2), edge_scale=0.5, noise_scale=1.0)
    >>> family.draw(chain(3), jax.random.key(0), 10).second_moments().shape, family.num_parameters(chain(3))
    ((10, 3, 3), 3)
    """

    sites: tuple[int | np.integer, ...]
    edge_scale: float = 1.0
    noise_scale: float = 1.0
    mean_shift: float = 0.0
    kind: Literal["scale", "shift", "hard"] = "scale"
    allow_target: bool = False

    def __post_init__(self):
        sites = tuple(map(int, self.sites))
        if not sites or len(set(sites)) < len(sites) or min(sites) < 0:
            raise ValueError(f"sites is {sites}; it needs at least one node, each once")
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        for name in ("edge_scale", "noise_scale", "mean_shift"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be negative")
        object.__setattr__(self, "sites", sites)

    def draw(self, sem: LinearSEM, key: jax.Array, n: int) -> Environments:
        """Draw n environments, independent of each other.

        Raises:
            ValueError: if a site is not a node, or is the target and that is not allowed, or n is below 1.
        """
        check_at_least("n", n)
        sites, uniform = self._sites_of(sem), generator(key)
        A = np.broadcast_to(sem.A, (n, *sem.A.shape)).copy()
        rows, change = sem.A[sites], uniform.uniform(-1, 1, (n, len(sites), len(sem.A)))
        moved = {"scale": rows * (1 + self.edge_scale * change), "shift": rows + self.edge_scale * change, "hard": 0 * change}
        A[:, sites] = np.where(rows != 0, moved[self.kind], 0)
        noise_var, shift = np.broadcast_to(sem.noise_var, A.shape[:2]).copy(), np.zeros(A.shape[:2])
        noise_var[:, sites] *= np.exp(self.noise_scale * uniform.uniform(-1, 1, (n, len(sites))))
        shift[:, sites] = self.mean_shift * uniform.uniform(-1, 1, (n, len(sites)))
        return Environments(A, noise_var, shift)

    def num_parameters(self, sem: LinearSEM) -> int:
        """Numbers that describe an intervention: for each site its edges that move, its variance, and its mean if that moves."""
        edges = 0 if self.kind == "hard" else int((sem.A[self._sites_of(sem)] != 0).sum())
        return edges + len(self.sites) * (1 + (self.mean_shift > 0))

    def _sites_of(self, sem: LinearSEM) -> list[int]:
        if max(self.sites) >= len(sem.A):
            raise ValueError(f"sites is {self.sites}; the model has nodes 0 to {len(sem.A) - 1}")
        if sem.target in self.sites and not self.allow_target:
            raise ValueError(f"sites is {self.sites} with the target {sem.target}; what causes it would not be invariant")
        return [int(site) for site in self.sites]

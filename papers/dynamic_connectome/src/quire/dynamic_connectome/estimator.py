"""The pipeline in one object: traces to affinities, to factors, to motifs, to communities."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Float, Real

from quire.common.arrays import AnyArray
from quire.dynamic_connectome.affinity import AffinityTensor, Kind, affinity_tensor
from quire.dynamic_connectome.communities import Communities, motif_communities
from quire.dynamic_connectome.factorisation import Factors, ncp_hals
from quire.dynamic_connectome.motifs import motif_matrix


@dataclass
class DynamicConnectome:
    """Time-varying communities of several animals' neurons.

    Attributes:
        rank: number of terms.
        kind, sigma, pool, least_animals: see `affinity_tensor`.
        iters, starts: see `ncp_hals`.
        threshold: see `motif_matrix`.
        groups, restarts: see `fit_weighted_sbm`.
        tensor, factors, motifs, communities: what `fit` found; the last two are lists, one entry for each term.

    >>> rng = np.random.default_rng(0)
    >>> walks = np.cumsum(rng.normal(size=(2, 4, 60)), axis=2)
    >>> walks[:, 1] = walks[:, 0]  # two neurons that move together
    >>> found = DynamicConnectome(1, groups=2, restarts=1).fit(list(walks), [["A", "B", "C", "D"]] * 2)
    >>> found.tensor.names, int(found.motifs[0].argmax())
    (('A', 'B', 'C', 'D'), 1)
    """

    rank: int
    kind: Kind = "geomean"
    sigma: float = 2.0
    pool: int = 1
    least_animals: int | None = None
    iters: int = 60
    starts: int = 4
    threshold: float = 0.05
    groups: int = 8
    restarts: int = 8
    tensor: AffinityTensor | None = field(default=None, init=False, repr=False)
    factors: Factors | None = field(default=None, init=False, repr=False)
    motifs: list[Float[np.ndarray, "n n"]] = field(default_factory=list, init=False, repr=False)
    communities: list[Communities] = field(default_factory=list, init=False, repr=False)

    def fit(
        self,
        traces: Sequence[Real[AnyArray, "_ frames"]],
        names: Sequence[Sequence[str]],
        key: jax.Array | None = None,
        dt: float = 1.0,
    ) -> "DynamicConnectome":
        """Run the pipeline.

        Args:
            traces: of each animal.
            names: of each animal's neurons; a neuron that an animal lacks is missing there, not silent.
            key: of all that is drawn; that of seed 0 by default.
            dt: seconds from frame to frame.

        Returns:
            Itself.

        Raises:
            ValueError: as the steps of the pipeline.
        """
        key = jax.random.key(0) if key is None else key
        self.tensor = affinity_tensor(
            traces, names, dt=dt, kind=self.kind, sigma=self.sigma, pool=self.pool, least_animals=self.least_animals
        )
        mask = None if self.tensor.mask.all() else self.tensor.mask
        self.factors = ncp_hals(self.tensor.x, self.rank, key, mask, self.iters, self.starts)
        n = len(self.tensor.names)
        self.motifs = [motif_matrix(column, n, self.threshold) for column in self.factors.pairs.T]
        room = n, n * (n - 1) // 2
        options = {"groups": self.groups, "restarts": self.restarts, "room": room}
        self.communities = [motif_communities(w, key, **options) for w in self.motifs]
        return self

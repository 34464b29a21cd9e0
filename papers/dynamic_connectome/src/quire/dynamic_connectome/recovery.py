"""C2 and C3: are known groups found?"""

from dataclasses import dataclass

import jax
import numpy as np

from quire.common.metrics.clustering import nmi
from quire.common.tensors.nonnegative import match_factors
from quire.dynamic_connectome.affinity import AffinityTensor, affinity_tensor
from quire.dynamic_connectome.baselines import louvain, static_correlation
from quire.dynamic_connectome.communities import Communities, motif_communities
from quire.dynamic_connectome.config import Blocks, Recovery, Search
from quire.dynamic_connectome.factorisation import Factors, ncp_starts, best_of
from quire.dynamic_connectome.generated import Truth, overlapping_groups, weighted_blocks
from quire.dynamic_connectome.motifs import motif_matrix


@dataclass(frozen=True)
class Recovered:
    """What the pipeline made of recordings whose groups are known.

    Attributes:
        truth: the recordings.
        tensor: their affinities.
        starts: the factorisation of every start.
        factors: the best one.
        terms: the term that goes with each group.
        congruence: of each group, the product of the cosines of f_t and f_w with the truth.
        motifs, communities: of those terms.
        nmi: of each group, of its members against the communities of its motif.
        static: communities of correlations over all time, by what was correlated.
        static_nmi: of each group, by what was correlated.
    """

    truth: Truth
    tensor: AffinityTensor
    starts: list[Factors]
    factors: Factors
    terms: np.ndarray
    congruence: np.ndarray
    motifs: list[np.ndarray]
    communities: list[Communities]
    nmi: list[float]
    static: dict[str, Communities]
    static_nmi: dict[str, list[float]]


def recover(config: Recovery, search: Search, key: jax.Array) -> Recovered:
    """Generate recordings, run the pipeline, compare it with the truth; correlations over all time beside."""
    truth = overlapping_groups(
        key,
        neurons=config.neurons,
        groups=config.groups,
        size=config.size,
        step=config.step,
        animals=config.animals,
        frames=config.frames,
        window=config.window,
    )
    names = [[f"{i:03d}" for i in range(config.neurons)]] * config.animals
    tensor = affinity_tensor(truth.traces, names, kind=config.kind, sigma=config.sigma, pool=config.pool)
    starts = ncp_starts(tensor.x, config.rank, key, None, config.iters, config.starts)
    factors = best_of(starts)
    terms, congruence = match_factors(known_factors(truth, config.pool), (factors.time, factors.animals))
    motifs = [motif_matrix(factors.pairs[:, term], config.neurons, config.threshold) for term in terms]
    options = {"groups": search.groups, "restarts": search.restarts, "room": search.room}
    communities = [motif_communities(w, key, nested=False, **options) for w in motifs]
    static = {}
    for of in ("rates", "levels"):
        w = motif_matrix(static_correlation(truth.traces, of, config.sigma), config.neurons, config.threshold)
        static[of] = motif_communities(w, key, nested=False, **options)
    return Recovered(
        truth,
        tensor,
        starts,
        factors,
        terms,
        congruence,
        motifs,
        communities,
        [nmi(members.astype(int), c.labels) for members, c in zip(truth.members, communities, strict=True)],
        static,
        {of: [nmi(members.astype(int), c.labels) for members in truth.members] for of, c in static.items()},
    )


def known_factors(truth: Truth, pool: int) -> tuple[np.ndarray, np.ndarray]:
    """What f_t `[windows, groups]` and f_w `[animals, groups]` should be: when and where each group is active."""
    windows = truth.windows.shape[1] // pool
    active = truth.windows[:, : windows * pool].reshape(len(truth.windows), windows, pool).mean(-1)
    return active.T, truth.animals.T.astype(float)


def weights_against_topology(config: Blocks, search: Search, key: jax.Array) -> dict[str, float]:
    """NMI with the known groups: block models with and without weights, and modularity of the weights."""
    w, labels = weighted_blocks(key, config.nodes, config.groups, config.density, config.ratio)
    options = {"nested": False, "groups": search.groups, "restarts": search.restarts, "room": search.room}
    with_weights, without = (motif_communities(w, key, weighted=weighted, **options).labels for weighted in (True, False))
    return {
        "weighted block model": nmi(labels, with_weights),
        "topology alone": nmi(labels, without),
        "Louvain": nmi(labels, louvain(w, key)),
    }

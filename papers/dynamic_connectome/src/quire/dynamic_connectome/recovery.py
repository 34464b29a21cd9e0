"""C2 and C3: are known groups found?"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from quire.common.metrics.clustering import nmi
from quire.common.tensors.nonnegative import match_factors
from quire.dynamic_connectome.affinity import AffinityTensor, affinity_tensor
from quire.dynamic_connectome.baselines import Of, louvain, static_correlation
from quire.dynamic_connectome.communities import Communities, motif_communities
from quire.dynamic_connectome.config import Blocks, Recovery, Search
from quire.dynamic_connectome.factorisation import Factors, best_of, ncp_starts
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
        static: communities of correlations over all time, by what was correlated, at the threshold that suits them best.
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
        absent=config.absent,
    )
    names = [[f"{i:03d}" for i in range(config.neurons)]] * config.animals
    tensor = affinity_tensor(truth.traces, names, kind=config.kind, sigma=config.sigma, pool=config.pool)
    starts = ncp_starts(tensor.x, config.rank, key, None, config.iters, config.starts)
    factors = best_of(starts)
    terms, congruence = match_factors(known_factors(truth, config.pool), (factors.time, factors.animals))
    motifs = [motif_matrix(factors.pairs[:, term], config.neurons, config.threshold) for term in terms]
    options = {"groups": search.groups, "restarts": search.restarts, "room": search.room}
    communities = [motif_communities(w, key, nested=False, **options) for w in motifs]
    static = {of: static_communities(config, truth, of, key, options) for of in ("rates", "levels")}
    return Recovered(
        truth,
        tensor,
        starts,
        factors,
        terms,
        congruence,
        motifs,
        communities,
        [nmi(members, c.labels) for members, c in zip(truth.members, communities, strict=True)],
        static,
        {of: _agreement(truth, c) for of, c in static.items()},
    )


def static_communities(config: Recovery, truth: Truth, of: Of, key: jax.Array, options: dict[str, Any]) -> Communities:
    """Block model of correlations over all time; of several thresholds the one that agrees best with the truth."""
    correlation = static_correlation(truth.traces, of, config.sigma)
    motifs = [motif_matrix(correlation, config.neurons, threshold) for threshold in config.static_thresholds]
    found = [motif_communities(w, key, nested=False, **options) for w in motifs]
    return max(found, key=lambda c: sum(_agreement(truth, c)))


def _agreement(truth: Truth, communities: Communities) -> list[float]:
    return [nmi(members, communities.labels) for members in truth.members]


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

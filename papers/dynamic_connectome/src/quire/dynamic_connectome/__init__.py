"""Dynamic connectomes: which neurons act together, when, and in which animals.

Dyballa, Lang, Haslund-Gourley, Yemini and Zucker, *Learning dynamic representations of the functional connectome in
neurobiological networks*, ICLR 2024, arXiv 2402.14102. Authors' code: dyballa/dynamic-connectomes. Nonnegative sweeps are
`quire.common.tensors.nonnegative`, block models `quire.common.graphs.block_model` and its neighbours.
"""

from quire.common.metrics.clustering import nmi
from quire.dynamic_connectome import benchmark, claims
from quire.dynamic_connectome.affinity import (
    AffinityTensor,
    affinity_tensor,
    differential_affinity,
    pairs,
    rates,
    resampled,
    standardised,
)
from quire.dynamic_connectome.baselines import louvain, static_correlation
from quire.dynamic_connectome.communities import Communities, fit_weighted_sbm, motif_communities, weighted_sbm_dl
from quire.dynamic_connectome.config import PRESETS, Preset
from quire.dynamic_connectome.estimator import DynamicConnectome
from quire.dynamic_connectome.factorisation import (
    Factors,
    core_consistency,
    explained,
    ncp_hals,
    ncp_mu,
    ncp_starts,
    rank_table,
    stability,
)
from quire.dynamic_connectome.generated import generated_worms, overlapping_groups, weighted_blocks, weighted_lfr
from quire.dynamic_connectome.motifs import by_strength, motif_matrix, silenced, top_pairs
from quire.dynamic_connectome.paper import paper

__all__ = [
    "PRESETS",
    "AffinityTensor",
    "Communities",
    "DynamicConnectome",
    "Factors",
    "Preset",
    "affinity_tensor",
    "benchmark",
    "by_strength",
    "claims",
    "core_consistency",
    "differential_affinity",
    "explained",
    "fit_weighted_sbm",
    "generated_worms",
    "louvain",
    "motif_communities",
    "motif_matrix",
    "ncp_hals",
    "ncp_mu",
    "ncp_starts",
    "nmi",
    "overlapping_groups",
    "pairs",
    "paper",
    "rank_table",
    "rates",
    "resampled",
    "silenced",
    "stability",
    "standardised",
    "static_correlation",
    "top_pairs",
    "weighted_blocks",
    "weighted_lfr",
    "weighted_sbm_dl",
]

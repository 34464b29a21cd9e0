"""C4: communities of weighted benchmark graphs, by block models and by modularity."""

from collections import defaultdict

import jax
import numpy as np

from quire.common.metrics.clustering import nmi
from quire.dynamic_connectome.baselines import louvain
from quire.dynamic_connectome.communities import Communities, fit_weighted_sbm, weighted_sbm_dl
from quire.dynamic_connectome.config import Lfr
from quire.dynamic_connectome.generated import weighted_lfr


def lfr_scores(config: Lfr, key: jax.Array) -> dict[str, float]:
    """Mean NMI over all graphs, and by how many nats the planted communities are longer than what was found."""
    scores = defaultdict(list)
    for i, (mix_edges, mix_weights, exponent) in enumerate(config.settings):
        for each in jax.random.split(jax.random.fold_in(key, i), config.graphs):
            w, planted = weighted_lfr(
                each, config.nodes, config.degree, mix_edges=mix_edges, mix_weights=mix_weights, weight_exponent=exponent
            )
            for name, value in graph_scores(w, planted, config, each).items():
                scores[name].append(value)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def graph_scores(w: np.ndarray, planted: np.ndarray, config: Lfr, key: jax.Array) -> dict[str, float]:
    """NMI of the best level of the nested model, and of Louvain; both compiled for graphs of any such number of edges."""
    nodes = len(w)
    room = nodes, nodes * (nodes - 1) // 2
    found = fit_weighted_sbm(w > 0, w, key, groups=config.groups, restarts=config.restarts, room=room)
    assert found.fit is not None  # these graphs have edges
    kept = np.ix_(found.kept, found.kept)
    labels = np.unique(planted[found.kept], return_inverse=True)[1].reshape(-1)
    of_planted = weighted_sbm_dl((w > 0)[kept], w[kept], labels, found.degree_corrected)["total"]
    return {
        "block model": best_level(found, planted),
        "Louvain": nmi(planted, louvain(w, key)),
        "nats above the shortest description": of_planted - found.fit.total,
    }


def best_level(found: Communities, planted: np.ndarray) -> float:
    """The largest NMI over the flat partition and all levels of the hierarchy, as the benchmark has it."""
    assert found.fit is not None and found.hierarchy is not None
    levels = [found.fit.labels, *(found.hierarchy.labels(level) for level in range(len(found.hierarchy.levels)))]
    return max(nmi(planted[found.kept], labels) for labels in levels)

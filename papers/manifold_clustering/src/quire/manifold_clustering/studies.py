"""The two experiments that several claims read: curves on a sphere (C3, C4), images (C5, C6). All seeds train at once."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.seeds import fold_keys
from quire.manifold_clustering import evaluation
from quire.manifold_clustering.config import Preset, Study
from quire.manifold_clustering.network import copy_feature_head
from quire.manifold_clustering.points import Points, imbalanced, load_points
from quire.manifold_clustering.spectral import spectral_cluster
from quire.manifold_clustering.subspaces import ensc, ssc_omp
from quire.manifold_clustering.training import (
    Nets,
    fit_mlc,
    fit_stage,
    mlc,
    nmce,
    outputs,
    supervised,
    tcr,
    with_cluster_logits,
)


def _per_seed(function, *sequences) -> np.ndarray:
    return np.array([function(*each) for each in zip(*sequences, strict=True)])


def _baselines(points: Sequence[Points], study: Study, keys: jax.Array) -> dict[str, np.ndarray]:
    """Accuracies and NMI `[seeds, 2]` of what needs no network; one cluster has the share of the largest class, and no NMI."""
    raw = [p.x for p in points]

    def graph(x, p, key):
        return evaluation.scores(lambda rows, key: evaluation.neighbour_graph_labels(rows, study.k, key), x, p, study, key)

    return {
        "one cluster": np.array([(np.bincount(p.labels).max() / len(p.labels), 0.0) for p in points]),
        "k-means on inputs": _per_seed(lambda x, p, key: evaluation.kmeans_scores(x, p, study, key), raw, points, keys),
        "spectral on inputs": _per_seed(graph, raw, points, keys),
    }


def nmce_scores(nets: Nets, points: Sequence[Points], study: Study, keys: jax.Array) -> np.ndarray:
    """Accuracies and NMI `[seeds, 2]` of NMCE, from the features of stage 1 and a new head of k scores."""
    start = with_cluster_logits(nets, study.k, keys)
    trained, _ = fit_stage(start, nmce, points, study, study.nmce, keys)
    _, logits = outputs(trained, np.stack([p.x for p in points]))
    return _per_seed(lambda s, p: evaluation.scores(lambda rows, _: rows.argmax(1), s, p, study, keys[0]), logits, points)


@shared
def curves_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Both stages on curves; stage 1 gone on with in place of stage 2; stage 2 with other weights of the entropy.

    Returns:
        `acc [seeds, 2]` after stages 1 and 2; `R` and `R_c`, curves `[seeds, steps]` of stage 2; `rates [seeds, 3, 2]`, R and R_c
        of the points themselves after stage 1, stage 2, and stage 1 gone on with; `geometry` of `[seeds, 2]`; `by eta`, accuracy
        and mean diagonal `[seeds, etas, 2]`; points, labels, features `[seeds, 2, n, d]`, Gammas `[seeds, 2, n, n]`; baselines.
    """
    study = preset.curves
    points = [load_points(study.points, study.n, key) for key in fold_keys(keys, 1)]
    fitted = fit_mlc(points, study, keys)
    longer, _ = fit_stage(fitted.tcr, tcr, points, study, replace(study.tcr, steps=study.mlc.steps), keys)
    longer = Nets(longer.graph, copy_feature_head(longer.state))
    judged = [evaluation.judge(nets, points, study, keys) for nets in (fitted.tcr, fitted.mlc, longer)]
    shapes = [evaluation.geometry(each.features, points) for each in judged[:2]]
    return {
        "acc": np.stack([each.acc for each in judged[:2]], axis=1),
        "rates": np.stack([evaluation.rates(each, study.eps_squared) for each in judged], axis=1),
        "geometry": {name: np.stack([shape[name] for shape in shapes], axis=1) for name in shapes[0]},
        "by eta": np.stack([_with_eta(fitted.tcr, points, study, eta, keys) for eta in preset.etas], axis=1),
        "features": np.stack([each.features for each in judged[:2]], axis=1),
        "gammas": np.stack([each.gammas for each in judged[:2]], axis=1),
        "points": np.stack([p.x for p in points]),
        "labels": np.stack([p.labels for p in points]),
        "baselines": _baselines(points, study, keys),
        "name": points[0].name,
    } | {name: fitted.mlc_curves[name] for name in ("R", "R_c")}


def _with_eta(nets: Nets, points: Sequence[Points], study: Study, eta: float, keys: jax.Array) -> np.ndarray:
    """Accuracy and mean diagonal of Gamma `[seeds, 2]` after stage 2 with another weight of the entropy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the mean diagonal")  # it is what is shown
        trained, _ = fit_stage(nets, mlc, points, study, study.mlc, keys, eta=eta)
    judged = evaluation.judge(trained, points, study, keys, eta=eta)
    return np.stack([judged.acc, np.diagonal(judged.gammas, axis1=1, axis2=2).mean(1)], axis=1)


@shared
def images_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Both stages on images, and the rivals; accuracy and NMI `[seeds, 2]` by method.

    Returns:
        `scores` by method; `components [seeds, 2]`; `R`, `R_c` and `geometry` as in `curves_study`; features, Gammas and labels.
    """
    study = preset.images
    points = [load_points(study.points, study.n, key) for key in fold_keys(keys, 1)]
    fitted = fit_mlc(points, study, keys)
    before, after = (evaluation.judge(nets, points, study, keys) for nets in (fitted.tcr, fitted.mlc))
    found = _baselines(points, study, keys) | {"TCR": _both(before), "MLC": _both(after)}
    for name, judged in (("Z_TCR", before), ("Z_MLC", after)):
        found[f"k-means on {name}"] = _of_features(evaluation.kmeans_scores, judged, points, study, keys)
        for method, affinity in (("EnSC", ensc), ("SSC-OMP", ssc_omp)):
            found[f"{method} on {name}"] = _of_features(_subspace_scores(affinity), judged, points, study, keys)
    found["NMCE"] = nmce_scores(fitted.tcr, points, study, keys)
    upper, _ = fit_stage(fitted.tcr, supervised, points, study, study.supervised, keys)
    upper = Nets(upper.graph, copy_feature_head(upper.state))
    found["supervised MCR2"] = _both(evaluation.judge(upper, points, study, keys))
    shapes = [evaluation.geometry(each.features, points) for each in (before, after)]
    return {
        "scores": found,
        "components": np.stack([before.components, after.components], axis=1),
        "geometry": {name: np.stack([shape[name] for shape in shapes], axis=1) for name in shapes[0]},
        "features": np.stack([before.features, after.features], axis=1),
        "gammas": np.stack([before.gammas, after.gammas], axis=1),
        "labels": np.stack([p.labels for p in points]),
        "name": points[0].name,
    } | {name: fitted.mlc_curves[name] for name in ("R", "R_c")}


@shared
def imbalanced_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The same without half of the odd classes: accuracy and NMI `[seeds, 2]` of TCR, MLC, NMCE and k-means on the inputs.

    Returns:
        `scores` by method, and the standard error over the seeds of how much more MLC loses than NMCE.
    """
    study = preset.images
    points = [imbalanced(load_points(study.points, study.n, key), key) for key in fold_keys(keys, 1)]
    least = min(len(p.labels) for p in points)  # classes differ in size from seed to seed; all seeds need as many points
    points = [Points(p.x[kept], p.labels[kept], p.name) for p, kept in zip(points, _some(points, least, keys), strict=True)]
    fitted = fit_mlc(points, study, keys)
    before, after = (evaluation.judge(nets, points, study, keys) for nets in (fitted.tcr, fitted.mlc))
    found = _baselines(points, study, keys) | {"TCR": _both(before), "MLC": _both(after)}
    found["NMCE"] = nmce_scores(fitted.tcr, points, study, keys)
    full = [images_study(preset, key)["scores"] for key in keys]
    lead = [(s["MLC"] - found["MLC"][i] - s["NMCE"] + found["NMCE"][i])[0] for i, s in enumerate(full)]
    error = float(np.std(lead, ddof=1) / len(lead) ** 0.5) if len(lead) > 1 else 0.0
    return {"scores": found, "standard error": error, "name": points[0].name}


def _some(points, count, keys):
    return [np.sort(generator(key).permutation(len(p.labels))[:count]) for p, key in zip(points, keys, strict=True)]


def _both(judged) -> np.ndarray:
    return np.stack([judged.acc, judged.nmi], axis=1)


def _of_features(score, judged, points, study, keys) -> np.ndarray:
    return _per_seed(lambda z, p, key: score(z, p, study, key), judged.features, points, keys)


def _subspace_scores(affinity):
    def score(z, points, study, key):
        return evaluation.scores(lambda rows, key: spectral_cluster(affinity(rows), study.k, key), z, points, study, key)

    return score

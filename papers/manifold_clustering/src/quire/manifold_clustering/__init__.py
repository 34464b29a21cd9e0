"""MLC: images on manifolds become orthogonal subspaces and are clustered at once, by coding rates and a Sinkhorn layer.

Ding, Tong, Chan, Dai, Ma and Haeffele, *Unsupervised Manifold Linearizing and Clustering*, ICCV 2023, arXiv 2301.01805. The
authors' code could not be read; where the paper leaves something open, the related codes CPP (LeslieTrue/CPP) and NMCE
(zengyi-li/NMCE-release) decide, and the docstrings say so.
"""

from quire.manifold_clustering import benchmark, claims
from quire.manifold_clustering.config import PRESETS, Preset, Stage, Study
from quire.manifold_clustering.network import MLCNet, PreFeature, copy_feature_head
from quire.manifold_clustering.objectives import (
    Rates,
    affinity,
    mcr2_objective,
    mlc_objective,
    nmce_objective,
    tcr_objective,
    unit,
)
from quire.manifold_clustering.paper import paper
from quire.manifold_clustering.points import Points, augment, curves, imbalanced, load_points
from quire.manifold_clustering.rates import coding_rate, coding_rate_classes, coding_rate_ds, log_det
from quire.manifold_clustering.sinkhorn import entropy, marginal_errors, sinkhorn
from quire.manifold_clustering.spectral import (
    class_cosines,
    class_ranks,
    clustering_accuracy,
    kmeans_labels,
    laplacian_eigenvalues,
    normalized_laplacian,
    num_components,
    numerical_rank,
    spectral_cluster,
)
from quire.manifold_clustering.subspaces import ensc, ssc_omp
from quire.manifold_clustering.training import Fitted, Nets, fit_mlc, fit_stage, memberships, new_nets, outputs

__all__ = [
    "PRESETS",
    "Fitted",
    "MLCNet",
    "Nets",
    "Points",
    "PreFeature",
    "Preset",
    "Rates",
    "Stage",
    "Study",
    "affinity",
    "augment",
    "benchmark",
    "claims",
    "class_cosines",
    "class_ranks",
    "clustering_accuracy",
    "coding_rate",
    "coding_rate_classes",
    "coding_rate_ds",
    "copy_feature_head",
    "curves",
    "ensc",
    "entropy",
    "fit_mlc",
    "fit_stage",
    "imbalanced",
    "kmeans_labels",
    "laplacian_eigenvalues",
    "load_points",
    "log_det",
    "marginal_errors",
    "mcr2_objective",
    "memberships",
    "mlc_objective",
    "new_nets",
    "nmce_objective",
    "normalized_laplacian",
    "num_components",
    "numerical_rank",
    "outputs",
    "paper",
    "sinkhorn",
    "spectral_cluster",
    "ssc_omp",
    "tcr_objective",
    "unit",
]

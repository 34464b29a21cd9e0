"""BT^2: a new model that searches the gallery of an old one, without loss of its own geometry.

Zhou, Li, Shrivastava, Zhao, Torralba, Tian and Lim, *BT^2: Backward-compatible Training with Basis Transformation*, ICCV 2023,
arXiv 2211.03989. Authors' code: YifeiZhou02/BT-2.
"""

from quire.bt2 import benchmark, claims
from quire.bt2.comparison import Embedded, Labels, Row, compat_table, cross_metrics, random_order
from quire.bt2.config import PRESETS, Backbone, Preset
from quire.bt2.convert import load_bt2, load_classifier, load_head
from quire.bt2.experiment import run_chain, run_upgrade
from quire.bt2.head import BT2Head, BT2Out, FoldedHead, basis_transformation
from quire.bt2.loss import BT2Losses, bct_loss, bt2_loss, bt2_losses, influence_loss, matching_loss
from quire.bt2.models import BT2Model, Classifier
from quire.bt2.orthogonal_linear import OrthogonalLinear, nearest_orthonormal
from quire.bt2.paper import paper
from quire.bt2.post_hoc import AffineMap, least_squares_map, procrustes_map
from quire.bt2.prototypes import class_prototypes

__all__ = [
    "PRESETS",
    "AffineMap",
    "BT2Head",
    "BT2Losses",
    "BT2Model",
    "BT2Out",
    "Backbone",
    "Classifier",
    "Embedded",
    "FoldedHead",
    "Labels",
    "OrthogonalLinear",
    "Preset",
    "Row",
    "basis_transformation",
    "bct_loss",
    "benchmark",
    "bt2_loss",
    "bt2_losses",
    "claims",
    "class_prototypes",
    "compat_table",
    "cross_metrics",
    "influence_loss",
    "least_squares_map",
    "load_bt2",
    "load_classifier",
    "load_head",
    "matching_loss",
    "nearest_orthonormal",
    "paper",
    "procrustes_map",
    "random_order",
    "run_chain",
    "run_upgrade",
]

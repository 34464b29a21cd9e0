"""Matryoshka Representation Learning: one embedding whose prefixes are embeddings too.

Kusupati, Bhatt, Rege, Wallingford, Sinha, Ramanujan, Howard-Snyder, Chen, Kakade, Jain and Farhadi, NeurIPS 2022,
arXiv 2205.13147. Authors' code: RAIVNLab/MRL.

    head, loss               classifiers of every prefix, the loss over all of them
    cascade                  adaptive classification
    adaptive_retrieval       adaptive retrieval, the funnel
    contrastive              two towers
    post_hoc, classifier     what MRL is compared with
    evaluation               nearest neighbours, probes, few shots, groups of classes
    claims                   C1 .. C7
"""

from quire.matryoshka import benchmark, claims
from quire.matryoshka.adaptive_retrieval import (
    adaptive_retrieval,
    flops_per_query,
    funnel,
    nearest,
    nearest_at_sizes,
    rank_again,
)
from quire.matryoshka.cascade import Routed, apply_cascade, fit_cascade, margin_score, max_probability, oracle_cascade
from quire.matryoshka.classifier import NestedClassifier, SlimmableClassifier
from quire.matryoshka.config import PRESETS, Preset
from quire.matryoshka.contrastive import TwoTowers, contrastive_accuracy
from quire.matryoshka.convert import load_fixed_feature_head, load_head
from quire.matryoshka.evaluation import (
    mean_precision,
    neighbour_accuracy,
    probe_accuracy,
    superclass_accuracy,
    superclasses,
    template_accuracy,
)
from quire.matryoshka.experiment import slimmable_accuracy
from quire.matryoshka.head import MatryoshkaHead, cumulative_logits, prefix_logits
from quire.matryoshka.loss import matryoshka_ce, matryoshka_info_nce
from quire.matryoshka.paper import paper
from quire.matryoshka.post_hoc import prefix, principal_components, random_selection

__all__ = [
    "PRESETS",
    "MatryoshkaHead",
    "NestedClassifier",
    "Preset",
    "Routed",
    "SlimmableClassifier",
    "TwoTowers",
    "adaptive_retrieval",
    "apply_cascade",
    "benchmark",
    "claims",
    "contrastive_accuracy",
    "cumulative_logits",
    "fit_cascade",
    "flops_per_query",
    "funnel",
    "load_fixed_feature_head",
    "load_head",
    "margin_score",
    "matryoshka_ce",
    "matryoshka_info_nce",
    "max_probability",
    "mean_precision",
    "nearest",
    "nearest_at_sizes",
    "neighbour_accuracy",
    "oracle_cascade",
    "paper",
    "prefix",
    "prefix_logits",
    "principal_components",
    "probe_accuracy",
    "random_selection",
    "rank_again",
    "slimmable_accuracy",
    "superclass_accuracy",
    "superclasses",
    "template_accuracy",
]

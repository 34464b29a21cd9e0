"""Hydra: contrastive learning from arbitrary pairs of classes, inside of sub-spaces that gates select.

Wu et al., *Rethinking Positive Pairs in Contrastive Learning*, 2024, arXiv 2410.18200; the second version calls it SimLAP.
Authors' code: erow/FastSSL.
"""

from quire.hydra import benchmark, claims
from quire.hydra.config import PRESETS, Network, Objective, Preset, Subspaces
from quire.hydra.convert import load_gate, load_model
from quire.hydra.gates import OpenGate, PairGate, all_pair_gates, gate_activation, gate_entropy, pair_indices
from quire.hydra.loss import pair_loss
from quire.hydra.methods import METHODS, Method
from quire.hydra.model import HydraModel, Projector, build_model
from quire.hydra.pairing import pair_masks, sample_pairs
from quire.hydra.paper import paper
from quire.hydra.relations import agreement, class_means, class_relations, nearest_classes, pair_openness
from quire.hydra.relaxations import gumbel_gate, open_probability, stochastic_gate
from quire.hydra.similarity import gated_cosine
from quire.hydra.subspaces import learn_gate, planted_mixture, separation
from quire.hydra.training import run_sweep
from quire.hydra.views import Views, random_views

__all__ = [
    "METHODS",
    "PRESETS",
    "HydraModel",
    "Method",
    "Network",
    "Objective",
    "OpenGate",
    "PairGate",
    "Preset",
    "Projector",
    "Subspaces",
    "Views",
    "agreement",
    "all_pair_gates",
    "benchmark",
    "build_model",
    "claims",
    "class_means",
    "class_relations",
    "gate_activation",
    "gate_entropy",
    "gated_cosine",
    "gumbel_gate",
    "learn_gate",
    "load_gate",
    "load_model",
    "nearest_classes",
    "open_probability",
    "pair_indices",
    "pair_loss",
    "pair_masks",
    "pair_openness",
    "paper",
    "planted_mixture",
    "random_views",
    "run_sweep",
    "sample_pairs",
    "separation",
    "stochastic_gate",
]

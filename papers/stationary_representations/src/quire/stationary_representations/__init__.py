"""Stationary representations: one fixed simplex for the classes of all models, so that features of new ones fit old galleries.

Biondi, Pernici, Ricci and Del Bimbo, *Stationary Representations: Optimally Approximating Compatibility and Implications for
Improved Model Replacements*, CVPR 2024, arXiv 2405.02581. Authors' code: miccunifi/iamcl2r.
"""

from quire.stationary_representations import benchmark, claims
from quire.stationary_representations.alignment import distillation_loss, hoc_loss, old_classifier_loss, total_loss
from quire.stationary_representations.compatibility import (
    Inequalities,
    average_accuracy,
    average_compatibility,
    compatibility_matrix,
    curves,
    inequalities,
    search_accuracy,
    violations,
    within_segments,
)
from quire.stationary_representations.config import PRESETS, Architecture, Preset, Replacement, Scenario, Stationarity, Training
from quire.stationary_representations.convert import load_checkpoint
from quire.stationary_representations.expanding_head import ExpandingHead
from quire.stationary_representations.lifelong import METHODS, Method, run_lifelong
from quire.stationary_representations.network import Network
from quire.stationary_representations.paper import paper
from quire.stationary_representations.simplex import SimplexHead, simplex, slot, structured_simplex_logits
from quire.stationary_representations.sources import ScenarioImages, open_scenario
from quire.stationary_representations.task_stream import Memory, TaskStream, balanced_batches

__all__ = [
    "METHODS",
    "PRESETS",
    "Architecture",
    "ExpandingHead",
    "Inequalities",
    "Memory",
    "Method",
    "Network",
    "Preset",
    "Replacement",
    "Scenario",
    "ScenarioImages",
    "SimplexHead",
    "Stationarity",
    "TaskStream",
    "Training",
    "average_accuracy",
    "average_compatibility",
    "balanced_batches",
    "benchmark",
    "claims",
    "compatibility_matrix",
    "curves",
    "distillation_loss",
    "hoc_loss",
    "inequalities",
    "load_checkpoint",
    "old_classifier_loss",
    "open_scenario",
    "paper",
    "run_lifelong",
    "search_accuracy",
    "simplex",
    "slot",
    "structured_simplex_logits",
    "total_loss",
    "violations",
    "within_segments",
]

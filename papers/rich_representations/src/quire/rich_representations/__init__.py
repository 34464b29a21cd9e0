"""Rich representations: several training episodes side by side hold features that one has no reason to keep.

Zhang and Bottou, *Learning useful representations for shifting tasks and distributions*, ICML 2023, arXiv 2212.07346.
Authors' code: github.com/TjuJianyu/RRL, of which no line is used.
"""

from quire.rich_representations import benchmark, claims
from quire.rich_representations.concatenation import Concatenation, cat_features, cat_head, concatenate, stack_trunks
from quire.rich_representations.config import PRESETS, Descent, FewShotTasks, Preset, Shift, Transfer
from quire.rich_representations.distillation import distill_loss, distillation
from quire.rich_representations.diversity import cka_matrix, disagreement
from quire.rich_representations.episodes import (
    Models,
    accuracy,
    cross_entropy,
    episode_batches,
    features_of,
    logits_of,
    stack_models,
    train_episodes,
)
from quire.rich_representations.few_shot import FewShot, cosine_logits, few_shot_accuracy, few_shot_episodes
from quire.rich_representations.fine_tuning import cat_groups, fine_tune, joined, trunks_of, two_stage, with_fresh_heads
from quire.rich_representations.group_shift import Environment, Heads, coloured, fit_heads, vrex
from quire.rich_representations.networks import Classifier, Perceptron, Student, backbone, classifier
from quire.rich_representations.paper import paper
from quire.rich_representations.probes import LinearProbe, Parts, Probed, fit_probe
from quire.rich_representations.tasks import Pool, Tasks, load_tasks, split_new, split_source
from quire.rich_representations.theory import incremental_gradient, population_cross_entropy, ridge_objective

__all__ = [
    "PRESETS",
    "Classifier",
    "Concatenation",
    "Descent",
    "Environment",
    "FewShot",
    "FewShotTasks",
    "Heads",
    "LinearProbe",
    "Models",
    "Parts",
    "Perceptron",
    "Pool",
    "Preset",
    "Probed",
    "Shift",
    "Student",
    "Tasks",
    "Transfer",
    "accuracy",
    "backbone",
    "benchmark",
    "cat_features",
    "cat_groups",
    "cat_head",
    "cka_matrix",
    "claims",
    "classifier",
    "coloured",
    "concatenate",
    "cosine_logits",
    "cross_entropy",
    "disagreement",
    "distill_loss",
    "distillation",
    "episode_batches",
    "features_of",
    "few_shot_accuracy",
    "few_shot_episodes",
    "fine_tune",
    "fit_heads",
    "fit_probe",
    "incremental_gradient",
    "joined",
    "load_tasks",
    "logits_of",
    "paper",
    "population_cross_entropy",
    "ridge_objective",
    "split_new",
    "split_source",
    "stack_models",
    "stack_trunks",
    "train_episodes",
    "trunks_of",
    "two_stage",
    "vrex",
    "with_fresh_heads",
]

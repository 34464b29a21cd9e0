"""Active multi-task representation learning: which source tasks to sample, and how much, for one target with few samples.

Wang, Chen, Jamieson and Du, *Improved Active Multi-Task Representation Learning via Lasso*, ICML 2023, arXiv 2306.02556. The
authors' code was not available.
"""

from quire.active_multitask import benchmark, claims
from quire.active_multitask.active import Estimate, Run, estimate_relevance, linear_learner, run_amtrl
from quire.active_multitask.allocation import STRATEGIES, Strategy, allocate, best_bound, money, risk_bound, shares
from quire.active_multitask.config import PRESETS, Images, Linear, Network, Preset
from quire.active_multitask.image_tasks import Examples, ImageTasks, corrupt, image_tasks
from quire.active_multitask.lasso import lasso, lasso_at_error, lasso_path
from quire.active_multitask.multitask import (
    Fit,
    Head,
    Moments,
    first_moments,
    fit_mtrl,
    leading_subspace,
    moments,
    ordinary_least_squares,
    representation_error,
    subspace_distance,
    target_head,
    task_heads,
)
from quire.active_multitask.network import network_learner
from quire.active_multitask.paper import paper
from quire.active_multitask.relevance import relevance_l1, relevance_l2
from quire.active_multitask.tasks import Problem, draw_moments, one_strong_source, relevant_sources

__all__ = [
    "PRESETS",
    "STRATEGIES",
    "Estimate",
    "Examples",
    "Fit",
    "Head",
    "ImageTasks",
    "Images",
    "Linear",
    "Moments",
    "Network",
    "Preset",
    "Problem",
    "Run",
    "Strategy",
    "allocate",
    "benchmark",
    "best_bound",
    "claims",
    "corrupt",
    "draw_moments",
    "estimate_relevance",
    "first_moments",
    "fit_mtrl",
    "image_tasks",
    "lasso",
    "lasso_at_error",
    "lasso_path",
    "leading_subspace",
    "linear_learner",
    "moments",
    "money",
    "network_learner",
    "one_strong_source",
    "ordinary_least_squares",
    "paper",
    "relevance_l1",
    "relevance_l2",
    "relevant_sources",
    "representation_error",
    "risk_bound",
    "run_amtrl",
    "shares",
    "subspace_distance",
    "target_head",
    "task_heads",
]

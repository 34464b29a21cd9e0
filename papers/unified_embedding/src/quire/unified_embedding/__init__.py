"""Unified embedding: one table for all categorical features.

Coleman, Kang, Fahrbach, Wang, Hong, Chi and Cheng, *Unified Embedding: Battle-Tested Feature Representations for Web-Scale ML
Systems*, NeurIPS 2023, arXiv 2305.12102.
"""

from quire.unified_embedding import benchmark, claims, figures
from quire.unified_embedding.allocation import (
    ALLOCATIONS,
    Region,
    equal,
    multiplexed,
    proportional,
    row_index,
    split,
    value_rows,
    water_filled,
)
from quire.unified_embedding.click_models import Part, auc, random_split, train_tables
from quire.unified_embedding.collisions import collision_counts, collision_stats
from quire.unified_embedding.config import PRESETS, Clicks, Identities, Orthogonality, Preset
from quire.unified_embedding.gradients import Components, gradient_components, linear_logits, loss_sum, value_components
from quire.unified_embedding.hash_kernel import (
    Moments,
    enumerated_moments,
    kernel_moments,
    sampled_kernel,
    signed_hash,
    split_kernel_moments,
)
from quire.unified_embedding.index_rules import RULES, FlatTable, HashedEmbedding, Slots, compose, slots
from quire.unified_embedding.multiplexing import FeatureSpec, UnifiedEmbedding, check_salts, feature_salts, unified_index
from quire.unified_embedding.orthogonality import LinearClicks, angle_runs, mean_abs_cosine, pair_cosines
from quire.unified_embedding.paper import paper
from quire.unified_embedding.pareto import census_runs, head_runs, pareto_sweep, rating_runs, width_runs
from quire.unified_embedding.rate_tables import rate_logits
from quire.unified_embedding.sources import open_log

__all__ = [
    "ALLOCATIONS",
    "PRESETS",
    "RULES",
    "Clicks",
    "Components",
    "FeatureSpec",
    "FlatTable",
    "HashedEmbedding",
    "Identities",
    "LinearClicks",
    "Moments",
    "Orthogonality",
    "Part",
    "Preset",
    "Region",
    "Slots",
    "UnifiedEmbedding",
    "angle_runs",
    "auc",
    "benchmark",
    "census_runs",
    "check_salts",
    "claims",
    "collision_counts",
    "collision_stats",
    "compose",
    "enumerated_moments",
    "equal",
    "feature_salts",
    "figures",
    "gradient_components",
    "head_runs",
    "kernel_moments",
    "linear_logits",
    "loss_sum",
    "mean_abs_cosine",
    "multiplexed",
    "open_log",
    "pair_cosines",
    "paper",
    "pareto_sweep",
    "proportional",
    "random_split",
    "rate_logits",
    "rating_runs",
    "row_index",
    "sampled_kernel",
    "signed_hash",
    "slots",
    "split",
    "split_kernel_moments",
    "train_tables",
    "unified_index",
    "value_components",
    "value_rows",
    "water_filled",
    "width_runs",
]

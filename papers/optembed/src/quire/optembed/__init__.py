"""OptEmbed: which rows of an embedding table are worth keeping, and how many dimensions each field needs.

Lyu, Tang, Zhu, Guo, Zhang, Tang and Liu, *OptEmbed: Learning Optimal Embedding Table for Click-through Rate Prediction*, CIKM
2022, arXiv 2208.04482. Authors' code: fuyuanlyu/OptEmbed.
"""

from quire.optembed import benchmark, claims, definition, figures
from quire.optembed.base_models import (
    KINDS,
    CrossNetwork,
    CTRModel,
    DeepMlp,
    FirstOrder,
    inner_products,
    pair_interactions,
    vector_cross,
)
from quire.optembed.baselines import candidates_within, most_frequent, uniform_dim, value_counts
from quire.optembed.compact import CompactTable, compact, kept_rows, sparsity, table_params
from quire.optembed.config import PRESETS, Clicks, Identities, Planted, Preset, Search, Training
from quire.optembed.convert import load_supernet
from quire.optembed.embedding_table import OptEmbedTable
from quire.optembed.evolution import Evolved, crossed, evolve, mutated, random_candidates, random_search
from quire.optembed.masks import prefix_mask, prefix_masks, row_mask, row_norms, ste_step, step_slope
from quire.optembed.paper import paper
from quire.optembed.ranking import roc_auc
from quire.optembed.sources import PlantedClicks, merge_rare, open_log, planted_clicks
from quire.optembed.study import click_runs, planted_runs, search_dims
from quire.optembed.supernet import (
    MODES,
    Plan,
    Supernet,
    fixed_plan,
    plan_loss,
    settled_loss,
    supernet_loss,
    supernet_plan,
    threshold_penalty,
)
from quire.optembed.training import Parts, Trained, build_supernet, retrain, split_log, train, train_supernet

__all__ = [
    "KINDS",
    "MODES",
    "PRESETS",
    "CTRModel",
    "Clicks",
    "CompactTable",
    "CrossNetwork",
    "DeepMlp",
    "Evolved",
    "FirstOrder",
    "Identities",
    "OptEmbedTable",
    "Parts",
    "Plan",
    "Planted",
    "PlantedClicks",
    "Preset",
    "Search",
    "Supernet",
    "Trained",
    "Training",
    "benchmark",
    "build_supernet",
    "candidates_within",
    "claims",
    "click_runs",
    "compact",
    "crossed",
    "definition",
    "evolve",
    "figures",
    "fixed_plan",
    "inner_products",
    "kept_rows",
    "load_supernet",
    "merge_rare",
    "most_frequent",
    "mutated",
    "open_log",
    "pair_interactions",
    "paper",
    "plan_loss",
    "planted_clicks",
    "planted_runs",
    "prefix_mask",
    "prefix_masks",
    "random_candidates",
    "random_search",
    "retrain",
    "roc_auc",
    "row_mask",
    "row_norms",
    "search_dims",
    "settled_loss",
    "sparsity",
    "split_log",
    "ste_step",
    "step_slope",
    "supernet_loss",
    "supernet_plan",
    "table_params",
    "threshold_penalty",
    "train",
    "train_supernet",
    "uniform_dim",
    "value_counts",
    "vector_cross",
]

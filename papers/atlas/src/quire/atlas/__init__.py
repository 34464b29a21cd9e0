"""aTLAS: task vectors composed with a learned coefficient for every vector and parameter block.

Zhang, Albert, Rodriguez-Opazo, van den Hengel and Abbasnejad, *Knowledge Composition using Task Vectors with Learned Anisotropic
Scaling*, NeurIPS 2024, arXiv 2407.02880. The authors' code: https://github.com/fredzzhang/atlas.
"""

from quire.atlas import benchmark, claims
from quire.atlas.adapters import LinearProbe, TipAdapter, lp_plus_plus, tip_adapter
from quire.atlas.block_budget import random_blocks, select_blocks, select_task_vectors
from quire.atlas.composition import (
    combine,
    combine_partitioned,
    compose,
    compose_partitioned,
    linearized_apply,
    random_masks,
)
from quire.atlas.config import MLP, PRESETS, Preset, Search, ViT
from quire.atlas.disentanglement import disentanglement_error
from quire.atlas.learning import Learned, learn, learn_coefficients, negation_score
from quire.atlas.objectives import entropy, lp_penalty, trusted_labels, ufm_loss
from quire.atlas.paper import paper
from quire.atlas.rivals import (
    Subspace,
    lora_apply,
    lora_start,
    random_subspace,
    random_task_vectors,
    subspace_apply,
)
from quire.atlas.task_vectors import TaskVector, blocks_of, cosine_matrix, stack_task_vectors, with_blocks

__all__ = [
    "MLP",
    "PRESETS",
    "Learned",
    "LinearProbe",
    "Preset",
    "Search",
    "Subspace",
    "TaskVector",
    "TipAdapter",
    "ViT",
    "benchmark",
    "blocks_of",
    "claims",
    "combine",
    "combine_partitioned",
    "compose",
    "compose_partitioned",
    "cosine_matrix",
    "disentanglement_error",
    "entropy",
    "learn",
    "learn_coefficients",
    "linearized_apply",
    "lora_apply",
    "lora_start",
    "lp_penalty",
    "lp_plus_plus",
    "negation_score",
    "paper",
    "random_blocks",
    "random_masks",
    "random_subspace",
    "random_task_vectors",
    "select_blocks",
    "select_task_vectors",
    "stack_task_vectors",
    "subspace_apply",
    "tip_adapter",
    "trusted_labels",
    "ufm_loss",
    "with_blocks",
]

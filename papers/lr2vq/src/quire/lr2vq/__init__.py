"""LR2VQ: weights as codewords of few numbers and a map that a layer shares.

Zhu, Zhou and Zhao, *Learning Low-Rank Representations for Model Compression*, 2022, arXiv 2211.11397. No code of the authors was
found. Rows of weights and differentiable k-means are `quire.common.quant.subvectors` and `quire.common.quant.soft_kmeans`.
"""

from quire.lr2vq import benchmark, claims
from quire.lr2vq.config import PRESETS, Network, Preset, Residual
from quire.lr2vq.layers import (
    Conv,
    DenseWeight,
    Linear,
    LowRankWeight,
    QuantizedWeight,
    SoftWeight,
    factored,
    low_rank_conv,
    low_rank_linear,
    quantize,
    soften,
)
from quire.lr2vq.low_rank import (
    Errors,
    LowRank,
    error_decomposition,
    low_rank_normal,
    low_rank_svd,
    orthonormal,
    restored,
)
from quire.lr2vq.paper import paper
from quire.lr2vq.permutation import channel_order, log_determinant
from quire.lr2vq.rank_choice import estimate_dim, expected_clustering_error, post_hoc_errors
from quire.lr2vq.residual import ResidualNet, cluster_layers, low_rank_layers, recalibrate, residual_steps
from quire.lr2vq.sizes import compressed_bits, compression_ratio, vq_bits

__all__ = [
    "PRESETS",
    "Conv",
    "DenseWeight",
    "Errors",
    "Linear",
    "LowRank",
    "LowRankWeight",
    "Network",
    "Preset",
    "QuantizedWeight",
    "Residual",
    "ResidualNet",
    "SoftWeight",
    "benchmark",
    "channel_order",
    "claims",
    "cluster_layers",
    "compressed_bits",
    "compression_ratio",
    "error_decomposition",
    "estimate_dim",
    "expected_clustering_error",
    "factored",
    "log_determinant",
    "low_rank_conv",
    "low_rank_layers",
    "low_rank_linear",
    "low_rank_normal",
    "low_rank_svd",
    "orthonormal",
    "paper",
    "post_hoc_errors",
    "quantize",
    "recalibrate",
    "residual_steps",
    "restored",
    "soften",
    "vq_bits",
]

"""COAT: training in eight bits, optimiser states and activations included.

Xi, Cai, Zhu, Lu, Keutzer, Chen and Han, *COAT: Compressing Optimizer states and Activation for Memory-Efficient FP8 Training*,
ICLR 2025, arXiv 2410.19313. Authors' code: NVlabs/COAT.
"""

from quire.coat import benchmark, claims
from quire.coat.activations import Activation, quantize_group, quantize_tensor, store
from quire.coat.adamw import CoatState, coat_adamw
from quire.coat.block import CoatBlock, Fp8Attention, Fp8LayerNorm, Fp8MLP, Fp8RMSNorm, Fp8SwiGLU
from quire.coat.config import PRESETS, LanguageModelConfig, Preset
from quire.coat.diagnostics import code_histogram, direction_error, dynamic_range, utilisation
from quire.coat.expansion import MomentCodes, expand_dequantize, expand_quantize, plain_dequantize, plain_quantize
from quire.coat.language_model import CoatLM, language_loss
from quire.coat.linear import linear, quantize_weight
from quire.coat.memory import saved_arrays, saved_bytes, state_bytes
from quire.coat.nonlinear import gelu, layer_norm, product, residual_add, rms_norm, silu
from quire.coat.paper import paper
from quire.coat.precision import BF16, COAT, FLOAT32, PER_GROUP, PER_TENSOR, PRECISIONS, TE_LIKE, Precision

__all__ = [
    "BF16",
    "COAT",
    "FLOAT32",
    "PER_GROUP",
    "PER_TENSOR",
    "PRECISIONS",
    "PRESETS",
    "TE_LIKE",
    "Activation",
    "CoatBlock",
    "CoatLM",
    "CoatState",
    "Fp8Attention",
    "Fp8LayerNorm",
    "Fp8MLP",
    "Fp8RMSNorm",
    "Fp8SwiGLU",
    "LanguageModelConfig",
    "MomentCodes",
    "Precision",
    "Preset",
    "benchmark",
    "claims",
    "coat_adamw",
    "code_histogram",
    "direction_error",
    "dynamic_range",
    "expand_dequantize",
    "expand_quantize",
    "gelu",
    "language_loss",
    "layer_norm",
    "linear",
    "paper",
    "plain_dequantize",
    "plain_quantize",
    "product",
    "quantize_group",
    "quantize_tensor",
    "quantize_weight",
    "residual_add",
    "rms_norm",
    "saved_arrays",
    "saved_bytes",
    "silu",
    "state_bytes",
    "store",
    "utilisation",
]

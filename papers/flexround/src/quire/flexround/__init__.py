"""FlexRound: Learnable Rounding based on Element-wise Division for Post-Training Quantization.

Jung Hyun Lee, Jeonghoon Kim, Se Jung Kwon and Dongsoo Lee, ICML 2023, arXiv 2306.00317. Every weight is divided by a scale of its
own before it is rounded; the scales are learned, block by block, from a few unlabelled inputs, and thrown away.

    division              the method: scales, rounding, export
    reciprocal_rule       its derivatives in closed form
    adaround, adaquant    rounding up or down, adding before rounding
    low_rank              the low-rank form of the authors' code
    methods, scheme       one interface for all; what is quantised, and how long rounding is learned
    layer_weights, blockwise    weights of a module; models quantised block by block
    activations, packed   quantised inputs of layers; packed codes and inference from them
    networks              MLP, residual network, encoder, decoder as chains of blocks
    layer_study, vision, language, small_problems, enumeration    the experiments
    claims                F1 .. F8
"""

from quire.flexround import benchmark, claims
from quire.flexround.activations import QuantizedInput, per_token, quantize_inputs
from quire.flexround.adaquant import AdaQuantParams, adaquant, adaquant_init
from quire.flexround.adaround import AdaRoundParams, adaround_hard, adaround_init, adaround_reg, adaround_soft, up_share
from quire.flexround.blockwise import QuantizedModel, quantize_model, quantize_models
from quire.flexround.config import PRESETS, Preset
from quire.flexround.division import (
    FlexRoundParams,
    export_int,
    flexround,
    grid_shift,
    init_flexround,
    initial_grid,
    rtn,
)
from quire.flexround.enumeration import best_neighbour, best_rounding, nearest_rounding
from quire.flexround.low_rank import LowRankParams, low_rank, low_rank_init
from quire.flexround.methods import METHODS, Method
from quire.flexround.networks import Chain, chain_of, decoder, drawn, encoder, fold, mlp, residual_network
from quire.flexround.packed import PackedBlock, PackedWeight, pack_model, pack_weight, sizes
from quire.flexround.paper import paper
from quire.flexround.reciprocal_rule import reciprocal_gradients
from quire.flexround.scheme import Scheme

__all__ = [
    "METHODS",
    "PRESETS",
    "AdaQuantParams",
    "AdaRoundParams",
    "Chain",
    "FlexRoundParams",
    "LowRankParams",
    "Method",
    "PackedBlock",
    "PackedWeight",
    "Preset",
    "QuantizedInput",
    "QuantizedModel",
    "Scheme",
    "adaquant",
    "adaquant_init",
    "adaround_hard",
    "adaround_init",
    "adaround_reg",
    "adaround_soft",
    "benchmark",
    "best_neighbour",
    "best_rounding",
    "chain_of",
    "claims",
    "decoder",
    "drawn",
    "encoder",
    "export_int",
    "flexround",
    "fold",
    "grid_shift",
    "init_flexround",
    "initial_grid",
    "low_rank",
    "low_rank_init",
    "mlp",
    "nearest_rounding",
    "pack_model",
    "pack_weight",
    "paper",
    "per_token",
    "quantize_inputs",
    "quantize_model",
    "quantize_models",
    "reciprocal_gradients",
    "residual_network",
    "rtn",
    "sizes",
    "up_share",
]

"""Network Memory Footprint Compression Through Jointly Learnable Codebooks and Mappings.

Edouard Yvinec, Arnaud Dapogny and Kevin Bailly, ICLR 2024, arXiv 2309.17361. Every weight becomes a code of a few bits into a
codebook of scalars; neurons with like weights stand together, so that groups have a codebook or a scale of their own without an
index; codebooks and codes are learned together from a few unlabelled inputs.

    grouping, networks    statistics of neurons, groups, and models with their units in the order of the groups
    mapping               logits of the codes and the rules that move them: default, by distance, proximal
    assignment            nearest codewords: one codebook, scaled or own ones for groups, uniform grids
    joint_learning        codebooks, scales and logits of a block, learned together
    compression           whole models, block by block
    codebook_tensor       codes and codebooks, their size, the packed form
    claims                J1 .. J6
"""

from quire.jlcm import benchmark, claims
from quire.jlcm.assignment import best_of_codebooks, nearest_assignment, relative_error
from quire.jlcm.codebook_tensor import CodebookTensor, load_tensors, mapping_bits, pack_tensor, save_tensors, unpack_tensor
from quire.jlcm.compression import Compressed, Compression, compress_model, compress_models, sizes
from quire.jlcm.config import PRESETS, Preset
from quire.jlcm.grouping import Groups, group_neurons, neuron_stats, random_groups
from quire.jlcm.joint_learning import Learning, learn, learned_tensors, learned_weights, start_params
from quire.jlcm.mapping import (
    exponential,
    hard_map,
    inverse,
    map_codes,
    mapping_logits,
    nearest_only,
    one_hot_penalty,
    soft_map,
)
from quire.jlcm.networks import conv_net, drawn, grouped, hidden_units, mlp
from quire.jlcm.paper import paper

__all__ = [
    "PRESETS",
    "CodebookTensor",
    "Compressed",
    "Compression",
    "Groups",
    "Learning",
    "Preset",
    "benchmark",
    "best_of_codebooks",
    "claims",
    "compress_model",
    "compress_models",
    "conv_net",
    "drawn",
    "exponential",
    "group_neurons",
    "grouped",
    "hard_map",
    "hidden_units",
    "inverse",
    "learn",
    "learned_tensors",
    "learned_weights",
    "load_tensors",
    "map_codes",
    "mapping_bits",
    "mapping_logits",
    "mlp",
    "nearest_assignment",
    "nearest_only",
    "neuron_stats",
    "one_hot_penalty",
    "pack_tensor",
    "paper",
    "random_groups",
    "relative_error",
    "save_tensors",
    "sizes",
    "soft_map",
    "start_params",
    "unpack_tensor",
]

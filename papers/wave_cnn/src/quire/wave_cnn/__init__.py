"""A priori compression of convolutional neural networks for wave simulators: kernels that are learned as one-way filters.

Boukraichi, Akkari, Casenave and Ryckelynck, *A priori compression of convolutional neural networks for wave simulators*, 2023,
arXiv 2304.04964. No code of the authors was found. Elements, Newmark's steps and fast diagonalisation are `quire.common.pde`.
"""

from quire.wave_cnn import benchmark, claims
from quire.wave_cnn.boundary_generator import BoundaryGenerator, solve_inside
from quire.wave_cnn.compression import best_errors, nested_svd, shared_fit, singular_values, svd_compress
from quire.wave_cnn.config import PRESETS, Generator, OneLayer, Preset, Surrogate
from quire.wave_cnn.dense_layer import CPLinear, cp_linear
from quire.wave_cnn.one_way_conv import OneWayConv, per_kernel_conv, shared_conv
from quire.wave_cnn.one_way_kernels import cp_kernel, factor_std, he_variance, shared_kernel
from quire.wave_cnn.paper import paper
from quire.wave_cnn.submodel import submodel_solve
from quire.wave_cnn.surrogates import network_costs
from quire.wave_cnn.training import Trainer, relative_error
from quire.wave_cnn.wave_fe import WaveFE, ring
from quire.wave_cnn.wave_net import WaveNet
from quire.wave_cnn.waves import Parameters, WaveData, Waves, draw_parameters, sample_wave_dataset, simulate

__all__ = [
    "PRESETS",
    "BoundaryGenerator",
    "CPLinear",
    "Generator",
    "OneLayer",
    "OneWayConv",
    "Parameters",
    "Preset",
    "Surrogate",
    "Trainer",
    "WaveData",
    "WaveFE",
    "WaveNet",
    "Waves",
    "benchmark",
    "best_errors",
    "claims",
    "cp_kernel",
    "cp_linear",
    "draw_parameters",
    "factor_std",
    "he_variance",
    "nested_svd",
    "network_costs",
    "paper",
    "per_kernel_conv",
    "relative_error",
    "ring",
    "sample_wave_dataset",
    "shared_conv",
    "shared_fit",
    "shared_kernel",
    "simulate",
    "singular_values",
    "solve_inside",
    "submodel_solve",
    "svd_compress",
]

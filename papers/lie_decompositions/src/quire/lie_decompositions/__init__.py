"""Lie group decompositions: group convolution for groups of matrices whose exponential map is not onto.

Mironenco and Forré, *Lie Group Decompositions for Equivariant Neural Networks*, ICLR 2024, arXiv 2310.11366. Authors' code:
mirceamironenco/rgenn.

    bases, groups         spaces of matrices, GL+(n), SL(n), SO(n): global coordinates, samples with their inverses
    logarithm             the parametrisation by the Lie algebra that they replace
    affine                translations and a group of matrices
    kernels, layers       kernels as networks on coordinates; lift, group convolution, projection
    resnet, convert       the network; the authors' weights
    baselines, training   an ordinary network, the nearest image; training
    warped_digits         digits moved by affine maps and homographies
    equivariance, invariance   what C3 and C4 measure
    claims                C1 .. C5
"""

from quire.lie_decompositions import benchmark, claims
from quire.lie_decompositions.affine import Affine
from quire.lie_decompositions.baselines import CNN, CNNConfig, nearest_image
from quire.lie_decompositions.config import PRESETS, Preset, RobustnessConfig
from quire.lie_decompositions.convert import load_gresnet, load_layer
from quire.lie_decompositions.groups import SL, SO, SPD, SSPD, GLPlus, MatrixGroup, Samples, left_exp_riemannian
from quire.lie_decompositions.kernels import KernelConfig, KernelNetwork, kernel_grid, mask
from quire.lie_decompositions.layers import (
    GroupConv,
    GroupProject,
    LiftConv,
    global_pool,
    group_conv,
    group_kernel,
    lift,
    lift_kernel,
    max_pool,
    project,
    project_kernel,
)
from quire.lie_decompositions.logarithm import has_log, lie_log
from quire.lie_decompositions.paper import paper
from quire.lie_decompositions.resnet import GResNet, NetworkConfig, PathSamples
from quire.lie_decompositions.training import SampledNet, accuracy, train
from quire.lie_decompositions.warped_digits import DigitsConfig, Movement, affine_digits, homography_digits, open_digits

__all__ = [
    "CNN",
    "PRESETS",
    "SL",
    "SO",
    "SPD",
    "SSPD",
    "Affine",
    "CNNConfig",
    "DigitsConfig",
    "GLPlus",
    "GResNet",
    "GroupConv",
    "GroupProject",
    "KernelConfig",
    "KernelNetwork",
    "LiftConv",
    "MatrixGroup",
    "Movement",
    "NetworkConfig",
    "PathSamples",
    "Preset",
    "RobustnessConfig",
    "SampledNet",
    "Samples",
    "accuracy",
    "affine_digits",
    "benchmark",
    "claims",
    "global_pool",
    "group_conv",
    "group_kernel",
    "has_log",
    "homography_digits",
    "kernel_grid",
    "left_exp_riemannian",
    "lie_log",
    "lift",
    "lift_kernel",
    "load_gresnet",
    "load_layer",
    "mask",
    "max_pool",
    "nearest_image",
    "open_digits",
    "paper",
    "project",
    "project_kernel",
    "train",
]

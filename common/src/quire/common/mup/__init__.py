"""Maximal update parametrisation (muP): width scalings, finite networks under any of them, optimisers, infinite-width tools."""

from quire.common.mup.abc import ABC, Classification
from quire.common.mup.arc_cosine import relu_covariance, relu_gp, relu_ntk, step_covariance
from quire.common.mup.coordinates import CoordinateCheck, coord_check, width_exponent
from quire.common.mup.mlp import ABCMLP, Scales, mlp, padded_normals, scales, standard_normals, train_abc
from quire.common.mup.optimisers import Readout, mup_adam, mup_sgd, readout, scale_by_width, width_shapes
from quire.common.mup.quadrature import gauss_hermite, gaussian_particles
from quire.common.mup.tensor_program import Matrix, TensorProgram, Vector

__all__ = [
    "ABC",
    "ABCMLP",
    "Classification",
    "CoordinateCheck",
    "Matrix",
    "Readout",
    "Scales",
    "TensorProgram",
    "Vector",
    "coord_check",
    "gauss_hermite",
    "gaussian_particles",
    "mlp",
    "mup_adam",
    "mup_sgd",
    "padded_normals",
    "readout",
    "relu_covariance",
    "relu_gp",
    "relu_ntk",
    "scale_by_width",
    "scales",
    "standard_normals",
    "step_covariance",
    "train_abc",
    "width_exponent",
    "width_shapes",
]

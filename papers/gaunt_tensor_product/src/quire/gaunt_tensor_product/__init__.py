"""Gaunt tensor products: equivariant products as multiplication of functions on the sphere.

Luo, Chen and Krishnapriyan, *Enabling Efficient Equivariant Operations in the Fourier Basis via Gaunt Tensor Products*, ICLR
2024, arXiv 2401.10216. Authors' code: lsj2408/Gaunt-Tensor-Product. Independent analysis: atomicarchitects/PriceofFreedom.
"""

from quire.gaunt_tensor_product import benchmark, claims, figures
from quire.gaunt_tensor_product.cg_product import cg_paths, cg_tensor_product
from quire.gaunt_tensor_product.clusters import cluster_energy, generate_clusters
from quire.gaunt_tensor_product.convolution import gaunt_convolution
from quire.gaunt_tensor_product.interaction import DegreeLinear, Selfmix
from quire.gaunt_tensor_product.mace import MACE, MACEConfig, energy_and_forces
from quire.gaunt_tensor_product.many_body import ManyBody, SymmetricContraction, gaunt_power, many_body_terms
from quire.gaunt_tensor_product.paper import paper
from quire.gaunt_tensor_product.shapes import ShapeClassifier, ShapeTask, sample_shapes
from quire.gaunt_tensor_product.tensor_product import fastest_method, gaunt_tensor_product
from quire.gaunt_tensor_product.training import Training, train_force_field

__all__ = [
    "MACE",
    "DegreeLinear",
    "MACEConfig",
    "ManyBody",
    "Selfmix",
    "ShapeClassifier",
    "ShapeTask",
    "SymmetricContraction",
    "Training",
    "benchmark",
    "cg_paths",
    "cg_tensor_product",
    "claims",
    "cluster_energy",
    "energy_and_forces",
    "fastest_method",
    "figures",
    "gaunt_convolution",
    "gaunt_power",
    "gaunt_tensor_product",
    "generate_clusters",
    "many_body_terms",
    "paper",
    "sample_shapes",
    "train_force_field",
]

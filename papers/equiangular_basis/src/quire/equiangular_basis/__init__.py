"""Equiangular basis vectors: classifiers whose class vectors are fixed, and mutually as far apart as the dimension allows.

Shen, Sun and Wei, *Equiangular Basis Vectors*, CVPR 2023, arXiv 2303.11637. Authors' code:
NJUST-VIPGroup/Equiangular-Basis-Vectors.
"""

from quire.equiangular_basis import benchmark, claims
from quire.equiangular_basis.annealing import annealed_descent, soft_coherence
from quire.equiangular_basis.coherence import Coherence, coherence, welch_bound
from quire.equiangular_basis.config import PRESETS, Generation, HeadCost, Preset, Sweep
from quire.equiangular_basis.exact import complement, etf, hadamard, orthonormal
from quire.equiangular_basis.generate import extend_ebv, generate_ebv, random_unit_vectors
from quire.equiangular_basis.head import EBVHead, ebv_loss, ebv_predict
from quire.equiangular_basis.hinge import Descent, hinge, hinge_descent
from quire.equiangular_basis.paper import paper
from quire.equiangular_basis.storage import load_ebv, save_ebv
from quire.equiangular_basis.training import run_sweep

__all__ = [
    "PRESETS",
    "Coherence",
    "Descent",
    "EBVHead",
    "Generation",
    "HeadCost",
    "Preset",
    "Sweep",
    "annealed_descent",
    "benchmark",
    "claims",
    "coherence",
    "complement",
    "ebv_loss",
    "ebv_predict",
    "etf",
    "extend_ebv",
    "generate_ebv",
    "hadamard",
    "hinge",
    "hinge_descent",
    "load_ebv",
    "orthonormal",
    "paper",
    "random_unit_vectors",
    "run_sweep",
    "save_ebv",
    "soft_coherence",
    "welch_bound",
]

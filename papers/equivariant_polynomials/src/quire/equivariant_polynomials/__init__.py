"""Equivariant polynomials: a hierarchy of graph networks by the polynomials that they can compute, PPGN++ and features.

Puny, Lim, Kiani, Maron and Lipman, *Equivariant Polynomials for Graph Neural Networks*, ICML 2023, arXiv 2302.11556.
Authors' code: omri1348/Equivariant-Polynomaials.
"""

from quire.common.graphs.basis import enumerate_basis, p_in_q, q_in_p
from quire.common.graphs.contraction import (
    EDGE_BANK,
    NODE_BANK,
    Bank,
    Plan,
    contraction_plan,
    expressive_degree,
    failures,
    is_computable,
)
from quire.common.graphs.evaluate import evaluate, evaluate_by_loops, evaluate_by_slices
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import PPGN, NodePrototype, PPGNPlusPlus
from quire.common.graphs.refinement import fwl2, wl1
from quire.equivariant_polynomials import benchmark, claims, figures
from quire.equivariant_polynomials.convert import load_ppgn
from quire.equivariant_polynomials.features import missing_polynomials, normalise_features, occurring, polynomial_features
from quire.equivariant_polynomials.molecules import MoleculeEncoder, molecule_splits
from quire.equivariant_polynomials.paper import paper
from quire.equivariant_polynomials.regression import TrainingConfig, train_regression
from quire.equivariant_polynomials.separation import indistinguishable_fraction

__all__ = [
    "EDGE_BANK",
    "NODE_BANK",
    "PPGN",
    "Bank",
    "MoleculeEncoder",
    "MultiGraph",
    "NodePrototype",
    "PPGNPlusPlus",
    "Plan",
    "TrainingConfig",
    "benchmark",
    "claims",
    "contraction_plan",
    "enumerate_basis",
    "evaluate",
    "evaluate_by_loops",
    "evaluate_by_slices",
    "expressive_degree",
    "failures",
    "figures",
    "fwl2",
    "indistinguishable_fraction",
    "is_computable",
    "load_ppgn",
    "missing_polynomials",
    "molecule_splits",
    "normalise_features",
    "occurring",
    "p_in_q",
    "paper",
    "polynomial_features",
    "q_in_p",
    "train_regression",
    "wl1",
]

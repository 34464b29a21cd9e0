"""Sparse concept coded tetrolets: Haar wavelets on tetrominoes, sparse codes on a graph, and handwritten numerals.

Dash, Puhan and Panda, *Sparse Concept Coded Tetrolet Transform for Unconstrained Odia Character Recognition*, 2020,
arXiv 2004.01551. No code of this paper was found. The transform is Krommweh's (2010); sparse concept coding follows the code of
its author, ZJULearning/MatlabFunc.
"""

from quire.tetrolet import benchmark, claims
from quire.tetrolet.concept_coding import SparseConceptCoding, ridge_basis
from quire.tetrolet.config import PRESETS, Preset, Recognition, Sparsity
from quire.tetrolet.filter_banks import separable, slantlet_matrix, wavelet_matrix
from quire.tetrolet.index_map import entropy_report, frequent_tilings, index_entropy
from quire.tetrolet.lars import lars_lasso, lasso
from quire.tetrolet.mqdf import MQDF, mqdf_scores
from quire.tetrolet.neighbour_graph import Eigenmap, HeatGraph, heat_kernel_graph, laplacian_eigenmap
from quire.tetrolet.numerals import load_numerals
from quire.tetrolet.paper import paper
from quire.tetrolet.shrinkage import energy_share, keep_largest, tetrolet_shrink, threshold
from quire.tetrolet.sparse_discriminant import SparseLDA
from quire.tetrolet.stockwell import stockwell, stockwell_features
from quire.tetrolet.strokes import strokes_and_edges
from quire.tetrolet.tilings import (
    HAAR,
    Tilings,
    set_labels,
    squares,
    symmetry_classes,
    tetromino_tilings,
    tetrominoes,
    tilings_of,
)
from quire.tetrolet.transform import Coeffs, features, flatten, haar2d, itetrolet, max_levels, tetrolet, tiling_costs, unflatten

__all__ = [
    "HAAR",
    "MQDF",
    "PRESETS",
    "Coeffs",
    "Eigenmap",
    "HeatGraph",
    "Preset",
    "Recognition",
    "SparseConceptCoding",
    "SparseLDA",
    "Sparsity",
    "Tilings",
    "benchmark",
    "claims",
    "energy_share",
    "entropy_report",
    "features",
    "flatten",
    "frequent_tilings",
    "haar2d",
    "heat_kernel_graph",
    "index_entropy",
    "itetrolet",
    "keep_largest",
    "laplacian_eigenmap",
    "lars_lasso",
    "lasso",
    "load_numerals",
    "max_levels",
    "mqdf_scores",
    "paper",
    "ridge_basis",
    "separable",
    "set_labels",
    "slantlet_matrix",
    "squares",
    "stockwell",
    "stockwell_features",
    "strokes_and_edges",
    "symmetry_classes",
    "tetrolet",
    "tetrolet_shrink",
    "tetromino_tilings",
    "tetrominoes",
    "threshold",
    "tiling_costs",
    "tilings_of",
    "unflatten",
    "wavelet_matrix",
]

"""How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker Computation.

Josh Alman and Zhao Song, ICLR 2024, arXiv 2310.04064. Every query attends to tuples of tokens; with bounded entries the output
can be approximated in almost linear time, and the higher the order, the smaller the entries must be.

    approximation      the polynomial method: bound, degree, error
    phase_transition   what larger entries and higher orders cost
    scaling            operations and times against the number of tokens
    match3, learning   a task of pairs: one unit that solves it, models that learn it
    enumeration        the definition, tuple by tuple
    claims             T1 .. T7
"""

from quire.common.layers.polynomials import exp_polynomial, monomial_exponents, monomial_features
from quire.common.layers.tensor_attention import (
    TensorAttention,
    low_rank_tensor_attention,
    low_rank_weights,
    tensor_attention,
)
from quire.common.tensors.multilinear import khatri_rao
from quire.tensor_attention import claims
from quire.tensor_attention.approximation import (
    Approximation,
    approximate_tensor_attention,
    entry_error,
    error_bound,
    max_entry,
    max_score,
    output_bound,
    required_degree,
    rounding_error,
    score_radius,
    truncation_errors,
)
from quire.tensor_attention.config import Config
from quire.tensor_attention.enumeration import enumerate_gradients, enumerate_tensor_attention
from quire.tensor_attention.learning import Curves, Match3Model, learning_curves
from quire.tensor_attention.match3 import balanced_length, match3, match3_labels, match3_unit, unit_projections
from quire.tensor_attention.paper import paper
from quire.tensor_attention.phase_transition import SignProblem, needed_degree, sign_problem, threshold

__all__ = [
    "Approximation",
    "Config",
    "Curves",
    "Match3Model",
    "SignProblem",
    "TensorAttention",
    "approximate_tensor_attention",
    "balanced_length",
    "claims",
    "entry_error",
    "enumerate_gradients",
    "enumerate_tensor_attention",
    "error_bound",
    "exp_polynomial",
    "khatri_rao",
    "learning_curves",
    "low_rank_tensor_attention",
    "low_rank_weights",
    "match3",
    "match3_labels",
    "match3_unit",
    "max_entry",
    "max_score",
    "monomial_exponents",
    "monomial_features",
    "needed_degree",
    "output_bound",
    "paper",
    "required_degree",
    "rounding_error",
    "score_radius",
    "sign_problem",
    "tensor_attention",
    "threshold",
    "truncation_errors",
    "unit_projections",
]

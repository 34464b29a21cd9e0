"""Functional Bayesian Tucker decomposition: tensors whose indices are real numbers, with Gaussian processes for factors.

Fang, Yu, Wang, Li, Kirby and Zhe, *Functional Bayesian Tucker Decomposition for Continuous-indexed Tensor Data*, ICLR 2024,
arXiv 2311.04829. Authors' code: xuangu-fang/Functional-Bayesian-Tucker-Decomposition. State spaces of the processes, Kalman
filter and smoother are `quire.common.tensors.state_space`.
"""

from quire.funbat import benchmark, claims
from quire.funbat.authors import authors_merge, from_authors_core
from quire.funbat.cep import run_epochs
from quire.funbat.config import PRESETS, Completion, Inference, Preset
from quire.funbat.discrete import tucker_als
from quire.funbat.entries import Entries, entries_at, on_grid
from quire.funbat.estimator import FunBaT
from quire.funbat.gaussian_process import chain_posterior, gp_posterior, matern_kernel
from quire.funbat.generated import generated_curves, generated_temperatures
from quire.funbat.model import Gaussian, Hyper, Messages, Model, State, initial_state
from quire.funbat.paper import paper
from quire.funbat.prediction import functions_at, predict_at, predictive

__all__ = [
    "PRESETS",
    "Completion",
    "Entries",
    "FunBaT",
    "Gaussian",
    "Hyper",
    "Inference",
    "Messages",
    "Model",
    "Preset",
    "State",
    "authors_merge",
    "benchmark",
    "chain_posterior",
    "claims",
    "entries_at",
    "from_authors_core",
    "functions_at",
    "generated_curves",
    "generated_temperatures",
    "gp_posterior",
    "initial_state",
    "matern_kernel",
    "on_grid",
    "paper",
    "predict_at",
    "predictive",
    "run_epochs",
    "tucker_als",
]

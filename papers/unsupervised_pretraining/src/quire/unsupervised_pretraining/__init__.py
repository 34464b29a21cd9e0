"""Unsupervised pretraining by maximum likelihood, then a head on few labels: factor models, mixtures, contrastive learning.

Ge, Tang, Fan and Jin, *On the Provable Advantage of Unsupervised Pretraining*, ICLR 2024, arXiv 2303.01566. The paper is a
theory; no code of the authors was found.
"""

from quire.unsupervised_pretraining import benchmark, claims
from quire.unsupervised_pretraining.config import PRESETS, Contrast, Crossover, Factors, Likelihood, Mixture, Preset
from quire.unsupervised_pretraining.contrastive import (
    ContrastiveModel,
    Encoder,
    Pairs,
    contrastive_nll,
    draw_pairs,
    random_encoder,
)
from quire.unsupervised_pretraining.distances import kl_gaussian, squared_hellinger, squared_hellinger_gaussian, total_variation
from quire.unsupervised_pretraining.factor_model import FactorModel
from quire.unsupervised_pretraining.gaussian_mixture import GaussianMixture, em, em_step, uniform_mixture
from quire.unsupervised_pretraining.informative import Gap, contrastive_gap, factor_gap, kappa_hat, mixture_gap
from quire.unsupervised_pretraining.paper import paper
from quire.unsupervised_pretraining.phases import TwoPhase, erm_linear, erm_table, excess_risk_linear, two_phase
from quire.unsupervised_pretraining.supervised import end_to_end, ridge_loo, ridge_path
from quire.unsupervised_pretraining.sweeps import Problem, factor_problem, silent_coordinate, silent_factor, sweep

__all__ = [
    "PRESETS",
    "Contrast",
    "ContrastiveModel",
    "Crossover",
    "Encoder",
    "FactorModel",
    "Factors",
    "Gap",
    "GaussianMixture",
    "Likelihood",
    "Mixture",
    "Pairs",
    "Preset",
    "Problem",
    "TwoPhase",
    "benchmark",
    "claims",
    "contrastive_gap",
    "contrastive_nll",
    "draw_pairs",
    "em",
    "em_step",
    "end_to_end",
    "erm_linear",
    "erm_table",
    "excess_risk_linear",
    "factor_gap",
    "factor_problem",
    "kappa_hat",
    "kl_gaussian",
    "mixture_gap",
    "paper",
    "random_encoder",
    "ridge_loo",
    "ridge_path",
    "silent_coordinate",
    "silent_factor",
    "squared_hellinger",
    "squared_hellinger_gaussian",
    "sweep",
    "total_variation",
    "two_phase",
    "uniform_mixture",
]

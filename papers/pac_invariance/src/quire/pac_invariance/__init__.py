"""PAC generalisation via invariant representations: how many interventions show that a predictor is invariant?

Parulekar, Shanmugam and Shakkottai, *PAC Generalization via Invariant Representations*, ICML 2023, arXiv 2205.15196. No code of
the authors was found. The norm of a gap, the families of interventions and the constants of bounds are choices of this package.
"""

from quire.pac_invariance import benchmark, claims
from quire.pac_invariance.bounds import pac_bound_finite, pac_bound_vc, vc_bound
from quire.pac_invariance.config import PRESETS, Bound, Preset, Risk, Sweep
from quire.pac_invariance.graphs import cancelling, chain, collider, fork, nearest_nodes, random_sem
from quire.pac_invariance.icp import ICP, icp
from quire.pac_invariance.interventions import Environments, InterventionFamily
from quire.pac_invariance.invariance import (
    environment_gaps,
    gap,
    optimal_predictor,
    orthonormal_rows,
    risk,
    violation_rate,
    worst_risk,
)
from quire.pac_invariance.learners import LinearRepresentation, erm, group_dro, irm_linear, irm_start
from quire.pac_invariance.moments import Moments, empirical, mix, orthonormal_mixing, pooled, split
from quire.pac_invariance.paper import paper
from quire.pac_invariance.sem import LinearSEM, second_moments
from quire.pac_invariance.subsets import SubsetSearch, all_subsets, as_coefficients, from_masks, search_subsets, selection
from quire.pac_invariance.violation import ViolationCurve, violation_curve

__all__ = [
    "ICP",
    "PRESETS",
    "Bound",
    "Environments",
    "InterventionFamily",
    "LinearRepresentation",
    "LinearSEM",
    "Moments",
    "Preset",
    "Risk",
    "SubsetSearch",
    "Sweep",
    "ViolationCurve",
    "all_subsets",
    "as_coefficients",
    "benchmark",
    "cancelling",
    "chain",
    "claims",
    "collider",
    "empirical",
    "environment_gaps",
    "erm",
    "fork",
    "from_masks",
    "gap",
    "group_dro",
    "icp",
    "irm_linear",
    "irm_start",
    "mix",
    "nearest_nodes",
    "optimal_predictor",
    "orthonormal_mixing",
    "orthonormal_rows",
    "pac_bound_finite",
    "pac_bound_vc",
    "paper",
    "pooled",
    "random_sem",
    "risk",
    "search_subsets",
    "second_moments",
    "selection",
    "split",
    "vc_bound",
    "violation_curve",
    "violation_rate",
    "worst_risk",
]

"""Implicit neural spatial representations: the field of every time step is a sine network, the integrator is the loss.

Chen, Wu, Grinspun, Zheng and Chen, *Implicit Neural Spatial Representations for Time-dependent PDEs*, ICML 2023, arXiv
2210.00124. Authors' code: honglin-c/INSR-PDE.
"""

from quire.common.fields.siren import Siren, init_siren, siren
from quire.common.pde.advection import Advection, fit_objective, midpoint_objective
from quire.common.pde.contact import Plane, Sphere
from quire.common.pde.elastodynamics import Elastodynamics
from quire.common.pde.fluid import EulerFluid, pressure_features, taylor_green, taylor_green_multi
from quire.common.pde.minimise import Adam, LevenbergMarquardt, Plateau, minimise, minimise_best
from quire.common.pde.precision import working_precision
from quire.common.pde.stepping import advance, march
from quire.insr_pde import benchmark, claims, figures, solids, solids_claims, solids_figures
from quire.insr_pde.convert import flat_from_layers, layers_from_flat
from quire.insr_pde.paper import paper
from quire.insr_pde.pinn import pinn_objective

__all__ = [
    "Adam",
    "Advection",
    "Elastodynamics",
    "EulerFluid",
    "LevenbergMarquardt",
    "Plane",
    "Plateau",
    "Siren",
    "Sphere",
    "advance",
    "benchmark",
    "claims",
    "figures",
    "fit_objective",
    "flat_from_layers",
    "init_siren",
    "layers_from_flat",
    "march",
    "midpoint_objective",
    "minimise",
    "minimise_best",
    "paper",
    "pinn_objective",
    "pressure_features",
    "siren",
    "solids",
    "solids_claims",
    "solids_figures",
    "taylor_green",
    "taylor_green_multi",
    "working_precision",
]

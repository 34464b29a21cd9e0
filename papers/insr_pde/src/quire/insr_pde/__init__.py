"""Implicit neural spatial representations: the field of every time step is a sine network, the integrator is the loss.

Chen, Wu, Grinspun, Zheng and Chen, *Implicit Neural Spatial Representations for Time-dependent PDEs*, ICML 2023, arXiv
2210.00124. Authors' code: honglin-c/INSR-PDE.
"""

from quire.insr_pde import claims, solids, solids_claims, solids_figures
from quire.insr_pde.paper import paper

__all__ = ["claims", "paper", "solids", "solids_claims", "solids_figures"]

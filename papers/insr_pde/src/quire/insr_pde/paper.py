"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.insr_pde.config import PRESETS

paper = Paper(
    slug="insr_pde",
    title="Implicit Neural Spatial Representations for Time-dependent PDEs",
    authors="Chen, Wu, Grinspun, Zheng and Chen",
    year=2023,
    venue="ICML 2023",
    arxiv="2210.00124",
    area="neural PDE solvers, physics simulation",
    code="https://github.com/honglin-c/INSR-PDE",
    presets=PRESETS,
)

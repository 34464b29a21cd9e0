"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.equivariant_polynomials.config import PRESETS

paper = Paper(
    slug="equivariant_polynomials",
    title="Equivariant Polynomials for Graph Neural Networks",
    authors="Puny, Lim, Kiani, Maron and Lipman",
    year=2023,
    venue="International Conference on Machine Learning",
    arxiv="2302.11556",
    area="graph learning",
    code="https://github.com/omri1348/Equivariant-Polynomaials",
    presets=PRESETS,
)

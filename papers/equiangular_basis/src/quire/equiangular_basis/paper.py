"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.equiangular_basis.config import PRESETS

paper = Paper(
    slug="equiangular_basis",
    title="Equiangular Basis Vectors",
    authors="Authors",
    year=2024,
    venue="Venue",
    arxiv="0000.00000",
    area="area",
    presets=PRESETS,
)

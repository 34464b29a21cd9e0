"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.lie_decompositions.config import PRESETS

paper = Paper(
    slug="lie_decompositions",
    title="Lie Group Decompositions for Equivariant Neural Networks",
    authors="Mironenco and Forré",
    year=2024,
    venue="ICLR",
    arxiv="2310.11366",
    area="geometric deep learning",
    code="https://github.com/mirceamironenco/rgenn",
    licence="MIT",
    presets=PRESETS,
)

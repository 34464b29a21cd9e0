"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.tetrolet.config import PRESETS

paper = Paper(
    slug="tetrolet",
    title="Sparse Concept Coded Tetrolet Transform for Unconstrained Odia Character Recognition",
    authors="Dash, Puhan and Panda",
    year=2020,
    venue="preprint",
    arxiv="2004.01551",
    area="image transforms, handwriting recognition",
    presets=PRESETS,
)

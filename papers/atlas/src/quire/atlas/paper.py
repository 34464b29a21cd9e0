"""The paper, its citation and presets."""

from quire.atlas.config import PRESETS
from quire.common.claims import Paper

paper = Paper(
    slug="atlas",
    title="Knowledge Composition using Task Vectors with Learned Anisotropic Scaling",
    authors="Zhang, Albert, Rodriguez-Opazo, van den Hengel and Abbasnejad",
    year=2024,
    venue="NeurIPS 2024",
    arxiv="2407.02880",
    area="model editing",
    presets=PRESETS,
    code="https://github.com/fredzzhang/atlas",
)

"""The paper, its citation and presets."""

from quire.attribute_cvae.config import PRESETS
from quire.common.claims import Paper

paper = Paper(
    slug="attribute_cvae",
    title="Learning Structured Output Representations from Attributes using Deep Conditional Generative Models",
    authors="Debbagh",
    year=2023,
    venue="preprint",
    arxiv="2305.00980",
    area="conditional generative models",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.stationary_representations.config import PRESETS

paper = Paper(
    slug="stationary_representations",
    title="Stationary Representations: Optimally Approximating Compatibility and Implications for Improved Model Replacements",
    authors="Biondi, Pernici, Ricci and Del Bimbo",
    year=2024,
    venue="CVPR",
    arxiv="2405.02581",
    area="compatible representations",
    code="https://github.com/miccunifi/iamcl2r",
    licence="MIT",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.representation_bias.config import PRESETS

paper = Paper(
    slug="representation_bias",
    title="Learned feature representations are biased by complexity, learning order, position, and more",
    authors="Lampinen, Chan and Hermann",
    year=2024,
    venue="TMLR",
    arxiv="2405.05847",
    area="interpretability",
    presets=PRESETS,
    code="https://github.com/google-deepmind/representation_biases",
)

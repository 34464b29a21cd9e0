"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.flexround.config import PRESETS

paper = Paper(
    slug="flexround",
    title="FlexRound: Learnable Rounding based on Element-wise Division for Post-Training Quantization",
    authors="Authors",
    year=2024,
    venue="Venue",
    arxiv="0000.00000",
    area="area",
    presets=PRESETS,
)

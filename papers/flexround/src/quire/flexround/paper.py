"""The paper: its citation and its presets."""

from quire.common.claims import Paper
from quire.flexround.config import PRESETS

paper = Paper(
    slug="flexround",
    title="FlexRound: Learnable Rounding based on Element-wise Division for Post-Training Quantization",
    authors="Jung Hyun Lee, Jeonghoon Kim, Se Jung Kwon, Dongsoo Lee",
    year=2023,
    venue="ICML 2023",
    arxiv="2306.00317",
    area="post-training quantization",
    code="https://github.com/onliwad101/FlexRound_LRQ",
    presets=PRESETS,
)

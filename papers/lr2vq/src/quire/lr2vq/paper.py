"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.lr2vq.config import PRESETS

paper = Paper(
    slug="lr2vq",
    title="Learning Low-Rank Representations for Model Compression",
    authors="Authors",
    year=2024,
    venue="Venue",
    arxiv="0000.00000",
    area="area",
    presets=PRESETS,
)

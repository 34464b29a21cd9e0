"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.lr2vq.config import PRESETS

paper = Paper(
    slug="lr2vq",
    title="Learning Low-Rank Representations for Model Compression",
    authors="Zhu, Zhou and Zhao",
    year=2022,
    venue="preprint",
    arxiv="2211.11397",
    area="model compression",
    presets=PRESETS,
)

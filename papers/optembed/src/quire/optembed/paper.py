"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.optembed.config import PRESETS

paper = Paper(
    slug="optembed",
    title="OptEmbed: Learning Optimal Embedding Table for Click-through Rate Prediction",
    authors="Lyu, Tang, Zhu, Guo, Zhang, Tang and Liu",
    year=2022,
    venue="CIKM",
    arxiv="2208.04482",
    area="recommendation",
    presets=PRESETS,
    code="https://github.com/fuyuanlyu/OptEmbed",
    licence="Apache-2.0",
)

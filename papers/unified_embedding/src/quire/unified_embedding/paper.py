"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.unified_embedding.config import PRESETS

paper = Paper(
    slug="unified_embedding",
    title="Unified Embedding: Battle-Tested Feature Representations for Web-Scale ML Systems",
    authors="Coleman, Kang, Fahrbach, Wang, Hong, Chi and Cheng",
    year=2023,
    venue="NeurIPS",
    arxiv="2305.12102",
    area="recommendation",
    presets=PRESETS,
)

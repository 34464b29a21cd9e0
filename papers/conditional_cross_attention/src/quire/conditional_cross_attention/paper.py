"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.conditional_cross_attention.config import PRESETS

paper = Paper(
    slug="conditional_cross_attention",
    title="Conditional Cross Attention Network for Multi-Space Embedding without Entanglement in Only a SINGLE Network",
    authors="Song, Hwang, Yoon, Choi and Gu",
    year=2023,
    venue="ICCV",
    arxiv="2307.13254",
    area="fine-grained attribute retrieval",
    presets=PRESETS,
)

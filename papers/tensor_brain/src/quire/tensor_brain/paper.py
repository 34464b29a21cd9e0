"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.tensor_brain.config import PRESETS

paper = Paper(
    slug="tensor_brain",
    title="The Tensor Brain: Semantic Decoding for Perception and Memory",
    authors="Tresp, Sharifzadeh, Konopatzki and Ma",
    year=2020,
    venue="arXiv",
    arxiv="2001.11027",
    area="knowledge graphs",
    presets=PRESETS,
)

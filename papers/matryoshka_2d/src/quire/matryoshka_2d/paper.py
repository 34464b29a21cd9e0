"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.matryoshka_2d.config import PRESETS

paper = Paper(
    slug="matryoshka_2d",
    title="2D Matryoshka Sentence Embeddings",
    authors="Li, Li, Li, Xie and Li",
    year=2024,
    venue="arXiv",
    arxiv="2402.14776",
    area="sentence embeddings",
    code="https://github.com/SeanLee97/AnglE",
    licence="MIT",
    presets=PRESETS,
)

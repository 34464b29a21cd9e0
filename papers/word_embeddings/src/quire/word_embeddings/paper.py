"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.word_embeddings.config import PRESETS

paper = Paper(
    slug="word_embeddings",
    title="Word embeddings",
    authors="Authors",
    year=2024,
    venue="Venue",
    arxiv="0000.00000",
    area="area",
    presets=PRESETS,
)

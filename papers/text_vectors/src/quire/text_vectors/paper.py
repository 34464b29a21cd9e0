"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.text_vectors.config import PRESETS

paper = Paper(
    slug="text_vectors",
    title="Vector representations of text data in deep learning",
    authors="Grzegorczyk",
    year=2019,
    venue="PhD dissertation, AGH Kraków",
    arxiv="1901.01695",
    area="NLP",
    code="https://github.com/kagrze/disgram",
    licence="non-commercial replication only",
    presets=PRESETS,
)

"""The thesis: its citation, its presets and, once `claims` is imported, its claims and benchmark."""

from quire.common.claims import Paper
from quire.word_embeddings import config

paper = Paper(
    slug="word_embeddings",
    title="Word and Document Embeddings based on Neural Network Approaches",
    authors="Siwei Lai",
    year=2016,
    venue="PhD thesis, Chinese Academy of Sciences",
    arxiv="1611.05962",
    area="word embeddings",
    code="https://github.com/licstar/compare",
    presets={"quick": config.quick, "standard": config.standard, "paper": config.paper},
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.dupmae.config import PRESETS

paper = Paper(
    slug="dupmae",
    title="Dupmae",
    authors="Authors",
    year=2024,
    venue="Venue",
    arxiv="0000.00000",
    area="area",
    presets=PRESETS,
)

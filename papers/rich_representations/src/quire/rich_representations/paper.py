"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.rich_representations.config import PRESETS

paper = Paper(
    slug="rich_representations",
    title="Learning useful representations for shifting tasks and distributions",
    authors="Zhang and Bottou",
    year=2023,
    venue="ICML",
    arxiv="2212.07346",
    code="https://github.com/TjuJianyu/RRL",
    area="representation learning",
    presets=PRESETS,
)

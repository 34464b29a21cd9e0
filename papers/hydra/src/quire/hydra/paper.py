"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.hydra.config import PRESETS

paper = Paper(
    slug="hydra",
    title="Rethinking Positive Pairs in Contrastive Learning",
    authors="Wu et al.",
    year=2024,
    venue="arXiv",
    arxiv="2410.18200",
    area="representation learning",
    code="https://github.com/erow/FastSSL",
    presets=PRESETS,
)

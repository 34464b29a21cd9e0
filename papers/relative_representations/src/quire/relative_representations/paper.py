"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.relative_representations.config import PRESETS

paper = Paper(
    slug="relative_representations",
    title="Relative representations enable zero-shot latent space communication",
    authors="Moschella, Maiorca, Fumero, Norelli, Locatello and Rodolà",
    year=2023,
    venue="ICLR",
    arxiv="2209.15430",
    area="representation learning",
    code="https://github.com/lucmos/relreps",
    licence="MIT",
    presets=PRESETS,
)

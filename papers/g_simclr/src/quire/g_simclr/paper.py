"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.g_simclr.config import PRESETS

paper = Paper(
    slug="g_simclr",
    title="G-SimCLR: Self-Supervised Contrastive Learning with Guided Projection via Pseudo Labelling",
    authors="Chakraborty, Gosthipaty, Paul",
    year=2020,
    venue="ICDM workshops",
    arxiv="2009.12007",
    code="https://github.com/ariG23498/G-SimCLR",
    area="self-supervised vision",
    presets=PRESETS,
)

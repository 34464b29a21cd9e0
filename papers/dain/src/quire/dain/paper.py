"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.dain.config import PRESETS

paper = Paper(
    slug="dain",
    title="Influence-guided Data Augmentation for Neural Tensor Completion",
    authors="Oh, Kim, Rossi and Kumar",
    year=2021,
    venue="CIKM",
    arxiv="2108.10248",
    area="tensor completion",
    code="https://github.com/srijankr/DAIN",
    licence="Apache-2.0",
    presets=PRESETS,
)

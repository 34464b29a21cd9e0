"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.unsupervised_pretraining.config import PRESETS

paper = Paper(
    slug="unsupervised_pretraining",
    title="On the Provable Advantage of Unsupervised Pretraining",
    authors="Ge, Tang, Fan and Jin",
    year=2024,
    venue="ICLR",
    arxiv="2303.01566",
    area="learning theory",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.dupmae.config import PRESETS

paper = Paper(
    slug="dupmae",
    title="RetroMAE v2: Duplex Masked Auto-Encoder For Pre-Training Retrieval-Oriented Language Models",
    authors="Xiao, Liu, Shao and Cao",
    year=2022,
    venue="ACL 2023",
    arxiv="2211.08769",
    area="dense retrieval",
    code="https://github.com/staoxiao/RetroMAE",
    licence="Apache-2.0",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.pac_invariance.config import PRESETS

paper = Paper(
    slug="pac_invariance",
    title="PAC Generalization via Invariant Representations",
    authors="Parulekar, Shanmugam and Shakkottai",
    year=2023,
    venue="ICML",
    arxiv="2205.15196",
    area="causality",
    presets=PRESETS,
)

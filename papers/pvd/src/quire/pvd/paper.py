"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.pvd.config import PRESETS

paper = Paper(
    slug="pvd",
    title="One is All: Bridging the Gap Between Neural Radiance Fields Architectures with Progressive Volume Distillation",
    authors="Fang, Xu, Wang, Yang, Wang and Zhou",
    year=2023,
    venue="AAAI",
    arxiv="2211.15977",
    code="https://github.com/megvii-research/AAAI2023-PVD",
    licence="MIT",
    area="neural fields",
    presets=PRESETS,
)

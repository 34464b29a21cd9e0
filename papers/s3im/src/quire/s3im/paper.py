"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.s3im.config import PRESETS

paper = Paper(
    slug="s3im",
    title="S3IM: Stochastic Structural SIMilarity and Its Unreasonable Effectiveness for Neural Fields",
    authors="Xie, Yang, Yang, Sun, Jiang, Wang, Cai and Sun",
    year=2023,
    venue="ICCV",
    arxiv="2308.07032",
    code="https://github.com/Madaoer/S3IM-Neural-Fields",
    licence="MIT",
    area="neural fields",
    presets=PRESETS,
)

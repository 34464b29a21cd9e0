"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.neurbf.config import PRESETS

paper = Paper(
    slug="neurbf",
    title="NeuRBF: A Neural Fields Representation with Adaptive Radial Basis Functions",
    authors="Zhang Chen, Zhong Li, Liangchen Song, Lele Chen, Jingyi Yu, Junsong Yuan, Yi Xu",
    year=2023,
    venue="ICCV 2023",
    arxiv="2309.15426",
    area="neural fields",
    code="https://github.com/oppo-us-research/NeuRBF",
    licence="MIT",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.bt2.config import PRESETS
from quire.common.claims import Paper

paper = Paper(
    slug="bt2",
    title="BT^2: Backward-compatible Training with Basis Transformation",
    authors="Zhou, Li, Shrivastava, Zhao, Torralba, Tian and Lim",
    year=2023,
    venue="ICCV",
    arxiv="2211.03989",
    area="retrieval",
    code="https://github.com/YifeiZhou02/BT-2",
    presets=PRESETS,
)

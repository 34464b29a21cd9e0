"""The paper, its citation and presets."""

from quire.active_multitask.config import PRESETS
from quire.common.claims import Paper

paper = Paper(
    slug="active_multitask",
    title="Improved Active Multi-Task Representation Learning via Lasso",
    authors="Wang, Chen, Jamieson and Du",
    year=2023,
    venue="ICML",
    arxiv="2306.02556",
    area="multi-task representation learning",
    presets=PRESETS,
)

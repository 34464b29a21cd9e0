"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.infinite_width.config import PRESETS

paper = Paper(
    slug="infinite_width",
    title="Feature Learning in Infinite-Width Neural Networks (Tensor Programs IV)",
    authors="Yang and Hu",
    year=2021,
    venue="ICML",
    arxiv="2011.14522",
    area="deep-learning theory",
    code="https://github.com/edwardjhu/TP4",
    licence="Apache-2.0, the MAML part MIT",
    presets=PRESETS,
)

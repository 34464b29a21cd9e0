"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.funbat.config import PRESETS

paper = Paper(
    slug="funbat",
    title="Functional Bayesian Tucker Decomposition for Continuous-indexed Tensor Data",
    authors="Fang, Yu, Wang, Li, Kirby and Zhe",
    year=2024,
    venue="ICLR",
    arxiv="2311.04829",
    area="Bayesian tensor decomposition",
    code="https://github.com/xuangu-fang/Functional-Bayesian-Tucker-Decomposition",
    licence="MIT",
    presets=PRESETS,
)

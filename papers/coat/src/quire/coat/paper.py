"""The paper, its citation and presets."""

from quire.coat.config import PRESETS
from quire.common.claims import Paper

paper = Paper(
    slug="coat",
    title="COAT: Compressing Optimizer states and Activation for Memory-Efficient FP8 Training",
    authors="Xi, Cai, Zhu, Lu, Keutzer, Chen and Han",
    year=2025,
    venue="ICLR",
    arxiv="2410.19313",
    area="low-precision training",
    code="https://github.com/NVlabs/COAT",
    licence="Apache-2.0",
    presets=PRESETS,
)

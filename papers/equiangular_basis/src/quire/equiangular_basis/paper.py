"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.equiangular_basis.config import PRESETS

paper = Paper(
    slug="equiangular_basis",
    title="Equiangular Basis Vectors",
    authors="Shen, Sun and Wei",
    year=2023,
    venue="CVPR",
    arxiv="2303.11637",
    area="classification heads",
    code="https://github.com/NJUST-VIPGroup/Equiangular-Basis-Vectors",
    presets=PRESETS,
)

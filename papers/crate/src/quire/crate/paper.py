"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.crate.config import PRESETS

paper = Paper(
    slug="crate",
    title="White-Box Transformers via Sparse Rate Reduction: Compression Is All There Is?",
    authors="Yu, Buchanan, Pai, Chu, Wu, Tong, Bai, Zhai, Haeffele and Ma",
    year=2024,
    venue="Journal of Machine Learning Research 25",
    arxiv="2311.13110",
    area="representation learning",
    code="https://github.com/Ma-Lab-Berkeley/CRATE",
    licence="MIT",
    presets=PRESETS,
)

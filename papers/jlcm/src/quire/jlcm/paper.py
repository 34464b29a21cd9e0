"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.jlcm.config import PRESETS

paper = Paper(
    slug="jlcm",
    title="Network Memory Footprint Compression Through Jointly Learnable Codebooks and Mappings",
    authors="Edouard Yvinec, Arnaud Dapogny and Kevin Bailly",
    year=2024,
    venue="ICLR",
    arxiv="2309.17361",
    area="compression",
    presets=PRESETS,
)

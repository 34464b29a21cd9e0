"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.mosaic_sdf.config import PRESETS

paper = Paper(
    slug="mosaic_sdf",
    title="Mosaic-SDF for 3D Generative Models",
    authors="Lior Yariv, Omri Puny, Oran Gafni, Yaron Lipman",
    year=2024,
    venue="CVPR 2024",
    arxiv="2312.09222",
    area="neural fields",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.matryoshka.config import PRESETS

paper = Paper(
    slug="matryoshka",
    title="Matryoshka Representation Learning",
    authors="Kusupati, Bhatt, Rege, Wallingford, Sinha, Ramanujan, Howard-Snyder, Chen, Kakade, Jain and Farhadi",
    year=2022,
    venue="NeurIPS",
    arxiv="2205.13147",
    area="representation learning",
    code="https://github.com/RAIVNLab/MRL",
    licence="MIT",
    presets=PRESETS,
)

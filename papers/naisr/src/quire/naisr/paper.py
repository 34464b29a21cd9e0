"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.naisr.config import PRESETS

paper = Paper(
    slug="naisr",
    title="NAISR: A 3D Neural Additive Model for Interpretable Shape Representation",
    authors="Jiao, Zdanski, Kimbell, Prince, Worden, Kirse, Rutter, Shields, Dunn, Mahmud and Niethammer",
    year=2024,
    venue="ICLR",
    arxiv="2303.09234",
    code="https://github.com/uncbiag/NAISR",
    licence="MIT",
    area="implicit shapes",
    presets=PRESETS,
)

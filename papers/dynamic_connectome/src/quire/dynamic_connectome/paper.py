"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.dynamic_connectome.config import PRESETS

paper = Paper(
    slug="dynamic_connectome",
    title="Learning dynamic representations of the functional connectome in neurobiological networks",
    authors="Dyballa, Lang, Haslund-Gourley, Yemini and Zucker",
    year=2024,
    venue="ICLR",
    arxiv="2402.14102",
    area="computational neuroscience, tensor factorisation, communities",
    code="https://github.com/dyballa/dynamic-connectomes",
    licence="BSD-2-Clause",
    presets=PRESETS,
)

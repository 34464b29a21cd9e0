"""The paper: its citation, its presets and, once `claims` is imported, its claims and benchmark."""

from quire.common.claims import Paper
from quire.evonorm.config import PRESETS

paper = Paper(
    slug="evonorm",
    title="Evolving Normalization-Activation Layers",
    authors="Hanxiao Liu, Andrew Brock, Karen Simonyan, Quoc V. Le",
    year=2020,
    venue="NeurIPS 2020",
    arxiv="2004.02967",
    area="neural architecture search",
    code="",
    presets=PRESETS,
)

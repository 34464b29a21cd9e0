"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.grassmann_class.config import PRESETS

paper = Paper(
    slug="grassmann_class",
    title="Get the Best of Both Worlds: Improving Accuracy and Transferability by Grassmann Class Representation",
    authors="Wang, Li and Zhang",
    year=2023,
    venue="ICCV",
    arxiv="2308.01547",
    area="classification heads, Riemannian optimisation",
    code="https://github.com/innerlee/GCR",
    presets=PRESETS,
)

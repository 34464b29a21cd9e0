"""The paper: its citation, its presets and, once `claims` is imported, its claims and benchmark."""

from quire.common.claims import Paper
from quire.tensor_attention import config

paper = Paper(
    slug="tensor_attention",
    title="How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker Computation",
    authors="Josh Alman, Zhao Song",
    year=2024,
    venue="ICLR 2024",
    arxiv="2310.04064",
    area="attention theory",
    presets={"quick": config.quick, "standard": config.standard, "paper": config.paper},
)

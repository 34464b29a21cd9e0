"""The paper: its citation, its presets and, once `claims` is imported, its claims and benchmark."""

from quire.common.claims import Paper
from quire.muvera import config

paper = Paper(
    slug="muvera",
    title="MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings",
    authors="Laxman Dhulipala, Majid Hadian, Rajesh Jayaram, Jason Lee, Vahab Mirrokni",
    year=2024,
    venue="NeurIPS 2024",
    arxiv="2405.19504",
    area="multi-vector retrieval",
    code="https://github.com/google/graph-mining",
    licence="Apache-2.0",
    presets={"quick": config.quick, "standard": config.standard, "paper": config.paper},
)

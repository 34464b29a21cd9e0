"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.sheaf_recsys.config import PRESETS

paper = Paper(
    slug="sheaf_recsys",
    title="Sheaf Neural Networks for Graph-based Recommender Systems",
    authors="Purificato, Cassarà, Liò and Silvestri",
    year=2023,
    venue="ACM Transactions on Recommender Systems, 2025, as Sheaf4Rec",
    arxiv="2304.09097",
    area="recommender systems",
    code="https://github.com/antoniopurificato/Sheaf4Rec",
    presets=PRESETS,
)

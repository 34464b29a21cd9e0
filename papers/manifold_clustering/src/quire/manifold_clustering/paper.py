"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.manifold_clustering.config import PRESETS

paper = Paper(
    slug="manifold_clustering",
    title="Unsupervised Manifold Linearizing and Clustering",
    authors="Ding, Tong, Chan, Dai, Ma and Haeffele",
    year=2023,
    venue="ICCV 2023",
    arxiv="2301.01805",
    code="https://github.com/tianjiaoding/mlc",
    area="representation learning",
    presets=PRESETS,
)

"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.next_vit.presets import PRESETS

paper = Paper(
    slug="next_vit",
    title="Next-ViT: Next Generation Vision Transformer for Efficient Deployment in Realistic Industrial Scenarios",
    authors="Li, Xia, Li, Li, Wang, Xiao, Wang, Zheng and Pan",
    year=2022,
    venue="arXiv",
    arxiv="2207.05501",
    area="vision backbones",
    code="https://github.com/bytedance/Next-ViT",
    licence="Apache-2.0",
    presets=PRESETS,
)

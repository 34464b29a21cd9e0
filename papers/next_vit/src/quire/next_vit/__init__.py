"""Next-ViT: convolution blocks and transformer blocks in one backbone, made of operations that are cheap to deploy.

Li, Xia, Li, Li, Wang, Xiao, Wang, Zheng and Pan, *Next-ViT: Next Generation Vision Transformer for Efficient Deployment in
Realistic Industrial Scenarios*, 2022, arXiv 2207.05501. Authors' code: bytedance/Next-ViT.
"""

from quire.next_vit import benchmark, claims
from quire.next_vit.blocks import MLP, NCB, NTB
from quire.next_vit.config import (
    BASE,
    BN_RELU,
    LARGE,
    SMALL,
    BlockPlan,
    NextViTConfig,
    Stage,
    Style,
    ablations,
    make_divisible,
)
from quire.next_vit.convert import from_timm, load_next_vit, load_state, torch_names, torch_state
from quire.next_vit.cost import Cost, attention_macs, costs, count_macs, count_params
from quire.next_vit.e_mhsa import EMHSA, reduce_tokens
from quire.next_vit.fusion import fuse_batchnorm
from quire.next_vit.mhca import MHCA, PoolMixer
from quire.next_vit.model import NextViT, next_vit_base, next_vit_large, next_vit_small
from quire.next_vit.paper import paper
from quire.next_vit.patch_embed import PatchEmbed, average_pool
from quire.next_vit.presets import PRESETS, Preset, Training
from quire.next_vit.random_network import randomise

__all__ = [
    "BASE",
    "BN_RELU",
    "EMHSA",
    "LARGE",
    "MHCA",
    "MLP",
    "NCB",
    "NTB",
    "PRESETS",
    "SMALL",
    "BlockPlan",
    "Cost",
    "NextViT",
    "NextViTConfig",
    "PatchEmbed",
    "PoolMixer",
    "Preset",
    "Stage",
    "Style",
    "Training",
    "ablations",
    "attention_macs",
    "average_pool",
    "benchmark",
    "claims",
    "costs",
    "count_macs",
    "count_params",
    "from_timm",
    "fuse_batchnorm",
    "load_next_vit",
    "load_state",
    "make_divisible",
    "next_vit_base",
    "next_vit_large",
    "next_vit_small",
    "paper",
    "randomise",
    "reduce_tokens",
    "torch_names",
    "torch_state",
]

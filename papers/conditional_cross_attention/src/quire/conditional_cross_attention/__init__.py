"""Conditional cross-attention: one network, an embedding space of its own for every attribute.

Song, Hwang, Yoon, Choi and Gu, *Conditional Cross Attention Network for Multi-Space Embedding without Entanglement in Only a
SINGLE Network*, ICCV 2023, arXiv 2307.13254. No code of the authors was found.
"""

from quire.conditional_cross_attention import benchmark, claims
from quire.conditional_cross_attention.asen import ASENv2
from quire.conditional_cross_attention.attention_maps import attention_maps, patch_maps
from quire.conditional_cross_attention.conditions import ConditionMask, ConditionTable
from quire.conditional_cross_attention.config import PRESETS, Preset, Training, ViT
from quire.conditional_cross_attention.convert import load_cross_attention
from quire.conditional_cross_attention.cross_attention import ConditionalCrossAttention
from quire.conditional_cross_attention.evaluation import (
    condition_cosine,
    disentanglement,
    retrieval_map,
    space_probe,
    triplet_accuracy,
)
from quire.conditional_cross_attention.experiment import run_all
from quire.conditional_cross_attention.network import CCANet, ConditionalHead
from quire.conditional_cross_attention.paper import paper
from quire.conditional_cross_attention.parameters import parameter_report
from quire.conditional_cross_attention.rivals import CSN, SingleSpace, masked_embedding
from quire.conditional_cross_attention.sources import open_attributes
from quire.conditional_cross_attention.triplets import Triplets, in_batch_triplets, sample_triplets, triplet_loss

__all__ = [
    "CSN",
    "PRESETS",
    "ASENv2",
    "CCANet",
    "ConditionMask",
    "ConditionTable",
    "ConditionalCrossAttention",
    "ConditionalHead",
    "Preset",
    "SingleSpace",
    "Training",
    "Triplets",
    "ViT",
    "attention_maps",
    "benchmark",
    "claims",
    "condition_cosine",
    "disentanglement",
    "in_batch_triplets",
    "load_cross_attention",
    "masked_embedding",
    "open_attributes",
    "paper",
    "parameter_report",
    "patch_maps",
    "retrieval_map",
    "run_all",
    "sample_triplets",
    "space_probe",
    "triplet_accuracy",
    "triplet_loss",
]

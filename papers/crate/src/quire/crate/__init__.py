"""CRATE: white-box transformers whose layers are steps on one objective, sparse rate reduction.

Yu, Buchanan, Pai, Chu, Wu, Tong, Bai, Zhai, Haeffele and Ma, *White-Box Transformers via Sparse Rate Reduction: Compression Is
All There Is?*, Journal of Machine Learning Research 25, 2024, arXiv 2311.13110. Authors' code: Ma-Lab-Berkeley/CRATE.
"""

from quire.common.layers.crate import (
    ISTA,
    MSSA,
    CRATEBlock,
    CRATEDecoderBlock,
    coding_rate,
    coding_rate_subspaces,
    coding_rate_subspaces_grad,
    ista_step,
    mssa_step,
    projection_rate,
    sparse_rate_reduction,
)
from quire.crate import benchmark, claims
from quire.crate.ablations import ablated, sweep
from quire.crate.classifier import BASE, CRATE, LARGE, SMALL, TINY, CRATEConfig, ViT, parameter_count
from quire.crate.convert import (
    classifier_config,
    load_classifier,
    load_decoder,
    load_encoder,
    load_ista,
    load_masked_autoencoder,
    load_mssa,
    read_state_dict,
)
from quire.crate.diagnostics import class_attention, layer_report, patch_components
from quire.crate.language_model import CRATELM, GPT, CRATELMConfig, mask_tokens, masked_lm_loss
from quire.crate.layer import unrolled_layer
from quire.crate.masked_autoencoder import CRATEMAE, CRATEMAEConfig
from quire.crate.paper import paper
from quire.crate.stacks import CRATEDecoder, CRATEEncoder

__all__ = [
    "BASE",
    "CRATE",
    "CRATELM",
    "CRATEMAE",
    "GPT",
    "ISTA",
    "LARGE",
    "MSSA",
    "SMALL",
    "TINY",
    "CRATEBlock",
    "CRATEConfig",
    "CRATEDecoder",
    "CRATEDecoderBlock",
    "CRATEEncoder",
    "CRATELMConfig",
    "CRATEMAEConfig",
    "ViT",
    "ablated",
    "benchmark",
    "claims",
    "class_attention",
    "classifier_config",
    "coding_rate",
    "coding_rate_subspaces",
    "coding_rate_subspaces_grad",
    "ista_step",
    "layer_report",
    "load_classifier",
    "load_decoder",
    "load_encoder",
    "load_ista",
    "load_masked_autoencoder",
    "load_mssa",
    "mask_tokens",
    "masked_lm_loss",
    "mssa_step",
    "paper",
    "parameter_count",
    "patch_components",
    "projection_rate",
    "read_state_dict",
    "sparse_rate_reduction",
    "sweep",
    "unrolled_layer",
]

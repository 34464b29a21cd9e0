"""Relative representations: a sample as its similarities to anchors, the same in every latent space.

Moschella, Maiorca, Fumero, Norelli, Locatello and Rodolà, *Relative representations enable zero-shot latent space
communication*, ICLR 2023, arXiv 2209.15430. Authors' code: lucmos/relreps.
"""

from quire.relative_representations import benchmark, claims
from quire.relative_representations.alignment import Alignment, align
from quire.relative_representations.anchors import gaussian_anchors, select_anchors
from quire.relative_representations.autoencoder import Decoder, optimal_sigma_loss, swapped_decoders
from quire.relative_representations.comparison import code_cosine, code_mse, compare_codes
from quire.relative_representations.config import PRESETS, Autoencoding, Graphs, Images, Preset
from quire.relative_representations.graph_networks import GCN, train_gcns
from quire.relative_representations.image_encoders import ImageEncoder, LatentProjection
from quire.relative_representations.model import RelativeLayer, RelativeModel
from quire.relative_representations.paper import paper
from quire.relative_representations.pooling import class_mean, mixture, subspace_projection
from quire.relative_representations.projection import normalize_codes, relative_projection
from quire.relative_representations.quantization import quantize, quantize_to_clusters
from quire.relative_representations.stitching import LinearHead, Stitching, accuracy, fit_heads, stitching_matrix, summarise

__all__ = [
    "GCN",
    "PRESETS",
    "Alignment",
    "Autoencoding",
    "Decoder",
    "Graphs",
    "ImageEncoder",
    "Images",
    "LatentProjection",
    "LinearHead",
    "Preset",
    "RelativeLayer",
    "RelativeModel",
    "Stitching",
    "accuracy",
    "align",
    "benchmark",
    "claims",
    "class_mean",
    "code_cosine",
    "code_mse",
    "compare_codes",
    "fit_heads",
    "gaussian_anchors",
    "mixture",
    "normalize_codes",
    "optimal_sigma_loss",
    "paper",
    "quantize",
    "quantize_to_clusters",
    "relative_projection",
    "select_anchors",
    "stitching_matrix",
    "subspace_projection",
    "summarise",
    "swapped_decoders",
    "train_gcns",
]

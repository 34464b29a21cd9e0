"""2D Matryoshka Sentence Embeddings: one encoder that can be cut in depth and in width.

Li, Li, Li, Xie and Li, 2024, arXiv 2402.14776; later renamed Espresso Sentence Embeddings. Authors' code: SeanLee97/AnglE.

    draws, prefix            which layer and which prefix a step looks at
    base_losses, objective   AnglE and its parts; the loss over layers and prefixes
    adaptive_layer, espresso the form of sentence-transformers; the successor
    encoder, pooling         sentence embeddings of every layer, early exits, truncated models
    evaluation               rank correlation by layer and dimension, bags of words
    claims                   M1 .. M6
"""

from quire.matryoshka_2d import benchmark, claims
from quire.matryoshka_2d.adaptive_layer import adaptive_layer_loss, matryoshka_base
from quire.matryoshka_2d.base_losses import AnglE, TripletAnglE, triplet_contrastive_loss
from quire.matryoshka_2d.config import PRESETS, Preset
from quire.matryoshka_2d.draws import geometric_sizes, sample_layer_dim
from quire.matryoshka_2d.encoder import SentenceEncoder, encode_all_layers, load_encoder, truncated
from quire.matryoshka_2d.espresso import compressed, espresso_loss
from quire.matryoshka_2d.evaluation import bag_of_words_cosines, pair_cosines, sts_grid
from quire.matryoshka_2d.objective import LossWeights, Parts, layer_kl, tdmse_loss
from quire.matryoshka_2d.paper import paper
from quire.matryoshka_2d.pooling import pool
from quire.matryoshka_2d.prefix import padded_prefix

__all__ = [
    "PRESETS",
    "AnglE",
    "LossWeights",
    "Parts",
    "Preset",
    "SentenceEncoder",
    "TripletAnglE",
    "adaptive_layer_loss",
    "bag_of_words_cosines",
    "benchmark",
    "claims",
    "compressed",
    "encode_all_layers",
    "espresso_loss",
    "geometric_sizes",
    "layer_kl",
    "load_encoder",
    "matryoshka_base",
    "padded_prefix",
    "pair_cosines",
    "paper",
    "pool",
    "sample_layer_dim",
    "sts_grid",
    "tdmse_loss",
    "triplet_contrastive_loss",
    "truncated",
]

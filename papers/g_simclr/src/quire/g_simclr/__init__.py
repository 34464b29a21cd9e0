"""G-SimCLR: batches for contrastive learning whose rows come from different clusters of an autoencoder's codes.

Chakraborty, Gosthipaty and Paul, *G-SimCLR: Self-Supervised Contrastive Learning with Guided Projection via Pseudo Labelling*,
ICDM workshops 2020, arXiv 2009.12007. Authors' code: https://github.com/ariG23498/G-SimCLR.
"""

from quire.g_simclr import benchmark, claims
from quire.g_simclr.augment import AUTHORS, IMAGENET, Augmentation, Draws, augment, draw_views
from quire.g_simclr.autoencoder import DEEP_KERNEL, DEEP_WIDTHS, DenoisingAutoencoder, from_arrays
from quire.g_simclr.classifier import Classifier, accuracies, fine_tune, train_supervised
from quire.g_simclr.clusters import KMeansState, kmeans, lloyd
from quire.g_simclr.config import PRESETS, Coder, Network, Preset, Training
from quire.g_simclr.denoise import codes_of, train_autoencoder
from quire.g_simclr.guided import GuidedBatches, collision_rate, collisions, guided_order, occurrence_rank
from quire.g_simclr.paper import paper
from quire.g_simclr.probe import LinearProbe, linear_probe
from quire.g_simclr.simclr import SimCLR, Trained, cosine_restarts, train

__all__ = [
    "AUTHORS",
    "DEEP_KERNEL",
    "DEEP_WIDTHS",
    "IMAGENET",
    "PRESETS",
    "Augmentation",
    "Classifier",
    "Coder",
    "DenoisingAutoencoder",
    "Draws",
    "GuidedBatches",
    "KMeansState",
    "LinearProbe",
    "Network",
    "Preset",
    "SimCLR",
    "Trained",
    "Training",
    "accuracies",
    "augment",
    "benchmark",
    "claims",
    "codes_of",
    "collision_rate",
    "collisions",
    "cosine_restarts",
    "draw_views",
    "fine_tune",
    "from_arrays",
    "guided_order",
    "kmeans",
    "linear_probe",
    "lloyd",
    "occurrence_rank",
    "paper",
    "train",
    "train_autoencoder",
    "train_supervised",
]

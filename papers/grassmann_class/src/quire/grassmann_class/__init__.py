"""Grassmann class representation: each class a linear subspace, optimised on the Grassmann manifold.

Wang, Li and Zhang, *Get the Best of Both Worlds: Improving Accuracy and Transferability by Grassmann Class Representation*,
ICCV 2023, arXiv 2308.01547. Authors' code: innerlee/GCR.

    head                     class subspaces, and the class vectors that they are compared with
    optimiser                Riemannian SGD beside SGD, AdamW, LAMB
    descent, race            trajectories of heads; optimisers side by side
    classifier, experiment   encoders with heads, trained and scored
    transfer                 what features give to another task
    convert                  the authors' checkpoints
    claims                   C1 .. C6
"""

from quire.grassmann_class import benchmark, claims
from quire.grassmann_class.classifier import Classifier
from quire.grassmann_class.config import PRESETS, RECIPES, Preset, Training
from quire.grassmann_class.convert import load_checkpoint, load_head
from quire.grassmann_class.descent import head_loss, off_manifold, trajectory
from quire.grassmann_class.head import GrassmannHead, VectorHead
from quire.grassmann_class.optimiser import from_recipe, grassmann_optimizer, plain_qr, subspace_labels
from quire.grassmann_class.paper import paper
from quire.grassmann_class.transfer import transfer_accuracy

__all__ = [
    "PRESETS",
    "RECIPES",
    "Classifier",
    "GrassmannHead",
    "Preset",
    "Training",
    "VectorHead",
    "benchmark",
    "claims",
    "from_recipe",
    "grassmann_optimizer",
    "head_loss",
    "load_checkpoint",
    "load_head",
    "off_manifold",
    "paper",
    "plain_qr",
    "subspace_labels",
    "trajectory",
    "transfer_accuracy",
]

"""How much of a representation's variance each feature explains that a network computes, and what biases it.

Lampinen, Chan and Hermann, *Learned feature representations are biased by complexity, learning order, position, and more*, TMLR
2024, arXiv 2405.05847. Written from descriptions of the paper: neither its text nor the authors' code was at hand.
"""

from quire.representation_bias import benchmark, claims
from quire.representation_bias.components import components, dense_units, pca_decode
from quire.representation_bias.conditions import CONDITIONS, VARIANTS, Condition
from quire.representation_bias.config import PRESETS, Images, Perceptrons, Preset, Transformers
from quire.representation_bias.exact import OrthogonalCode, orthogonal_code
from quire.representation_bias.features import (
    Features,
    FeatureSpec,
    feature_values,
    random_bits,
    sample_binary,
    stack_features,
)
from quire.representation_bias.images import sample_shape_color, train_convnets
from quire.representation_bias.networks import MLP, ConvNet, FeatureDecoder, FeatureEncoder, Outputs, feature_loss
from quire.representation_bias.paper import paper
from quire.representation_bias.perceptrons import BinaryStudy, study
from quire.representation_bias.preference import classifier_preference
from quire.representation_bias.rsa import rdm, rsa, rsa_matrix
from quire.representation_bias.steering import (
    Readout,
    flip_scale,
    flip_strength,
    off_target_flips,
    steering_direction,
)
from quire.representation_bias.training import Problem, Run, Scores, Trained, scores, train_multi_feature
from quire.representation_bias.transformers import train_decoder, train_encoder
from quire.representation_bias.variance import (
    joint_variance_explained,
    total_variance,
    unit_variance_explained,
    variance_explained,
)

__all__ = [
    "CONDITIONS",
    "MLP",
    "PRESETS",
    "VARIANTS",
    "BinaryStudy",
    "Condition",
    "ConvNet",
    "FeatureDecoder",
    "FeatureEncoder",
    "FeatureSpec",
    "Features",
    "Images",
    "OrthogonalCode",
    "Outputs",
    "Perceptrons",
    "Preset",
    "Problem",
    "Readout",
    "Run",
    "Scores",
    "Trained",
    "Transformers",
    "benchmark",
    "claims",
    "classifier_preference",
    "components",
    "dense_units",
    "feature_loss",
    "feature_values",
    "flip_scale",
    "flip_strength",
    "joint_variance_explained",
    "off_target_flips",
    "orthogonal_code",
    "paper",
    "pca_decode",
    "random_bits",
    "rdm",
    "rsa",
    "rsa_matrix",
    "sample_binary",
    "sample_shape_color",
    "scores",
    "stack_features",
    "steering_direction",
    "study",
    "total_variance",
    "train_convnets",
    "train_decoder",
    "train_encoder",
    "train_multi_feature",
    "unit_variance_explained",
    "variance_explained",
]

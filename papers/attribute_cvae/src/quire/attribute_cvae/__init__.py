"""Images from attributes: a conditional VAE whose prior is learned, with a weight on the divergence.

Debbagh, *Learning Structured Output Representations from Attributes using Deep Conditional Generative Models*, 2023, arXiv
2305.00980; the model is that of Sohn, Lee and Yan (2015). No code of this paper was found.
"""

from quire.attribute_cvae import benchmark, claims
from quire.attribute_cvae.attribute_images import (
    BIRD,
    FACE,
    AttributeImages,
    attribute_birds,
    attribute_faces,
    draw_birds,
    draw_faces,
)
from quire.attribute_cvae.celeba import celeba
from quire.attribute_cvae.config import PRESETS, Preset, Training
from quire.attribute_cvae.cvae import (
    CVAE,
    AttributeDecoder,
    Likelihood,
    Terms,
    beta_schedule,
    elbo,
    hybrid_loss,
    negative_bound,
    stochastic_loss,
)
from quire.attribute_cvae.gaussians import Normal, at_noise, gaussian_kl, log_density
from quire.attribute_cvae.generation import diversity, edit, interpolate, nearest_distances, sample
from quire.attribute_cvae.likelihood import conditional_log_likelihood, log_mean, log_weights
from quire.attribute_cvae.networks import Architecture, TransposedConv
from quire.attribute_cvae.paper import paper
from quire.attribute_cvae.probe import Probe, attribute_accuracy, train_probes

__all__ = [
    "BIRD",
    "CVAE",
    "FACE",
    "PRESETS",
    "Architecture",
    "AttributeDecoder",
    "AttributeImages",
    "Likelihood",
    "Normal",
    "Preset",
    "Probe",
    "Terms",
    "Training",
    "TransposedConv",
    "at_noise",
    "attribute_accuracy",
    "attribute_birds",
    "attribute_faces",
    "benchmark",
    "beta_schedule",
    "celeba",
    "claims",
    "conditional_log_likelihood",
    "diversity",
    "draw_birds",
    "draw_faces",
    "edit",
    "elbo",
    "gaussian_kl",
    "hybrid_loss",
    "interpolate",
    "log_density",
    "log_mean",
    "log_weights",
    "nearest_distances",
    "negative_bound",
    "paper",
    "sample",
    "stochastic_loss",
    "train_probes",
]

"""NAISR: shapes whose deviation from a template is a sum of displacements, one for each covariate.

Jiao, Zdanski, Kimbell, Prince, Worden, Kirse, Rutter, Shields, Dunn, Mahmud and Niethammer, *NAISR: A 3D Neural Additive Model
for Interpretable Shape Representation*, ICLR 2024, arXiv 2303.09234. Authors' code: uncbiag/NAISR.

    deformation, model     displacements that vanish with their covariates, the template, and the whole
    loss                   distances, normals, slopes, with the code and without; invertibility
    training               networks and codes together
    inference              codes of new shapes, covariates known or not; transfer to other covariates
    evaluation             contours, areas, which covariate changes what
    starman                the shapes
    baselines              DeepSDF and A-SDF, deep implicit templates, one deformation for all covariates
    convert                checkpoints of the authors' class
    claims                 C1 .. C5
"""

from quire.naisr import benchmark, claims, figures
from quire.naisr.baselines import BlackBox, OneDeformation, matched_width, shape_loss
from quire.naisr.config import PRESETS, Networks, Preset, Training
from quire.naisr.convert import load_naisr
from quire.naisr.covariates import covariate_array
from quire.naisr.deformation import displacement, displacements
from quire.naisr.evaluation import area_effects, clouds, contour_area, contour_distances, cross_effects, square_grid
from quire.naisr.inference import Fitted, Observed, fit_code, infer, transfer
from quire.naisr.loss import LossTerms, LossWeights, ShapeBatch, naisr_loss
from quire.naisr.model import NAISR
from quire.naisr.paper import paper
from quire.naisr.starman import Samples, Starmen, outline, sample_shapes, starman
from quire.naisr.training import AutoDecoder, full_loss, make_task, plain_loss, train

__all__ = [
    "NAISR",
    "PRESETS",
    "AutoDecoder",
    "BlackBox",
    "Fitted",
    "LossTerms",
    "LossWeights",
    "Networks",
    "Observed",
    "OneDeformation",
    "Preset",
    "Samples",
    "ShapeBatch",
    "Starmen",
    "Training",
    "area_effects",
    "benchmark",
    "claims",
    "clouds",
    "contour_area",
    "contour_distances",
    "covariate_array",
    "cross_effects",
    "displacement",
    "displacements",
    "figures",
    "fit_code",
    "full_loss",
    "infer",
    "load_naisr",
    "make_task",
    "matched_width",
    "naisr_loss",
    "outline",
    "paper",
    "plain_loss",
    "sample_shapes",
    "shape_loss",
    "square_grid",
    "starman",
    "train",
    "transfer",
]

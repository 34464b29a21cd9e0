"""Random field augmentations: every parameter of an augmentation is a smooth random function of the place in the image.

Mansfield, Afkanpour, Morningstar and Singhal, *Random Field Augmentations for Self-Supervised Representation Learning*, 2023,
arXiv 2311.03629. The parametrisation is ours where the abstract leaves it open; no code of the authors was found.
"""

from quire.random_field_augmentations import benchmark, claims
from quire.random_field_augmentations.augment import MILD, RandomFieldAugment, RandomFieldConfig, transform
from quire.random_field_augmentations.color import local_color
from quire.random_field_augmentations.config import PRESETS, SETTINGS, Network, Preset
from quire.random_field_augmentations.paper import paper
from quire.random_field_augmentations.random_fields import (
    FourierModes,
    field_covariance,
    fields_from_modes,
    filter_white_noise,
    fourier_modes,
    gaussian_random_field,
    spectrum,
)
from quire.random_field_augmentations.simclr import Setting, SimCLR, Trained, Views, train
from quire.random_field_augmentations.structure import difference_rank, preserved, view_rank
from quire.random_field_augmentations.warp import (
    FIELDS,
    RandomFieldParams,
    jacobian_det,
    local_affine_grid,
    params_from,
    warp_bilinear,
)

__all__ = [
    "FIELDS",
    "MILD",
    "PRESETS",
    "SETTINGS",
    "FourierModes",
    "Network",
    "Preset",
    "RandomFieldAugment",
    "RandomFieldConfig",
    "RandomFieldParams",
    "Setting",
    "SimCLR",
    "Trained",
    "Views",
    "benchmark",
    "claims",
    "difference_rank",
    "field_covariance",
    "fields_from_modes",
    "filter_white_noise",
    "fourier_modes",
    "gaussian_random_field",
    "jacobian_det",
    "local_affine_grid",
    "local_color",
    "paper",
    "params_from",
    "preserved",
    "spectrum",
    "train",
    "transform",
    "view_rank",
    "warp_bilinear",
]

"""S3IM: stochastic structural similarity, a loss for fields that are trained on random rays.

Xie, Yang, Yang, Sun, Jiang, Wang, Cai and Sun, *S3IM: Stochastic Structural SIMilarity and Its Unreasonable Effectiveness for
Neural Fields*, ICCV 2023, arXiv 2308.07032. Authors' code: Madaoer/S3IM-Neural-Fields.

    virtual_patches        orders of pixels, the images that they make, the windows on them
    loss                   the loss
    ray_choice             uniform pixels, or crops
    corruption             damaged training views
    hosts, surface         fields that are trained: planes and lines, hash grid, voxels; a surface as in NeuS
    training               one program for all runs of a host
    evaluation             test views
    scenes, experiments    runs of the claims, the sweep, photographs
    brute_force            the definition, window by window
    claims                 C0 .. C6
"""

from quire.common.metrics.image import gaussian_window, psnr, ssim
from quire.s3im import benchmark, claims
from quire.s3im.config import (
    KINDS,
    PRESETS,
    SAMPLERS,
    FieldConfig,
    Preset,
    SceneConfig,
    Similarity,
    Training,
    changes,
)
from quire.s3im.corruption import CORRUPTIONS, corrupt
from quire.s3im.evaluation import Quality, view_quality
from quire.s3im.experiments import laboratory, photographs, sweep
from quire.s3im.hosts import build_host, look, own_penalty
from quire.s3im.loss import METHODS, s3im_loss, taps_of, window_pixels, window_similarity
from quire.s3im.paper import paper
from quire.s3im.ray_choice import crop_pixels, uniform_pixels
from quire.s3im.scenes import open_scene, sparse
from quire.s3im.surface import SurfaceField, SurfaceView, optical_depths
from quire.s3im.training import History, show_views, train_field
from quire.s3im.virtual_patches import LAYOUTS, drawn_orders, pixel_orders, virtual_images, window_places

__all__ = [
    "CORRUPTIONS",
    "KINDS",
    "LAYOUTS",
    "METHODS",
    "PRESETS",
    "SAMPLERS",
    "FieldConfig",
    "History",
    "Preset",
    "Quality",
    "SceneConfig",
    "Similarity",
    "SurfaceField",
    "SurfaceView",
    "Training",
    "benchmark",
    "build_host",
    "changes",
    "claims",
    "corrupt",
    "crop_pixels",
    "drawn_orders",
    "gaussian_window",
    "laboratory",
    "look",
    "open_scene",
    "optical_depths",
    "own_penalty",
    "paper",
    "photographs",
    "pixel_orders",
    "psnr",
    "s3im_loss",
    "show_views",
    "sparse",
    "ssim",
    "sweep",
    "taps_of",
    "train_field",
    "uniform_pixels",
    "view_quality",
    "virtual_images",
    "window_pixels",
    "window_places",
    "window_similarity",
]

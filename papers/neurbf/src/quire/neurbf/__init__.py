"""NeuRBF: neural fields of radial basis functions that are fitted to the signal, beside a small grid.

Chen, Li, Song, Chen, Yu, Yuan and Xu, *NeuRBF: A Neural Fields Representation with Adaptive Radial Basis Functions*, ICCV 2023,
arXiv 2309.15426. Authors' code: oppo-us-research/NeuRBF.

    kernels                radial bases of every kind, and their shapes
    adaptive, lattice      where they lie: weighted k-means and covariances; a regular lattice
    composition            one response as many channels, by sines of many frequencies
    decoder, field         the perceptron with sines, and the whole: grid, bases, decoder
    budget                 how many kernels a parameter budget pays for
    images, distances      fitting photographs and signed distances
    radiance               bases beside planes and lines in a radiance field
    brute_force            the definitions, point by point
    claims                 C0 .. C7
"""

from quire.neurbf import benchmark, claims
from quire.neurbf.adaptive import (
    clip_covariances,
    clip_inverse_covariances,
    cluster_covariances,
    draw_centers,
    fit_kernels,
    shapes_of,
    weighted_kmeans,
    width_limits,
)
from quire.neurbf.budget import auto_kernel_count, decoder_params, grid_params, hybrid_params, kernel_params
from quire.neurbf.composition import log_frequencies, multi_frequency, normalise, rbf_features
from quire.neurbf.config import IMAGE, PRESETS, SDF, FieldConfig, Preset, RadianceConfig, Training
from quire.neurbf.decoder import Layer, decode
from quire.neurbf.distances import fit_sdf, iou, sample_points
from quire.neurbf.field import HybridField, NeuRBF, Points, Switches, evaluate, prepare, responses
from quire.neurbf.images import fit_image, gradient_weights, image_extent, image_kernels, pixel_coordinates, render_image
from quire.neurbf.kernels import KINDS, Kernels, rbf_eval
from quire.neurbf.lattice import cell_corners, lattice_side, regular_lattice
from quire.neurbf.paper import paper
from quire.neurbf.radiance import RadianceField, fit_nerf, matched_rank, radiance_kernels, render, render_views
from quire.neurbf.training import mape

__all__ = [
    "IMAGE",
    "KINDS",
    "PRESETS",
    "SDF",
    "FieldConfig",
    "HybridField",
    "Kernels",
    "Layer",
    "NeuRBF",
    "Points",
    "Preset",
    "RadianceConfig",
    "RadianceField",
    "Switches",
    "Training",
    "auto_kernel_count",
    "benchmark",
    "cell_corners",
    "claims",
    "clip_covariances",
    "clip_inverse_covariances",
    "cluster_covariances",
    "decode",
    "decoder_params",
    "draw_centers",
    "evaluate",
    "fit_image",
    "fit_kernels",
    "fit_nerf",
    "fit_sdf",
    "gradient_weights",
    "grid_params",
    "hybrid_params",
    "image_extent",
    "image_kernels",
    "iou",
    "kernel_params",
    "lattice_side",
    "log_frequencies",
    "mape",
    "matched_rank",
    "multi_frequency",
    "normalise",
    "paper",
    "pixel_coordinates",
    "prepare",
    "radiance_kernels",
    "rbf_eval",
    "rbf_features",
    "regular_lattice",
    "render",
    "render_image",
    "render_views",
    "responses",
    "sample_points",
    "shapes_of",
    "weighted_kmeans",
    "width_limits",
]

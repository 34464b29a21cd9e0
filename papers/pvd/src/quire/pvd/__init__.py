"""PVD: progressive volume distillation between radiance fields of four architectures.

Fang, Xu, Wang, Yang, Wang and Zhou, *One is All: Bridging the Gap Between Neural Radiance Fields Architectures with Progressive
Volume Distillation*, AAAI 2023, arXiv 2211.15977. Authors' code: megvii-research/AAAI2023-PVD.

    architectures          hash grid, perceptron, planes and lines, voxels; networks that two fields share
    losses, schedule       differences of features, colours, densities and pixels; the three stages
    random_poses           cameras of distillation
    recording              a teacher asked once
    distillation           training teachers and students
    vm_resolution          planes and lines at another size
    editing                voxels with a box erased
    evaluation             test views
    convert                the authors' state dictionaries
    brute_force            the definitions, point by point
    claims                 C0 .. C5
"""

from quire.common.fields.parameter_groups import place_or_network
from quire.common.fields.radiance import FieldOut, HashField, MlpField, RadianceField, VMField, VoxelSHField
from quire.pvd import benchmark, claims
from quire.pvd.architectures import build_field, share_networks
from quire.pvd.config import (
    KINDS,
    PRESETS,
    Distillation,
    DistillWeights,
    Editing,
    FieldConfig,
    Preset,
    Rates,
    SceneConfig,
    Training,
)
from quire.pvd.convert import authors_levels, load_hash, load_mlp, load_vm, load_voxels
from quire.pvd.distillation import History, distill, train_teacher
from quire.pvd.editing import box_of_nodes, erase_box, mean_opacity, opacity_at
from quire.pvd.evaluation import colours, decibels, judged_rays, render_view, view_quality
from quire.pvd.losses import TERMS, RayTargets, distance, distillation_loss, volume_terms
from quire.pvd.paper import paper
from quire.pvd.random_poses import interpolated_poses, poses_in_box, random_orbit_poses, random_rays
from quire.pvd.recording import Recorded, record
from quire.pvd.scenes import nerf_synthetic, open_scene
from quire.pvd.schedule import COURSES, photograph_weights, stage_weights
from quire.pvd.vm_resolution import occupied_box, shrink, sizes_of, upsample, upsampling_sizes

__all__ = [
    "COURSES",
    "KINDS",
    "PRESETS",
    "TERMS",
    "DistillWeights",
    "Distillation",
    "Editing",
    "FieldConfig",
    "FieldOut",
    "HashField",
    "History",
    "MlpField",
    "Preset",
    "RadianceField",
    "Rates",
    "RayTargets",
    "Recorded",
    "SceneConfig",
    "Training",
    "VMField",
    "VoxelSHField",
    "authors_levels",
    "benchmark",
    "box_of_nodes",
    "build_field",
    "claims",
    "colours",
    "decibels",
    "distance",
    "distill",
    "distillation_loss",
    "erase_box",
    "interpolated_poses",
    "judged_rays",
    "load_hash",
    "load_mlp",
    "load_vm",
    "load_voxels",
    "mean_opacity",
    "nerf_synthetic",
    "occupied_box",
    "opacity_at",
    "open_scene",
    "paper",
    "photograph_weights",
    "place_or_network",
    "poses_in_box",
    "random_orbit_poses",
    "random_rays",
    "record",
    "render_view",
    "share_networks",
    "shrink",
    "sizes_of",
    "stage_weights",
    "train_teacher",
    "upsample",
    "upsampling_sizes",
    "view_quality",
    "volume_terms",
]

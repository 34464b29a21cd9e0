"""Mosaic-SDF: a shape as a set of small grids of signed distances along its surface, and generative models of such sets.

Yariv, Puny, Gafni and Lipman, *Mosaic-SDF for 3D Generative Models*, CVPR 2024, arXiv 2312.09222.

    mosaic                 the representation: weights, interpolation, blend
    fitting                where the grids lie, what they hold, and the refinement
    matrix                 mosaics as normalised matrices
    transformer            a velocity that is equivariant to the order of the rows
    generation             flow matching, sampling, clouds and meshes
    shapes, families       solids: analytic and scanned ones; families with drawn sizes
    rivals, voxels         a dense grid, a sine network, oriented points; voxel grids to generate
    brute_force            the definitions, point by point
    claims                 C1 .. C7
"""

from quire.mosaic_sdf import benchmark, brute_force, claims, rivals
from quire.mosaic_sdf.config import PRESETS, Fitting, Generation, Preset
from quire.mosaic_sdf.families import FAMILIES, draw_family, family_sdf
from quire.mosaic_sdf.fitting import Samples, band, fit_mosaic, initial_mosaic, min_cover_scale, near_surface, refine, sdf_loss
from quire.mosaic_sdf.generation import cloud, flow_matching_loss, mesh, mosaic_clouds, sample
from quire.mosaic_sdf.matrix import Statistics, from_matrix, statistics, to_matrix
from quire.mosaic_sdf.mosaic import MosaicSDF, evaluate, extended, gradient, grid_nodes, interpolate, mosaic, on_grid, raw_weights
from quire.mosaic_sdf.paper import paper
from quire.mosaic_sdf.rivals import dense_grid, oriented_points
from quire.mosaic_sdf.shapes import Shape, mesh_shape, open_shape, points_of
from quire.mosaic_sdf.transformer import SetTransformer
from quire.mosaic_sdf.voxels import from_patches, to_patches

__all__ = [
    "FAMILIES",
    "PRESETS",
    "Fitting",
    "Generation",
    "MosaicSDF",
    "Preset",
    "Samples",
    "SetTransformer",
    "Shape",
    "Statistics",
    "band",
    "benchmark",
    "brute_force",
    "claims",
    "cloud",
    "dense_grid",
    "draw_family",
    "evaluate",
    "extended",
    "family_sdf",
    "fit_mosaic",
    "flow_matching_loss",
    "from_matrix",
    "from_patches",
    "gradient",
    "grid_nodes",
    "initial_mosaic",
    "interpolate",
    "mesh",
    "mesh_shape",
    "min_cover_scale",
    "mosaic",
    "mosaic_clouds",
    "near_surface",
    "on_grid",
    "open_shape",
    "oriented_points",
    "paper",
    "points_of",
    "raw_weights",
    "refine",
    "rivals",
    "sample",
    "sdf_loss",
    "statistics",
    "to_matrix",
    "to_patches",
]

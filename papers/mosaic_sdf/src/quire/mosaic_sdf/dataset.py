"""Sets of solids as mosaics, with clouds to judge by and voxel grids for the rival."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from quire.common.data.meshes import Surface, centred
from quire.common.data.shapenet import shapenet_files, shapenet_surface
from quire.common.fields.solids import project
from quire.common.fields.surfaces import farthest_points
from quire.common.random import generator
from quire.common.train.seeds import stack
from quire.mosaic_sdf.config import Generation
from quire.mosaic_sdf.families import Drawn, draw_family, family_sdf
from quire.mosaic_sdf.fitting import initial_mosaic, place
from quire.mosaic_sdf.mosaic import MosaicSDF
from quire.mosaic_sdf.rivals import dense_grid
from quire.mosaic_sdf.shapes import HALF_WIDTH, mesh_shape, points_of


class Solid(NamedTuple):
    """A solid, or a set of them with a leading axis, in three forms.

    Attributes:
        mosaic: as initialised, without refinement.
        cloud: points on its surface `[c, 3]`.
        grid: signed distances `[v, v, v]` at nodes over `[-1, 1]^3`.
    """

    mosaic: MosaicSDF
    cloud: Array | np.ndarray
    grid: Array | np.ndarray


class Labelled(NamedTuple):
    """Solids with the numbers of their classes, `[m]`."""

    solids: Solid
    labels: np.ndarray


@partial(jax.jit, static_argnames="config")
def _family_solids(drawn: Drawn, candidates: Array, config: Generation) -> Solid:
    line = np.linspace(-1, 1, config.voxels, dtype=np.float32)
    nodes = jnp.asarray(np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3))

    def of(args):
        label, sizes, x = args
        sdf = partial(family_sdf, label, sizes)
        points = project(sdf, x, config.surface, steps=1)
        order = farthest_points(points, max(config.n, config.cloud))
        found = place(sdf, points, points[order[: config.n]], config.k, config.margin)
        return Solid(found, points[order[: config.cloud]], sdf(nodes).reshape((config.voxels,) * 3))

    return jax.lax.map(of, (*drawn, candidates))


def family_solids(per_class: int, config: Generation, key: jax.Array) -> Labelled:
    """Drawn solids of every family, family by family, by one compiled program."""
    of_sizes, of_points = jax.random.split(key)
    drawn = draw_family(per_class, of_sizes)
    candidates = generator(of_points).uniform(-1, 1, (len(drawn.labels), config.candidates, 3)).astype(np.float32)
    return Labelled(jax.tree.map(np.asarray, _family_solids(drawn, candidates, config)), drawn.labels)


def mesh_solid(surface: Surface, config: Generation, key: jax.Array) -> Solid:
    """A mesh, centred and scaled."""
    shape = mesh_shape("mesh", centred(surface, HALF_WIDTH))
    points = points_of(shape, config.surface, key)
    cloud = points[np.asarray(farthest_points(points, config.cloud))]
    return Solid(
        initial_mosaic(shape.sdf, points, config.n, config.k, margin=config.margin), cloud, dense_grid(shape, config.voxels)
    )


def open_solids(config: Generation, key: jax.Array) -> tuple[Labelled, ...]:
    """Training and test solids.

    Raises:
        DatasetUnavailable: if the configuration asks for ShapeNet and it is not here.
    """
    if config.data == "families":
        every = family_solids(config.per_class + config.test_per_class, config, key)
        place = np.arange(len(every.labels)) % (config.per_class + config.test_per_class)
        return tuple(
            jax.tree.map(lambda x, r=rows: x[r], every) for rows in (place < config.per_class, place >= config.per_class)
        )
    keys = jax.random.split(key)
    files = shapenet_files()
    parts = [], []
    for label in sorted({label for _, label in files}):
        of_class = [file for file, other in files if other == label]
        order = generator(jax.random.fold_in(key, label)).permutation(len(of_class))
        test = order[: min(config.test_per_class, len(order) // 5)]
        train = order[len(test) : len(test) + config.per_class]
        for part, rows in zip(parts, (train, test), strict=True):
            part += [(of_class[i], label) for i in rows]
    return tuple(
        Labelled(
            stack([mesh_solid(shapenet_surface(file), config, jax.random.fold_in(k, i)) for i, (file, _) in enumerate(part)]),
            np.array([label for _, label in part], np.int32),
        )
        for part, k in zip(parts, keys, strict=True)
    )


def class_names(config: Generation) -> tuple[str, ...]:
    """Of the labels, in their order."""
    from quire.mosaic_sdf.families import FAMILIES

    if config.data == "families":
        return FAMILIES
    return tuple(sorted({file.parts[-4] for file, _ in shapenet_files()}))

"""The runs behind C1 to C5: fields, ablations and rivals on the same pictures or distances, with the same parameters."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int
from scipy.spatial import KDTree

from quire.common.claims import shared
from quire.common.data.source import Source
from quire.common.fields.hash_grid import HashLevels, hash_corners, hash_levels
from quire.common.fields.siren import Siren
from quire.common.train.batches import epoch_indices
from quire.neurbf.budget import grid_params
from quire.neurbf.composition import normalise
from quire.neurbf.config import FieldConfig, ImageConfig, Preset, SDFConfig
from quire.neurbf.distances import CMAX, Shape, grid_points, iou, open_shape, sample_points, sdf_kernels
from quire.neurbf.field import HybridField, Points, to_unit
from quire.neurbf.images import Image, image_extent, image_kernels, open_picture, pixel_coordinates
from quire.neurbf.kernels import Kernels, rbf_eval
from quire.neurbf.lattice import cell_corners, lattice_side, regular_lattice
from quire.neurbf.training import Task, relative_error, squared_error, switches, train_all

NEURBF = "NeuRBF"
LATTICE = "regular lattice"
NO_SINES = "no sines"
ONLY_KERNELS = "kernels only"
ISOTROPIC = "isotropic kernels"
NOT_NORMALISED = "not normalised"
RELU_DECODER = "ReLU decoder"
HASH_RELU = "hash grid, ReLU decoder"
HASH_SINES = "hash grid, NeuRBF's decoder"
SIREN = "SIREN"
FULL_RESOLUTION = "full-resolution hash grid"
MEAN = "mean image"

COMPARED = (NEURBF, LATTICE, NO_SINES, ONLY_KERNELS)
"""Trained on every picture; further ablations on the first."""


# --- Points, prepared on the host: neighbours, responses and weights of corners are arguments of one program ---

_corners = jax.jit(lambda x, cmax, levels: hash_corners(to_unit(x, cmax), levels), static_argnames="levels")
_respond = jax.jit(rbf_eval, static_argnames="kind")
_normalise = jax.jit(normalise)


def neighbours(kernels: Kernels, x: Float[np.ndarray, "n d"], k: int) -> Int[np.ndarray, "n k"]:
    """The k nearest kernels of fixed points, by a k-d tree."""
    return KDTree(np.asarray(kernels.centers)).query(np.asarray(x), k)[1].reshape(len(x), k).astype(np.int32)


def corners(x: Float[np.ndarray, "n d"], levels: HashLevels, cmax: Float[np.ndarray, " d"]) -> Points:
    """Points with their rows and weights of the grid, and no kernels."""
    found = _corners(x, np.asarray(cmax, np.float32), levels)
    return Points(*(np.moveaxis(np.asarray(a), 1, 0) for a in found))


def seen(
    points: Points, kernels: Kernels, x: Float[np.ndarray, "n d"], index: Int[np.ndarray, "n k"], *, normalised: bool = True
) -> Points:
    """The points with the kernels that they see."""
    phi = _respond(kernels.kind, x, np.asarray(kernels.centers)[index], np.asarray(kernels.shapes)[index])
    return points._replace(index=index, phi=np.asarray(_normalise(phi) if normalised else phi))


# --- Pictures ---


class Prepared(NamedTuple):
    """A picture, its coordinates, the sizes of its fields, and the points with their corners in NeuRBF's own grid."""

    source: Source[Image]
    x: np.ndarray
    field: FieldConfig
    points: Points

    @property
    def pixels(self) -> np.ndarray:
        """`[height, width, 3]`."""
        return self.source.value.pixels

    @property
    def extent(self) -> np.ndarray:
        """`cmax`."""
        return image_extent(*self.pixels.shape[:2])


def prepare(config: ImageConfig) -> list[Prepared]:
    """All pictures of a preset."""
    found = []
    for picture in config.pictures:
        source, field = open_picture(picture), config.field.with_size(picture.log2_size)
        height, width, _ = source.value.pixels.shape
        x = pixel_coordinates(height, width)
        found.append(Prepared(source, x, field, corners(x, field.grid(2), image_extent(height, width))))
    return found


def picture_variants(picture: Prepared, key: jax.Array, *, further: bool) -> dict[str, tuple[Points, Any]]:
    """Points and switches of NeuRBF and its ablations on one picture; all of one budget."""
    field, x, points = picture.field, picture.x, picture.points
    on = switches(field)
    kernels = image_kernels(picture.pixels, field, key)
    index = neighbours(kernels, x, field.neighbours)
    adaptive = seen(points, kernels, x, index, normalised=field.normalised)

    lattice = regular_lattice(len(kernels.centers), picture.extent, field.kind)
    cells = cell_corners(x, lattice_side(len(kernels.centers), 2), picture.extent)
    more = image_kernels(picture.pixels, field, key, n_kernels=field.n_kernels(2, with_grid=False))
    no_grid = points._replace(weight=np.zeros_like(points.weight))
    variants = {
        NEURBF: (adaptive, on),
        LATTICE: (seen(points, lattice, x, cells, normalised=field.normalised), on),
        NO_SINES: (adaptive, switches(field, channels=False)),
        ONLY_KERNELS: (seen(no_grid, more, x, neighbours(more, x, field.neighbours), normalised=field.normalised), on),
    }
    if further:
        round_ones = image_kernels(picture.pixels, replace(field, kind="ivq_s"), key, n_kernels=len(kernels.centers))
        variants[ISOTROPIC] = (seen(points, round_ones, x, index, normalised=field.normalised), on)
        variants[NOT_NORMALISED] = (seen(points, kernels, x, index, normalised=False), on)
        variants[RELU_DECODER] = (adaptive, switches(field, decoder=False))
    return variants


class Fits(NamedTuple):
    """Fits to be trained by one program: who, on which picture, with which seed."""

    names: list[tuple[str, int, int]]
    tasks: list[Task]
    keys: list[jax.Array]

    def add(self, name: str, picture: int, seed: int, task: Task, key: jax.Array) -> None:
        """One more."""
        self.names.append((name, picture, seed))
        self.tasks.append(task)
        self.keys.append(key)


def _task(picture: Prepared, points: Points, on: Any, order: np.ndarray) -> Task:
    return Task(points, picture.pixels.reshape(len(picture.x), -1), order, on)


@dataclass(frozen=True)
class Album:
    """What all seeds of a run share: the pictures, reconstructions of the first seed by picture and name, counts of numbers."""

    pictures: list[Prepared]
    rebuilt: list[dict[str, np.ndarray]]
    params: list[dict[str, int]]


@shared
def image_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """PSNR `[seeds, pictures]` of everything that is compared, and an `Album`."""
    config = preset.images
    pictures = prepare(config)
    training = config.training
    orders = [epoch_indices(key, len(pictures[0].x), training.batch, training.steps) for key in keys]
    values = _neurbf_fits(config, pictures, keys, orders) | _grid_fits(config, pictures, keys, orders)
    values |= _siren_fits(config, pictures[:1], keys[:1], orders)
    if config.full_resolution is not None:
        values |= _full_resolution_fits(config, pictures, keys, orders)
    decibels: dict[str, np.ndarray] = {}
    for (name, i, seed), value in values.items():
        found = decibels.setdefault(name, np.full((len(keys), len(pictures)), np.nan))
        found[seed, i] = quality(value, pictures[i].pixels)
    means = [quality(np.broadcast_to(p.pixels.mean((0, 1)), p.pixels.shape), p.pixels) for p in pictures]
    decibels[MEAN] = np.broadcast_to(means, (len(keys), len(pictures)))
    rebuilt = [
        {n: v.reshape(p.pixels.shape) for (n, j, s), v in values.items() if (j, s) == (i, 0)} for i, p in enumerate(pictures)
    ]
    return {"psnr": decibels, "album": Album(pictures, rebuilt, parameters(config, pictures))}


def quality(value: Float[np.ndarray, "..."], pixels: Float[np.ndarray, "h w c"]) -> float:
    """Peak signal-to-noise ratio of values cut to 0..1, in decibels."""
    return float(-10 * np.log10(np.mean((np.clip(value.reshape(pixels.shape), 0, 1) - pixels) ** 2)))


def _neurbf_fits(config, pictures, keys, orders) -> dict[Any, np.ndarray]:
    fits = Fits([], [], [])
    for seed, key in enumerate(keys):
        for i, picture in enumerate(pictures):
            for name, (points, on) in picture_variants(picture, key, further=i == seed == 0).items():
                fits.add(name, i, seed, _task(picture, points, on, orders[seed]), key)
    largest = max((p.field for p in pictures), key=lambda field: field.log2_size)
    n_kernels = largest.n_kernels(2, with_grid=False)
    build = lambda rngs: HybridField(largest, largest.grid(2), n_kernels, rngs=rngs)  # noqa: E731
    return dict(zip(fits.names, train_all(build, fits.tasks, fits.keys, config.training, squared_error), strict=True))


def _grid_fits(config, pictures, keys, orders) -> dict[Any, np.ndarray]:
    """Instant-NGP's grid of the reference's size, with its own decoder and with NeuRBF's."""
    points = [corners(p.x, p.field.reference().grid(2), p.extent) for p in pictures]
    fits = Fits([], [], [])
    for seed, key in enumerate(keys):
        for i, picture in enumerate(pictures):
            for name, decoder in ((HASH_RELU, False), (HASH_SINES, True)):
                on = switches(picture.field, decoder=decoder)
                fits.add(name, i, seed, _task(picture, points[i], on, orders[seed]), key)
    largest = max((p.field for p in pictures), key=lambda field: field.log2_size).reference()
    build = lambda rngs: HybridField(largest, largest.grid(2), 0, rngs=rngs)  # noqa: E731
    rate = config.reference_rate
    values = train_all(build, fits.tasks, fits.keys, config.training, squared_error, grid_rate=rate)
    return dict(zip(fits.names, values, strict=True))


def _full_resolution_fits(config, pictures, keys, orders) -> dict[Any, np.ndarray]:
    levels, base, log2_size = config.full_resolution
    fits = Fits([], [], [])
    grid = hash_levels(levels, base, pictures[0].pixels.shape[0], log2_size, 2, align_corners=True)
    for seed, key in enumerate(keys):
        for i, picture in enumerate(pictures):
            on = switches(picture.field, decoder=False)
            fits.add(FULL_RESOLUTION, i, seed, _task(picture, corners(picture.x, grid, picture.extent), on, orders[seed]), key)
    build = lambda rngs: HybridField(config.field, grid, 0, rngs=rngs)  # noqa: E731
    rate = config.reference_rate
    values = train_all(build, fits.tasks, fits.keys, config.training, squared_error, grid_rate=rate)
    return dict(zip(fits.names, values, strict=True))


class Sines(nnx.Module):
    """A sine network, trained by the loop of the fields: its points are coordinates."""

    def __init__(self, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        self.decoder = Siren(2, outputs, hidden, SIREN_DEPTH, rngs=rngs)

    def __call__(self, points: Points, on: Any) -> Float[Array, "n out"]:
        return self.decoder(jnp.asarray(points.rows))


SIREN_DEPTH = 1
"""Layers between the first and the last."""


def siren_width(budget: int, outputs: int) -> int:
    """The widest sine network on two coordinates that keeps to a budget.

    >>> siren_width(10403, 3)
    98
    """
    width = 1
    while 3 * (width + 1) + (width + 1) * (width + 2) + (width + 2) * outputs <= budget:
        width += 1
    return width


def _siren_fits(config, pictures, keys, orders) -> dict[Any, np.ndarray]:
    picture = pictures[0]
    points = Points((picture.x / picture.extent[None]).astype(np.float32), np.zeros((len(picture.x), 1), np.float32))
    fits = Fits([], [], [])
    for seed, key in enumerate(keys):
        fits.add(SIREN, 0, seed, _task(picture, points, switches(picture.field), orders[seed]), key)
    width = siren_width(picture.field.budget(2), picture.field.outputs)
    training = replace(config.training, decoder_rate=config.siren_rate)
    build = lambda rngs: Sines(width, picture.field.outputs, rngs=rngs)  # noqa: E731
    return dict(zip(fits.names, train_all(build, fits.tasks, fits.keys, training, squared_error), strict=True))


def parameters(config: ImageConfig, pictures: list[Prepared]) -> list[dict[str, int]]:
    """Numbers that each kind of field holds, by picture."""
    found = []
    for picture in pictures:
        field = picture.field
        found.append(
            {HASH_RELU: field.budget(2), "kernels": field.n_kernels(2), ONLY_KERNELS: field.n_kernels(2, with_grid=False)}
        )
        if config.full_resolution is not None:
            levels, base, log2_size = config.full_resolution
            grid = hash_levels(levels, base, picture.pixels.shape[0], log2_size, 2, align_corners=True)
            found[-1][FULL_RESOLUTION] = grid_params(grid, field.features, field.hidden, field.outputs)
    return found


# --- Signed distances ---

NO_DISTANCE = "zero everywhere"


@dataclass(frozen=True)
class Sculpture:
    """What all seeds of a run share: the shape, its distances on the test grid, and those of every field of the first seed."""

    shape: Shape
    truth: np.ndarray
    found: dict[str, np.ndarray]


@shared
def sdf_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Errors near the surface and IoU `[seeds]` of everything that is compared, and a `Sculpture`."""
    config = preset.sdf
    shape = open_shape(config.shape)
    x = grid_points(config.grid)
    truth = np.asarray(shape.sdf(jnp.asarray(x)))
    values = _sdf_fits(config, shape, x, keys)
    near = np.abs(truth) < config.judged
    mae = {name: np.abs(v[:, near] - truth[near]).mean(1) for name, v in values.items()}
    mae[NO_DISTANCE] = np.full(len(keys), np.abs(truth[near]).mean())
    overlap = {name: np.array([iou(row < 0, truth < 0) for row in v]) for name, v in values.items()}
    return {"mae": mae, "iou": overlap, "sculpture": Sculpture(shape, truth, {name: v[0] for name, v in values.items()})}


def _sdf_fits(config: SDFConfig, shape, x, keys) -> dict[str, np.ndarray]:
    field, training = config.field, config.training
    own, reference = field.grid(3), field.reference().grid(3)
    count = field.n_kernels(3)
    kernel_fits, grid_fits = Fits([], [], []), Fits([], [], [])
    for seed, key in enumerate(keys):
        points = sample_points(shape, config.pool, config.near, key)
        distance = np.asarray(shape.sdf(jnp.asarray(points)))
        every = np.concatenate([points, x])  # the test grid is evaluated with the rest, and never drawn
        target = np.concatenate([distance, np.zeros(len(x), np.float32)])[:, None]
        order = epoch_indices(key, config.pool, training.batch, training.steps)
        some = np.random.default_rng(seed).permutation(config.pool)[: config.fitted]
        kernels = sdf_kernels(points[some], distance[some], field, key, count)
        plain, grid = corners(every, own, CMAX), corners(every, reference, CMAX)
        adaptive = seen(plain, kernels, every, neighbours(kernels, every, field.neighbours))
        lattice = regular_lattice(count, CMAX, field.kind)
        regular = seen(plain, lattice, every, cell_corners(every, lattice_side(count, 3), CMAX))
        for name, fits, view, decoder in (
            (NEURBF, kernel_fits, adaptive, True),
            (RELU_DECODER, kernel_fits, adaptive, False),
            (LATTICE, kernel_fits, regular, True),
            (HASH_RELU, grid_fits, grid, False),
            (HASH_SINES, grid_fits, grid, True),
        ):
            fits.add(name, 0, seed, Task(view, target, order, switches(field, decoder=decoder)), key)
    values: dict[str, list[np.ndarray]] = {}
    for fits, config_of, levels, kernels_of in ((kernel_fits, field, own, count), (grid_fits, field.reference(), reference, 0)):
        build = lambda rngs, c=config_of, g=levels, n=kernels_of: HybridField(c, g, n, rngs=rngs)  # noqa: E731
        for (name, _, _), value in zip(
            fits.names, train_all(build, fits.tasks, fits.keys, training, relative_error), strict=True
        ):
            values.setdefault(name, []).append(value[config.pool :, 0])
    return {name: np.stack(rows) for name, rows in values.items()}

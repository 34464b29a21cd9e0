"""The runs behind C2 to C4 (one shape) and C6 (sets of them): fields and rivals on the same points, seeds side by side."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.claims import shared
from quire.common.fields.grids import sample_grid
from quire.common.fields.siren import init_siren
from quire.common.fields.solids import value_and_gradient
from quire.common.metrics.point_clouds import chamfer_table, set_metrics
from quire.common.random import generator
from quire.common.roots import length
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import fit_seeds, stack
from quire.mosaic_sdf import rivals
from quire.mosaic_sdf.config import Fitting, Generation, Preset
from quire.mosaic_sdf.dataset import Labelled, open_solids
from quire.mosaic_sdf.fitting import (
    CHUNK,
    Blended,
    Field,
    Samples,
    band,
    blended_field,
    initial_mosaic,
    logarithmic,
    minimise,
    mosaic_field,
    near_surface,
    place_compiled,
)
from quire.mosaic_sdf.generation import cloud, flow, flow_matching_loss, mosaic_clouds
from quire.mosaic_sdf.matrix import SMALLEST_SCALE, Statistics, from_matrix, statistics, to_matrix
from quire.mosaic_sdf.mosaic import MosaicSDF
from quire.mosaic_sdf.shapes import Shape, open_shape, points_of
from quire.mosaic_sdf.transformer import SetTransformer, drawn
from quire.mosaic_sdf.voxels import from_patches, to_patches

MOSAIC = "Mosaic-SDF"
INITIAL = "as initialised"
NO_GRADIENTS = "without the gradient term"
RANDOM_INITIAL = "random centres, as initialised"
RANDOM = "random centres, refined"
BALLS = "balls for cubes, as initialised"
SAMPLED = "dense grid, sampled"
GRID = "dense grid, refined"
SIREN = "SIREN"
POINTS = "oriented points"
NOTHING = "zero everywhere"
EQUAL = "SIREN at equal time"


# --- C2 to C4 ---


class Error(NamedTuple):
    """Mean absolute error of a field, and mean angle of its gradients in degrees, near the surface."""

    distance: Array
    angle: Array


@partial(jax.jit, static_argnames="field")
def errors(field: Field, params: Any, samples: Samples) -> Error:
    """Of a field with these parameters."""
    value, slope = value_and_gradient(lambda x: field(params, x), samples.x)
    cosine = jnp.sum(slope * samples.gradient, -1) / jnp.maximum(length(slope) * length(samples.gradient), 1e-9)
    angle = jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1)))
    return Error(jnp.mean(jnp.abs(value - samples.distance)), jnp.mean(angle))


class Task(NamedTuple):
    """A shape with its points: what every field of it is fitted to and judged by."""

    shape: Shape
    surface: Float[Array | np.ndarray, "m 3"]
    pool: Samples
    judged: Samples


def open_task(name: str, config: Fitting, key: jax.Array) -> Task:
    """The samples of one shape and seed."""
    keys = jax.random.split(key, 3)
    shape = open_shape(name)
    surface = points_of(shape, config.surface, keys[0])
    pool = near_surface(shape, surface, config.pool, config.noise, keys[1])
    return Task(shape, surface, pool, band(shape, surface, config.judged, config.width, keys[2]))


class Timed:
    """Core-seconds of calls, by name; the fewest of all calls, since the first one compiles."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, function, *args, **options):
        start = time.process_time()
        found = function(*args, **options)
        jax.block_until_ready([x for x in jax.tree.leaves(found) if isinstance(x, jax.Array)])
        self.seconds[name] = min(time.process_time() - start, self.seconds.get(name, np.inf))
        return found


def mosaic_fields(task: Task, config: Fitting, key: jax.Array, timed: Timed) -> dict[str, tuple[Field, Any]]:
    """Mosaics as initialised and refined, and their ablations. Judged with all grids, refined with the heaviest."""
    exact, culled = blended_field(3 * config.neighbours), mosaic_field(config.neighbours)
    begin = partial(initial_mosaic, task.shape.sdf, task.surface, config.n, config.k, margin=config.margin)
    chosen = generator(key).choice(len(task.surface), config.n, replace=False)
    start = logarithmic(timed(INITIAL, begin))
    anywhere = logarithmic(begin(centers=task.surface[chosen]))
    refine = partial(
        minimise, culled, pool=task.pool, key=key, steps=config.steps, batch=config.batch, rate=config.rate, floor=1.0
    )
    found = {
        INITIAL: start,
        MOSAIC: timed(MOSAIC, refine, start, lam=config.lam)[0],
        NO_GRADIENTS: refine(start, lam=0.0)[0],
        RANDOM_INITIAL: anywhere,
        RANDOM: refine(anywhere, lam=config.lam)[0],
    }
    balls = place_compiled(task.shape.sdf, jax.device_put(task.surface), start.centers, config.k, config.margin, ball=True)
    found[BALLS] = logarithmic(balls)
    return {name: (exact, Blended(params, np.array(name == BALLS))) for name, params in found.items()}


def other_fields(task: Task, config: Fitting, key: jax.Array) -> dict[str, tuple[Field, Any]]:
    """Rivals of as many numbers, fitted to the same points by the same loss."""
    fit = partial(minimise, pool=task.pool, key=key, batch=config.batch, lam=config.lam)
    sampled = jax.device_put(rivals.dense_grid(task.shape, rivals.grid_side(config.floats)))
    refined = fit(rivals.grid_field, sampled, steps=config.steps, rate=config.rate, floor=1.0)[0]
    points = rivals.oriented_points(task.shape, task.surface, min(config.floats // 6, len(task.surface)))
    found: dict[str, tuple[Field, Any]] = {
        SAMPLED: (rivals.grid_field, sampled),
        GRID: (rivals.grid_field, refined),
        POINTS: (rivals.plane_field, points),
        NOTHING: (rivals.grid_field, 0 * sampled),
    }
    return found


def sine_network(task: Task, config: Fitting, key: jax.Array, steps: int) -> tuple[Field, Any]:
    """Of as many numbers as a mosaic, its rate falling to zero over these steps."""
    layers = _sine_layers(key, rivals.siren_width(config.floats, config.hidden_layers), config.hidden_layers)
    sizes = {"steps": steps, "batch": config.batch, "rate": config.siren_rate, "lam": config.lam}
    return rivals.siren_field, minimise(rivals.siren_field, layers, task.pool, key, **sizes)[0]


_sine_layers = jax.jit(lambda key, width, hidden: init_siren(key, 3, 1, width, hidden), static_argnums=(1, 2))


def siren_name(steps: int) -> str:
    """Of a sine network that was trained for so long."""
    return f"{SIREN}, {steps} steps"


def equal_steps(seconds: dict[str, float], config: Fitting) -> int:
    """Steps of the sine network that take as many core-seconds as a mosaic, to whole chunks."""
    steps = max(config.siren_steps)
    of_step = seconds[siren_name(steps)] / steps
    return CHUNK * max(1, round((seconds[INITIAL] + seconds[MOSAIC]) / of_step / CHUNK))


@shared
def fitting_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """All fields of all shapes, one after the other by the same programs.

    Returns:
        `distance` and `angle` by name, `[seeds, shapes]`; `seconds` by name; `equal_steps`; and `kept`, the tasks, fields and
        errors of the first seed by shape, with the longer runs of sine networks.
    """
    config, timed = preset.fitting, Timed()
    own = [[jax.random.fold_in(key, number) for number in range(len(config.shapes))] for key in keys]
    tasks = [[open_task(name, config, key) for name, key in zip(config.shapes, row, strict=True)] for row in own]
    flat = [(task, key) for row in zip(tasks, own, strict=True) for task, key in zip(*row, strict=True)]
    fields = [mosaic_fields(task, config, key, timed) | other_fields(task, config, key) for task, key in flat]
    first = range(len(config.shapes))
    longer = [
        {siren_name(n): timed(siren_name(n), sine_network, flat[i][0], config, flat[i][1], n) for n in config.siren_steps}
        for i in first
    ]
    steps = equal_steps(timed.seconds, config)
    for every, (task, key) in zip(fields, flat, strict=True):
        every[EQUAL] = sine_network(task, config, key, steps)
    found = [judge(every, task) for every, (task, _) in zip(fields, flat, strict=True)]
    table = jax.tree.map(lambda x: x.reshape(len(keys), -1), stack(found))
    return {
        "distance": {name: error.distance for name, error in table.items()},
        "angle": {name: error.angle for name, error in table.items()},
        "seconds": timed.seconds,
        "equal_steps": steps,
        "kept": Kept(tasks[0], [fields[i] | longer[i] for i in first], [found[i] | judge(longer[i], tasks[0][i]) for i in first]),
    }


def judge(fields: dict[str, tuple[Field, Any]], task: Task) -> dict[str, Error]:
    """Errors of fields by name."""
    return {name: errors(*field, task.judged) for name, field in fields.items()}


@dataclass(frozen=True)
class Kept:
    """What pictures show of the first seed, by the number of the shape."""

    tasks: list[Task]
    fields: list[dict[str, tuple[Field, Any]]]
    errors: list[dict[str, Error]]


# --- C6 ---

FLOW = "flow on mosaics"
NOISE = "rows of noise"
VOXELS = "flow on voxels"
TRAINING = "training solids"
FITTED = "their mosaics"


def solve_and_judge(flows: dict[str, Array], test: Labelled, conditions: np.ndarray) -> dict[str, dict[str, float]]:
    """Metrics of sets of clouds `[g, c, 3]` against those of the test solids."""
    references = jax.device_put(test.solids.cloud)
    among = np.asarray(chamfer_table(references, references))
    found = {}
    for name, clouds in flows.items():
        across = np.asarray(chamfer_table(clouds, references))
        own = set_metrics(np.asarray(chamfer_table(clouds, clouds)), across, among)
        found[name] = {"accuracy": float(np.mean(test.labels[across.argmin(1)] == conditions)), **own._asdict()}
    return found


def network(config: Generation, d: int, n_classes: int, positions: int | None, rngs: nnx.Rngs) -> SetTransformer:
    """The network of a configuration for rows of d numbers."""
    sizes = {"width": config.width, "layers": config.layers, "heads": config.heads}
    return SetTransformer(d, **sizes, n_classes=n_classes, positions=positions, rngs=rngs)


def train_flows(
    config: Generation,
    matrices: Float[Array | np.ndarray, "s m n d"],
    labels: np.ndarray,
    keys: jax.Array,
    *,
    positions: bool = False,
) -> tuple[nnx.GraphDef, Any, Array]:
    """One network a seed, by one program; graph, states and losses as `fit_seeds` returns them."""
    recipe = config.training
    order = np.stack([epoch_indices(key, matrices.shape[1], recipe.batch_size, recipe.steps) for key in keys])
    rows = matrices.shape[-2] if positions else None
    plan = partial(network, config, matrices.shape[-1], int(labels.max()) + 1, rows)

    def build(rngs):
        return drawn(plan, rngs.params())

    def loss(model, batch, key):
        x1, classes = batch
        return flow_matching_loss(model, x1, key, classes, config.dropout)

    labels = np.broadcast_to(labels, matrices.shape[:2])
    options: dict[str, Any] = {"steps": recipe.steps, "keys": keys, "ema": recipe.ema, "one_by_one": True}
    trained = fit_seeds(build, recipe.transformation(flat=True), loss, take_batch, ((matrices, labels), order), **options)
    return jax.device_get(trained)  # to slice seeds there: on a device, every shape would be a program to compile


class Generator(NamedTuple):
    """A trained network of one seed with what turns its matrices into mosaics."""

    graph: nnx.GraphDef
    state: Any
    statistics: Statistics
    config: Generation

    def matrices(self, x0: Array | np.ndarray, conditions: np.ndarray, guidance: float | None = None) -> Array:
        """Noise carried to data."""
        c = self.config
        return flow(self.graph, self.state, x0, conditions, c.guidance if guidance is None else guidance, c.steps, c.method)

    def mosaics(self, x0: Array | np.ndarray, conditions: np.ndarray, guidance: float | None = None):
        """Generated mosaics."""
        return from_matrix(self.matrices(x0, conditions, guidance), self.statistics, smallest_scale=SMALLEST_SCALE)


def noise_of(config: Generation, count: int, rows: int, d: int, key: jax.Array) -> Float[np.ndarray, "b n d"]:
    """Where the solver starts."""
    return generator(jax.random.fold_in(key, 7)).standard_normal((count, rows, d)).astype(np.float32)


def places_in_cubes(config: Generation, key: jax.Array) -> Float[np.ndarray, "n r 3"]:
    """Starts of Newton's method in every cube, three points a cloud's point in all."""
    each = -(-3 * config.cloud // config.n)
    return generator(jax.random.fold_in(key, 8)).uniform(-0.9, 0.9, (config.n, each, 3)).astype(np.float32)


@partial(jax.jit, static_argnames="count")
def voxel_clouds(
    grids: Float[Array | np.ndarray, "b s s s"], starts: Float[Array | np.ndarray, "m 3"], count: int
) -> Float[Array, "b count 3"]:
    """A cloud of every grid."""
    return jax.lax.map(
        lambda grid: cloud(lambda x: sample_grid(grid[..., None], x, outside="border")[:, 0], starts, count), grids
    )


@dataclass(frozen=True)
class Album:
    """What pictures show of the first seed: solids, the generator, what it made, and clouds by name."""

    train: Labelled
    test: Labelled
    generator: Generator
    generated: MosaicSDF
    clouds: dict[str, Array]
    conditions: np.ndarray


@shared
def generation_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """A flow on mosaics for every seed, judged beside noise and the training set; a flow on voxels for the first seeds.

    Returns:
        `metrics` by set and metric, `[seeds]`, NaN where a rival was not trained; `losses`; `album` of the first seed.
    """
    config = preset.generation
    sets = [open_solids(config, key) for key in keys]
    stats = [statistics(train.solids.mosaic) for train, _ in sets]
    matrices = np.stack([np.asarray(to_matrix(train.solids.mosaic, s)) for (train, _), s in zip(sets, stats, strict=True)])
    labels = sets[0][0].labels
    graph, states, losses = train_flows(config, matrices, labels, keys)
    conditions = np.repeat(np.arange(int(labels.max()) + 1, dtype=np.int32), config.samples_per_class)
    found, album = [], None
    for seed, (key, (train, test)) in enumerate(zip(keys, sets, strict=True)):
        made = Generator(graph, jax.tree.map(lambda x, i=seed: x[i], states), stats[seed], config)
        generated, clouds = clouds_of_seed(made, train, conditions, key)
        if seed < config.voxel_seeds:
            clouds[VOXELS] = voxel_flow(config, train, conditions, key)
        judged = solve_and_judge(clouds, test, conditions)
        found.append({**{VOXELS: dict.fromkeys(judged[FLOW], np.nan)}, **judged})
        album = album or Album(train, test, made, generated, clouds, conditions)
    return {"metrics": stack(found), "losses": np.asarray(losses), "album": album}


def clouds_of_seed(made: Generator, train: Labelled, conditions: np.ndarray, key: jax.Array):
    """Generated mosaics, and clouds by name: of them, of noise, of training solids of the same classes and of their mosaics."""
    config = made.config
    x0 = noise_of(config, len(conditions), config.n, config.d, key)
    u = places_in_cubes(config, key)
    generated = made.mosaics(x0, conditions)
    noise = from_matrix(x0, made.statistics, smallest_scale=SMALLEST_SCALE)
    rows = np.concatenate(
        [np.flatnonzero(train.labels == c)[:n] for c, n in zip(*np.unique(conditions, return_counts=True), strict=True)]
    )
    fitted = jax.tree.map(lambda x: x[rows], train.solids.mosaic)
    clouds = {name: mosaic_clouds(m, u, config.cloud) for name, m in {FLOW: generated, NOISE: noise, FITTED: fitted}.items()}
    return generated, clouds | {TRAINING: jax.device_put(train.solids.cloud[rows])}


def voxel_flow(config: Generation, train: Labelled, conditions: np.ndarray, key: jax.Array) -> Array:
    """Clouds of the same transformer with positions, trained as long on patches of voxel grids."""
    rows = to_patches(np.asarray(train.solids.grid), config.patch)
    mean, std = rows.mean(), rows.std()
    graph, states, _ = train_flows(config, ((rows - mean) / std)[None], train.labels, key[None], positions=True)
    x0 = noise_of(config, len(conditions), *rows.shape[1:], key)
    state = jax.tree.map(lambda x: x[0], states)
    found = flow(graph, state, x0, conditions, config.guidance, config.steps, config.method)
    starts = generator(jax.random.fold_in(key, 9)).uniform(-1, 1, (16 * config.cloud, 3)).astype(np.float32)
    return voxel_clouds(from_patches(np.asarray(found) * std + mean), starts, config.cloud)

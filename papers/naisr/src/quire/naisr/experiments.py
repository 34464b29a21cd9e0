"""The runs behind the claims: NAISR with and without its disentangling term, A-SDF and DeepSDF, all seeds at once."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from quire.common.claims import shared
from quire.common.fields.polygons import inside_polygon
from quire.common.train.seeds import fold_keys
from quire.naisr.baselines import BlackBox, OneDeformation, matched_width
from quire.naisr.config import Preset
from quire.naisr.evaluation import (
    Grid,
    changed_share,
    clouds,
    contour_distances,
    contour_transport,
    outline_clouds,
    overlap,
    square_grid,
)
from quire.naisr.inference import Observed, fit_code
from quire.naisr.loss import PAPER_WEIGHTS
from quire.naisr.model import NAISR
from quire.naisr.starman import COVARIATES, LEGS_BELOW, MODES, Samples, Starmen, outline, sample_shapes, starman
from quire.naisr.training import Trained, full_loss, make_task, plain_loss, train

OURS, ASDF, DEEPSDF = "NAISR", "A-SDF", "DeepSDF"
METHODS = (OURS, ASDF, DEEPSDF)
MEAN_SHAPE, TRUTH, EVENLY = "mean starman for all", "truth", "evenly spread"
SWEEP = 0.8
"""How far a covariate is varied to either side, the other one being zero."""
SWEEPS = np.array([[-SWEEP, 0], [SWEEP, 0], [0, -SWEEP], [0, SWEEP]], np.float32)


class World(NamedTuple):
    """One seed's starmen.

    Attributes:
        train, test: subjects to learn from, and others with two visits each.
        samples: of all training shapes.
        seen: points of the first visits of the test subjects.
    """

    train: Starmen
    test: Starmen
    samples: Samples
    seen: Samples


def make_world(preset: Preset, key: jax.Array) -> World:
    """Starmen and points of one seed."""
    keys, shapes = jax.random.split(key, 4), preset.shapes
    men = starman(keys[0], shapes.subjects, shapes.visits, sd=shapes.sd)
    test = starman(keys[1], shapes.test_subjects, 2, sd=shapes.sd)
    samples = sample_shapes(keys[2], men.outlines.reshape(-1, *men.outlines.shape[2:]), shapes.pool)
    return World(men, test, samples, sample_shapes(keys[3], test.outlines[:, 0], shapes.fitted))


def build_naisr(preset: Preset, rngs: nnx.Rngs) -> NAISR:
    """The model of a preset."""
    n = preset.networks
    return NAISR(n.dim, COVARIATES, n.hidden, n.layers, n.latent, omega=n.omega, noise=n.noise, rngs=rngs)


def build_black_box(preset: Preset, rngs: nnx.Rngs) -> BlackBox:
    """A black box of at least as many parameters."""
    n = preset.networks
    width = matched_width(n.dim, len(COVARIATES), n.hidden, n.layers, n.latent)
    return BlackBox(n.dim, COVARIATES, width, n.layers, n.latent, omega=n.omega, rngs=rngs)


def train_all(preset: Preset, worlds: list[World], keys: Array) -> tuple[Trained, Trained]:
    """NAISR `[with term, without] x seeds`, and black boxes `[with covariates, without] x seeds`: two programs."""
    draws = fold_keys(keys, 1)

    def tasks(weights, see):
        data = [(world.samples, see * world.train.covariates.reshape(-1, len(COVARIATES))) for world in worlds]
        return [make_task(*one, preset.training, key, weights) for one, key in zip(data, draws, strict=True)]

    both = jnp.concatenate([keys, keys])
    blind = PAPER_WEIGHTS._replace(disentangle=0.0)
    ours = train(partial(build_naisr, preset), full_loss, tasks(PAPER_WEIGHTS, 1) + tasks(blind, 1), both, preset.training)
    boxes = train(
        partial(build_black_box, preset), plain_loss, tasks(PAPER_WEIGHTS, 1) + tasks(PAPER_WEIGHTS, 0), both, preset.training
    )
    return ours, boxes


class Questions(NamedTuple):
    """What a trained model is asked: shapes to fit `[T, ...]` with their covariates, and covariates to predict at `[Q, T, N]`."""

    observed: Observed
    c: Array | np.ndarray
    asked: Array | np.ndarray


def questions(world: World, sees: bool) -> Questions:
    """Both visits of every test subject, then the sweeps; zeros for a model without covariates."""
    c = world.test.covariates.astype(np.float32) * sees
    sweeps = np.broadcast_to(SWEEPS[:, None] * sees, (len(SWEEPS), *c[:, 0].shape))
    return Questions(Observed(*world.seen[:2]), c[:, 0], np.concatenate([np.moveaxis(c, 1, 0), sweeps]).astype(np.float32))


def answer(preset: Preset, model: Any, asked: Questions, points: Array) -> tuple[Array, Array]:
    """Codes `[T, Z]` fitted to the first visits, and fields `[Q, T, G * G]` at all covariates that are asked for."""
    z = fit_code(model, asked.observed, asked.c, steps=preset.fitting.steps, rate=preset.fitting.rate).z
    return z, _fields(model, asked.asked, z, points)


def _fields(model: Any, c: Array | np.ndarray, z: Array, points: Array) -> Array:
    """Values at the nodes of a grid for covariates `[Q, T, N]` and codes `[T, Z]`, a question at a time."""
    p = jnp.broadcast_to(points[None], (len(z), *points.shape))
    return jax.lax.map(lambda c: model.values(p, c, z), c)


def answers(preset: Preset, trained: Trained, runs: slice, asked: list[Questions], grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The same for several runs by one program: codes `[runs, T, Z]`, fields `[runs, Q, T, G, G]`."""
    state = jax.tree.map(lambda x: x[runs], trained.state)
    each = lambda state, asked: answer(preset, nnx.merge(trained.graph, state).model, asked, jnp.asarray(grid.points))  # noqa: E731
    z, fields = jax.jit(jax.vmap(each))(state, jax.tree.map(lambda *x: np.stack(x), *asked))
    return np.asarray(z), np.asarray(fields).reshape(*fields.shape[:-1], *[len(grid.axis)] * 2)


def zero_code_fields(preset: Preset, trained: Trained, worlds: list[World], grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Fields of the code zero at both visits of the test subjects, and the template: `[runs, 2, T, G, G]`, `[runs, G, G]`."""
    c = np.tile(np.stack([np.moveaxis(world.test.covariates, 1, 0) for world in worlds]).astype(np.float32), (2, 1, 1, 1))

    def each(state, c):
        model, points = nnx.merge(trained.graph, state).model, jnp.asarray(grid.points)
        return _fields(model, c, jnp.zeros((c.shape[1], model.latent)), points), model.template_sdf(points)

    side = len(grid.axis)
    fields, template = jax.jit(jax.vmap(each))(trained.state, c)
    return np.asarray(fields).reshape(*fields.shape[:-1], side, side), np.asarray(template).reshape(-1, side, side)


@shared
def shape_runs(preset: Preset, keys: Array) -> dict[str, Any]:
    """Everything the claims measure, with a leading axis of seeds.

    Returns:
        `chamfer`, `hausdorff`, `overlap` by what is compared, `[seeds]`; `legs` shares of changed area by method and covariate;
        `fields` by method `[seeds, Q, T, G, G]`; the trained `ours`, its `codes`, and `test` outlines.
    """
    worlds, grid = [make_world(preset, key) for key in fold_keys(keys, 0)], square_grid(preset.grid)
    ours, boxes = train_all(preset, worlds, keys)
    seeds = len(keys)
    codes, fields = {}, {}
    codes[OURS], fields[OURS] = answers(preset, ours, slice(seeds), [questions(w, True) for w in worlds], grid)
    asked = [questions(w, sees) for sees in (True, False) for w in worlds]
    z, found = answers(preset, boxes, slice(None), asked, grid)
    codes |= {ASDF: z[:seeds], DEEPSDF: z[seeds:]}
    fields |= {ASDF: found[:seeds], DEEPSDF: found[seeds:]}
    zero_code, template = zero_code_fields(preset, ours, worlds, grid)
    test = Starmen(*(np.stack(x) for x in zip(*[world.test for world in worlds], strict=True)))
    return compare(preset, grid, fields, zero_code.reshape(2, seeds, *zero_code.shape[1:]), test) | {
        "fields": fields,
        "codes": codes,
        "template": template[:seeds],
        "zero code": zero_code[:seeds],
        "test": test,
        "graph": ours.graph,
        "state": jax.tree.map(lambda x: x[:seeds], ours.state),
        "losses": np.asarray(ours.losses)[:seeds],
    }


def compare(
    preset: Preset, grid: Grid, fields: dict[str, np.ndarray], zero_code: np.ndarray, test: Starmen
) -> dict[str, dict[str, np.ndarray]]:
    """Contours against the true ones: Chamfer, Hausdorff and earth mover's distances, means over test shapes, `[seeds]`.

    Args:
        preset: sizes.
        grid: of the fields.
        fields: by method, `[seeds, Q, T, G, G]`: first visit, second visit, sweeps.
        zero_code: `[2, seeds, 2, T, G, G]`, with the disentangling term and without.
        test: subjects with two visits, `[seeds, T, 2, ...]`.
    """
    truth = np.moveaxis(outline_clouds(test.outlines, preset.outline), 2, 0)  # [2, seeds, T, k, 2]
    mean = outline_clouds(outline(np.zeros(2), np.zeros((2, MODES))), preset.outline)
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in METHODS:
        found = clouds(fields[name][:, :2], grid.axis, preset.outline)
        pairs |= {f"{name}, first visit": (found[:, 0], truth[0]), f"{name}, second visit": (found[:, 1], truth[1])}
    bare = clouds(zero_code, grid.axis, preset.outline)
    for kind, found in zip(("with", "without"), bare, strict=True):
        pairs |= {f"no code, {kind}, visit {i + 1}": (found[:, i], truth[i]) for i in range(2)}
    pairs["no change"] = (truth[0], truth[1])
    pairs |= {f"{MEAN_SHAPE}, visit {i + 1}": (mean, truth[i]) for i in range(2)}
    stacked = [np.stack([np.broadcast_to(pair[i], truth[0].shape) for pair in pairs.values()]) for i in range(2)]
    distances = contour_distances(*stacked)
    chamfers, hausdorffs = (dict(zip(pairs, x.mean(-1), strict=True)) for x in distances)
    first = [f"{name}, first visit" for name in METHODS]
    movers = {n: np.array([contour_transport(*pair).mean() for pair in zip(*pairs[n], strict=True)]) for n in first}
    return {"chamfer": chamfers, "hausdorff": hausdorffs, "earth mover": movers, **_areas(grid, fields, test)}


def _areas(grid: Grid, fields: dict[str, np.ndarray], test: Starmen) -> dict[str, dict[str, np.ndarray]]:
    """Overlaps at the first visit, and shares of the area that a sweep changes which lie among the legs."""
    legs = grid.points[:, 1] < LEGS_BELOW
    swept = [outline(np.broadcast_to(c, test.covariates[:, :, 0].shape), test.waves, test.outlines.shape[-2]) for c in SWEEPS]
    true = truly_inside(grid, np.stack([*np.moveaxis(test.outlines, 2, 0), *swept], axis=1))
    inside = {name: (x < 0).reshape(*x.shape[:-2], -1) for name, x in fields.items()} | {TRUTH: true}
    overlaps = {name: overlap(inside[name][:, 0], true[:, 0]).mean(-1) for name in METHODS}
    shares = {EVENLY: np.full(len(true), legs.mean())}
    for place, covariate in enumerate(COVARIATES):
        low, high = 2 + 2 * place, 3 + 2 * place
        for name in (OURS, ASDF, TRUTH):
            shares[f"{name}, {covariate}"] = np.array([changed_share(x[low], x[high], legs) for x in inside[name]])
    return {"overlap": overlaps, "legs": shares}


def truly_inside(grid: Grid, outlines: Float[np.ndarray, "*shapes v 2"]) -> Bool[np.ndarray, "*shapes n"]:
    """Which nodes of a grid lie inside each polygon."""
    flat = outlines.reshape(-1, *outlines.shape[-2:]).astype(np.float32)
    return np.asarray(_insides(flat, grid.points)).reshape(*outlines.shape[:-2], -1)


_insides = jax.jit(lambda outlines, points: jax.lax.map(lambda polygon: inside_polygon(polygon, points), outlines))


UNSPLIT, DIT = "one network for all covariates", "deep implicit template (DIT)"


def other_deformations(preset: Preset, key: jax.Array) -> dict[str, dict[str, float]]:
    """One seed of deformations that are not additive: Chamfer distances at both visits, codes fitted to the first.

    Both are trained on the terms of distances, normals and slopes alone, for as many steps as the others.
    """
    (key_world,), (key_batches,) = (fold_keys(key[None], number) for number in (0, 1))
    world, grid, n = make_world(preset, key_world), square_grid(preset.grid), preset.networks
    sees = iter((True, False))
    task = make_task(world.samples, world.train.covariates.reshape(-1, len(COVARIATES)), preset.training, key_batches)

    def build(rngs):
        return OneDeformation(n.dim, COVARIATES, n.hidden, n.layers, n.latent, covariates=next(sees), omega=n.omega, rngs=rngs)

    trained = train(build, plain_loss, [task, task], [key, key], preset.training)
    _, fields = answers(preset, trained, slice(None), [questions(world, True)] * 2, grid)
    found = clouds(fields[:, :2], grid.axis, preset.outline)
    truth = np.moveaxis(outline_clouds(world.test.outlines, preset.outline), 1, 0)
    distances = contour_distances(found, truth[None])[0].mean(-1)
    named = zip((UNSPLIT, DIT), distances.tolist(), strict=True)
    return {name: dict(zip(("first visit", "second visit"), pair, strict=True)) for name, pair in named}

"""What the paper states, measured: C1 to C7."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, close_to, every_seed
from quire.common.claims.identity import identity
from quire.common.claims.measurement import log_log_slope
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.common.train.flow_matching import METHODS, integrate
from quire.mosaic_sdf import experiments as ex
from quire.mosaic_sdf import figures
from quire.mosaic_sdf.config import Preset
from quire.mosaic_sdf.mosaic import MosaicSDF, evaluate, grid_nodes
from quire.mosaic_sdf.paper import paper
from quire.mosaic_sdf.transformer import SetTransformer, drawn

# --- C1: the blend ---

STEP = 1e-9
"""Half the distance of two points on both sides of a border."""


@paper.claim(
    "C1",
    says="The blend is continuous, and what every grid holds alike, it holds: affine functions are reproduced",
    source="section 3.1, equations 2 to 4",
    metric="largest error of an affine function, float64",
    holds=all_of(below(1e-12), below(1e-5, of="float32"), below(1e-6, of="largest jump at a border")),
    exact=True,
)
def partition_of_unity(preset: Preset, key: jax.Array) -> Measurement:
    """Random cubes; the values of an affine function, and, for the jumps, random values of about one."""
    draw, n, k = generator(key), 12, 5
    arrays = draw.uniform(-0.4, 0.4, (n, 3)), draw.uniform(0.3, 0.6, n), draw.standard_normal((n, k, k, k))
    x = draw.uniform(-0.8, 0.8, (preset.points, 3))
    slope, offset = draw.standard_normal(3), draw.standard_normal()

    def error(dtype: Any) -> float:
        centers, scales, a = (jnp.asarray(v, dtype) for v in (*arrays[:2], slope))
        plane = _affine(centers, scales, a, offset, k)
        value, covered = map(np.asarray, evaluate(plane, jnp.asarray(x, dtype)))
        return max_relative_error(value[covered], (x @ slope + offset)[covered])

    with jax.enable_x64():
        jump = largest_jump(MosaicSDF(*map(jax.device_put, arrays)), preset.points, draw)
    return identity(error, f"{n} random cubes, {preset.points} points", extras={"largest jump at a border": jump})


@partial(jax.jit, static_argnames="k")
def _affine(centers, scales, slope, offset, k):
    return MosaicSDF(centers, scales, grid_nodes(centers, scales, k) @ slope + offset)


def largest_jump(m: MosaicSDF, count: int, draw: np.random.Generator) -> float:
    """Across the borders of cubes, where others cover both sides."""
    cube, axis, side = draw.integers(0, len(m.centers), count), draw.integers(0, 3, count), draw.choice([-1.0, 1.0], count)
    u = draw.uniform(-1, 1, (count, 3))
    u[np.arange(count), axis] = side
    border = np.asarray(m.centers)[cube] + np.asarray(m.scales)[cube, None] * u
    normal = side[:, None] * np.eye(3)[axis]
    (inner, here), (outer, there) = (evaluate(m, jax.device_put(border + sign * STEP * normal)) for sign in (-1, 1))
    both = np.asarray(here & there)
    return float(np.abs(np.asarray(inner - outer))[both].max())


# --- C2 to C4: one shape ---


def _by_shape(numbers: dict[str, Any], preset: Preset, names: tuple[str, ...]) -> dict[str, float]:
    return {f"{name}, {shape}": float(numbers[name][i]) for name in names for i, shape in enumerate(preset.fitting.shapes)}


def _data(preset: Preset) -> str:
    c = preset.fitting
    return f"{' and '.join(c.shapes)}, {c.n} grids of {c.k} nodes an axis, {c.floats:,} numbers, {c.steps} steps"


LEAD = "smallest lead over the refined grid"
STANDS_FOR = "meshes of ShapeNet"


@paper.claim(
    "C2",
    says="A mosaic is more accurate than a dense grid of as many numbers",
    source="section 4.1, figure 3",
    metric="mean |F - F_S| near the surface, mean over shapes",
    holds=every_seed(above(0.0, of=LEAD)),
    trivial=ex.NOTHING,
)
def accuracy(preset: Preset, key: jax.Array) -> Measurement:
    """The line is the dense grid that was refined by the same loss, on every shape. A sine network stands beside it."""
    return _accuracy(preset, key)


@paper.claim(
    "C2b",
    says="A mosaic is more accurate than every other representation of as many numbers",
    source="section 4.1, figure 3",
    metric="mean |F - F_S| near the surface, mean over shapes",
    holds=every_seed(beats(ex.POINTS, lower_is_better=True)),
    trivial=ex.NOTHING,
    expect="not reproduced",
    because=(
        "On these shapes tangent planes of as many numbers are ahead without any fitting, and so is a sine network "
        "that is trained for longer."
    ),
)
def accuracy_of_all(preset: Preset, key: jax.Array) -> Measurement:
    """The line is the cloud of points with normals."""
    return _accuracy(preset, key)


def _accuracy(preset: Preset, key: jax.Array) -> Measurement:
    runs = ex.fitting_runs(preset, key)
    error = runs["distance"]
    names = (ex.GRID, ex.SAMPLED, ex.POINTS, ex.EQUAL)
    shapes = preset.fitting.shapes
    longer = [ex.siren_name(steps) for steps in preset.fitting.siren_steps]
    once = {
        f"first seed, {name}, {shape}": float(found[name].distance)
        for shape, found in zip(shapes, runs["kept"].errors, strict=True)
        for name in longer
    }
    shown = {
        shape: {name: float(found[name].distance) for name in (ex.MOSAIC, *names, *longer)}
        for shape, found in zip(shapes, runs["kept"].errors, strict=True)
    }
    return Measurement(
        float(np.mean(error[ex.MOSAIC])),
        _data(preset),
        baselines={name: float(np.mean(error[name])) for name in (*names, ex.NOTHING)},
        extras={LEAD: float(np.min(error[ex.GRID] - error[ex.MOSAIC]))}
        | once
        | _by_shape(error, preset, (ex.MOSAIC, *names))
        | {f"angle, {name}": value for name, value in _by_shape(runs["angle"], preset, (ex.MOSAIC, *names)).items()},
        stand_in_for=STANDS_FOR,
        figure=figures.bars(shown, "mean |F - F_S| near the surface", own=(ex.MOSAIC,)),
    )


@paper.claim(
    "C3",
    says="Fitting a mosaic is fast: no network is trained",
    source="section 4.1",
    metric="mean |F - F_S| after initialisation and refinement, mean over shapes",
    holds=all_of(every_seed(above(0.0, of="lead, torus")), every_seed(above(0.0, of="lead, chair"))),
    trivial=ex.NOTHING,
    timed=True,
    expect="partly",
    because=(
        "Ahead of a sine network of equal time on the smooth torus, at best level with it on the chair, whose legs are about as "
        "thick as a cell of a grid. Given more steps, the network is ahead on both shapes."
    ),
)
def fast_conversion(preset: Preset, key: jax.Array) -> Measurement:
    """Beside it a sine network of as many numbers that is trained for as many core-seconds, compilation left out, with a schedule
    of that length."""
    runs = ex.fitting_runs(preset, key)
    error, seconds, shapes = runs["distance"], runs["seconds"], preset.fitting.shapes
    longer = sorted((ex.siren_name(steps) for steps in preset.fitting.siren_steps), key=seconds.get)
    own = [seconds[ex.INITIAL], seconds[ex.INITIAL] + seconds[ex.MOSAIC]]
    curves = {}
    for shape, found in zip(shapes, runs["kept"].errors, strict=True):
        of_siren = [own[1], *map(seconds.get, longer)], (ex.EQUAL, *longer)
        fields = {ex.MOSAIC: (own, (ex.INITIAL, ex.MOSAIC)), ex.SIREN: of_siren}
        curves[shape] = {name: (times, [float(found[f].distance) for f in of]) for name, (times, of) in fields.items()}
    return Measurement(
        float(np.mean(error[ex.MOSAIC])),
        _data(preset),
        baselines={name: float(np.mean(error[name])) for name in (ex.EQUAL, ex.INITIAL, ex.NOTHING)},
        extras={f"lead, {shape}": float(error[ex.EQUAL][i] - error[ex.MOSAIC][i]) for i, shape in enumerate(shapes)}
        | {f"core-seconds, {name}": float(value) for name, value in seconds.items()}
        | {f"steps, {ex.EQUAL}": float(runs["equal_steps"])},
        stand_in_for=STANDS_FOR,
        figure=figures.against_time(curves),
    )


REFINED, SLOPES = "smallest gain by the refinement", "smallest gain in degrees by the gradient term"


@paper.claim(
    "C4",
    says="Refinement improves on the initial grids, and its gradient term improves normals",
    source="section 3.1, algorithm 1",
    metric="mean |F - F_S| near the surface, mean over shapes",
    holds=all_of(every_seed(above(0.0, of=REFINED)), every_seed(above(0.0, of=SLOPES))),
    trivial=ex.NOTHING,
)
def refinement_helps(preset: Preset, key: jax.Array) -> Measurement:
    """Ablations on the same points and batches: no refinement, no gradient term, centres drawn at random from the surface."""
    runs = ex.fitting_runs(preset, key)
    error, angle = runs["distance"], runs["angle"]
    names = (ex.INITIAL, ex.NO_GRADIENTS, ex.RANDOM_INITIAL, ex.RANDOM, ex.BALLS)
    shown = {shape: {n: float(angle[n][i]) for n in (ex.MOSAIC, *names)} for i, shape in enumerate(preset.fitting.shapes)}
    return Measurement(
        float(np.mean(error[ex.MOSAIC])),
        _data(preset),
        baselines={name: float(np.mean(error[name])) for name in (*names, ex.NOTHING)},
        extras={
            REFINED: float(np.min(error[ex.INITIAL] - error[ex.MOSAIC])),
            SLOPES: float(np.min(angle[ex.NO_GRADIENTS] - angle[ex.MOSAIC])),
        }
        | _by_shape(error, preset, (ex.MOSAIC, *names))
        | {f"angle, {name}": value for name, value in _by_shape(angle, preset, (ex.MOSAIC, *names)).items()},
        stand_in_for=STANDS_FOR,
        figure=figures.bars(shown, "mean angle of gradients (degrees)", own=(ex.MOSAIC,), form="%.1f"),
    )


# --- C5: the network ---

_velocity = jax.jit(lambda graph, state, x, t, classes: nnx.merge(graph, state)(x, t, classes), static_argnames="graph")


@paper.claim(
    "C5",
    says="The network is equivariant to permutations of the rows, so the order of the grids is of no account",
    source="section 3.3",
    metric="|v(PX) - P v(X)| over the largest |v|, float64",
    holds=all_of(below(1e-12), below(1e-5, of="float32")),
    exact=True,
)
def equivariance(preset: Preset, key: jax.Array) -> Measurement:
    """A network with drawn weights, permuted rows."""
    draw, (b, n, d) = generator(key), (3, 24, 31)
    build = partial(SetTransformer, d, width=48, layers=2, heads=4, n_classes=3)
    graph, state = nnx.split(drawn(lambda rngs: build(rngs=rngs), key))
    order, x = draw.permutation(n), draw.standard_normal((b, n, d))
    t, classes = draw.random(b), np.arange(b, dtype=np.int32)

    def error(dtype: Any) -> float:
        cast = jax.tree.map(lambda w: np.asarray(w, dtype), state)
        found, permuted = (
            np.asarray(_velocity(graph, cast, v.astype(dtype), t.astype(dtype), classes)) for v in (x, x[:, order])
        )
        return max_relative_error(permuted, found[:, order])

    return identity(error, f"{b} matrices {n} x {d}, a transformer with drawn weights")


# --- C6: generation ---

SHARE = "MMD over that of noise"


@paper.claim(
    "C6",
    says="Flow matching on mosaics generates shapes of the class that is asked for",
    source="section 4.2, table 1",
    metric="class of the nearest test solid is the class that was asked for",
    holds=all_of(every_seed(above(0.55)), every_seed(below(0.7, of=SHARE))),
    trivial=ex.NOISE,
    seeds=2,
)
def generates(preset: Preset, key: jax.Array) -> Measurement:
    """Beside it rows of noise, training solids and their mosaics, and the same transformer on a voxel grid of as many numbers."""
    metrics = ex.generation_runs(preset, key)["metrics"]
    numbers = {name: {metric: float(x) for metric, x in of.items()} for name, of in metrics.items()}
    own, config = numbers[ex.FLOW], preset.generation
    titles = {"accuracy": "accuracy", "mmd": "MMD", "coverage": "coverage", "nearest_neighbour": "1-NNA"}
    return Measurement(
        own["accuracy"],
        f"{config.data}: {config.per_class} training and {config.test_per_class} test solids a class, {config.n} grids of "
        f"{config.k} nodes an axis",
        baselines={
            name: of["accuracy"] for name, of in numbers.items() if name not in (ex.FLOW, ex.VOXELS)
        },  # one seed has voxels
        extras={SHARE: own["mmd"] / numbers[ex.NOISE]["mmd"]}
        | {f"{title}, {name}": of[metric] for name, of in numbers.items() for metric, title in titles.items()},
        stand_in_for="ShapeNet" if config.data == "families" else "",
    )


# --- C7: the solver ---

MU, SIGMA = 0.7, 0.4


def gaussian_velocity(x: jax.Array, t: jax.Array, mu: float = MU, sigma: float = SIGMA) -> jax.Array:
    """Of the flow from N(0, 1) to N(mu, sigma^2); it carries z to `mu + sigma z`."""
    spread = (1 - t) ** 2 + t**2 * sigma**2
    return mu + (t * sigma**2 - (1 - t)) / spread * (x - t * mu)


@paper.claim(
    "C7",
    says="The flow of a Gaussian is solved to the order of the solver",
    source="section 3.3, algorithm 3",
    metric="factor by which the error of the midpoint rule falls as the steps double",
    holds=all_of(at_least(3.5), close_to(2.0, atol=0.3, of="euler"), close_to(4.0, atol=0.5, of="heun")),
    exact=True,
    seeds=1,
)
def solver_order(preset: Preset, key: jax.Array) -> Measurement:
    """Against the closed form, in float64. A method of second order falls by four. The midpoint rule falls by eight on this flow:
    with `D = (1 - t)^2 + t^2 sigma^2` it is `y' = D' / (2 D) y`, whose errors of second order add up to zero at every time."""
    with jax.enable_x64():
        z = jax.device_put(generator(key).standard_normal(256))
        exact = MU + SIGMA * np.asarray(z)
        found = _solve(z, preset.solver_steps)
        off = {method: [float(np.abs(np.asarray(x) - exact).max()) for x in of] for method, of in found.items()}
    factor = {method: 2 ** -log_log_slope(preset.solver_steps, errors) for method, errors in off.items()}
    return Measurement(
        factor["midpoint"],
        f"256 normal numbers to N({MU}, {SIGMA}^2), {', '.join(map(str, preset.solver_steps))} steps",
        extras={"euler": factor["euler"], "heun": factor["heun"]},
        series={method: (preset.solver_steps, errors) for method, errors in off.items()},
        figure=figures.convergence(preset.solver_steps, off),
    )


@partial(jax.jit, static_argnames="numbers")
def _solve(z, numbers):
    return {method: [integrate(gaussian_velocity, z, steps, method) for steps in numbers] for method in METHODS}

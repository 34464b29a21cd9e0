"""What the paper states, measured: C0 to C7."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, above, all_of, at_most, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.claims.left_out import NotTested
from quire.common.data.scenes import nerf_lego
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.neurbf import benchmark, brute_force, figures
from quire.neurbf import experiments as ex
from quire.neurbf.adaptive import cluster_covariances, weighted_kmeans
from quire.neurbf.composition import log_frequencies, multi_frequency
from quire.neurbf.config import FieldConfig, Preset
from quire.neurbf.field import NeuRBF
from quire.neurbf.kernels import KINDS, Kernels, rbf_eval
from quire.neurbf.paper import paper
from quire.neurbf.radiance import fit_nerf, render_views, size_of, view_quality

paper.benchmark = benchmark.benchmark


# --- C0: operators ---

OPERATORS = FieldConfig(
    neighbours=3,
    channels=6,
    hidden=8,
    base=4,
    finest=9,
    log2_size=6,
    levels=3,
    channel_range=(0.125, 8.0),
    hidden_range=(1.0, 10.0),
)
"""Small frequencies: rounding of the inputs is not multiplied by thousands; C7 looks at those. The finest level hashes."""


@paper.claim(
    "C0",
    says="Kernels, neighbours, grid, decoder and initialisation are what their definitions say",
    source="section 3, and the authors' code",
    metric="largest error / largest entry, float64",
    holds=all_of(at_most(1e-9), at_most(1e-4, of="float32")),
    exact=True,
)
def operators(preset: Preset, key: jax.Array) -> Measurement:
    """Fast forms against point-by-point ones; tests add the authors' outputs."""
    draw = generator(key)
    data = _operator_data(draw, preset.points)

    def error(dtype: Any) -> list[float]:
        return [*_kernel_errors(data, dtype), _field_error(data, key, dtype), _initial_error(data)]

    return identity(error, f"{preset.points} random points, {len(KINDS)} kernels in two dimensions, a field with a hashed level")


def _operator_data(draw: np.random.Generator, points: int) -> dict[str, np.ndarray]:
    factors = draw.standard_normal((9, 2, 2))
    return {
        "x": draw.uniform(-1, 1, (points, 2)).astype(np.float32),
        "centers": draw.uniform(-1, 1, (9, 2)).astype(np.float32),
        "a": (factors @ factors.swapaxes(1, 2) + np.eye(2)).astype(np.float32),
        "d": draw.uniform(0.5, 3, (9, 2)).astype(np.float32),
        "s": draw.uniform(0.5, 3, (9, 1)).astype(np.float32),
        "f": factors.astype(np.float32),
        "weights": draw.uniform(0.1, 1, points),
    }


@jax.jit
def _all_kernels(x, centers, shapes):
    seen = jnp.broadcast_to(centers[None], (len(x), *centers.shape))
    each = {name: jnp.broadcast_to(s[None], (len(x), *s.shape)) for name, s in shapes.items()}
    return {kind: rbf_eval(kind, x, seen, each[kind[-1]]) for kind in KINDS}


def _kernel_errors(data: dict[str, np.ndarray], dtype: Any) -> list[float]:
    x, centers = data["x"][:8], data["centers"]
    cast = {name: jnp.asarray(data[name], dtype) for name in "sdaf"}
    found = _all_kernels(jnp.asarray(x, dtype), jnp.asarray(centers, dtype), cast)
    errors = []
    for kind, values in found.items():
        shapes = [brute_force.full_shape(kind, shape.astype(float), 2) for shape in data[kind[-1]]]
        pairs = list(zip(centers.astype(float), shapes, strict=True))
        expected = [[brute_force.response(kind, point, c, s) for c, s in pairs] for point in x.astype(float)]
        errors.append(max_relative_error(values, np.array(expected)))
    return errors


def _field_error(data: dict[str, np.ndarray], key: jax.Array, dtype: Any) -> float:
    cmax = np.array([1.0, 1.0])
    model = NeuRBF(OPERATORS, Kernels("ivq_a", *(jnp.asarray(data[n]) for n in ("centers", "a"))), cmax, rngs=nnx.Rngs(key))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    # larger than the first weights, so that every part counts
    draw = generator(key)
    params = jax.tree.map(lambda p: jnp.asarray(draw.uniform(-1, 1, p.shape).astype(np.float32), dtype), params)
    model = nnx.merge(graph, params, rest)
    model.centers, model.shapes = (nnx.Variable(jnp.asarray(data[n], dtype)) for n in ("centers", "a"))
    x = data["x"][:8]
    weights: dict[str, Any] = {
        "centers": data["centers"].astype(float),
        "shapes": data["a"].astype(float),
        "nu": log_frequencies(*OPERATORS.channel_range, OPERATORS.channels).astype(np.float32),
        "mu": log_frequencies(*OPERATORS.hidden_range, OPERATORS.hidden).astype(np.float32),
        "layers": [tuple(np.asarray(p, float) for p in layer) for layer in model.field.layers],
        **{name: np.asarray(getattr(model.field, name)[...], float) for name in ("rbf", "grid", "bias")},
    }
    expected = brute_force.field(weights, "ivq_a", OPERATORS.neighbours, OPERATORS.grid(2), x, cmax)
    graph, state = nnx.split(model)
    return max_relative_error(jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, jnp.asarray(x, dtype)), expected)


def _initial_error(data: dict[str, np.ndarray]) -> float:
    x, weights = data["x"].astype(float), data["weights"]
    centers = weighted_kmeans(x, weights, data["centers"].astype(float), 3)
    expected, covariances = brute_force.lloyd(x, weights, data["centers"], 3, 0.5)
    found = cluster_covariances(x, weights, centers)
    return float(np.maximum(max_relative_error(centers, expected), max_relative_error(found, covariances)))


# --- C1 to C4: images ---


def _picture_measurement(
    preset: Preset, key: jax.Array, name: str, rivals: tuple[str, ...], *, figure: bool = False, **extras: float
) -> Measurement:
    """PSNR of `name` and of its rivals, means over pictures, the mean image among them."""
    run = ex.image_runs(preset, key)
    album = run["album"]
    pictures = album.pictures
    mean = {rival: float(np.mean(run["psnr"][rival])) for rival in (name, *rivals, ex.MEAN)}
    each = {
        f"{who}, {p.name}": float(run["psnr"][who][i])
        for who in (name, *rivals)
        for i, p in enumerate(preset.images.pictures)
        if len(pictures) > 1
    }
    count = ", ".join(f"{p[ex.HASH_RELU]:,}" for p in album.params)
    return Measurement(
        mean.pop(name),
        f"{'; '.join(p.source.name for p in pictures)}; {count} parameters",
        baselines=mean,
        extras=extras | each,
        stand_in_for=pictures[0].source.stand_in_for,
        figure=figures.quality_bars(run["psnr"], preset.images.pictures, (name, *rivals)) if figure else None,
    )


@paper.claim(
    "C1",
    says="Images: more accurate than Instant-NGP's hash grid with as many parameters",
    source="tables 1 and 2",
    metric="PSNR, mean over pictures",
    unit="dB",
    holds=beats(ex.HASH_RELU, by=1.0),
    trivial=ex.MEAN,
)
def images(preset: Preset, key: jax.Array) -> Measurement:
    """The reference as published, and beside it the same grid with NeuRBF's decoder: at this scale the decoder makes the gain."""
    rivals = (ex.HASH_RELU, ex.HASH_SINES)
    if preset.images.full_resolution is not None:
        rivals = (*rivals, ex.FULL_RESOLUTION)
    return _picture_measurement(preset, key, ex.NEURBF, rivals)


@paper.claim(
    "C2",
    says="Sines of many frequencies let one response carry detail",
    source="section 3.3, table 6",
    metric="PSNR, mean over pictures",
    unit="dB",
    holds=every_seed(above(0.0, of="smallest gain over pictures")),
    trivial=ex.MEAN,
)
def multi_frequency_bases(preset: Preset, key: jax.Array) -> Measurement:
    """The same kernels, weights and batches, channels without their sines."""
    psnr = ex.image_runs(preset, key)["psnr"]
    gain = float(np.min(psnr[ex.NEURBF] - psnr[ex.NO_SINES]))
    return _picture_measurement(preset, key, ex.NEURBF, (ex.NO_SINES,), **{"smallest gain over pictures": gain})


@paper.claim(
    "C3",
    says="Kernels that follow the signal are better than kernels on a lattice",
    source="section 3.2, table 6",
    metric="PSNR, mean over pictures",
    unit="dB",
    holds=beats(ex.LATTICE),
    trivial=ex.MEAN,
)
def adaptivity(preset: Preset, key: jax.Array) -> Measurement:
    """The largest lattice of at most as many kernels, its corners included; points see the corners of their cell."""
    return _picture_measurement(preset, key, ex.NEURBF, (ex.LATTICE,))


@paper.claim(
    "C4",
    says="Bases and a grid together are as good as either alone",
    source="section 3.4, table 6",
    metric="PSNR, mean over pictures",
    unit="dB",
    holds=on_average(beats(ex.ONLY_KERNELS, by=-0.2)),
    trivial=ex.MEAN,
)
def hybrid(preset: Preset, key: jax.Array) -> Measurement:
    """Without a grid its parameters buy kernels. The hash grid with NeuRBF's decoder is the grid alone, without a line."""
    return _picture_measurement(preset, key, ex.NEURBF, (ex.ONLY_KERNELS, ex.HASH_SINES), figure=True)


# --- C5: signed distances ---


BETTER_HASH = "better hash grid"


@paper.claim(
    "C5",
    says="Signed distances: more accurate than a hash grid with as many parameters",
    source="table 3",
    metric="mean absolute error near the surface",
    holds=beats(BETTER_HASH, lower_is_better=True),
    trivial=ex.NO_DISTANCE,
    expect="not reproduced",
    because=(
        "Few steps and few kernels: the paper trains for twenty thousand steps, and its bases are so many that they resolve the "
        "surface. Here the field is behind the hash grid, most clearly behind the one that is given NeuRBF's decoder."
    ),
)
def distances(preset: Preset, key: jax.Array) -> Measurement:
    """Errors at the nodes of a grid near the surface, beside the answer zero and the reference with either decoder."""
    run = ex.sdf_runs(preset, key)
    mae, overlap = ({name: float(v) for name, v in run[kind].items()} for kind in ("mae", "iou"))
    field = preset.sdf.field
    mae[BETTER_HASH] = min(mae[ex.HASH_RELU], mae[ex.HASH_SINES])
    return Measurement(
        mae.pop(ex.NEURBF),
        f"{run['sculpture'].shape.name}; {field.budget(3):,} parameters, {field.n_kernels(3)} kernels",
        baselines=mae,
        extras={"IoU": overlap.pop(ex.NEURBF)} | {f"IoU, {name}": value for name, value in overlap.items()},
        stand_in_for=run["sculpture"].shape.stand_in_for,
        figure=figures.distance_bars(run["mae"], run["iou"]),
    )


# --- C6: radiance ---

PLANES = "planes and lines alone"
WHITE = "white"


@paper.claim(
    "C6",
    says="Radiance fields: bases added to planes and lines are better than more planes and lines",
    source="table 4",
    metric="PSNR of test views",
    unit="dB",
    holds=beats(PLANES),
    trivial=WHITE,
    seeds=1,
)
def radiance(preset: Preset, key: jax.Array) -> Measurement:
    """The same scene, steps and rays; planes and lines alone hold at least as many numbers."""
    config = preset.radiance
    if config is None:
        raise NotTested("a radiance field costs as much as all other claims together; use --preset standard")
    scene = nerf_lego()
    fields = {name: fit_nerf(scene, config, key, hybrid=on)[0] for name, on in (("hybrid", True), (PLANES, False))}
    decibels = {name: float(view_quality(f, scene.test, scene.focal).mean()) for name, f in fields.items()}
    truth = scene.test.over(1.0)
    white = float(np.mean(-10 * np.log10(np.mean((1 - truth) ** 2, axis=(1, 2, 3)))))
    shown = {name: render_views(f, scene.test, scene.focal)[0] for name, f in fields.items()}
    return Measurement(
        decibels["hybrid"],
        scene.name,
        baselines={PLANES: decibels[PLANES], WHITE: white},
        extras={f"parameters, {name}": size_of(f) for name, f in fields.items()},
        stand_in_for="NeRF-Synthetic at 800 x 800",
        figure=figures.pictures({"truth": truth[0], **shown}, truth[0]),
    )


# --- C7: the highest frequencies ---


@paper.claim(
    "C7",
    says="Frequencies up to 4096 need float32 and no more",
    source="section 3.3, and the authors' code",
    metric="largest difference of sin(ν φ) in float32 and float64",
    holds=all_of(
        below(1e-3),
        at_most(1 + 1e-6, of="largest derivative / highest frequency"),
        above(0.1, of="bfloat16"),
    ),
    exact=True,
)
def high_frequencies(preset: Preset, key: jax.Array) -> Measurement:
    """Responses across their whole range, and the derivative of every channel, which its frequency bounds."""
    frequencies = log_frequencies(*preset.images.field.channel_range, preset.images.field.channels)
    phi = np.sort(generator(key).uniform(0, 1, 64 * preset.points)).astype(np.float32)
    exact = np.sin(phi[:, None].astype(float) * frequencies)
    waves = {name: np.asarray(_waves(jnp.asarray(phi, name), jnp.asarray(frequencies, name)), float) for name in DTYPES}
    error = {name: float(np.abs(w - exact).max()) for name, w in waves.items()}
    slope = np.asarray(_slopes(jnp.asarray(phi, jnp.float32), jnp.asarray(frequencies, jnp.float32)))
    largest = float(np.abs(slope).max()) if np.isfinite(slope).all() else float("nan")
    return Measurement(
        error["float32"],
        f"{len(phi)} responses in 0..1, {len(frequencies)} frequencies",
        extras={"bfloat16": error["bfloat16"], "largest derivative / highest frequency": largest / float(frequencies[-1])},
    )


DTYPES = ("float32", "bfloat16")

_waves = jax.jit(lambda phi, frequencies: multi_frequency(phi[:, None], frequencies)[:, 0])
_slopes = jax.jit(jax.vmap(jax.jacfwd(lambda phi, frequencies: multi_frequency(phi[None], frequencies)[0]), (0, None)))

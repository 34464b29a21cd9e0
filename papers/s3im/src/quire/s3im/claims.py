"""What the paper states, measured: C0 to C6."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, above, all_of, at_most, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.s3im import brute_force, figures
from quire.s3im.config import Preset
from quire.s3im.experiments import Laboratory, Trained, laboratory
from quire.s3im.hosts import build_host, look
from quire.s3im.loss import METHODS, Method, s3im_loss
from quire.s3im.paper import paper
from quire.s3im.virtual_patches import Layout, drawn_orders

SQUARED, MEAN = "squared error", "mean image"

# --- C0: the loss ---

CASES: tuple[tuple[tuple[int, int], int, int, int, Layout], ...] = (((8, 12), 4, 4, 3, "code"), ((7, 5), 3, 2, 2, "tiles"))
"""Patch, kernel, stride, orders and layout: windows that overlap or not, kernels that are odd or even."""


@paper.claim(
    "C0",
    says="The loss is one minus the structural similarity of the virtual patches, window by window",
    source="section 3.2, and the authors' code",
    metric="largest error, float64",
    holds=all_of(at_most(1e-6), at_most(1e-5, of="float32")),
    exact=True,
    seeds=1,
)
def definition(preset: Preset, key: jax.Array) -> Measurement:
    """Gathered windows and convolution against loops in NumPy, the gradient against differences of these. Tests have more."""
    draw = generator(key)
    drawn = [[*draw.random((3, h * w, 3)), drawn_orders(draw, 1, m, h * w)[0]] for (h, w), _, _, m, _ in CASES]

    def error(dtype: Any) -> dict[str, float]:
        errors: dict[str, list[float]] = {"loss": [], "gradient": []}
        for (patch, kernel, stride, _, layout), (source, target, along, orders) in zip(CASES, drawn, strict=True):
            loops = partial(
                brute_force.loss, target=target, orders=orders, patch=patch, kernel=kernel, stride=stride, layout=layout
            )
            options = {"kernel": kernel, "stride": stride, "patch": patch, "layout": layout, "perms": orders}
            values, slope = _both_ways(*(jnp.asarray(x, dtype) for x in (source, target, along)), **options)
            expected = (loops(source + STEP * along) - loops(source - STEP * along)) / (2 * STEP)
            errors["loss"].append(np.abs(values - loops(source)).max())
            errors["gradient"].append(abs(slope - expected))
        return {name: float(max(found)) for name, found in errors.items()}

    return identity(error, f"random colours, {len(CASES)} shapes of patch and window, both layouts")


STEP = 1e-5
"""Of the differences, in colours."""


def _both_ways(source: Any, target: Any, along: Any, **options: Any) -> tuple[np.ndarray, float]:
    """Loss by both methods, and the slope of the former along a direction."""

    @jax.jit
    def all_of_them(source, target):
        windows, convolution = (partial(s3im_loss, **options, method=method) for method in METHODS[1:])
        value, slope = jax.value_and_grad(windows)(source, target)
        return jnp.stack([value, convolution(source, target)]), jnp.vdot(slope, along)

    values, slope = all_of_them(source, target)
    return np.asarray(values, float), float(slope)


# --- C1: what random orders leave unchanged ---

ALONE = "one of the two shuffled"


@paper.claim(
    "C1",
    says="The loss is zero for equal colours alone, and its expectation does not depend on the order of the rays",
    source="section 3.2",
    metric="difference of mean losses after a joint shuffle / standard error",
    holds=all_of(
        every_seed(at_most(3)),
        every_seed(at_most(1e-6, of="loss of equal colours")),
        every_seed(above(0, of="least loss of unequal colours")),
    ),
    trivial=ALONE,
)
def invariance(preset: Preset, key: jax.Array) -> Measurement:
    """Smooth rows and noise; every order random, the first too. Beside it rows in their order, and a shuffle of one side."""
    patch, draw = preset.drawn_patch, generator(key)
    n, count, repeats = patch[0] * patch[1], preset.draws, preset.similarity.repeats
    source = np.clip(np.sin(np.linspace(0, 9, n))[:, None] * 0.3 + 0.5 + 0.1 * draw.normal(size=(n, 3)), 0, 1)
    target = np.clip(source + 0.1 * draw.normal(size=(n, 3)), 0, 1)
    shuffle, other = draw.permutation(n), draw.permutation(n)

    @jax.jit
    def losses(a, b, orders):
        return jax.vmap(lambda perms: s3im_loss(a, b, patch=patch, perms=perms))(orders)

    def drawn(a: np.ndarray, b: np.ndarray, *, first: bool = True) -> np.ndarray:
        orders = drawn_orders(draw, count, repeats, n)
        if first:  # shuffling the rows before the call makes every order random
            orders = np.take_along_axis(draw.permuted(orders[:, :1], axis=2), orders, axis=2)
        return np.asarray(losses(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32), orders), float)

    found = {"as they come": drawn(source, target), "shuffled together": drawn(source[shuffle], target[shuffle])}
    far = partial(_standard_errors, found["as they come"])
    ordered = drawn(source, target, first=False)
    return Measurement(
        far(found["shuffled together"]),
        f"{patch[0]} x {patch[1]} smooth colours with noise, {count} keys",
        baselines={ALONE: far(drawn(source[shuffle], target[other]))},
        extras={
            "loss of equal colours": float(np.abs(drawn(source, source)).max()),
            "least loss of unequal colours": float(found["as they come"].min()),
            "mean loss": float(found["as they come"].mean()),
            "mean loss, shuffled": float(found["shuffled together"].mean()),
            "mean loss, first order not random": float(ordered.mean()),
            "first order not random, in standard errors": far(ordered),
        },
        figure=figures.spread(found, {"mean, first order not random": float(ordered.mean())}),
    )


def _standard_errors(a: np.ndarray, b: np.ndarray) -> float:
    return float(abs(a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))


# --- C2 to C5: fields ---


def _compared(lab: Laboratory, ours: Trained, rivals: Mapping[str, Trained], data: str, **extras: float) -> Measurement:
    """PSNR beside that of rivals and of the mean image, and as extras the same of SSIM and the gain over the first rival."""
    first = next(iter(rivals.values())).quality
    shown = {"squared error + S3IM": ours.quality, **{name: run.quality for name, run in rivals.items()}, MEAN: lab.mean_image}
    return Measurement(
        ours.quality.psnr,
        data,
        baselines={name: run.quality.psnr for name, run in rivals.items()} | {MEAN: lab.mean_image.psnr},
        extras={
            "gain": ours.quality.psnr - first.psnr,
            "gain of SSIM": ours.quality.ssim - first.ssim,
            "squared error removed": 1 - ours.quality.mse / first.mse,
            "SSIM": ours.quality.ssim,
            **{f"SSIM, {name}": run.quality.ssim for name, run in rivals.items()},
            f"SSIM, {MEAN}": lab.mean_image.ssim,
            **extras,
        },
        stand_in_for=lab.source.stand_in_for,
        figure=figures.qualities({name: quality[:2] for name, quality in shown.items()}, (MEAN,)),
    )


LONGER = "squared error, twice the steps"


@paper.claim(
    "C2",
    says="S3IM improves novel views of fields that are trained for as many steps",
    source="abstract, tables 1 and 2",
    metric="test PSNR",
    unit="dB",
    holds=all_of(on_average(beats(SQUARED)), on_average(above(0, of="gain of SSIM"))),
    trivial=MEAN,
)
def novel_views(preset: Preset, key: jax.Array) -> Measurement:
    """The same first weights and rays; the rate is the one tuned for the squared error, which may also take its time."""
    lab = laboratory(preset, key)
    rivals = {SQUARED: lab.run(lab.squared), LONGER: lab.run(lab.squared, steps=2 * preset.training.steps)}
    return _compared(lab, lab.run(lab.similarity), rivals, lab.source.name)


CROPS_LOCAL, CROPS_SQUARED = "crops, squared error + local SSIM", "crops, squared error"


@paper.claim(
    "C3",
    says="Random orders are the point: structural similarity of real neighbours is worse",
    source="section 4.4",
    metric="test PSNR",
    unit="dB",
    holds=all_of(every_seed(beats(CROPS_LOCAL)), every_seed(above(0, of="gain of SSIM"))),
    trivial=MEAN,
    seeds=2,
)
def neighbours(preset: Preset, key: jax.Array) -> Measurement:
    """Neighbours need crops, and crops alone cost much: with the squared error they tell the sampling from the loss."""
    lab = laboratory(preset, key)
    rivals = {
        CROPS_LOCAL: lab.run(lab.local, sampler="crops"),
        CROPS_SQUARED: lab.run(lab.squared, sampler="crops"),
        SQUARED: lab.run(lab.squared),
    }
    return _compared(lab, lab.run(lab.similarity), rivals, lab.source.name)


@paper.claim(
    "C4",
    says="S3IM is robust to few training views",
    source="section 4.3",
    metric="test PSNR",
    unit="dB",
    holds=on_average(beats(SQUARED)),
    trivial=MEAN,
    seeds=2,
)
def few_views(preset: Preset, key: jax.Array) -> Measurement:
    """Evenly spaced training views, everything else as in C2."""
    lab = laboratory(preset, key)
    rivals = {SQUARED: lab.run(lab.squared, few=True)}
    return _compared(lab, lab.run(lab.similarity, few=True), rivals, f"{lab.source.name}, {preset.sparse_views} views")


CLEAN = "squared error, clean views"


@paper.claim(
    "C5",
    says="S3IM is robust to damaged images",
    source="section 4.3",
    metric="test PSNR",
    unit="dB",
    holds=every_seed(beats(SQUARED)),
    trivial=MEAN,
)
def damaged_views(preset: Preset, key: jax.Array) -> Measurement:
    """Gaussian noise on the training views, cut to 0..1; test views are clean."""
    lab = laboratory(preset, key)
    rivals = {SQUARED: lab.run(lab.squared, noise=True), CLEAN: lab.run(lab.squared)}
    ours = lab.run(lab.similarity, noise=True)
    return _compared(lab, ours, rivals, f"{lab.source.name}, noise of {preset.noise:g}")


# --- C6: cost ---

TWICE = "a second batch of rays"


@paper.claim(
    "C6",
    says="The loss costs almost nothing",
    source="section 3.2",
    metric="time of the loss / time of a step of rendering, both with gradients",
    holds=below(0.1),
    trivial=TWICE,
    seeds=1,
    timed=True,
)
def cost(preset: Preset, key: jax.Array) -> Measurement:
    """Medians of ten calls, in core-seconds; beside it the same loss by convolution, and what as many more rays would cost."""
    patch, samples, draw = preset.timed, preset.training.samples, generator(key)
    n = patch[0] * patch[1]
    field = build_host("vm", preset.field, rngs=nnx.Rngs(key))
    graph, params = nnx.split(field)
    origins = np.tile(np.array([[0.0, 0.0, 3.0]], np.float32), (n, 1))
    toward = draw.uniform(-0.8, 0.8, (n, 3)) - origins
    directions = (toward / np.linalg.norm(toward, axis=1, keepdims=True)).astype(np.float32)
    pred, target = (jnp.asarray(draw.random((n, 3)), jnp.float32) for _ in range(2))
    orders = jnp.asarray(drawn_orders(draw, 1, preset.similarity.repeats, n)[0])

    @jax.jit
    def render(params, target):
        squared = lambda p: jnp.mean((look(nnx.merge(graph, p), origins, directions, samples=samples).rgb - target) ** 2)  # noqa: E731
        return jax.value_and_grad(squared)(params)

    def loss(method: Method) -> Callable:
        return jax.jit(jax.value_and_grad(partial(s3im_loss, patch=patch, perms=orders, method=method)))

    step = _core_seconds(render, params, target)
    found = {method: _core_seconds(loss(method), pred, target) for method in METHODS[1:]}
    return Measurement(
        found["windows"] / step,
        f"{n} rays, {samples} samples, planes of {preset.field.vm_size} nodes, {len(orders)} orders",
        baselines={TWICE: step / step, "by convolution": found["convolution"] / step},
        extras={"step (ms)": 1e3 * step, "loss (ms)": 1e3 * found["windows"]},
        figure=figures.times(
            {
                "step of rendering": 1e3 * step,
                "S3IM, gathered windows": 1e3 * found["windows"],
                "S3IM, convolution": 1e3 * found["convolution"],
            }
        ),
    )


def _core_seconds(function: Callable, *args: Any) -> float:
    """Median of ten calls after the first."""
    jax.block_until_ready(function(*args))
    spent = []
    for _ in range(10):
        before = time.process_time()
        jax.block_until_ready(function(*args))
        spent.append(time.process_time() - before)
    return statistics.median(spent)

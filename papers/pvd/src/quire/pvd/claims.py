"""What the paper states, measured: C0 to C5."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below, every_seed
from quire.common.claims.identity import identity
from quire.common.fields.rendering import composite
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.pvd import brute_force, figures
from quire.pvd.architectures import build_field
from quire.pvd.config import KINDS, FieldConfig, Kind, Preset
from quire.pvd.distillation import History
from quire.pvd.experiments import DIRECTIONS, laboratory, steps_to
from quire.pvd.paper import paper
from quire.pvd.schedule import Course

# --- C0: operators ---

OPERATORS = FieldConfig(3, 4, 9, 6, 2, 4, 8, 1, 5, 2, 3, 6, 3, 8)
"""Sizes at which every part counts: the finest level hashes, the perceptron skips."""


@paper.claim(
    "C0",
    says="The four fields, their harmonics and the compositing are what their definitions say",
    source="section 3, and the authors' code",
    metric="largest error / largest entry, float64",
    holds=all_of(at_most(1e-9), at_most(1e-4, of="float32")),
    exact=True,
)
def operators(preset: Preset, key: jax.Array) -> Measurement:
    """Fast forms against point-by-point ones; tests add the authors' outputs."""
    draw = generator(key)
    x = draw.uniform(-1.05, 1.05, (preset.points, 3)).astype(np.float32)
    d = draw.normal(size=(preset.points, 3))
    d = (d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.float32)
    numbers = [draw.exponential(size=(6, 9)), draw.random((6, 9, 3)), draw.random((6, 9)), draw.random((6, 3))]
    drawn = {kind: _draw_weights(kind, draw) for kind in KINDS}

    def error(dtype: Any) -> dict[str, float]:
        found: dict[str, float] = {kind: _field_error(kind, *drawn[kind], x, d, dtype) for kind in KINDS}
        pixels = _composite(*(jnp.asarray(a, dtype) for a in numbers))
        rays = [brute_force.ray(*ray) for ray in zip(*numbers, strict=True)]
        expected = (np.array([w for w, _ in rays]), np.array([c for _, c in rays]))
        found["compositing"] = float(np.max(list(map(max_relative_error, (pixels.weights, pixels.rgb), expected))))
        return found

    return identity(error, f"{preset.points} random points, random weights; 6 rays of 9 samples")


# seeds share these programs
_ask = jax.jit(lambda graph, params, x, d: nnx.merge(graph, params)(x, d), static_argnums=0)
_composite = jax.jit(composite)


def _draw_weights(kind: Kind, draw: np.random.Generator) -> tuple[Any, Any]:
    graph, params = nnx.split(nnx.eval_shape(lambda: build_field(kind, OPERATORS, rngs=nnx.Rngs(0))))
    return graph, jax.tree.map(lambda p: draw.uniform(-1, 1, p.shape).astype(np.float32), params)


def _field_error(kind: str, graph: Any, params: Any, x: np.ndarray, d: np.ndarray, dtype: Any) -> float:
    model = nnx.merge(graph, params)
    nets = {name: [np.asarray(m[...], float) for m in getattr(model, name, ())] for name in ("sigma_net", "color_net")}

    def numbers(name: str) -> Any:
        part = getattr(model, name)
        return [np.asarray(p[...], float) for p in part] if isinstance(part, nnx.List) else np.asarray(part[...], float)

    forms = {
        "hash": lambda p, v: brute_force.hash_field(numbers("table"), model.levels, *nets.values(), p, v),
        "mlp": lambda p, v: brute_force.mlp_field(
            numbers("kernels"), numbers("biases"), model.octaves, model.skip, *nets.values(), p, v
        ),
        "vm": lambda p, v: brute_force.vm_field(
            numbers("planes"), numbers("lines"), model.density_rank, numbers("basis"), nets["color_net"], p, v
        ),
        "voxel": lambda p, v: brute_force.voxel_field(numbers("grid"), p, v),
    }
    expected = [forms[kind](p, v) for p, v in zip(x.astype(float), d.astype(float), strict=True)]
    cast = jax.tree.map(lambda p: jnp.asarray(p, dtype), params)
    out = _ask(graph, cast, jnp.asarray(x, dtype), jnp.asarray(d, dtype))
    feat = out.log_sigma[:, None] if out.feat is None else out.feat
    pairs = ((feat, np.array([f for f, _ in expected])), (out.rgb, np.array([c for _, c in expected])))
    return float(np.max([max_relative_error(a, b) for a, b in pairs]))


# --- C1: any to any ---

IMAGE_ONLY = "pixels only"
MEAN = "mean colour"
WHITE = "white"


@paper.claim(
    "C1",
    says="A field of any of the four kinds can be converted into one of any other",
    source="table 1 and figure 4",
    metric="PSNR of the student against its teacher on test views, worst of 12 pairs",
    unit="dB",
    holds=all_of(every_seed(above(20)), every_seed(at_least(0, of="least gain over pixels only"))),
    trivial=MEAN,
    seeds=1,
)
def any_to_any(preset: Preset, key: jax.Array) -> Measurement:
    """Four teachers trained on photographs; twelve students, and as many that see pixels alone, of the same steps."""
    lab = laboratory(preset, key)
    staged = {pair: lab.likeness(*pair) for pair in DIRECTIONS}
    alone = {pair: lab.likeness(*pair, "image only") for pair in DIRECTIONS}
    gains = np.array([staged[pair] - alone[pair] for pair in DIRECTIONS])
    teachers = {kind: lab.teacher(kind).psnr for kind in KINDS}
    white = np.mean([-10 * np.log10(np.mean((1 - lab.teacher(kind).shown) ** 2)) for kind in KINDS])
    return Measurement(
        min(staged.values()),
        lab.source.name,
        baselines={
            IMAGE_ONLY: min(alone.values()),
            MEAN: max(lab.mean_colour(kind) for kind in KINDS),
            WHITE: float(white),
        },
        extras={
            "least gain over pixels only": float(gains.min()),
            "mean gain over pixels only": float(gains.mean()),
            "best pair": max(staged.values()),
            **{f"{kind} teacher against photographs": value for kind, value in teachers.items()},
            **{f"{a} to {b}": value for (a, b), value in staged.items()},
            **{f"{a} to {b}, pixels only": value for (a, b), value in alone.items()},
            **{f"{a} to {b} against photographs": lab.student(a, b).psnr for a, b in DIRECTIONS},
        },
        stand_in_for=lab.source.stand_in_for,
        figure=figures.psnr_tables(KINDS, staged, alone),
    )


# --- C2: speed ---

SCRATCH = "trained from scratch"


def _curve(history: History) -> tuple[list[int], list[float]]:
    return [step for step, _ in history.watched], [value for _, value in history.watched]


@paper.claim(
    "C2",
    says="A perceptron distilled from a hash grid is 10 to 20 times faster than one trained from scratch",
    source="section 4.3 and figure 5",
    metric="steps of a perceptron on photographs / steps when distilled, to the teacher's PSNR less 1 dB",
    holds=above(2),
    trivial=SCRATCH,
    expect="not reproduced",
    because=(
        "A narrow perceptron comes as near to coarse views from photographs as from its teacher, in about as many steps. The "
        "paper's gap needs eight layers of 256 and views of 800 x 800, where a perceptron alone takes hours."
    ),
)
def faster_than_scratch(preset: Preset, key: jax.Array) -> Measurement:
    """Two perceptrons of the same length, judged by photographs of test views after every chunk of steps.

    What never gets there counts as one chunk more than it had, for both alike.
    """
    lab, training = laboratory(preset, key), preset.teacher
    teacher, scratch = lab.teacher("hash"), lab.teacher("mlp")
    student = lab.student("hash", "mlp", steps=training.steps)
    level, never = teacher.psnr - 1, float(training.steps + preset.distillation.training.chunk)
    alone, distilled = (min(steps_to(run.history, level), never) for run in (scratch, student))
    return Measurement(
        alone / distilled,
        lab.source.name,
        baselines={SCRATCH: alone / alone},
        extras={
            "steps from scratch": alone,
            "steps distilled": distilled,
            "PSNR of the teacher": teacher.psnr,
            "PSNR from scratch": scratch.psnr,
            "PSNR distilled": student.psnr,
            "reached from scratch": float(alone < never),
            "reached distilled": float(distilled < never),
        },
        series={
            SCRATCH: _curve(scratch.history),
            "distilled": _curve(student.history),
        },
        stand_in_for=lab.source.stand_in_for,
        figure=figures.courses_of_training(scratch.history.watched, student.history.watched, teacher.psnr),
    )


# --- C3: shallow to deep ---

PAIRS = (("hash", "voxel"), ("voxel", "hash"))


@paper.claim(
    "C3",
    says="Distilling from shallow to deep beats distilling pixels alone",
    source="table 3",
    metric="PSNR of the student against its teacher, mean of hash to voxel and voxel to hash",
    unit="dB",
    holds=all_of(*(every_seed(above(0, of=f"gain over pixels only, {a} to {b}")) for a, b in PAIRS)),
    trivial=MEAN,
)
def shallow_to_deep(preset: Preset, key: jax.Array) -> Measurement:
    """The same rays, first weights and steps; what differs is when which term counts."""
    lab = laboratory(preset, key)
    courses: dict[str, Course] = {"staged": "staged", IMAGE_ONLY: "image only"}
    found = {name: [lab.likeness(*pair, course) for pair in PAIRS] for name, course in courses.items()}
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    extras = {}
    for i, (a, b) in enumerate(PAIRS):
        extras[f"gain over pixels only, {a} to {b}"] = found["staged"][i] - found[IMAGE_ONLY][i]
    return Measurement(
        mean.pop("staged"),
        lab.source.name,
        baselines=mean | {MEAN: float(np.mean([lab.mean_colour(a) for a, _ in PAIRS]))},
        extras=extras,
        stand_in_for=lab.source.stand_in_for,
    )


# --- C4: the clipped logarithm ---

RAW = "density itself"


@paper.claim(
    "C4",
    says="Distilling the clipped log-density instead of the density cures instability",
    source="section 3.3",
    metric="PSNR of the student against its teacher, hash to planes and lines",
    unit="dB",
    holds=all_of(
        every_seed(beats(RAW)),
        every_seed(beats("largest gradient, density itself", of="largest gradient, log-density", lower_is_better=True)),
    ),
    trivial=MEAN,
    expect="partly",
    because=(
        "The largest gradient is smaller with the logarithm, as the paper says. Yet after so few steps the teacher's densities "
        "are still far below their bound and nothing is unstable, so who learns densities themselves loses no PSNR."
    ),
)
def clipped_log_density(preset: Preset, key: jax.Array) -> Measurement:
    """The same bounds for both; only what is compared differs."""
    lab = laboratory(preset, key)
    found = {course: lab.student("hash", "vm", course) for course in ("staged", "raw density")}
    return Measurement(
        lab.likeness("hash", "vm"),
        lab.source.name,
        baselines={RAW: lab.likeness("hash", "vm", "raw density"), MEAN: lab.mean_colour("hash")},
        extras={
            "largest gradient, log-density": float(found["staged"].history.gradients.max()),
            "largest gradient, density itself": float(found["raw density"].history.gradients.max()),
            "largest density of the teacher": float(np.exp(_largest_log_density(lab))),
        },
        stand_in_for=lab.source.stand_in_for,
        figure=figures.gradients({name: run.history.gradients for name, run in found.items()}),
    )


def _largest_log_density(lab: Any) -> float:
    recorded = lab.recorded("hash")
    return float("nan") if recorded is None else float(recorded.log_sigma.max())


# --- C5: editing ---

LOW_BOUND = "lower bound -2 kept"
UNEDITED = "student of the unedited teacher"


@paper.claim(
    "C5",
    says="An edit of voxels survives the conversion into a field that cannot be edited",
    source="section 4.5",
    metric="mean opacity inside the erased box / before",
    holds=every_seed(below(0.05)),
    trivial=UNEDITED,
    seeds=1,
)
def edit_and_convert(preset: Preset, key: jax.Array) -> Measurement:
    """Voxels to hash grid, with bounds of the clip as low as what was written, as they were, and from pixels alone."""
    lab, usual = laboratory(preset, key), preset.distillation.clip
    low = (preset.editing.erased, usual[1])
    before = lab.opacity(lab.teacher("voxel").field)
    runs = {
        "edited": (lab.student("voxel", "hash", edited=True, clip=low), low),
        LOW_BOUND: (lab.student("voxel", "hash", edited=True, clip=usual), usual),
        IMAGE_ONLY: (lab.student("voxel", "hash", "image only", edited=True, clip=usual, teacher_clip=low), usual),
        UNEDITED: (lab.student("voxel", "hash"), usual),
    }
    left = {name: lab.opacity(run.field, clip) / before for name, (run, clip) in runs.items()}
    return Measurement(
        left.pop("edited"),
        lab.source.name,
        baselines=left,
        extras={"opacity before": before, "edited teacher": lab.opacity(lab.edited, low) / before},
        stand_in_for=lab.source.stand_in_for,
    )

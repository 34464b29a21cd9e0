"""The claims of the paper, in its order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, all_of, at_most, beats, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.plots import Figure
from quire.common.random import generator
from quire.naisr import figures
from quire.naisr.config import Preset
from quire.naisr.experiments import (
    ASDF,
    DEEPSDF,
    EVENLY,
    MEAN_SHAPE,
    METHODS,
    OURS,
    SWEEP,
    TRUTH,
    shape_runs,
)
from quire.naisr.loss import ShapeBatch, naisr_loss
from quire.naisr.model import NAISR
from quire.naisr.paper import paper
from quire.naisr.starman import COVARIATES

# --- C1: what holds for any weights ---

SUMMED = "distance at the summed displacement"


@paper.claim(
    "C1",
    says="A covariate of zero moves nothing, displacements add up, and the last bias of their networks does not matter",
    source="section 3.2, eq. 3",
    metric="largest difference, float64",
    holds=all_of(at_most(0.0), at_most(0.0, of="float32"), at_most(1e-12, of=SUMMED)),
    exact=True,
)
def additive(preset: Preset, key: jax.Array) -> Measurement:
    """Released initialisation, three covariates; gradients are those of the whole loss."""
    names, draw = ("age", "weight", "sex"), generator(key)
    graph, params, rest = nnx.split(NAISR(3, names, 16, 3, 5, rngs=nnx.Rngs(key)), nnx.Param, ...)
    numbers = draw.uniform(-1, 1, (2, preset.identity_points, 3)), draw.uniform(-1, 1, (2, 3)), draw.standard_normal((2, 5))

    def error(dtype: Any) -> dict[str, float]:
        p, c, z, weights = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), dtype), (*numbers, params))
        found = _identities(graph, weights, rest, p, c, z)
        return {name: float(x) for name, x in found.items()}

    with jax.enable_x64(), jax.default_matmul_precision("highest"):
        p, c, z, weights = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), (*numbers, params))
        summed = float(_at_the_sum(graph, weights, rest, p, c, z))
    data = f"{2 * preset.identity_points} random points, random weights, {len(names)} covariates"
    return identity(error, data, extras={SUMMED: summed})


@jax.jit(static_argnums=0)
def _identities(graph, params, rest, p, c, z):
    model = nnx.merge(graph, params, rest)
    moved, total = model.displacement(p, c, z), model.total_displacement(p, c, z)
    nothing = [model.displacement(p, c.at[:, i].set(0), z)[name] for i, name in enumerate(model.names)]
    batch = ShapeBatch(p, jnp.where(p[..., 0] < 0, 0.0, p[..., 1]), jnp.sin(p), c, z)
    gradient = jax.grad(lambda params: naisr_loss(nnx.merge(graph, params, rest), batch, 50).total)(params)
    return {
        "moved by covariates of zero": jnp.max(jnp.abs(jnp.stack(nothing))),
        "total less the sum of parts": jnp.max(jnp.abs(total - sum(moved.values()))),
        "gradient by the last biases": jnp.max(jnp.abs(gradient["nets"]["biases"][len(model.nets.biases) - 1][...])),
    }


@jax.jit(static_argnums=0)
def _at_the_sum(graph, params, rest, p, c, z):
    model = nnx.merge(graph, params, rest)
    return jnp.max(jnp.abs(model.template_sdf(p + model.total_displacement(p, c, z)) - model.sdf(p, c, z)))


# --- C2 to C5: starmen ---


def _data(preset: Preset) -> str:
    shapes = preset.shapes
    return f"{shapes.subjects * shapes.visits} generated starmen, {shapes.test_subjects} test subjects with two visits"


def contour_figure(runs: dict[str, Any], visit: int) -> Figure:
    """The test shapes of one seed at a visit, as every method has them; the codes are those of the first."""
    return figures.contours(runs["test"].outlines[:, visit], {name: runs["fields"][name][visit] for name in METHODS})


STAND_IN = "the authors' Starman, and airways of children"


@paper.claim(
    "C2",
    says="Shapes are reconstructed as well as by black boxes",
    source="table 2",
    metric="Chamfer distance, mean of both directions, codes fitted",
    holds=on_average(at_most(1.2, of="ratio to the better black box")),
    trivial=MEAN_SHAPE,
)
def reconstruction(preset: Preset, key: jax.Array) -> Measurement:
    """Codes of test subjects fitted to their first visits; black boxes of as many parameters."""
    runs = shape_runs(preset, key)
    distance = {name: float(runs["chamfer"][f"{name}, first visit"]) for name in METHODS}
    ours = distance.pop(OURS)
    extras = {"ratio to the better black box": ours / min(distance.values())}
    for what, values in (("Hausdorff", runs["hausdorff"]), ("earth mover", runs["earth mover"])):
        extras |= {f"{what}, {name}": float(values[f"{name}, first visit"]) for name in METHODS}
    extras |= {f"overlap, {name}": float(runs["overlap"][name]) for name in METHODS}
    return Measurement(
        ours,
        _data(preset),
        baselines=distance | {MEAN_SHAPE: float(runs["chamfer"][f"{MEAN_SHAPE}, visit 1"])},
        extras=extras,
        stand_in_for=STAND_IN,
        figure=contour_figure(runs, 0),
    )


@paper.claim(
    "C3",
    says="Covariates are disentangled: raising the arms leaves the legs alone",
    source="section 4.2, figure 4",
    metric="share of the changed area that lies among the legs",
    holds=every_seed(beats(ASDF, lower_is_better=True)),
    trivial=EVENLY,
)
def disentangled(preset: Preset, key: jax.Array) -> Measurement:
    """Arms from one end to the other, legs at zero, codes of the test subjects; the truth and the other covariate beside it."""
    shares = {name: float(x) for name, x in shape_runs(preset, key)["legs"].items()}
    arms, legs = COVARIATES
    return Measurement(
        shares[f"{OURS}, {arms}"],
        f"{_data(preset)}; arms from -{SWEEP} to {SWEEP}",
        baselines={ASDF: shares[f"{ASDF}, {arms}"], EVENLY: shares[EVENLY], TRUTH: shares[f"{TRUTH}, {arms}"]},
        extras={f"{name}, legs varied": shares[f"{name}, {legs}"] for name in (OURS, ASDF, TRUTH)},
        stand_in_for=STAND_IN,
        figure=figures.share_bars(shares),
    )


NO_CHANGE, NO_CODE = "no change", "code zero, new covariates"


def _transferred(preset: Preset, key: jax.Array, names: tuple[str, ...], figure: bool) -> Measurement:
    runs = shape_runs(preset, key)
    chamfer = {name: float(x) for name, x in runs["chamfer"].items()}
    found = {name: chamfer[f"{name}, second visit"] for name in (ASDF, DEEPSDF)}
    found |= {
        NO_CHANGE: chamfer[NO_CHANGE],
        NO_CODE: chamfer["no code, with, visit 2"],
        MEAN_SHAPE: chamfer[f"{MEAN_SHAPE}, visit 2"],
    }
    return Measurement(
        chamfer[f"{OURS}, second visit"],
        _data(preset),
        baselines={name: found[name] for name in names},
        stand_in_for=STAND_IN,
        figure=contour_figure(runs, 1) if figure else None,
    )


@paper.claim(
    "C4",
    says="A shape is transferred to other covariates better than by a black box, and better than not at all",
    source="table 3",
    metric="Chamfer distance to the second visit, codes fitted to the first",
    holds=all_of(every_seed(beats(ASDF, lower_is_better=True)), every_seed(beats(NO_CHANGE, lower_is_better=True))),
    trivial=NO_CHANGE,
)
def transferred(preset: Preset, key: jax.Array) -> Measurement:
    """The same subjects at their second visits. No change is the true first visit."""
    return _transferred(preset, key, (ASDF, DEEPSDF, NO_CHANGE, MEAN_SHAPE), True)


@paper.claim(
    "C4b",
    says="Transfer is specific to the subject: the code of the first visit helps at the second",
    source="section 4.3",
    metric="Chamfer distance to the second visit, codes fitted to the first",
    holds=every_seed(beats(NO_CODE, lower_is_better=True)),
    trivial=NO_CODE,
    expect="not reproduced",
    because=(
        "Where all covariates are zero every subject is the template: no part of the deformation depends on the code alone. "
        "The code only bends what covariates do, and how it bends them at one visit says little about another."
    ),
)
def specific(preset: Preset, key: jax.Array) -> Measurement:
    """Beside it the average subject of the model at the new covariates."""
    return _transferred(preset, key, (NO_CODE, MEAN_SHAPE), False)


@paper.claim(
    "C5",
    says="The terms of the code zero make covariates alone explain more",
    source="section 3.3, table 4",
    metric="Chamfer distance with the code zero, both visits",
    holds=on_average(beats("without the terms", lower_is_better=True)),
    trivial=MEAN_SHAPE,
)
def explained(preset: Preset, key: jax.Array) -> Measurement:
    """The same seeds, batches and noise; the weight of those terms is 0."""
    chamfer = {name: float(x) for name, x in shape_runs(preset, key)["chamfer"].items()}

    def both(name):
        return (chamfer[f"{name}, visit 1"] + chamfer[f"{name}, visit 2"]) / 2

    return Measurement(
        both("no code, with"),
        _data(preset),
        baselines={"without the terms": both("no code, without"), MEAN_SHAPE: both(MEAN_SHAPE)},
        stand_in_for=STAND_IN,
    )

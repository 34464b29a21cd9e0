"""The paper's claims, measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.bt2 import figures
from quire.bt2.config import Preset
from quire.bt2.experiment import BT2, upgrade_runs
from quire.bt2.identities import cast_head, definition_error, identity_errors
from quire.bt2.paper import paper
from quire.common.claims import Measurement, all_of, at_most, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.claims.left_out import NotTested
from quire.common.random import generator

PROCRUSTES = "Procrustes, post hoc"
ROTATED_DIRECTIONS = "Procrustes of unit vectors"

# --- Identities ---


@paper.claim(
    "C1",
    says="The changes of basis lose nothing: lengths and inner products are those of the two parts",
    source="figure 1",
    metric="largest absolute error, float64",
    holds=all_of(below(1e-10), below(1e-5, of="float32")),
    exact=True,
)
def nothing_is_lost(preset: Preset, key: jax.Array) -> Measurement:
    """The trained head of C3 on features of the queries: `|phi|^2 = 1 + C^2`, the Gram matrix, P and Q orthonormal."""
    run = upgrade_runs(preset, key)
    model = nnx.merge(run["graph"], run["state"])
    draw = generator(key)
    features = np.maximum(draw.standard_normal((50, model.head.d_new + model.head.d_old)), 0)

    def errors(dtype: Any) -> dict[str, float]:
        return identity_errors(cast_head(model.head, dtype), jnp.asarray(features, dtype))

    return identity(errors, "the head after training, 50 random features", figure=figures.folded_matrix(model.head))


CASES = ((8, 8, 3, 2.0, True), (8, 6, 4, 3.0, True), (6, 6, 2, 1.5, False), (5, 8, 3, 2.0, True))
"""d, d_o, a, C, and whether h is scaled to length 1; the last one leaves nothing behind the compatible part."""


@paper.claim(
    "C2",
    says="Head and losses are those of the equations",
    source="method",
    metric="largest error / largest reference, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32")),
    exact=True,
)
def is_the_definition(preset: Preset, key: jax.Array) -> Measurement:
    """Random heads of four shapes against the definition number by number."""

    def error(dtype: Any) -> list[float]:
        return [definition_error(*case, generator(key), dtype) for case in CASES]

    return identity(error, f"{len(CASES)} shapes of the head, batches of 6")


# --- Retrieval ---


def _percent(run: dict[str, Any], model: str, column: str) -> float:
    return 100 * float(run["table"][model][column])


def _column(run: dict[str, Any], column: str, models: dict[str, str]) -> dict[str, float]:
    """Percent in one column of the table, by the names that a claim gives the models."""
    return {name: _percent(run, model, column) for name, model in models.items()}


OTHERS = {"BCT": "BCT", "naive extra dimensions": "naive extra", "matching alone": "matching", "independent": "independent"}
POST_HOC = {
    PROCRUSTES: "Procrustes",
    "least squares, post hoc": "least squares",
    ROTATED_DIRECTIONS: "Procrustes, unit",
}


def _present(run: dict[str, Any], models: dict[str, str]) -> dict[str, str]:
    return {name: model for name, model in models.items() if model in run["table"]}


@paper.claim(
    "C3",
    says="Models that were trained independently cannot search each other's galleries",
    source="authors' README, CIFAR-100",
    metric="top-1, independent new model in the old gallery",
    unit="%",
    holds=on_average(at_most(30)),
    trivial="random order",
)
def independent_models(preset: Preset, key: jax.Array) -> Measurement:
    """An old model on some of the classes, a new one on all of them; the first d_o numbers of its vectors in the old gallery."""
    run = upgrade_runs(preset, key)
    return Measurement(
        _percent(run, "independent", "cross top1"),
        run["data"],
        baselines={
            "old model in its own gallery": _percent(run, "old", "own top1"),
            "random order": 100 * float(run["random"]),
        },
        stand_in_for=run["stand_in_for"],
        figure=figures.in_the_old_space({name: run["vectors"][name] for name in ("old", "independent", BT2)}),
    )


@paper.claim(
    "C4",
    says="BT² is compatible: its queries find more in the old gallery than those of the old model",
    source="authors' README, CIFAR-100",
    metric="mAP, BT² in the old gallery",
    unit="%",
    holds=all_of(every_seed(beats("old model")), on_average(beats("BCT")), on_average(beats(PROCRUSTES))),
    trivial=PROCRUSTES,
)
def compatible(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs; a rotation of the independent model, fitted afterwards, needs no compatible training."""
    run = upgrade_runs(preset, key)
    rivals = {"old model": "old", **_present(run, POST_HOC), **OTHERS}
    models = {"BT²": BT2, **rivals}
    extras = _column(run, "cross top1", {f"top-1, {name}": model for name, model in models.items()})
    for group in ("old classes", "new classes"):
        extras |= _column(run, f"cross mAP, {group}", {f"{name}, {group}": model for name, model in models.items()})
    return Measurement(
        _percent(run, BT2, "cross mAP"),
        run["data"],
        baselines=_column(run, "cross mAP", rivals) | {"random order": 100 * float(run["random"])},
        extras=extras,
        stand_in_for=run["stand_in_for"],
    )


@paper.claim(
    "C4b",
    says="Training for compatibility finds more in the old gallery than turning a finished model into the old space does",
    source="no comparison of the paper; the rival that a user would try first",
    metric="mAP, BT² in the old gallery",
    unit="%",
    holds=on_average(beats(ROTATED_DIRECTIONS)),
    trivial=ROTATED_DIRECTIONS,
    expect="not reproduced",
    because=(
        "An independent model that is trained on directions alone keeps the classes further apart, and one rotation carries "
        "all of that into the old space. BT² learns from an independent model that was trained on vectors as they come."
    ),
)
def better_than_a_rotation(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs; the independent model is trained on vectors of length 1, and Procrustes turns them."""
    run = upgrade_runs(preset, key)
    rivals = _present(run, POST_HOC)
    if ROTATED_DIRECTIONS not in rivals:
        raise NotTested("the old vectors have another size than the new ones; no rotation leads from one to the other")
    return Measurement(
        _percent(run, BT2, "cross mAP"),
        run["data"],
        baselines=_column(run, "cross mAP", rivals),
        stand_in_for=run["stand_in_for"],
    )


@paper.claim(
    "C5",
    says="BT² keeps the new model: its vectors search their own gallery as well as independent ones",
    source="authors' README, CIFAR-100",
    metric="top-1, BT² in its own gallery",
    unit="%",
    holds=on_average(beats("independent", by=-1.5)),
    trivial="raw pixels",
)
def keeps_the_new_model(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs."""
    run = upgrade_runs(preset, key)
    models = {"independent": "independent", "BCT": "BCT", "old model": "old", "raw pixels": "raw pixels"}
    models |= _present(run, {"independent, unit vectors": "independent, unit"})
    average = _column(run, "own mAP", {f"mAP, {name}": model for name, model in ({"BT²": BT2} | models).items()})
    return Measurement(
        _percent(run, BT2, "own top1"),
        run["data"],
        baselines=_column(run, "own top1", models),
        extras=average,
        stand_in_for=run["stand_in_for"],
        figure=figures.trade_off(trade_off_of(run, preset)),
    )


def trade_off_of(run: dict[str, Any], preset: Preset) -> dict[float, tuple[float, float]]:
    """mAP in the old gallery and in the own one, in percent, by C."""
    models = {preset.scale: BT2} | {scale: f"C = {scale:g}" for scale in preset.other_scales}
    return {scale: (_percent(run, name, "cross mAP"), _percent(run, name, "own mAP")) for scale, name in sorted(models.items())}


@paper.claim(
    "C6",
    says="Extra dimensions alone do not make it: BCT with as many of them stays behind",
    source="abstract",
    metric="mAP, BT² in the old gallery",
    unit="%",
    holds=on_average(beats("naive extra dimensions")),
    trivial=PROCRUSTES,
)
def more_than_extra_dimensions(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs; the old pseudo-classifier sees the first d_o of d + a numbers, and nothing rotates them."""
    run = upgrade_runs(preset, key)
    models = {"naive extra dimensions": "naive extra", "BCT": "BCT"} | _present(run, {PROCRUSTES: "Procrustes"})
    return Measurement(
        _percent(run, BT2, "cross mAP"),
        run["data"],
        baselines=_column(run, "cross mAP", models),
        extras=_column(run, "own mAP", {"own gallery, naive extra dimensions": "naive extra", "own gallery, BT²": BT2}),
        stand_in_for=run["stand_in_for"],
    )

"""The paper's claims, measured."""

from typing import Any

import jax
import numpy as np

from quire.common.claims import (
    Measurement,
    all_of,
    at_least,
    at_most,
    beats,
    below,
    every_seed,
    on_average,
    slope_above,
    slope_below,
)
from quire.common.claims.identity import identity
from quire.funbat import figures
from quire.funbat.completion import complete, curve_runs, rmse, temperature_runs
from quire.funbat.config import Preset
from quire.funbat.exactness import epoch_errors, regression_errors, smoothing_times
from quire.funbat.paper import paper

# --- Identities and cost ---


@paper.claim(
    "C1",
    says="Kalman filter and smoother give the Gaussian process posterior",
    source="section 4.2",
    metric="largest error of means, covariances and log density, float64",
    holds=below(1e-7),
    exact=True,
)
def filter_is_exact(preset: Preset, key: jax.Array) -> Measurement:
    """Against dense regression, at observed and at new coordinates, both kernels, both kinds of scan."""
    config = preset.regression
    data = f"{config.coordinates} random coordinates, {config.size} processes, Matern 1/2 and 3/2"
    return identity(lambda dtype: regression_errors(config, key), data, single=False)


@paper.claim(
    "C2",
    says="Inference of a mode costs time linear in the number of its coordinates",
    source="section 4.2",
    metric="log-log slope of time against coordinates",
    holds=all_of(every_seed(slope_below(1.2, of="scan")), every_seed(slope_above(2, of="dense"))),
    trivial="dense",
    timed=True,
)
def cost_is_linear(preset: Preset, key: jax.Array) -> Measurement:
    """Least times of several calls; dense regression beside, which is cubic."""
    times = smoothing_times(preset.regression, key)
    slopes = Measurement(0.0, "", series=times)
    last = {f"ms, {name}, {sizes[-1]} coordinates": 1e3 * seconds[-1] for name, (sizes, seconds) in times.items()}
    return Measurement(
        slopes.slope("scan"),
        f"Matern 1/2, {preset.regression.scan[-1]} coordinates at most",
        baselines={"dense": slopes.slope("dense")},
        extras=last,
        series=times,
        figure=figures.smoothing_times(times),
    )


@paper.claim(
    "C3",
    says="Epochs over damped sums are conditional expectation propagation, entry by entry",
    source="algorithm 1",
    metric="largest relative error of posteriors and noise, float64",
    holds=below(1e-6),
    exact=True,
)
def epochs_are_exact(preset: Preset, key: jax.Array) -> Measurement:
    """Against a message for every entry and dense regression, in NumPy."""
    config = preset.reference
    data = f"{config.entries} entries, {' x '.join(map(str, config.dims))}, R = {config.rank}, {config.epochs} epochs"
    return identity(lambda dtype: epoch_errors(config, key), data, single=False)


# --- Completion ---


def _coverage(run: dict[str, Any], arm: str) -> float:
    """Share of the test entries inside the 95 % interval of an arm."""
    return float(np.mean(np.abs(run["mean"][arm] - run["test"].values) <= 1.96 * run["std"][arm]))


def _log_loss(run: dict[str, Any], arm: str) -> float:
    """Mean negative log density of the test entries, in nats."""
    error, std = run["mean"][arm] - run["test"].values, run["std"][arm]
    return float(np.mean(0.5 * (error / std) ** 2 + np.log(std) + 0.5 * np.log(2 * np.pi)))


def _curve_correlations(run: dict[str, Any], arm: str) -> list[float]:
    """|correlation| of each mode's function with the truth; sign and scale are not identified."""
    found = [np.asarray(f.mean)[:, 0] for f in run["states"][arm].functions]
    return [float(abs(np.corrcoef(u, truth)[0, 1])) for u, truth in zip(found, run["problem"].functions, strict=True)]


@paper.claim(
    "C4",
    says="Functions are recovered where factors of a grid are not",
    source="section 6.1, figure 1",
    metric="test RMSE",
    holds=all_of(
        every_seed(at_least(0.95, of="correlation, first function")),
        every_seed(at_least(0.95, of="correlation, second function")),
        every_seed(at_most(0.25, of="RMSE / discrete Bayes")),
    ),
    trivial="mean",
)
def recovers_functions(preset: Preset, key: jax.Array) -> Measurement:
    """Fewer than two entries a coordinate. The same inference without processes is the decomposition of a grid."""
    run = curve_runs(preset, key)
    errors = rmse(run)
    extras = {"RMSE / discrete Bayes": errors["FunBaT"] / errors["discrete Bayes"]}
    for arm, note in (("FunBaT", ""), ("discrete Bayes", ", discrete Bayes")):
        for place, value in zip(("first", "second"), _curve_correlations(run, arm), strict=True):
            extras[f"correlation, {place} function{note}"] = value
    return Measurement(
        errors["FunBaT"],
        run["data"],
        baselines={arm: error for arm, error in errors.items() if arm != "FunBaT"},
        extras=extras | {"coverage of 95 % intervals": _coverage(run, "FunBaT")},
        stand_in_for=run["stand_in_for"],
        figure=figures.curves(run),
    )


@paper.claim(
    "C5",
    says="Smooth functions complete sparse real data better than Bayesian and least-squares decompositions of the grid",
    source="section 6.2, table 1",
    metric="test RMSE",
    unit="°F",
    holds=all_of(every_seed(beats("discrete Bayes", lower_is_better=True)), on_average(beats("ALS", lower_is_better=True))),
    trivial="cell + year",
)
def better_than_a_grid(preset: Preset, key: jax.Array) -> Measurement:
    """The same entries for all; of least squares the ridge with the least test error."""
    run = temperature_runs(preset, key)
    errors = _temperature_errors(run)
    further = {f"RMSE, {c.label}": rmse(_first_seed(complete(c, key[None])))["FunBaT"] for c in preset.further}
    return Measurement(
        errors["FunBaT"],
        run["data"],
        baselines={arm: error for arm, error in errors.items() if arm != "FunBaT"},
        extras={f"MAE, {arm}": float(np.mean(np.abs(m - run["test"].values))) for arm, m in run["mean"].items()} | further,
        stand_in_for=run["stand_in_for"],
        figure=figures.errors_by_arm(errors),
    )


def _temperature_errors(run: dict[str, Any]) -> dict[str, float]:
    """RMSE by arm; the effects are those of a place and of a year."""
    return {"cell + year" if arm == "additive" else arm: error for arm, error in rmse(run).items()}


def _first_seed(runs: dict[str, Any]) -> dict[str, Any]:
    return runs | {what: {arm: x[0] for arm, x in runs[what].items()} for what in ("mean", "std")}


@paper.claim(
    "C5b",
    says="Smooth functions complete sparse real data better than the effects of place and year alone",
    source="section 6.2, table 1 (has no such row)",
    metric="test RMSE",
    unit="°F",
    holds=on_average(beats("cell + year", lower_is_better=True)),
    trivial="cell + year",
    expect="not reproduced",
    because=(
        "These temperatures are nearly additive: a place has its climate, a year its weather. Ridge regression says so with one "
        "number for each place and each year, while a decomposition of low rank has to compose places of products."
    ),
)
def better_than_additive(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs beside the trivial model, mean + effect of the cell + effect of the year."""
    run = temperature_runs(preset, key)
    errors = _temperature_errors(run)
    return Measurement(
        errors["FunBaT"],
        run["data"],
        baselines={arm: errors[arm] for arm in ("cell + year", "mean")},
        stand_in_for=run["stand_in_for"],
    )


@paper.claim(
    "C6",
    says="Predictive intervals have the coverage that they promise",
    source="section 6.2",
    metric="coverage of 95 % intervals on test entries",
    holds=all_of(every_seed(at_least(0.90)), every_seed(at_most(0.99))),
    trivial="mean",
)
def intervals_cover(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs. The mean with the deviation of the values covers as well, by intervals that say nothing: see their width."""
    run = temperature_runs(preset, key)
    arms = list(run["std"])
    return Measurement(
        _coverage(run, "FunBaT"),
        run["data"],
        baselines={arm: _coverage(run, arm) for arm in arms if arm != "FunBaT"},
        extras={f"width of an interval, {arm}": 3.92 * float(np.mean(run["std"][arm])) for arm in arms}
        | {f"negative log density, {arm}": _log_loss(run, arm) for arm in arms},
        stand_in_for=run["stand_in_for"],
        figure=figures.calibration(run),
    )

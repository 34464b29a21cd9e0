"""The claims: exact ones (P1, P3c), how far invariance reaches (P2 to P4, P7, P8), its use (P5), bounds and samples (P6, P9)."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import numpy as np

from quire.common.claims import (
    Measurement,
    above,
    all_of,
    at_least,
    at_most,
    beats,
    below,
    every_seed,
    on_average,
    slope_close_to,
)
from quire.common.claims.identity import identity
from quire.common.metrics.rank_correlation import spearman
from quire.pac_invariance import figures
from quire.pac_invariance.bound_study import bound_counts, bound_study, interventions_needed
from quire.pac_invariance.bounds import pac_bound_finite
from quire.pac_invariance.config import Preset, Sweep
from quire.pac_invariance.identities import ERM_GAP, LEAST, change_spectrum, parent_errors
from quire.pac_invariance.paper import paper
from quire.pac_invariance.risk_study import ERM, INVARIANT, MEAN, PARENTS, risk_study
from quire.pac_invariance.sampling_study import ONE_GAP, gap_errors
from quire.pac_invariance.violation_study import LARGE, by_dimension, by_family, unfaithful_study

SEEDS = 6
ANY = "any representation"
SMALL = 8
"""Nodes that P3 begins with, and training interventions of P2 and P4."""


@paper.claim(
    "P1",
    says="The parents of the target are invariant under all interventions elsewhere; all covariates together are not",
    source="definition of invariance; structural equations",
    metric="largest gap of the parents, float64; all covariates: mean over models",
    holds=all_of(below(1e-10), below(1e-3, of="float32"), above(0.1, of=ERM_GAP)),
    exact=True,
)
def parents_are_invariant(preset: Preset, key: jax.Array) -> Measurement:
    """Random models; edges scaled, shifted or cut, noise of other variance and mean, a child of the target among the sites."""
    of_all = []

    def errors(dtype):
        found = parent_errors(key, preset.identity_sems, dtype)
        of_all.append({name: found.pop(name) for name in (ERM_GAP, LEAST)})
        return found

    measured = identity(errors, f"{preset.identity_sems} models of 8 nodes, 6 interventions each")
    return Measurement(measured.value, measured.data, extras={**measured.extras, **of_all[0]})


@paper.claim(
    "P1b",
    says="In every single model the gap of all covariates together exceeds a tenth of a unit",
    source="definition of invariance, read for each model instead of on average",
    metric="smallest gap of all covariates over the models, float64",
    holds=every_seed(above(0.1)),
    trivial=PARENTS,
    expect="partly",
    because="where the parents explain nearly all of the target no gap is large: it is bounded by the target's own noise, of "
    "which now and then a model has hardly any",
)
def covariates_are_not(preset: Preset, key: jax.Array) -> Measurement:
    """The models of P1, which all have a child of the target among the sites."""
    with jax.enable_x64():
        found = parent_errors(key, preset.identity_sems, np.float64)
    data = f"{preset.identity_sems} models of 8 nodes, 6 interventions each"
    return Measurement(found[LEAST], data, baselines={PARENTS: found["gradient gap"]}, extras={ERM_GAP: found[ERM_GAP]})


def _labels(name: str, counts: Sequence[int], values: np.ndarray) -> dict[str, float]:
    return {f"{name}, m = {m}": float(value) for m, value in zip(counts, values, strict=True)}


def _steps(counts: Sequence[int], curve: np.ndarray) -> dict[str, float]:
    """What the violation rate gains from one power of two to the next."""
    at = dict(zip(counts, map(float, curve), strict=True))
    return {f"m = {m} to {2 * m}": at[2 * m] - at[m] for m in (1, 2, 4, 8, 16)}


FALLS = (
    *(on_average(at_most(0, of=f"m = {m} to {2 * m}")) for m in (1, 2, 4, 8, 16)),
    at_most(0.2, of="violation, m = 8"),
    at_most(0.06),
)


@paper.claim(
    "P2",
    says="What is invariant on a few training interventions is so on most unseen ones; the share of exceptions falls like 1/m",
    source="abstract; main theorem",
    metric="violation rate of the worst representation that is invariant on 32 interventions",
    holds=all_of(*FALLS),
    trivial=ANY,
    seeds=SEEDS,
)
def generalises(preset: Preset, key: jax.Array) -> Measurement:
    """Subsets of at most two covariates, two sites next to the target."""
    config, study = preset.sweep, by_dimension(preset, key)
    curve = study["worst"][0]
    return Measurement(
        float(curve[config.counts.index(32)]),
        _data(config, config.dims[0]),
        baselines={ANY: float(study["random"][0, config.counts.index(32)])},
        extras=_labels("violation", config.counts, curve)
        | _steps(config.counts, curve)
        | {"share of representations, m = 32": float(study["invariant"][0, config.counts.index(32)])},
        series={"violation": (config.counts, curve)},
    )


def _data(config: Sweep, p: int) -> str:
    return f"{config.num_sems} models of {p} nodes, {config.num_test} unseen interventions"


LEVEL = 0.1


def crossing(counts: Sequence[int], curve: np.ndarray, level: float = LEVEL) -> float:
    """The number of interventions at which a curve last comes down to the level, between two counts by straight lines in log m.

    A curve that stays above has not come down: infinite.

    >>> crossing((1, 2, 4), np.array([0.9, 0.2, 0.0]))
    2.82842712474619
    """
    if not curve[-1] <= level:
        return float("inf")
    last = int(np.max(np.flatnonzero(~(curve <= level)), initial=-1))
    if last < 0:
        return float(counts[0])
    share = (curve[last] - level) / (curve[last] - curve[last + 1])
    return float(np.exp(np.log(counts[last]) + share * np.log(counts[last + 1] / counts[last])))


def _needed(preset: Preset, key: jax.Array) -> dict[int, float]:
    config, study = preset.sweep, by_dimension(preset, key)
    return {p: crossing(config.counts, curve) for p, curve in zip(config.dims, study["worst"], strict=True)}


def _class_size(p: int, config: Sweep) -> int:
    return sum(math.comb(p - 1, size) for size in range(1, config.max_size + 1))


def _dimension_measurement(preset: Preset, key: jax.Array, value: float, baselines: dict[str, float]) -> Measurement:
    needed = _needed(preset, key)
    return Measurement(
        value,
        _data(preset.sweep, preset.sweep.dims[-1]).replace(f"{preset.sweep.dims[-1]} nodes", f"{preset.sweep.dims} nodes"),
        baselines=baselines,
        extras={f"interventions, p = {p}": m for p, m in needed.items()},
    )


@paper.claim(
    "P3",
    says="With the sites fixed, a larger model hardly needs more interventions: four times the nodes, at most twice as many",
    source="abstract; theorem for a constant number of sites of bounded in-degree",
    metric="interventions for violation 0.1 at 32 nodes / at 8 nodes",
    holds=on_average(at_most(2)),
    trivial="in proportion to p - 1",
    seeds=SEEDS,
)
def hardly_grows(preset: Preset, key: jax.Array) -> Measurement:
    """The same study, for all numbers of nodes."""
    needed, sizes = _needed(preset, key), [_class_size(p, preset.sweep) for p in (SMALL, LARGE)]
    bounds = [pac_bound_finite(size, LEVEL, 0.05) for size in sizes]
    baselines = {"in proportion to p - 1": (LARGE - 1) / (SMALL - 1), "bound of the finite class": bounds[1] / bounds[0]}
    return _dimension_measurement(preset, key, needed[LARGE] / needed[SMALL], baselines)


@paper.claim(
    "P3b",
    says="With the sites fixed, the number of interventions does not grow with the model at all",
    source="abstract, read as a statement of what is needed rather than of a bound",
    metric="slope of log interventions against log nodes",
    holds=at_most(0.1),
    trivial="in proportion to p",
    seeds=SEEDS,
    expect="not reproduced",
    because="a larger model has more subsets, and the worst of more is worse; there is a bound without the dimension, but it "
    "lies far above what is needed at these sizes",
)
def does_not_grow(preset: Preset, key: jax.Array) -> Measurement:
    """The same study; the statement of the paper is about an upper bound, which this does not contradict."""
    needed = _needed(preset, key)
    slope = float(np.polyfit(np.log(list(needed)), np.log(list(needed.values())), 1)[0])
    return _dimension_measurement(preset, key, slope, {"in proportion to p": 1.0})


@paper.claim(
    "P3c",
    says="Interventions at few sites of few parents change the covariance in few directions, in any dimension",
    source="argument for bounds that do not depend on the dimension",
    metric="largest singular value beyond sites + parents of sites, relative, float64",
    holds=all_of(
        below(1e-10), at_least(1, of="rank, smallest over p"), at_most(0, of="allowed rank above sites (1 + in-degree)")
    ),
    exact=True,
)
def few_directions(preset: Preset, key: jax.Array) -> Measurement:
    """All changes of the covariance side by side, models of several sizes."""
    with jax.enable_x64():
        found = {p: change_spectrum(jax.random.fold_in(key, p), p, 2) for p in preset.sweep.dims}
    beyond = [values[rank] if rank < len(values) else 0.0 for values, rank in found.values()]
    seen = [int((values > 1e-10).sum()) for values, _ in found.values()]
    return Measurement(
        float(np.max(beyond)),
        f"models of {preset.sweep.dims} nodes, 2 sites",
        extras={"rank, smallest over p": min(seen), "rank, largest over p": max(seen)}
        | {"allowed rank above sites (1 + in-degree)": max(rank for _, rank in found.values()) - 2 * 3},
        figure=figures.ranks({f"p = {p}": values[: min(len(values), 16)] for p, (values, _) in found.items()}),
    )


@paper.claim(
    "P4",
    says="More sites and higher in-degrees need more interventions",
    source="bounds that grow with both",
    metric="rank correlation of the number of sites with the violation rate after 8 interventions",
    holds=all_of(above(0), above(0, of="trend, in-degree")),
    trivial=ANY,
    seeds=SEEDS,
)
def grows_with_the_family(preset: Preset, key: jax.Array) -> Measurement:
    """Models of 32 nodes, sites at random; the trivial rival chooses nothing: interventions that move more violate more.

    Beside it, sites next to the target: each further one makes wrong subsets fail so often that few of them survive training.
    """
    config, study = preset.sweep, by_family(preset, key)
    values = {"sites": config.sites, "in-degree": config.in_degrees, "sites next to the target": config.sites}
    trend = {name: spearman(np.array(x), study[f"{name}, worst"]) for name, x in values.items()}
    rates = {
        f"violation, {name} {x}": float(rate)
        for name, several in values.items()
        for x, rate in zip(several, study[f"{name}, worst"], strict=True)
    }
    return Measurement(
        trend["sites"],
        f"{config.num_family_sems} models of {LARGE} nodes, {config.num_test // 2} unseen interventions",
        baselines={ANY: spearman(np.array(config.sites), study["sites, random"])},
        extras={f"trend, {name}": value for name, value in trend.items() if name != "sites"} | rates,
    )


@paper.claim(
    "P5",
    says="Under strong unseen interventions an invariant predictor beats pooled least squares, which is better in distribution",
    source="motivation; invariant prediction",
    metric="share of models in which the worst risk of the invariant subset is below that of ERM",
    holds=all_of(at_least(0.8), beats(MEAN), above(0, of="risk in distribution above that of ERM")),
    trivial=MEAN,
    seeds=SEEDS,
)
def robust_under_strong_interventions(preset: Preset, key: jax.Array) -> Measurement:
    """Learned from samples of weak interventions; zero as a prediction is the rival that needs no data."""
    config, study = preset.risk, risk_study(preset, key)
    worst, inside = study["worst"], study["in distribution"]
    share = {name: float(np.mean(values < worst[ERM])) for name, values in worst.items() if name != ERM}
    irm = max((name for name in share if name.startswith("IRM")), key=share.__getitem__)
    shown = [name for name in share if not name.startswith("IRM") and name != INVARIANT]
    return Measurement(
        share[INVARIANT],
        f"{config.num_sems} models of {config.num_nodes} nodes, {config.num_train} environments of {config.num_samples} samples",
        baselines={name: share[name] for name in shown} | {"IRM, best penalty in hindsight": share[irm]},
        extras={f"worst risk, median, {name}": float(np.median(values)) for name, values in worst.items()}
        | {f"risk in distribution, {name}": float(np.mean(values)) for name, values in inside.items()}
        | {"risk in distribution above that of ERM": float(np.mean(inside[INVARIANT] - inside[ERM]))},
    )


@paper.claim(
    "P6",
    says="With as many training interventions as the bound for a finite class asks for, the promise is broken at most rarely",
    source="PAC argument for a finite class",
    metric="share of the repetitions in which some representation breaks the promise",
    holds=all_of(at_most(0.05), at_most(0.05, of="predictors fixed beforehand")),
    trivial="one intervention",
)
def bound_holds(preset: Preset, key: jax.Array) -> Measurement:
    """All subsets; predictors pooled over the training interventions, and, as the proof wants them, fixed beforehand."""
    config = preset.bound
    counts, worst = bound_counts(config), bound_study(key, config)
    broken = {name: (rates > config.violation).mean(0) for name, rates in worst.items()}
    needs = partial(interventions_needed, counts=counts, delta=config.delta)
    enough = {name: [needs(rates, level=level) for level in config.levels] for name, rates in worst.items()}
    bounds = [pac_bound_finite(2 ** (config.num_nodes - 1) - 1, level, config.delta) for level in config.levels]
    return Measurement(
        float(broken["pooled"][-1]),
        f"{len(worst['pooled'])} repetitions, {counts[-1]} interventions each, {2 ** (config.num_nodes - 1) - 1} representations",
        baselines={"one intervention": float(broken["pooled"][0])},
        extras={"predictors fixed beforehand": float(broken["fixed"][-1])}
        | {f"enough for {level:g}": m for level, m in zip(config.levels, enough["pooled"], strict=True)}
        | {f"bound for {level:g}": float(m) for level, m in zip(config.levels, bounds, strict=True)}
        | _labels("broken", counts, broken["pooled"]),
        figure=figures.bound(
            config.levels,
            {"enough, pooled predictors": enough["pooled"], "enough, fixed predictors": enough["fixed"]},
            bounds,
        ),
    )


AGAIN, COORDINATES = "not mixed, other interventions", "subsets of what is seen"


@paper.claim(
    "P7",
    says="Seen through a linear map, latent models generalise at the same rates",
    source="linear indirect observation model",
    metric="mean distance of the violation curve from that without mixing",
    holds=on_average(beats(AGAIN, by=-0.02, lower_is_better=True)),
    trivial=COORDINATES,
    seeds=SEEDS,
)
def mixing_changes_nothing(preset: Preset, key: jax.Array) -> Measurement:
    """The models of P2 with fresh interventions; how far fresh interventions alone move the curve stands beside."""
    config, study = preset.sweep, by_dimension(preset, key)
    direct = study["worst"][0]
    off = {name: float(np.abs(study[name] - direct).mean()) for name in ("mixed", "again", "coordinates")}
    return Measurement(
        off["mixed"],
        _data(config, config.dims[0]) + f", seen as {2 * (config.dims[0] - 1)} numbers",
        baselines={AGAIN: off["again"], COORDINATES: off["coordinates"]},
        extras=_labels("violation", config.counts, study["mixed"]) | _labels(COORDINATES, config.counts, study["coordinates"]),
    )


@paper.claim(
    "P8",
    says="None of this needs faithfulness: a cause that does not correlate with the target is no obstacle",
    source="abstract: without faithfulness assumptions",
    metric="violation rate of the worst representation that is invariant on 32 interventions",
    holds=all_of(*FALLS, beats("screened by correlation", by=0.2, lower_is_better=True, of="risk of the best invariant subset")),
    trivial=ANY,
    seeds=SEEDS,
)
def faithfulness_is_not_needed(preset: Preset, key: jax.Array) -> Measurement:
    """Two paths from a cause cancel. Who first drops what does not correlate with the target loses the invariant predictor."""
    config, study = preset.sweep, unfaithful_study(key, preset.sweep)
    return Measurement(
        float(study["worst"][config.counts.index(32)]),
        _data(config, config.dims[0]),
        baselines={ANY: float(study["random"][config.counts.index(32)])},
        extras=_labels("violation", config.counts, study["worst"])
        | _steps(config.counts, study["worst"])
        | {
            "risk of the best invariant subset": float(study["risk, all subsets"].mean()),
            "screened by correlation": float(study["risk, screened"].mean()),
            "correlation of the cause with the target": float(study["correlation"].max()),
        },
    )


@paper.claim(
    "P9",
    says="With n samples from each environment the gap is known up to an error that falls as n^(-1/2)",
    source="finite samples from each environment",
    metric="mean error of the gap at the most samples",
    holds=all_of(slope_close_to(-0.5, atol=0.1, of="error"), beats(ONE_GAP, lower_is_better=True)),
    trivial=ONE_GAP,
)
def samples_suffice(preset: Preset, key: jax.Array) -> Measurement:
    """Subsets with the predictors of the population, gaps of samples against gaps of covariances."""
    return gap_errors(preset, key)

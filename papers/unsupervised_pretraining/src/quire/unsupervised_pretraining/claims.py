"""The claims of the paper, in its order: U1 to U8."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from quire.common.claims import (
    Measurement,
    above,
    all_of,
    at_least,
    at_most,
    beats,
    slope_close_to,
)
from quire.common.claims.criteria import confidence_interval
from quire.common.claims.measurement import log_log_slope
from quire.common.random import generator
from quire.unsupervised_pretraining import figures
from quire.unsupervised_pretraining.config import Preset
from quire.unsupervised_pretraining.contrast_study import contrast_study
from quire.unsupervised_pretraining.factor_model import FactorModel
from quire.unsupervised_pretraining.factor_study import crossover_study, factor_study, likelihood_study, silent_study
from quire.unsupervised_pretraining.mixture_study import mixture_study
from quire.unsupervised_pretraining.paper import paper
from quire.unsupervised_pretraining.sweeps import factor_problem

SEEDS = 6
LABELS_ONLY = ("least squares", "ridge", "nothing learned")
"""What does without inputs that have no labels; the last one knows nothing at all."""


@paper.claim(
    "U1",
    says="The closed form of the factor model is the maximum of the likelihood",
    source="section on factor models",
    metric="largest entry of the gradient of the NLL at the estimate, float64",
    holds=all_of(
        at_most(1e-8),
        at_most(0, of="NLL at the estimate - NLL at the truth"),
        at_least(0, of="least rise of the NLL by a perturbation"),
    ),
    exact=True,
)
def closed_form(preset: Preset, key: jax.Array) -> Measurement:
    """As many factors as there are, and as many as there could be, most of which the noise explains better."""
    config, draw = preset.likelihood, generator(key)
    problem = factor_problem(config.d, config.r, 0.0, draw)
    x, _ = problem.draw(config.ms[0], draw)
    moves = draw.standard_normal((60, config.d, config.d)) * np.repeat([1e-2, 1e-1, 1.0], 20)[:, None, None]
    moves[:, :, config.r :] = 0
    truth = np.pad(problem.loadings, ((0, 0), (0, config.d - config.r)))
    with jax.enable_x64():
        gradient, above_truth, rise = map(float, _likelihood(x.T @ x / len(x), truth, moves, config.r))
    return Measurement(
        gradient,
        f"{len(x)} inputs, d = {config.d}, r = {config.r} and r = d",
        extras={
            "NLL at the estimate - NLL at the truth": above_truth,
            "least rise of the NLL by a perturbation": rise,
        },
    )


@partial(jax.jit, static_argnames="r")
def _likelihood(s, truth, moves, r: int) -> tuple[Array, Array, Array]:
    """Largest gradient at the estimates of r and of d factors; NLL of the first against the truth and against perturbations."""
    nll = lambda b: FactorModel(b).nll(s)  # noqa: E731
    largest = FactorModel.from_second_moments(s, len(s)).loadings
    fitted = largest * (jnp.arange(len(s)) < r)[None]  # columns of zeros are no factors: one shape serves every r
    slopes = jax.lax.map(jax.grad(nll), jnp.stack([fitted, largest]))
    others = jax.lax.map(nll, jnp.concatenate([truth[None], fitted[None] + moves]))
    return jnp.abs(slopes).max(), nll(fitted) - others[0], (others[1:] - nll(fitted)).min()


def _at(study: Mapping[str, np.ndarray], name: str, kind: int, n: int) -> np.ndarray:
    """Excess risks `[draws]` of a method on one kind of problem with the n-th number of labels; there is one m."""
    risks = study[name][kind]
    return risks if risks.ndim == 1 else risks.reshape(len(risks), -1)[:, n]


def _means(study: Mapping[str, np.ndarray], kind: int, n: int) -> dict[str, float]:
    """Means over draws, by method."""
    return {name: float(_at(study, name, kind, n).mean()) for name in ("two-phase", "true model", *LABELS_ONLY)}


def _baselines(means: Mapping[str, float]) -> dict[str, float]:
    return {name: means[name] for name in LABELS_ONLY}


def _factors(preset: Preset) -> str:
    config = preset.factors
    return f"{config.draws} factor models, d = {config.dims[1]}, r = {config.r}, m = {config.m}"


@paper.claim(
    "U2",
    says="Pretraining takes the dimension out of the excess risk: it does not grow with d, that of least squares does",
    source="abstract; section on factor models",
    metric="excess risk of two-phase at the larger d",
    holds=all_of(at_most(1.5, of="ratio, two-phase"), at_least(3, of="ratio, least squares")),
    trivial="nothing learned",
    seeds=SEEDS,
)
def dimension_is_gone(preset: Preset, key: jax.Array) -> Measurement:
    """The first n; ratios of the larger d to the smaller, of means over draws. Loadings are standard normal at every d."""
    study, config = factor_study(preset, key), preset.factors
    small, large = _means(study, 0, 0), _means(study, 1, 0)
    return Measurement(
        large["two-phase"],
        f"{_factors(preset)}, n = {config.ns[0]}; the smaller d = {config.dims[0]}",
        baselines=_baselines(large),
        extras={f"ratio, {name}": large[name] / small[name] for name in large} | {"true model": large["true model"]},
        figure=figures.dimensions(config.dims, {name: np.array([small[name], large[name]]) for name in large}),
    )


def _falls(preset: Preset, key: jax.Array, part: slice) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sizes n and curves of mean excess risks at the larger d."""
    study, config = factor_study(preset, key), preset.factors
    sizes = np.array(config.ns)[part]
    by_n = [_means(study, 1, n) for n in range(len(config.ns))][part]
    return sizes, {name: np.array([at[name] for at in by_n]) for name in by_n[0]}


@paper.claim(
    "U3",
    says="With enough unlabelled inputs the excess risk falls as 1 / n, and so does that of least squares",
    source="abstract; section on factor models",
    metric="excess risk of two-phase at four times the labels",
    holds=all_of(
        at_least(3, of="fall, two-phase"),
        slope_close_to(-1, atol=0.3, of="two-phase"),
        slope_close_to(-1, atol=0.3, of="least squares"),
    ),
    trivial="nothing learned",
    seeds=SEEDS,
    expect="partly",
    because="least squares goes as d / (n - d - 1), which near n = d is steeper than 1 / n; from several times d on it keeps "
    "to the line, see U3b",
)
def rate_in_labels(preset: Preset, key: jax.Array) -> Measurement:
    """The first three n, of which the last is four times the first."""
    sizes, curves = _falls(preset, key, slice(0, 3))
    shown = {name: curves[name] for name in ("two-phase", "least squares", "ridge")}
    everything = _falls(preset, key, slice(None))
    return Measurement(
        float(curves["two-phase"][-1]),
        f"{_factors(preset)}, n = {sizes[0]} to {sizes[-1]}",
        baselines={name: float(curves[name][-1]) for name in LABELS_ONLY},
        extras={f"fall, {name}": float(curve[0] / curve[-1]) for name, curve in shown.items()}
        | {f"slope, {name}": log_log_slope(sizes, curve) for name, curve in shown.items()},
        series={name: (sizes, curve) for name, curve in shown.items()},
        figure=figures.rates(*everything, preset.factors.dims[1], preset.factors.noise),
    )


@paper.claim(
    "U3b",
    says="Where labels are many times d, two-phase and least squares both fall as 1 / n",
    source="abstract; section on factor models",
    metric="excess risk of two-phase at the largest n",
    holds=all_of(slope_close_to(-1, atol=0.3, of="two-phase"), slope_close_to(-1, atol=0.3, of="least squares")),
    trivial="nothing learned",
    seeds=SEEDS,
)
def rate_far_from_d(preset: Preset, key: jax.Array) -> Measurement:
    """The last two n."""
    sizes, curves = _falls(preset, key, slice(-2, None))
    shown = {name: curves[name] for name in ("two-phase", "least squares")}
    return Measurement(
        float(curves["two-phase"][-1]),
        f"{_factors(preset)}, n = {sizes[0]} and {sizes[-1]}",
        baselines={name: float(curves[name][-1]) for name in LABELS_ONLY},
        extras={f"slope, {name}": log_log_slope(sizes, curve) for name, curve in shown.items()},
        series={name: (sizes, curve) for name, curve in shown.items()},
    )


@paper.claim(
    "U4",
    says="With many labels, what is left of the excess risk falls with the number of unlabelled inputs",
    source="abstract; theorem on the two phases",
    metric="excess risk of two-phase at the largest m",
    holds=all_of(at_least(5, of="fall from the smallest m"), above(0, of="least fall from one m to the next")),
    trivial="nothing learned",
    seeds=SEEDS,
)
def term_in_unlabelled(preset: Preset, key: jax.Array) -> Measurement:
    """Weak loadings, the largest n; means over draws."""
    study, config = crossover_study(preset, key), preset.crossover
    means = {name: values.mean(0) for name, values in study.items()}
    curve = means["two-phase"][:, -1]
    return Measurement(
        float(curve[-1]),
        f"{config.draws} factor models, d = {config.d}, r = {config.r}, loadings of {config.strength:g}, n = {config.ns[-1]}",
        baselines={name: float(np.ravel(means[name])[-1]) for name in LABELS_ONLY},
        extras={
            "fall from the smallest m": float(curve[0] / curve[-1]),
            "least fall from one m to the next": float((curve[:-1] - curve[1:]).min()),
            **{f"m = {m}": float(value) for m, value in zip(config.ms, curve, strict=True)},
        },
        series={"two-phase": (config.ms, curve)},
        figure=figures.crossover(config.ms, config.ns, means),
    )


@paper.claim(
    "U5",
    says="Where components of a mixture stand apart, pretraining makes few labels suffice; where they overlap, it gains nothing",
    source="section on Gaussian mixtures",
    metric="error of two-phase",
    holds=all_of(at_least(0, of="half of the supervised error - error"), at_most(0, of="gain where they overlap, lower end")),
    trivial="majority class",
    seeds=10,
)
def few_labels_suffice(preset: Preset, key: jax.Array) -> Measurement:
    """Errors at `few` labels, the supervised one that of the classifier which is best on average over seeds."""
    study, config = mixture_study(preset, key), preset.mixture
    few = config.ns.index(config.few)
    names = ("linear discriminant", "logistic regression", "end to end", "majority class")
    apart, overlapping = ({n: float(np.ravel(study[n][i])[few if study[n][i].ndim else 0]) for n in names} for i in (0, 1))
    errors = study["two-phase"][:, few]
    return Measurement(
        float(errors[0]),
        f"{config.k} components, d = {config.d}, distance {config.separations[0]:g}, m = {config.m}, n = {config.few}",
        baselines=apart,
        extras={
            "half of the supervised error - error": float(study["supervised"][0] / 2 - errors[0]),
            "Bayes": float(study["Bayes"][0]),
            "true mixture": float(study["true mixture"][0, few]),
            "gain where they overlap": float(study["supervised"][1] - errors[1]),
            "gain where they overlap, lower end": float(study["gain, lower end"][1]),
            "two-phase where they overlap": float(errors[1]),
            **{f"{name} where they overlap": value for name, value in overlapping.items()},
        },
        figure=figures.mixture(config.ns, {n: study[n][0] for n in ("two-phase", *names[:2])}, study["Bayes"][0]),
    )


@paper.claim(
    "U6",
    says="Contrastive pretraining finds linear features up to a rotation, and a head on them needs fewer labels than a map of x",
    source="section on contrastive learning",
    metric="excess risk of two-phase with the most pairs",
    holds=all_of(
        beats("least squares", lower_is_better=True), above(0, of="least fall of the Procrustes error from one m to the next")
    ),
    trivial="nothing learned",
    seeds=SEEDS,
)
def features_from_pairs(preset: Preset, key: jax.Array) -> Measurement:
    """Means over sets of labelled examples."""
    study, config = contrast_study(preset, key), preset.contrast
    error, risk = study["Procrustes error"], study["two-phase"].mean(0)
    return Measurement(
        float(risk[-1]),
        f"d = {config.d}, r = {config.r}, {config.ms[-1]} pairs, n = {config.n}, {config.draws} sets of labels",
        baselines={name: float(study[name].mean()) for name in LABELS_ONLY},
        extras={"least fall of the Procrustes error from one m to the next": float((error[:-1] - error[1:]).min())}
        | {f"Procrustes error, m = {m}": float(value) for m, value in zip(config.ms, error, strict=True)}
        | {f"excess risk, m = {m}": float(value) for m, value in zip(config.ms, risk, strict=True)},
        series={"Procrustes error": (config.ms, error)},
        figure=figures.contrast(config.ms, error, risk, {name: float(study[name].mean()) for name in LABELS_ONLY[:2]}),
    )


def _gain(study: Mapping[str, np.ndarray], kind: int) -> tuple[float, float, float]:
    """Excess risk of the best baseline on average, minus that of two-phase: mean and interval over draws, at the first n."""
    best = min((_at(study, name, kind, 0) for name in LABELS_ONLY), key=np.mean)
    mean, interval = confidence_interval(best - _at(study, "two-phase", kind, 0))
    return mean, *interval


@paper.claim(
    "U7",
    says="Without the informative condition pretraining gains nothing: labels that depend on what no factor shows",
    source="section on the informative condition",
    metric="excess risk of two-phase, labels of a coordinate without loadings",
    holds=all_of(
        at_most(0, of="gain, silent factor, lower end"),
        at_most(0, of="gain, silent coordinate, lower end"),
        above(0, of="gain, larger d, lower end"),
    ),
    trivial="nothing learned",
    seeds=SEEDS,
)
def informativeness_matters(preset: Preset, key: jax.Array) -> Measurement:
    """Gains over the best of the baselines with their intervals over draws; the informative problem of U2 beside them."""
    silent = silent_study(preset, key)
    gains = {
        "silent factor": _gain(silent, 0),
        "silent coordinate": _gain(silent, 1),
        "larger d": _gain(factor_study(preset, key), 1),
    }
    extras = {
        f"gain, {kind}{part}": value
        for kind, of_kind in gains.items()
        for part, value in zip(("", ", lower end", ", upper end"), of_kind, strict=True)
    }
    unseen, means = (_means(silent, kind, 0) for kind in (0, 1))
    return Measurement(
        means["two-phase"],
        f"{_factors(preset)}, n = {preset.factors.ns[0]}",
        baselines=_baselines(means),
        extras=extras | {f"silent factor, {name}": unseen[name] for name in ("two-phase", *LABELS_ONLY)},
    )


@paper.claim(
    "U8",
    says="The squared Hellinger distance of the maximum likelihood to the truth falls as (parameters) / m",
    source="lemma on maximum likelihood",
    metric="squared Hellinger distance at the largest m",
    holds=slope_close_to(-1, atol=0.2, of="factor model"),
    trivial="standard normal",
    seeds=3,
)
def likelihood_rate(preset: Preset, key: jax.Array) -> Measurement:
    """Means over draws; asymptotically `8 m H^2` is the number of free parameters, `d r - r (r - 1) / 2`."""
    config = preset.likelihood
    curves = {name: values.mean(0) for name, values in likelihood_study(config, key).items()}
    last = {name: float(curve[-1]) for name, curve in curves.items()}
    parameters = {
        "factor model": config.d * config.r - config.r * (config.r - 1) // 2,
        "sample covariance": config.d * (config.d + 1) // 2,
    }
    return Measurement(
        last["factor model"],
        f"{config.draws} factor models, d = {config.d}, r = {config.r}, m = {config.ms[0]} to {config.ms[-1]}",
        baselines={name: last[name] for name in ("sample covariance", "standard normal")},
        extras={"slope": log_log_slope(config.ms, curves["factor model"])}
        | {f"8 m H^2 / parameters, {name}": 8 * config.ms[-1] * last[name] / count for name, count in parameters.items()},
        series={name: (config.ms, curves[name]) for name in parameters},
        figure=figures.likelihood(config.ms, curves, parameters),
    )

"""The claims of the paper, in its order: C1 to C6."""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.attribute_cvae import figures
from quire.attribute_cvae.config import COMPARED, Preset
from quire.attribute_cvae.cvae import CVAE, elbo, hybrid_loss
from quire.attribute_cvae.gaussians import Normal, at_noise, gaussian_kl, log_density
from quire.attribute_cvae.generation import edit
from quire.attribute_cvae.judging import cvae_study
from quire.attribute_cvae.networks import Architecture, TransposedConv
from quire.attribute_cvae.paper import paper
from quire.attribute_cvae.study import of_beta
from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator

SEEDS = 3
STEPS = tuple(pairwise(COMPARED))
"""Weights from one to the next, which all presets have."""
NOISE = 0.01
"""By how much a step may go the wrong way and count as level."""


@paper.claim(
    "C1",
    says="The objective is the bound of a conditional VAE with a learned prior",
    source="section on the model",
    metric="largest relative error of the identities, float64",
    holds=all_of(below(1e-9), below(1e-4, of="float32")),
    exact=True,
)
def objective_is_exact(preset: Preset, key: jax.Array) -> Measurement:
    """The divergence by quadrature; the hybrid at its ends; editing to the same attributes; the transposed convolution."""
    draw = generator(key)
    numbers = draw.standard_normal((4, 6, 3))
    y, x = draw.random((6, 4, 4, 1)), draw.integers(0, 2, (6, 5)).astype(float)
    small = draw.standard_normal((2, 3, 5, 4))

    def errors(dtype: Any) -> dict[str, float]:
        q, p = (Normal(*(jnp.asarray(part, dtype) for part in pair)) for pair in (numbers[:2], numbers[2:]))
        model = CVAE((4, 4, 1), 5, 3, architecture=Architecture("mlp", (7,), (7,)), rngs=nnx.Rngs(0))
        model = nnx.merge(nnx.graphdef(model), jax.tree.map(lambda leaf: leaf.astype(dtype), nnx.state(model)))
        arrays = jnp.asarray(y, dtype), jnp.asarray(x, dtype)
        terms = model.recognise(*arrays)
        again = jax.nn.sigmoid(model.decode(terms.mean, arrays[1]))
        of_q, _ = jax.random.split(key)
        return {
            "divergence": _relative(gaussian_kl(*q, *p), _by_quadrature(q, p)),
            "hybrid at alpha 1": _relative(hybrid_loss(model, *arrays, key, 1.0, 2.0), elbo(model, *arrays, of_q, 2.0)[0]),
            "edit to what it is": _relative(edit(model, *arrays, arrays[1], "prior"), again),
            "transposed convolution": _transposed_error(jnp.asarray(small, dtype)),
        }

    return identity(errors, "random normal distributions, a small network, 3 x 5 pixels")


def _relative(actual, expected) -> float:
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def _by_quadrature(q: Normal, p: Normal, nodes: int = 8) -> np.ndarray:
    """`E_q[log q - log p]` of every coordinate by Gauss-Hermite quadrature, exact for squares."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    total = 0.0
    for point, weight in zip(points, weights / weights.sum(), strict=True):
        z = at_noise(q, jnp.full(q.mean.shape, point, q.mean.dtype))
        each = [log_density(z[..., None], Normal(of.mean[..., None], of.logvar[..., None])) for of in (q, p)]
        total = total + weight * (np.asarray(each[0], float) - np.asarray(each[1], float)).sum(-1)
    return np.asarray(total)


def _transposed_error(x: jax.Array) -> float:
    """Against XLA's convolution with zeros put between the pixels."""
    layer = TransposedConv(x.shape[-1], 2, rngs=nnx.Rngs(1))
    kernel = layer.kernel[...].astype(x.dtype)
    layer.kernel = nnx.Param(kernel)
    dims = ("NHWC", "HWIO", "NHWC")
    spread = jax.lax.conv_general_dilated(
        x, kernel[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=dims
    )
    return _relative(layer(x), spread)


@paper.claim(
    "C1b",
    says="The objective bounds the conditional log-likelihood from below",
    source="section on the model",
    metric="bound - estimate by importance sampling - 3 standard errors, nats an image",
    holds=at_most(0),
    exact=True,
    seeds=SEEDS,
)
def bound_is_below(preset: Preset, key: jax.Array) -> Measurement:
    """A trained model at beta 1, test images; the estimate by draws of the prior, which is far lower, beside it."""
    found = cvae_study(preset, key)["likelihoods"]
    gap = found["bound"] - found["CVAE, importance"]
    return Measurement(
        float(gap.mean() - 3 * gap.std(ddof=1) / np.sqrt(len(gap))),
        f"{len(gap)} test images, {preset.draws} draws",
        extras={
            "bound": float(found["bound"].mean()),
            "importance sampling": float(found["CVAE, importance"].mean()),
            "draws of the prior": float(found["CVAE, prior"].mean()),
        },
    )


def _by_beta(study: dict, preset: Preset, name: str) -> dict[float, float]:
    return {beta: float(study["scores"][of_beta(beta)][name]) for beta in preset.training.betas}


def _steps(name: str, values: dict[float, float]) -> dict[str, float]:
    return {f"{name}, beta {a:g} to {b:g}": values[b] - values[a] for a, b in STEPS}


def _levels(name: str, values: dict[float, float]) -> dict[str, float]:
    return {f"{name}, beta {beta:g}": value for beta, value in values.items()}


def _data(preset: Preset) -> str:
    return f"{preset.n_train} {preset.image_set}, {preset.n_test} for the test"


@paper.claim(
    "C2",
    says="A larger weight of the divergence makes what is generated for given attributes more plausible",
    source="abstract",
    metric="attributes that a probe sees in samples of the prior, largest beta",
    holds=all_of(
        *(on_average(at_least(-NOISE, of=f"{name}, beta {a:g} to {b:g}")) for name in ("samples", "swaps") for a, b in STEPS),
        *(on_average(above(0, of=f"{name}, beta 0.1 to 16")) for name in ("samples", "swaps")),
    ),
    trivial="chance",
    seeds=SEEDS,
)
def weight_controls(preset: Preset, key: jax.Array) -> Measurement:
    """Samples for the attributes of test images, and test images with the attributes of another image."""
    study = cvae_study(preset, key)
    samples, swaps, moved = (_by_beta(study, preset, name) for name in ("samples", "swaps", "moved swaps"))
    whole = {f"{name}, beta 0.1 to 16": by[16] - by[0.1] for name, by in (("samples", samples), ("swaps", swaps))}
    return Measurement(
        samples[16],
        _data(preset),
        baselines={"chance": 0.5, "real images": float(study["real"])},
        extras=whole
        | _steps("samples", samples)
        | _steps("swaps", swaps)
        | _levels("samples", samples)
        | _levels("swaps", swaps)
        | _levels("swaps moved with the prior", moved),
        figure=figures.by_beta(
            {"samples": samples, "swaps, z kept": swaps, "swaps, z moved with the prior": moved},
            float(study["real"]),
        ),
    )


@paper.claim(
    "C3",
    says="The price of a larger weight is the reconstruction",
    source="section on results",
    metric="mean squared error of reconstructions, largest beta",
    holds=all_of(
        *(on_average(above(0, of=f"error, beta {a:g} to {b:g}")) for a, b in STEPS),
        *(below(0, of=f"divergence, beta {a:g} to {b:g}") for a, b in STEPS),
        above(0, of="error, beta 0.1 to 16"),
    ),
    trivial="the mean image",
    seeds=SEEDS,
)
def reconstruction_pays(preset: Preset, key: jax.Array) -> Measurement:
    """Test images through the mean of q and back; the divergence in nats an image."""
    study = cvae_study(preset, key)
    error, kl = (_by_beta(study, preset, name) for name in ("mse", "kl"))
    return Measurement(
        error[16],
        _data(preset),
        baselines={"the mean image": float(np.mean((study["y"] - study["train"].mean(0)[None] / 255) ** 2))},
        extras={"error, beta 0.1 to 16": error[16] - error[0.1]}
        | _steps("error", error)
        | _steps("divergence", kl)
        | _levels("error", error)
        | _levels("divergence", kl),
        figure=figures.price(error, kl),
    )


@paper.claim(
    "C4",
    says="The learned prior has a mode for every set of attributes, at no cost in the bound",
    source="abstract",
    metric="attributes that a probe sees in samples, beta 1",
    holds=all_of(
        on_average(at_least(-0.5, of="bound, learned - normal prior")),
        beats("unconditional", by=0.25),
        on_average(at_least(1, of="attributes separable, beta 0.1")),
    ),
    trivial="unconditional",
    seeds=SEEDS,
    expect="partly",
    because="the prior has no place of its own for every attribute: what moves few pixels is left to the decoder, which knows it "
    "anyway; the bound and the control hold",
)
def prior_is_multimodal(preset: Preset, key: jax.Array) -> Measurement:
    """Against the other models.

    An attribute is separable if a hyperplane parts the means of the priors that have it from those that do not; a draw is told
    apart if no other set of attributes has a prior that is denser there.
    """
    study = cvae_study(preset, key)
    scores = study["scores"]
    return Measurement(
        float(scores[of_beta(1)]["samples"]),
        _data(preset),
        baselines={"unconditional": float(scores["VAE"]["samples"]), "normal prior": float(scores["normal prior"]["samples"])},
        extras={
            "bound, learned - normal prior": float(scores[of_beta(1)]["bound"] - scores["normal prior"]["bound"]),
            "bound, learned prior": float(scores[of_beta(1)]["bound"]),
            "bound, normal prior": float(scores["normal prior"]["bound"]),
            "bound, unconditional": float(scores["VAE"]["bound"]),
            "swaps, normal prior": float(scores["normal prior"]["swaps"]),
        }
        | {f"attributes separable, beta {beta:g}": float(share) for beta, share in study["separable"].items()}
        | {f"draws told apart, beta {beta:g}": float(share) for beta, share in study["told apart"].items()},
    )


@paper.claim(
    "C4b",
    says="The temperature trades variety for certainty",
    source="section on generation",
    metric="spread of images for the same attributes, highest temperature",
    holds=all_of(
        at_most(0, of="spread at temperature 0"),
        above(0, of="least rise of the spread"),
        at_most(0, of="accuracy, highest - lowest temperature"),
    ),
    trivial="temperature 0",
    seeds=SEEDS,
)
def temperature_spreads(preset: Preset, key: jax.Array) -> Measurement:
    """Several draws for every one of many sets of attributes, from the same noise."""
    study = cvae_study(preset, key)
    found = study["temperatures"]
    spread, accuracy = found["diversity"], found["accuracy"]
    named = list(zip(preset.temperatures, spread, accuracy, strict=True))
    return Measurement(
        float(spread[-1]),
        _data(preset),
        baselines={"temperature 0": float(spread[0])},
        extras={
            "spread at temperature 0": float(spread[0]),
            "least rise of the spread": min(float(b - a) for a, b in pairwise(spread)),
            "accuracy, highest - lowest temperature": float(accuracy[-1] - accuracy[0]),
        }
        | {f"spread, temperature {t:g}": float(s) for t, s, _ in named}
        | {f"accuracy, temperature {t:g}": float(a) for t, _, a in named},
    )


@paper.claim(
    "C5",
    says="A distribution over images explains more than one image for every set of attributes",
    source="section on the model",
    metric="conditional log-likelihood, nats an image",
    holds=all_of(beats("deterministic"), beats("deterministic, fitted variance")),
    trivial="deterministic",
    seeds=SEEDS,
)
def distribution_explains(preset: Preset, key: jax.Array) -> Measurement:
    """Importance sampling for the CVAE and the hybrid; for the GSNN, whose q is not trained, draws of the prior."""
    study = cvae_study(preset, key)
    found = {name: float(values.mean()) for name, values in study["likelihoods"].items()}
    return Measurement(
        found["CVAE, importance"],
        f"{preset.n_scored} of the test images, {preset.draws} draws",
        baselines={name: found[name] for name in ("deterministic", "deterministic, fitted variance")}
        | {"GSNN": found["GSNN, prior"], "hybrid": found["hybrid, importance"]},
        extras={f"{name} by draws of the prior": found[f"{name}, prior"] for name in ("CVAE", "hybrid")},
    )


@paper.claim(
    "C6",
    says="Attributes combine: combinations that were never seen are generated almost as well",
    source="section on results",
    metric="attributes that a probe sees in samples, unseen combinations",
    holds=above(0.8, of="unseen / seen"),
    trivial="chance",
    seeds=SEEDS,
)
def unseen_combine(preset: Preset, key: jax.Array) -> Measurement:
    """A fifth of the combinations is held out of the training."""
    study = cvae_study(preset, key)
    found = {name: float(value) for name, value in study["unseen"].items()}
    return Measurement(
        found["unseen"],
        _data(preset),
        baselines={"chance": 0.5, "seen combinations": found["seen"]},
        extras={"unseen / seen": found["unseen"] / found["seen"]},
    )

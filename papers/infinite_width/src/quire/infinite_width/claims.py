"""The paper's claims, measured."""

import math
import random
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import (
    Measurement,
    above,
    all_of,
    at_most,
    beats,
    below,
    close_to,
    every_seed,
    on_average,
    shared,
)
from quire.common.claims.measurement import log_log_slope
from quire.common.mup import ABC, gauss_hermite
from quire.common.mup.mlp import padded_normals, scales, train_abc
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.common.train.seeds import stack
from quire.infinite_width import brute_force, figures, transfer
from quire.infinite_width.config import Preset
from quire.infinite_width.convergence import distances, gaussian_problem, outputs_by_width
from quire.infinite_width.deep import chain_limit, deep_linear_limit
from quire.infinite_width.embeddings import train_all
from quire.infinite_width.feature_movement import PARAMETRISATIONS, exponents, movements
from quire.infinite_width.few_shot import accuracies
from quire.infinite_width.one_hidden_layer import NeuronLaw, mup_limit, neuron_law, output
from quire.infinite_width.paper import paper
from quire.infinite_width.sources import open_few_shot, open_patterns, open_words

# --- The classification ---


@paper.claim(
    "F1",
    says="Every abc-parametrisation is unstable, trivial, kernel or feature learning, never two; shifting it changes nothing",
    source="classification theorem, dynamical dichotomy, shift symmetry",
    metric="disagreements with the powers of width followed step by step, shifts included",
    holds=all_of(at_most(0), at_most(1e-9, of="trajectories under a shift, relative")),
    exact=True,
)
def dichotomy(preset: Preset, key: jax.Array) -> Measurement:
    """Random exponents in exact fractions; and float64 networks trained under a shift."""
    draw = random.Random(np.asarray(jax.random.key_data(key)).tobytes())
    wrong = 0
    for _ in range(preset.shifts):
        abc = _random_abc(draw)
        expected = brute_force.classify(abc.a, abc.b, abc.c)
        shifted = abc.shift(Fraction(draw.randint(-200, 200), 100))
        found = [(one.r, *one.classify()) for one in (abc, shifted)]
        both = found[0][3] == found[0][4] and found[0][2]  # nontrivial means one of feature and kernel, never both
        wrong += any(one != expected for one in found) or both
    return Measurement(
        wrong,
        f"{preset.shifts} random parametrisations and shifts",
        extras={"trajectories under a shift, relative": _shifted_trajectories(key)},
    )


def _random_abc(draw: random.Random) -> ABC:
    """Half of them near a stable one, where the conditions bind; the others anywhere on a grid of quarters."""
    depth = draw.randint(1, 4)

    def step() -> Fraction:
        return Fraction(draw.choice([0, 0, 0, 1, -1, 2]), 4)

    start = draw.choice([ABC.maximal_update(depth), ABC.ntk(depth), ABC.standard(depth, 1)])
    theta = [step() for _ in start.a]  # moves weight between multiplier and initial scale, layer by layer
    a = tuple(Fraction(x) + t for x, t in zip(start.a, theta, strict=True))
    b = tuple(Fraction(x) - t for x, t in zip(start.b, theta, strict=True))
    if draw.random() < 0.5:
        b = tuple(x + step() for x in b)
    return ABC(a, b, Fraction(start.c) + step())


def _shifted_trajectories(key: jax.Array) -> float:
    """Largest relative change of the outputs of a float64 network of width 32 when its parametrisation is shifted."""
    errors = []
    rng = generator(key)
    with jax.enable_x64():
        X, y = rng.standard_normal((6, 3)), rng.standard_normal((6, 1))
        normals = tuple(w.astype(float) for w in padded_normals(rng, 3, 32, 2, 32))
        train = jax.jit(lambda scale: train_abc(normals, scale, X, y, 0.1, jnp.tanh)[2])
        for abc in (ABC.maximal_update(2), ABC.ntk(2), ABC.standard(2, 1)):
            reference = train(scales(abc, 32))
            for theta in (-0.7, 0.3):
                errors.append(max_relative_error(train(scales(abc.shift(theta), 32)), reference))
    return float(np.max(errors))


@paper.claim(
    "F2",
    says="The exponent r predicts how far features move: not with width under muP, as n^-1/2 in the kernel regime",
    source="definition of r, dynamical dichotomy",
    metric="largest distance between fitted and predicted exponent: muP, NTP and SP with learning rate 1/n, means over draws",
    holds=all_of(
        at_most(0.1),
        beats("one exponent for all", lower_is_better=True),
        above(0.2, of="exponent, SP"),
    ),
    trivial="one exponent for all",
    seeds=1,
)
def movement_exponents(preset: Preset, key: jax.Array) -> Measurement:
    """Centred tanh networks with two hidden layers, five steps; the same data at every width. Draws take the place of seeds.

    The trivial rival ignores the parametrisation: the middle of the fitted exponents, which no single number beats.
    """
    cfg = preset.movement
    moved = movements(cfg, key)
    each = {name: exponents(cfg.widths, values) for name, values in moved.items()}
    mean = {name: float(values.mean()) for name, values in each.items()}
    predicted = {name: -float(abc.r) for name, abc in PARAMETRISATIONS.items() if abc.classify().stable}
    stable = [mean[name] for name in predicted]
    return Measurement(
        float(np.max([abs(mean[name] - exponent) for name, exponent in predicted.items()])),
        f"Gaussian inputs and targets, {cfg.draws} draws, widths {cfg.widths[0]} to {cfg.widths[-1]}",
        baselines={"one exponent for all": (max(stable) - min(stable)) / 2},
        extras={
            **{f"exponent, {name}": value for name, value in mean.items()},
            **{f"standard error, {name}": float(v.std(ddof=1) / len(v) ** 0.5) for name, v in each.items()},
            **{f"predicted, {name}": value for name, value in predicted.items()},
        },
        figure=figures.movement(cfg.widths, moved, mean),
    )


# --- Exact limits ---

ETA = 0.5


@jax.jit
def _after_training(law: NeuronLaw, X: jax.Array, y: jax.Array, X_test: jax.Array) -> jax.Array:
    """Test outputs of the limit of one hidden tanh layer."""
    return output(mup_limit(law, X, y, ETA, jnp.tanh)[0], X_test, jnp.tanh)


@paper.claim(
    "F3",
    says="One hidden layer under muP has a computable limit, and finite networks converge to it",
    source="limit of one hidden layer",
    metric="exponent of the mean distance of finite networks from the limit, in the width",
    holds=all_of(
        on_average(close_to(-0.5, atol=0.15)),
        on_average(beats("mean of the narrowest", lower_is_better=True)),
        every_seed(at_most(1e-9, of="limit against its definition")),
    ),
    trivial="mean of the narrowest",
)
def shallow_limit(preset: Preset, key: jax.Array) -> Measurement:
    """tanh, six steps from a zero readout; the limit by Gauss-Hermite quadrature in float64.

    In its place without a calculation: zero, or the mean of the narrowest networks.
    """
    cfg = preset.convergence
    data, draws = jax.random.split(key)
    problem = gaussian_problem(data, steps=6, tests=5, eta=ETA)
    X, y, X_test = (np.asarray(z, float) for z in problem[:3])
    with jax.enable_x64():
        limit = np.asarray(_after_training(neuron_law(*gauss_hermite(120, 2), 2), X, y, X_test))
        nodes, weights = gauss_hermite(24, 2)  # few nodes: the definition loops over them
        slow = brute_force.one_hidden_layer(nodes, np.zeros(len(nodes)), weights, X, y, ETA, X_test)
        exactness = max_relative_error(_after_training(neuron_law(nodes, weights, 2), X, y, X_test), slow)
    widths = cfg.shallow_widths
    outputs = outputs_by_width(draws, problem, widths, cfg.shallow_draws, depth=1, phi=jnp.tanh, readout=False)
    apart = distances(outputs, limit)
    return Measurement(
        log_log_slope(widths, apart["limit"]),
        f"Gaussian inputs and targets, {cfg.shallow_draws} networks, widths {widths[0]} to {widths[-1]}",
        baselines={name: log_log_slope(widths, values) for name, values in apart.items() if name != "limit"},
        extras={"limit against its definition": exactness, **_ends(apart)},
        series={"distance": (widths, apart["limit"])},
        figure=figures.convergence(widths, apart["limit"], float(np.abs(limit).mean())),
    )


def _ends(apart: dict[str, np.ndarray]) -> dict[str, float]:
    """Distances of the narrowest and of the widest networks."""
    found = {}
    for name, values in apart.items():
        found |= {f"distance from {name}, narrowest": float(values[0]), f"distance from {name}, widest": float(values[-1])}
    return found


@paper.claim(
    "F4",
    says="The Tensor-Program calculus computes the limit of deep networks; linear ones exactly",
    source="Tensor Programs, limits of deep networks",
    metric="mean distance of two-hidden-layer linear networks from the limit, widest / narrowest",
    holds=all_of(on_average(below(0.7)), every_seed(at_most(1e-9, of="calculus against small network"))),
    trivial="mean of the narrowest",
)
def deep_limits(preset: Preset, key: jax.Array) -> Measurement:
    """Four steps; the limit by the interpreter and as a small deterministic network, in float64."""
    cfg = preset.convergence
    data, draws = jax.random.split(key)
    problem = gaussian_problem(data, steps=4, tests=3, eta=0.1)
    X, y, X_test = (np.asarray(z, float) for z in problem[:3])
    with jax.enable_x64():
        chain = jax.jit(chain_limit)(X, y, X_test, 0.1)
        program = deep_linear_limit(X, y, X_test, depth=2, eta=0.1)
        exactness = float(np.max(list(map(max_relative_error, program, chain))))
        limit = np.asarray(chain.test)
    widths = cfg.deep_widths
    outputs = outputs_by_width(draws, problem, widths, cfg.deep_draws, depth=2, phi=_identity, readout=True)
    apart = distances(outputs, limit)
    shrunk = {name: float(values[-1] / values[0]) for name, values in apart.items()}
    return Measurement(
        shrunk.pop("limit"),
        f"Gaussian inputs and targets, {cfg.deep_draws} networks, widths {widths[0]} to {widths[-1]}",
        baselines=shrunk,
        extras={"calculus against small network": exactness, **_ends(apart)},
        series={"distance": (widths, apart["limit"])},
        figure=figures.convergence(widths, apart["limit"], float(np.abs(limit).mean())),
    )


def _identity(h: jax.Array) -> jax.Array:
    return h


# --- Word2Vec ---


@shared
def trained_embeddings(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """All widths, the limit and the kernel limit on the same events; one seed after the other, the tables are large."""
    source = open_words(preset.word2vec.corpus, preset.word2vec.vocabulary, fallback=preset.fallback)
    words = source.value
    runs = [train_all(words, preset.word2vec, key) for key in keys]
    return stack(runs) | {"data": source.name, "stand_in_for": source.stand_in_for, "words": words.vocabulary.words}


@paper.claim(
    "F5",
    says="Word2Vec gets better with width, the infinite-width limit is best, and finite networks approach it",
    source="Word2Vec experiments",
    metric="held-out CBOW loss of the limit",
    holds=all_of(
        *[every_seed(above(0, of=name)) for name in ("smallest gain from a wider net", "smallest shrinking of the gap")]
    ),
    trivial="word frequencies",
)
def wider_is_better(preset: Preset, key: jax.Array) -> Measurement:
    """The same events, learning rate and steps at every width."""
    run = trained_embeddings(preset, key)
    names = [*map(str, preset.word2vec.widths), "∞"]
    losses = {name: float(run["losses"][name]) for name in names}
    values = np.array(list(losses.values()))
    gaps = values[:-1] - values[-1]
    kernel = {rate: float(loss) for rate, loss in run["kernel"].items()}
    return Measurement(
        losses["∞"],
        run["data"],
        baselines={
            **{f"width {name}": loss for name, loss in losses.items() if name != "∞"},
            "word frequencies": float(run["frequency"]),
        },
        extras={
            "smallest gain from a wider net": float(-np.diff(values).max()),
            "smallest shrinking of the gap": float(-np.diff(gaps).max()),
        },
        stand_in_for=run["stand_in_for"],
        figure=figures.embeddings(losses, kernel, float(run["frequency"])),
    )


@paper.claim(
    "F5b",
    says="The kernel limit learns no embeddings, and is worse",
    source="Word2Vec experiments",
    metric="held-out CBOW loss of the muP limit",
    holds=all_of(
        every_seed(beats("kernel limit", by=0.1, lower_is_better=True)),
        every_seed(at_most(0, of="change of the kernel Gram matrix")),
    ),
    trivial="word frequencies",
)
def kernel_limit_is_worse(preset: Preset, key: jax.Array) -> Measurement:
    """The kernel limit chooses its best learning rate; its word vectors, and so their Gram matrix, stay the identity."""
    run = trained_embeddings(preset, key)
    kernel = {rate: float(loss) for rate, loss in run["kernel"].items()}
    return Measurement(
        float(run["losses"]["∞"]),
        run["data"],
        baselines={"kernel limit": min(kernel.values()), "word frequencies": float(run["frequency"])},
        extras={
            "best rate of the kernel limit": min(kernel, key=lambda rate: kernel[rate]),
            "change of the muP Gram matrix": float(run["gram changes"]["muP"]),
            "change of the kernel Gram matrix": float(run["gram changes"]["kernel"]),
        },
        stand_in_for=run["stand_in_for"],
    )


# --- MAML ---


@paper.claim(
    "F6",
    says="On few-shot Omniglot the muP limit beats fixed features, and finite networks approach it",
    source="MAML on Omniglot",
    metric="5-way 1-shot test accuracy of the limit",
    holds=all_of(
        above(0, of="smallest gain from a wider net"),
        beats("∞, untrained", by=0.02),
        beats("linear", by=0.02),
    ),
    trivial="∞, untrained",
    expect="partly",
    because=(
        "Meta-trained features beat fixed ones by far, and accuracy rises with width; but the last gains, up to the limit, are "
        "as small as the scatter of the seeds, and the interval of the smallest one reaches below zero."
    ),
)
def few_shot(preset: Preset, key: jax.Array) -> Measurement:
    """First-order MAML; every model is tested on the same tasks."""
    cfg = preset.maml
    source = open_few_shot(cfg.data)
    scores, curve = accuracies(source.value, cfg, key)
    ordered = [scores[str(net.width)] for net in cfg.nets] + [scores["∞"]]
    shown = {name: scores[name] for name in ("linear", "ReLU GP", "ReLU NTK", "∞, untrained") if name in scores}
    shown |= {str(net.width): scores[str(net.width)] for net in cfg.nets} | {"∞": scores["∞"]}
    return Measurement(
        scores["∞"],
        source.name,
        baselines={**{name: score for name, score in scores.items() if name != "∞"}, "chance": 0.2},
        extras={
            "smallest gain from a wider net": float(np.diff(ordered).min()),
            "meta-training loss, first batches": float(curve[: max(1, len(curve) // 10), 0].mean()),
            "meta-training loss, last batches": float(curve[-max(1, len(curve) // 10) :, 0].mean()),
        },
        stand_in_for=source.stand_in_for,
        figure=figures.accuracies(shown),
    )


# --- Width transfer ---


@shared
def rate_sweeps(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Losses `[widths, rates]` under muP and SP."""
    source = open_patterns(preset.transfer.pool)
    return transfer.sweep(source.value, preset.transfer, keys) | {"data": source.name}


RULES = {"SP": 0.0, "SP, rate as 1/sqrt(n)": 0.5, "SP, rate as 1/n": 1.0}
"""Rules of thumb for the standard parametrisation: the power of the width by which the rate falls."""


@paper.claim(
    "F8",
    says="muP keeps the best learning rate fixed across width",
    source="Tensor Programs V, the follow-up",
    metric="how far the best learning rate of the widest net is from where the narrowest's puts it, factors of two",
    holds=all_of(
        on_average(at_most(1)),
        on_average(at_most(-1, of="shift, SP")),
        on_average(beats("SP, rate as 1/sqrt(n)", lower_is_better=True)),
    ),
    trivial="SP, rate as 1/sqrt(n)",
)
def learning_rate_transfers(preset: Preset, key: jax.Array) -> Measurement:
    """ReLU networks with two hidden layers; muP and SP are the same network at the base width.

    The rivals are rules of thumb for SP: leave the rate, or let it fall with a power of the width.
    """
    cfg = preset.transfer
    run = rate_sweeps(preset, key)
    best = {name: run[name].argmin(-1) for name in ("muP", "SP")}
    shift = {name: float(index[-1] - index[0]) for name, index in best.items()}
    doublings = math.log2(cfg.widths[-1] / cfg.widths[0])
    return Measurement(
        abs(shift["muP"]),
        run["data"],
        baselines={name: abs(shift["SP"] + power * doublings) for name, power in RULES.items()},
        extras={f"shift, {name}": value for name, value in shift.items()}
        | {f"best loss of the widest, {name}": float(run[name][-1].min()) for name in best},
        series={f"best rate, {name}": (cfg.widths, [cfg.rates[i] for i in index]) for name, index in best.items()},
        figure=figures.transfer(cfg.rates, cfg.widths, {name: run[name] for name in best}),
    )

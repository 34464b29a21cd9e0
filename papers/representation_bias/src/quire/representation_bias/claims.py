"""The claims of the paper, in its order: R1 to R9."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.representation_bias import figures
from quire.representation_bias.config import Preset
from quire.representation_bias.exact import orthogonal_code
from quire.representation_bias.images import image_study
from quire.representation_bias.paper import paper
from quire.representation_bias.perceptrons import perceptron_study, variant_study
from quire.representation_bias.preference import classifier_preference
from quire.representation_bias.rsa import rsa
from quire.representation_bias.steering import Readout, flip_scale, flip_strength, off_target_flips, steering_direction
from quire.representation_bias.transformers import transformer_study
from quire.representation_bias.variance import unit_variance_explained, variance_explained

SEEDS = 5
UNTRAINED = "untrained network"


def gap(shares: np.ndarray) -> float:
    """R2 of the first feature minus that of the second."""
    return float(shares[0] - shares[1])


def row(study: dict[str, Any], kind: str, name: str) -> np.ndarray:
    """An array of the study at a condition."""
    return study[kind][study["names"].index(name)]


def last_gap(study: dict[str, Any], name: str, kind: str = "shares") -> float:
    """The gap in the last layer at a condition."""
    return gap(row(study, kind, name)[-1])


@jax.jit
def _measured(rep, states, directions):
    """Shares, shares by unit, directions to steer along, and scales that flip."""
    shares, units = (f(rep, states, rep, states) for f in (variance_explained, unit_variance_explained))
    deltas = [steering_direction(rep, (states[:, f] > 0).astype(int)) for f in range(len(directions))]
    flips = [flip_scale(Readout(v, jnp.zeros((), rep.dtype)), rep, d) for v, d in zip(directions, deltas, strict=True)]
    return shares, units, jnp.stack(deltas), jnp.stack(flips)


@paper.claim(
    "R1",
    says="Variance explained, RSA and steering measure what they should on a code whose shares are known",
    source="definition of variance explained",
    metric="largest error, float64",
    holds=all_of(below(1e-10), below(1e-4, of="float32")),
    exact=True,
)
def measures_are_exact(preset: Preset, key: jax.Array) -> Measurement:
    """Features along orthonormal directions: `R2_f = a_f^2 / sum a^2`, and half of `delta_f` takes f to its line."""
    draw = generator(key)
    code = orthogonal_code(draw.uniform(0.5, 2, 4), 10, draw)
    turn, _ = np.linalg.qr(draw.standard_normal((10, 10)))
    sample = draw.standard_normal((30, 10))
    amplitudes = np.linalg.norm(code.rep @ code.directions.T, axis=0) / len(code.rep) ** 0.5
    variances = np.var(code.rep, axis=0) / np.var(code.rep, axis=0).sum()

    def errors(dtype: Any) -> dict[str, float]:
        shares, units, deltas, flips = (
            np.asarray(x) for x in _measured(*(x.astype(dtype) for x in (code.rep, code.states, code.directions)))
        )
        found = {
            "shares": shares - code.shares,
            "shares by unit": units @ variances - code.shares,
            "steering": deltas - 2 * amplitudes[:, None] * code.directions,
            "flips": flips + code.states.T / 2,
            "RSA after a rotation": rsa(sample.astype(dtype), (3 * sample @ turn).astype(dtype)) - 1,
        }
        return {name: float(np.abs(error).max()) for name, error in found.items()}

    return identity(errors, "all states of 4 features in 10 units")


@paper.claim(
    "R2",
    says="Easy features explain much more of the variance than hard ones, though both are computed perfectly",
    source="abstract; experiments on complexity",
    metric="R2 of the easy feature minus that of the hard one, the smaller of two pairs",
    holds=all_of(
        *(every_seed(above(0.1, of=f"gap, {pair}")) for pair in ("copy and xor2", "copy and parity4")),
        every_seed(above(0.99, of="lowest accuracy")),
    ),
    trivial=UNTRAINED,
    seeds=SEEDS,
    expect="partly",
    because="all networks have the bias, but beside parity4 single ones fall just short of the line",
)
def easy_over_hard(preset: Preset, key: jax.Array) -> Measurement:
    """Perceptrons, all outputs with the same weight in the loss."""
    study = perceptron_study(preset, key)
    names = {"copy and xor2": "joint", "copy and parity4": "copy, parity4"}
    gaps = {f"gap, {pair}": last_gap(study, name) for pair, name in names.items()}
    shares = {
        f"R2, {pair}, {f}": float(row(study, "shares", name)[-1, i])
        for pair, name in names.items()
        for i, f in enumerate(("easy", "hard"))
    }
    return Measurement(
        min(gaps.values()),
        _data(preset),
        baselines={UNTRAINED: min(last_gap(study, name, "untrained") for name in names.values())},
        extras=gaps | shares | {"lowest accuracy": min(float(row(study, "accuracy", name)[:2].min()) for name in names.values())},
    )


def _data(preset: Preset, *, variant: bool = False) -> str:
    config = preset.perceptrons
    return f"{config.dim} random bits, {config.variant_steps if variant else config.steps} steps"


ORDER = "easy first - joint", "joint - hard first", "hard first"
"""Differences of gaps."""


@paper.claim(
    "R3",
    says="What is learned first is represented more strongly, but learning the hard feature first does not reverse the bias",
    source="abstract; experiments on learning order",
    metric="gap of R2 if the easy feature is learned first",
    holds=all_of(
        above(1, of=f"({ORDER[0]}) / s.e."),
        on_average(at_least(0, of=ORDER[1])),
        above(1, of=f"({ORDER[2]}) / s.e."),
    ),
    trivial=UNTRAINED,
    seeds=SEEDS,
    expect="partly",
    because="orders differ by no more than networks do: which of the two inequalities fails changes with the seeds; the gap "
    "stays positive throughout",
)
def order_of_learning(preset: Preset, key: jax.Array) -> Measurement:
    """Half of the training on one feature, then both; standard errors over the seeds of the run."""
    study = perceptron_study(preset, key)
    names = "joint", "hard first"
    return Measurement(
        last_gap(study, "easy first"),
        _data(preset),
        baselines={name: last_gap(study, name) for name in names} | {UNTRAINED: last_gap(study, "joint", "untrained")},
        extras={name: float(value) for name, value in study["order"].items()}
        | {"lowest accuracy": min(float(row(study, "accuracy", name)[:2].min()) for name in ("easy first", *names))},
    )


@paper.claim(
    "R4",
    says="Of two equally hard features the more frequent one explains more of the variance",
    source="abstract; experiments on prevalence",
    metric="R2 of the frequent feature minus that of the rare one",
    holds=all_of(every_seed(above(0)), every_seed(above(0.99, of="lowest accuracy"))),
    trivial=UNTRAINED,
    seeds=SEEDS,
    expect="partly",
    because="the frequent feature is ahead on average, but in single networks equally frequent ones differ by as much",
)
def prevalence(preset: Preset, key: jax.Array) -> Measurement:
    """Two features xor2, one of them in the loss of every example, the other in three of ten."""
    study = perceptron_study(preset, key)
    return Measurement(
        last_gap(study, "rare"),
        _data(preset),
        baselines={UNTRAINED: last_gap(study, "rare", "untrained")},
        extras={"lowest accuracy": float(row(study, "accuracy", "rare")[:2].min())},
    )


NETWORKS = "weight decay", "dropout 0.3", "dropout 0.5", "Adam", "AdamW", "Adam, dropout 0.5"


def gaps_by_network(preset: Preset, study: dict[str, Any]) -> dict[str, float]:
    """Gap of copy and xor2 by what the network or its training is, from `variant_study`."""
    config = preset.perceptrons
    return {
        f"depth {config.depth}, width {config.width}": last_gap(study, "joint"),
        "depth 1": last_gap(study, "one layer"),
        f"depth {config.deep}": gap(study["larger"]["deep"]),
        f"width {config.width // 2}": last_gap(study, "half the width"),
        f"width {config.wide}": gap(study["larger"]["wide"]),
        **{name: last_gap(study, name) for name in NETWORKS},
    }


@paper.claim(
    "R5",
    says="Deeper perceptrons have a larger gap",
    source="experiments on architectures",
    metric="gap of R2 in the deepest network",
    holds=all_of(above(0, of="depth 1 to middle"), above(0, of="middle to deepest")),
    trivial="depth 1",
    expect="partly",
    because="two layers are ahead of one, not in every network, and four have the smallest gap of all",
)
def depth(preset: Preset, key: jax.Array) -> Measurement:
    """Copy and xor2 in networks of three depths; the other networks beside them."""
    gaps, config = gaps_by_network(preset, variant_study(preset, key)), preset.perceptrons
    shallow, middle, deep = gaps["depth 1"], gaps[f"depth {config.depth}, width {config.width}"], gaps[f"depth {config.deep}"]
    return Measurement(
        deep,
        _data(preset, variant=True),
        baselines={"depth 1": shallow},
        extras=gaps | {"depth 1 to middle": middle - shallow, "middle to deepest": deep - middle},
    )


@paper.claim(
    "R5b",
    says="Width matters less than depth",
    source="experiments on architectures",
    metric="change of the gap from the narrowest to the widest network, absolute",
    holds=on_average(beats("depth", lower_is_better=True)),
    trivial="depth",
)
def width(preset: Preset, key: jax.Array) -> Measurement:
    """Four times the width against four times the depth."""
    gaps, config = gaps_by_network(preset, variant_study(preset, key)), preset.perceptrons
    change = abs(gaps[f"width {config.wide}"] - gaps[f"width {config.width // 2}"])
    return Measurement(
        change, _data(preset, variant=True), baselines={"depth": abs(gaps[f"depth {config.deep}"] - gaps["depth 1"])}
    )


@paper.claim(
    "R5c",
    says="Adam with dropout can reverse the bias",
    source="experiments on optimisers",
    metric="gap of R2 with Adam and dropout",
    holds=below(0),
    trivial="SGD",
    expect="not reproduced",
    because="Adam with dropout shrinks the gap and does not turn it; SGD with dropout 0.5 comes nearer to zero",
)
def optimiser(preset: Preset, key: jax.Array) -> Measurement:
    """Copy and xor2 with Adam and dropout 0.5."""
    study, name = variant_study(preset, key), "Adam, dropout 0.5"
    return Measurement(
        last_gap(study, name),
        _data(preset, variant=True),
        baselines={"SGD": last_gap(study, "joint")},
        extras={f"lowest accuracy, {each}": float(row(study, "accuracy", each)[:2].min()) for each in NETWORKS},
    )


@paper.claim(
    "R6",
    says="Hard features need smaller pushes to flip, and a push flips nothing else",
    source="experiments on interventions",
    metric="median length of the push that flips the hard feature",
    holds=all_of(
        *(below(1, of=f"hard / easy, {name}") for name in ("xor2", "parity4")),
        *(below(0.05, of=f"other outputs flipped, {name}") for name in ("xor2", "parity4")),
    ),
    trivial="random direction",
    seeds=SEEDS,
)
def steering(preset: Preset, key: jax.Array) -> Measurement:
    """Pushes along `delta_f` in the networks of R2, the larger share of flips of the other output."""
    study, draw = perceptron_study(preset, key), generator(key)
    extras, pushes = {}, {}
    for name, part in study["steering"].items():
        rep, labels = part["rep"], part["labels"]
        readouts = [Readout(w, b) for w, b in zip(part["weights"], part["biases"], strict=True)]
        deltas = [steering_direction(rep, labels[:, f]) for f in (0, 1)]
        pushes[name] = [float(flip_strength(r, rep, delta)) for r, delta in zip(readouts, deltas, strict=True)]
        flipped = [float(off_target_flips(readouts[f], readouts[1 - f], rep, deltas[f])) for f in (0, 1)]
        extras |= {
            f"hard / easy, {name}": pushes[name][1] / pushes[name][0],
            f"other outputs flipped, {name}": max(flipped),
            f"easy, beside {name}": pushes[name][0],
            f"hard, {name}": pushes[name][1],
        }
    part = study["steering"]["xor2"]
    randoms = [
        float(
            flip_strength(Readout(part["weights"][1], part["biases"][1]), part["rep"], draw.standard_normal(part["rep"].shape[1]))
        )
        for _ in range(20)
    ]
    return Measurement(
        pushes["xor2"][1],
        _data(preset),
        baselines={"easy feature": pushes["xor2"][0], "random direction": float(np.median(randoms))},
        extras=extras,
    )


@paper.claim(
    "R7",
    says="A classifier trained where the features agree follows the easy one where they differ",
    source="experiments on downstream tasks",
    metric="share of the examples decided by the easy feature",
    holds=above(0.8),
    trivial="no preference",
    seeds=SEEDS,
)
def confounded_classifier(preset: Preset, key: jax.Array) -> Measurement:
    """Logistic regression on the representations; the same on untrained networks and on the bits themselves."""
    study, count = perceptron_study(preset, key), preset.perceptrons.num_classifier
    easy, hard = study["labels"].T
    share = lambda rep: classifier_preference(rep, easy, hard, num_train=count)  # noqa: E731
    return Measurement(
        share(study["reps"]["both"]),
        f"{_data(preset)}, {count} examples for the classifier",
        baselines={"no preference": 0.5, UNTRAINED: share(study["reps"]["untrained"]), "the bits": share(study["bits"])},
    )


@paper.claim(
    "R8",
    says="RSA finds a network that learned both features closer to one of the easy feature than to one of the hard",
    source="experiments on RSA",
    metric="RSA of networks of both features and of the easy one",
    holds=beats("both, hard"),
    trivial="both, untrained",
    seeds=SEEDS,
)
def similarity(preset: Preset, key: jax.Array) -> Measurement:
    """Networks of different seeds; Spearman's correlation of Euclidean distances."""
    study = perceptron_study(preset, key)
    return _similarity(preset, study, "both, easy", ("both, hard", "both, untrained"))


@paper.claim(
    "R8b",
    says="RSA can find two networks of one complex task less alike than a network of that task and one of a simpler task",
    source="experiments on RSA",
    metric="RSA of two networks of both features",
    holds=beats("both, easy", lower_is_better=True),
    trivial="both, untrained",
    seeds=SEEDS,
    expect="not reproduced",
    because="networks of both features agree in the hard one too, which takes enough of the variance to be seen",
)
def complex_tasks(preset: Preset, key: jax.Array) -> Measurement:
    """The same networks."""
    study = perceptron_study(preset, key)
    return _similarity(preset, study, "both, both", ("both, easy", "both, untrained"))


def _similarity(preset: Preset, study: dict[str, Any], name: str, beside: tuple[str, ...]) -> Measurement:
    values = {pair: float(value) for pair, value in study["rsa"].items()}
    return Measurement(
        values[name],
        f"{_data(preset)}, {preset.perceptrons.num_rsa} inputs",
        baselines={pair: values[pair] for pair in beside},
        extras={pair: value for pair, value in values.items() if pair != name and pair not in beside},
    )


@paper.claim(
    "R9",
    says="In transformers features that are emitted earlier explain more of the variance",
    source="abstract; experiments on transformers",
    metric="R2 of the first feature minus that of the last, where features are emitted, last block",
    holds=all_of(above(0), every_seed(above(0.99, of="accuracy"))),
    trivial=UNTRAINED,
    expect="partly",
    because="after the last block each token holds what it emits, so that the places are level up to the spread of the seeds; "
    "after the first block the first feature is ahead, but by less than before training",
)
def output_position(preset: Preset, key: jax.Array) -> Measurement:
    """Equal features xor2, in both orders; R2 in the tokens of the bits and in the first block beside it."""
    study, config = transformer_study(preset, key), preset.transformers
    fall = lambda shares: float(shares[0] - shares[-1])  # noqa: E731
    reads = {name: study[name] for name in study if name.startswith(("bits", "slots"))}
    last = f"slots, block {config.depth}"
    return Measurement(
        fall(reads[last]),
        f"{2 * config.num_features} random bits, {config.steps} steps",
        baselines={UNTRAINED: fall(study["untrained"][last])},
        extras={f"place {place + 1}, {name}": float(x) for name, shares in reads.items() for place, x in enumerate(shares)}
        | {f"first - last, {name}": fall(shares) for name, shares in reads.items()}
        | {f"first - last, {name}, untrained": fall(shares) for name, shares in study["untrained"].items()}
        | {"accuracy": float(study["accuracy"]), "encoder accuracy": float(study["encoder accuracy"])}
        | {"encoder, copy minus xor2": gap(study["encoder"][-1])},
        figure=figures.places(reads, study["untrained"][last]),
    )


@paper.claim(
    "R9b",
    says="Plain convolutional networks represent colour more strongly than shape",
    source="experiments on images",
    metric="R2 of colour minus that of shape, last stage",
    holds=above(0),
    trivial=UNTRAINED,
    seeds=SEEDS,
    expect="partly",
    because="colour is ahead on average, but networks differ widely, and the better shape is learned the less it is ahead",
)
def colour_over_shape(preset: Preset, key: jax.Array) -> Measurement:
    """Images with independent colour and shape."""
    return _convnet(preset, key, 0)


@paper.claim(
    "R9c",
    says="Residual connections move the balance from colour towards shape",
    source="experiments on images",
    metric="R2 of colour minus that of shape, last stage",
    holds=beats("plain", lower_is_better=True),
    trivial=UNTRAINED,
    seeds=SEEDS,
    expect="partly",
    because="shape gains on average, but single networks go either way",
)
def residual_connections(preset: Preset, key: jax.Array) -> Measurement:
    """The same networks, from the same weights, with residual connections."""
    return _convnet(preset, key, 1)


def _convnet(preset: Preset, key: jax.Array, kind: int) -> Measurement:
    study, config = image_study(preset, key), preset.images
    shares, other = study["shares"][kind], study["shares"][1 - kind]
    return Measurement(
        gap(shares[-1]),
        f"{config.num_train} images of {config.size} x {config.size}",
        baselines={UNTRAINED: gap(study["untrained"][kind][-1]), ("residual", "plain")[kind]: gap(other[-1])},
        extras={
            f"R2, {f}, stage {s + 1}": float(x)
            for s, by_feature in enumerate(shares)
            for f, x in zip(("colour", "shape"), by_feature, strict=True)
        }
        | {f"accuracy, {f}": float(x) for f, x in zip(("colour", "shape"), study["accuracy"][kind], strict=True)},
    )

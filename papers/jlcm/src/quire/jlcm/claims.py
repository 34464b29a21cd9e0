"""What the paper states, measured: J1 to J6."""

import jax
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, all_of, at_most, beats, every_seed, on_average, shared
from quire.common.claims.identity import identity
from quire.common.claims.left_out import NotTested
from quire.common.testing import max_relative_error
from quire.jlcm import figures, language, vision
from quire.jlcm.config import Preset
from quire.jlcm.grouping_study import grouped_errors, relative_errors, rows_of_unequal_scale
from quire.jlcm.layer_study import RULES, study_layer
from quire.jlcm.networks import kernels
from quire.jlcm.paper import paper
from quire.jlcm.reordering import reordered_networks
from quire.jlcm.rule_study import correlations, derivatives
from quire.jlcm.size_study import llama_gigabytes, packed_model, stored_bits

# --- J1, J2: groups ----------------------------------------------------------------------------------------------------------


@paper.claim(
    "J1",
    says="Neurons can be re-ordered into contiguous groups without changing what the network computes",
    source="Abstract; figure 1",
    metric="largest difference / largest output, float64",
    holds=all_of(at_most(1e-12), at_most(1e-5, of="float32")),
    exact=True,
    seeds=1,
)
def reordering(preset: Preset, key: jax.Array) -> Measurement:
    """Random orders of all hidden units, of attention heads and of the residual stream; all parameters random."""

    def errors(dtype):
        networks = reordered_networks(key, np.dtype(dtype))
        return {name: max_relative_error(n.permuted(n.inputs), n.model(n.inputs)) for name, n in networks.items()}

    return identity(errors, "random networks: dense, convolutions with batch norms, a transformer")


@paper.claim(
    "J2",
    says="Codebooks for groups of like neurons lower the error of the weights, at no cost for an index",
    source="Abstract; figure 1",
    metric="squared error of all weights, relative, 2 bits",
    trivial="M random",
    seeds=8,
    holds=all_of(
        every_seed(beats("single", lower_is_better=True)),
        every_seed(beats("M random", lower_is_better=True)),
        every_seed(beats("rows: single", lower_is_better=True, of="rows: S")),
        every_seed(beats("rows: S", lower_is_better=True, of="rows: M")),
    ),
)
def grouping(preset: Preset, key: jax.Array) -> Measurement:
    """A trained classifier, and rows of three scales as an extreme case.

    `M random` has as many codebooks for groups that were drawn. `any codebook` lets every weight choose among all codebooks,
    for which it needs an index of its own.
    """
    c, study = preset.vision, vision_study(preset, key)
    errors = {name: float(value) for name, value in study["weights"].items()}
    rows = rows_of_unequal_scale(jax.random.fold_in(key, 7))
    extreme, groups = grouped_errors(rows, 2, 3, np.random.default_rng(0))
    energy = float((rows**2).sum())
    return Measurement(
        errors.pop("M"),
        f"{vision.open_images(c).name}; {c.groups} groups in a hidden layer. Rows: 18 x 30 normal weights of three scales",
        baselines={name: errors.pop(name) for name in ("single", "M random", "S")},
        extras={f"rows: {name}": error / energy for name, error in extreme.items()} | errors,
        stand_in_for="ResNet, BERT, Llama",
        figure=figures.neurons(rows, groups),
    )


# --- J3, J4: the mapping -----------------------------------------------------------------------------------------------------


@paper.claim(
    "J3",
    says="The default gradient of the mapping favours far codewords, the proposed one near codewords",
    source="Abstract",
    metric="rank correlation of |derivative| with distance, default rule, smallest of all draws",
    holds=all_of(at_most(1e-6, of="default: below 1"), at_most(1e-6, of="proximal: above -1")),
    exact=True,
)
def rules(preset: Preset, key: jax.Array) -> Measurement:
    """Flat logits. The default rule's distance is that from the soft value, the proximal rule's from the codeword in use."""
    derived = derivatives(key, preset.codebooks_drawn)
    found = correlations(derived)
    used = found["default, from the codeword in use"]
    return Measurement(
        float(found["default"].min()),
        f"{preset.codebooks_drawn} codebooks of 8 normal codewords",
        extras={
            "default: below 1": 1 - float(found["default"].min()),
            "proximal: above -1": 1 + float(found["proximal"].max()),
            "proximal, largest": float(found["proximal"].max()),
            "default, from the codeword in use, mean": float(used.mean()),
            "share of draws where that is above 0.9": float(np.mean(used > 0.9)),
        },
        figure=figures.rules(derived),
    )


@shared
def layer_study(preset: Preset, keys: jax.Array):
    """All rules on one layer, `[seeds, ...]`."""
    return study_layer(preset.layer, list(keys))


def _layer_errors(found) -> dict[str, float]:
    return {name: float(found[name].error if name in RULES else found[name]) for name in found}


def _layer_data(preset: Preset) -> str:
    c = preset.layer
    return f"generated layer, {c.dim} x {c.dim}, {c.bits} bits, {c.calibration} correlated inputs, {c.test} fresh ones"


@paper.claim(
    "J4",
    says="Learning codebook and mapping together beats the nearest codeword",
    source="Abstract",
    metric="squared error of fresh outputs, relative",
    trivial="nearest",
    seeds=8,
    holds=every_seed(beats("nearest", lower_is_better=True)),
)
def joint_learning(preset: Preset, key: jax.Array) -> Measurement:
    """Beside it the codebook alone, with the mapping fixed, and a descent over the codes that needs no gradient."""
    found = layer_study(preset, key)
    errors = _layer_errors(found)
    value = errors.pop("proximal")
    return Measurement(
        value,
        _layer_data(preset),
        baselines=errors,
        extras={"rate, proximal": float(found["proximal"].rate)},
        stand_in_for="layers of ResNet-50 and BERT",
        figure=figures.errors({"proximal": value, **errors}),
    )


@paper.claim(
    "J4b",
    says="The proximal gradient beats one that grows with the distance of a codeword",
    source="Abstract",
    metric="squared error of fresh outputs, relative",
    trivial="nearest",
    seeds=8,
    holds=on_average(beats("distance", lower_is_better=True)),
    expect="not reproduced",
    because="the rules are level here: which of them is ahead changes with the last digits of the codebook that they start from",
)
def proximal_gradient(preset: Preset, key: jax.Array) -> Measurement:
    """The same layers; every rule at its own best rate, the soft forward at the largest.

    The rules are nearly level: the difference is smaller than what layers differ by, and the softmax rule, beside it, is as good
    on these layers. The descent, which uses no gradient, is ahead of all.
    """
    found = layer_study(preset, key)
    errors = _layer_errors(found)
    rates = {f"rate, {name}": float(found[name].rate) for name in RULES}
    names = ("distance", "softmax", "soft forward", "coordinate descent", "nearest")
    return Measurement(
        errors["proximal"],
        _layer_data(preset),
        baselines={name: errors[name] for name in names},
        extras=rates,
        stand_in_for="layers of ResNet-50 and BERT",
        figure=figures.learning({name: found[name] for name in RULES}, preset.layer.rates, errors),
    )


# --- J5: sizes ---------------------------------------------------------------------------------------------------------------


@paper.claim(
    "J5",
    says="Codes of two bits, with all that is stored beside them, take little more than two bits a weight",
    source="Abstract: Llama-7B in 2 GB",
    metric="bits a weight, packed",
    unit="bits",
    holds=all_of(at_most(2.1), at_most(2.0, of="Llama-7B, GB")),
    exact=True,
    seeds=1,
)
def packed_size(preset: Preset, key: jax.Array) -> Measurement:
    """Packed arrays of a dense model with 8 codebooks a layer; Llama-7B is counted, its embedding in 16 bits."""
    tensors, indexed = packed_model(key, preset.widths, bits=2, groups=8)
    count = sum(t.codes.size for t in tensors.values())
    return Measurement(
        stored_bits(tensors) / count,
        f"{count:,} random weights in {len(tensors)} layers",
        extras={
            "counted": sum(t.nbits() for t in tensors.values()) / count,
            "with an index for each weight": indexed,
            "Llama-7B, GB": llama_gigabytes(2),
        },
        stand_in_for="Llama-7B",
    )


# --- J6: accuracy ------------------------------------------------------------------------------------------------------------


@shared
def vision_study(preset: Preset, keys: jax.Array):
    """Accuracies, sizes and errors of weights by method, `[seeds]`; first hidden layers and learning curves."""
    c = preset.vision
    images = vision.open_images(c).value
    models = vision.trained_models(c, images, keys)
    calib = vision.calibration_images(c, images, keys)
    found = vision.compressed_models(models, calib, c, keys)
    every = [*models, *(each.model for done in found.values() for each in done)]
    accuracy = dict(zip(("float32", *found), vision.accuracy(every, images).reshape(-1, len(keys)), strict=True))
    count = sum(t.codes.size for t in found["k-means"][0].tensors.values())
    each = [relative_errors(model, c.bits, c.groups, key) for model, key in zip(models, keys, strict=True)]
    return {
        "accuracy": accuracy,
        "bits": {n: np.array([sum(t.nbits() for t in d.tensors.values()) / count for d in done]) for n, done in found.items()},
        "weights": {name: np.array([errors[name] for errors in each]) for name in each[0]},
        "losses": {name: np.stack([d.losses for d in done]) for name, done in found.items() if done[0].losses.size},
        "hidden": np.stack([np.asarray(kernels(nnx.state(model))["layers.0.linear"]) for model in models]),
        "learned": np.stack([d.tensors["layers.0.linear"].codebooks[0] for d in found["JLCM"]]),
        "nearest": np.stack([d.tensors["layers.0.linear"].codebooks[0] for d in found["k-means"]]),
    }


@paper.claim(
    "J6",
    says="At two bits, learned codebooks and mappings keep more accuracy than k-means codebooks",
    source="Abstract",
    metric="test accuracy",
    trivial="majority class",
    seeds=8,
    holds=beats("k-means"),
)
def accuracy_of_images(preset: Preset, key: jax.Array) -> Measurement:
    """All layers at two bits, one after the other. S and M: a scale, a codebook for each group of neurons."""
    source, found = vision.open_images(preset.vision), vision_study(preset, key)
    accuracy = {name: float(value) for name, value in found["accuracy"].items()}
    bits = {f"bits a weight, {name}": float(found["bits"][name]) for name in ("k-means", "JLCM", "S, k-means", "M, JLCM")}
    return Measurement(
        accuracy.pop("JLCM"),
        f"{source.name}; {preset.vision.calibration} images to learn from",
        baselines=accuracy | {"majority class": source.value.majority},
        extras=bits,
        stand_in_for=source.stand_in_for,
        figure=figures.accuracies({k: float(v) for k, v in found["accuracy"].items()}, found["bits"]),
    )


@paper.claim(
    "J6b",
    says="The same for a language model",
    source="Abstract: Llama-7B",
    metric="perplexity of the test text",
    trivial="pairs of tokens",
    seeds=3,
    holds=beats("k-means", lower_is_better=True),
)
def perplexity_of_text(preset: Preset, key: jax.Array) -> Measurement:
    """All matrices of the blocks; embedding, norms and head are kept."""
    if preset.language is None:
        raise NotTested("a language model takes minutes to train; `standard` has one")
    source = language.open_text(preset.language, key)
    found = language.study(preset.language, source.value, key)
    return Measurement(
        found.pop("JLCM"),
        source.value.name,
        baselines=found,
        stand_in_for=source.stand_in_for,
    )

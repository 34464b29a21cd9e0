"""The claims of the paper, in its order: R1 to R8."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.rich_representations import figures
from quire.rich_representations.concatenation import cat_features, cat_head
from quire.rich_representations.config import Preset
from quire.rich_representations.few_shot_study import few_shot_study
from quire.rich_representations.paper import paper
from quire.rich_representations.shift_study import shift_study
from quire.rich_representations.theory import incremental_gradient, ridge_objective
from quire.rich_representations.transfer_study import VARIANTS, fine_tuning_study, transfer_study, variants_study

SEEDS = 6
IMAGENET = "ImageNet to iNaturalist and CIFAR, ResNet-50"


@paper.claim(
    "R1",
    says="The averaged head is the ensemble of logits; redundant features have no slope where the model is Bayes, but elsewhere; "
    "more features never raise the ridge objective",
    source="section on the theory; authors' code",
    metric="largest error of the three identities, float64",
    holds=all_of(below(1e-10), below(1e-4, of="float32"), above(1e-3, of="least slope elsewhere")),
    exact=True,
)
def identities(preset: Preset, key: jax.Array) -> Measurement:
    """Random trunks and heads; populations of 12 points; random features and targets."""
    draw = generator(key)
    x, trunks = draw.standard_normal((9, 6)), draw.standard_normal((3, 6, 5))
    heads, biases = draw.standard_normal((3, 4, 5)), draw.standard_normal((3, 4))
    py = draw.dirichlet(np.ones(4), 12)
    here, there = draw.dirichlet(np.ones(12), 2)
    other = draw.dirichlet(np.ones(4), 12)
    phi_2, targets = draw.standard_normal((12, 5)), draw.standard_normal((12, 2))
    elsewhere = []

    def errors(dtype: Any) -> dict[str, float]:
        cast = lambda a: jnp.asarray(a, dtype)  # noqa: E731
        parts = [lambda z, w=w: jax.nn.relu(z @ cast(w)) for w in trunks]
        w, b = cat_head(cast(heads), cast(biases))
        logits = [part(cast(x)) @ cast(h).T + cast(c)[None] for part, h, c in zip(parts, heads, biases, strict=True)]
        ensemble = max_relative_error(cat_features(parts, cast(x)) @ w.T + b[None], jnp.stack(logits).mean(0))
        bayes = jnp.log(cast(py))
        slope = float(jnp.abs(incremental_gradient(cast(here), cast(py), bayes, cast(phi_2))).max())
        elsewhere.append(float(jnp.abs(incremental_gradient(cast(there), cast(other), bayes, cast(phi_2))).max()))
        a, b = cast(py), cast(phi_2)
        least = min(float(ridge_objective(z, cast(targets), 0.1)) for z in (a, b))
        rise = float(ridge_objective(jnp.concatenate([a, b], axis=1), cast(targets), 0.1)) - least
        return {"ensemble of logits": ensemble, "slope where Bayes": slope, "rise of the ridge objective": max(rise, 0.0)}

    found = identity(errors, "random networks, 12 points, 4 classes")
    return Measurement(found.value, found.data, extras=dict(found.extras) | {"least slope elsewhere": min(elsewhere)})


@paper.claim(
    "R2",
    says="Episodes perform alike on the task that they were trained on, and to join them adds little there",
    source="section on training episodes",
    metric="largest minus smallest source accuracy of ten episodes",
    holds=all_of(below(0.03), below(0.02, of="CATn - single")),
    trivial="majority class: its distance from the episodes",
    seeds=SEEDS,
)
def alike_on_the_source(preset: Preset, key: jax.Array) -> Measurement:
    """How different they are is shown by their features on the new task, and by the answers of their classifiers."""
    study, n = transfer_study(preset, key), preset.transfer.parts
    episodes = study["source"]["single"]
    cka = study["cka"][np.triu_indices(len(episodes), 1)]
    return Measurement(
        float(np.ptp(episodes)),
        f"{study['name']}, source classes, {len(episodes)} episodes",
        baselines={"majority class: its distance from the episodes": float(episodes.mean() - study["majority"]["source"])},
        extras={
            "CATn - single": float(study["source"][f"CAT{n}"].mean() - episodes.mean()),
            "standard deviation": float(episodes.std()),
            "single": float(episodes.mean()),
            "CATn": float(study["source"][f"CAT{n}"].mean()),
            "disagreement of answers": float(study["disagreement"]),
            "CKA on the new task": float(cka.mean()),
        },
        stand_in_for=IMAGENET,
        figure=figures.alike_and_different(episodes, study["probe"]["single"], study["cka"]),
    )


def _means(by_method: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean accuracy of the models of a seed, by method."""
    return {name: float(np.mean(values)) for name, values in by_method.items()}


def _new_task(study: Mapping[str, Any], value: float, others: Mapping[str, float], **fields: Any) -> Measurement:
    """Accuracies on the new task, the majority class beside them."""
    majority = {"majority class": float(study["majority"]["new"])}
    return Measurement(value, f"{study['name']}, new classes", baselines=majority | dict(others), stand_in_for=IMAGENET, **fields)


@paper.claim(
    "R3",
    says="On a new task a linear probe of CATn beats that of one episode by far, and that of an equally large network",
    source="Figure 1, linear probing",
    metric="accuracy of CAT5 on the new task",
    holds=all_of(beats("CAT2"), above(0, of="CAT2 - single"), above(0, of="CAT5 - wide")),
    trivial="majority class",
    seeds=SEEDS,
    expect="partly",
    because="batch norm in the probe lets the wide network catch up: it raises directions of little variance, which the wide "
    "network keeps from its initial weights; without it the lead is there, see R3b",
)
def more_than_one(preset: Preset, key: jax.Array) -> Measurement:
    """Means over all episodes, all pairs of them, and all concatenations of a seed; sizes equal by features."""
    study = transfer_study(preset, key)
    means = _means(study["probe"])
    cat = means.pop(f"CAT{preset.transfer.parts}")
    extras = {"CAT2 - single": means["CAT2"] - means["single"], "CAT5 - wide": cat - means["wide"]}
    return _new_task(
        study,
        cat,
        {name: means[name] for name in ("single", "CAT2", "wide")},
        extras=extras | {name: means[name] for name in ("pixels", "untrained, wide", "CATsub2", "sub-network")},
    )


@paper.claim(
    "R3b",
    says="Probed without batch norm, CATn beats an equally large network on a new task",
    source="Figure 1, linear probing",
    metric="accuracy of CAT5 on the new task, plain probe",
    holds=on_average(above(0, of="CAT5 - wide")),
    trivial="majority class",
    seeds=SEEDS,
)
def plain_probe(preset: Preset, key: jax.Array) -> Measurement:
    """The same features, a linear head alone; longer training, for it is slower."""
    study = transfer_study(preset, key)
    means = _means(study["plain"])
    cat = means.pop(f"CAT{preset.transfer.parts}")
    return _new_task(study, cat, means, extras={"CAT5 - wide": cat - means["wide"]})


@paper.claim(
    "R3c",
    says="CATn beats an equally large network whatever the initial weights, the width and the weight decay",
    source="Figure 1, linear probing",
    metric="accuracy of CAT5 on the new task, the mean over three circumstances",
    holds=all_of(*(on_average(above(0, of=f"CAT5 - wide, {name}")) for name in VARIANTS)),
    trivial="majority class",
    seeds=SEEDS,
    expect="partly",
    because="it takes parts of little capacity and training that forgets: with a decay that takes the initial weights away "
    "the lead is large, with larger initial weights or wider parts the wide network has as much left to read",
)
def circumstances(preset: Preset, key: jax.Array) -> Measurement:
    """He's initial weights, of six times the variance; twice the width; ten times the weight decay. Probes with batch norm."""
    study, n = variants_study(preset, key), preset.transfer.parts
    means = {variant: _means(by_method) for variant, by_method in study.items()}
    extras = {f"CAT5 - wide, {name}": of[f"CAT{n}"] - of["wide"] for name, of in means.items()}
    extras |= {f"{method}, {name}": of[method] for name, of in means.items() for method in of}
    value = float(np.mean([of[f"CAT{n}"] for of in means.values()]))
    wide = float(np.mean([of["wide"] for of in means.values()]))
    return _new_task(transfer_study(preset, key), value, {"wide": wide}, extras=extras)


@paper.claim(
    "R3d",
    says="CATn beats the same sub-networks trained jointly, as one wide and deep network",
    source="Figure 1 and the figure on self-supervised transfer",
    metric="accuracy of CAT5 on the new task",
    holds=beats("wide & deep"),
    trivial="majority class",
    seeds=SEEDS,
    expect="not reproduced",
    because="sub-networks that share a loss share its gradient too and move less from their initial weights, which suit digits "
    "well: untrained features do better than any trained ones; ten times the weight decay does not close the gap",
)
def against_joint_training(preset: Preset, key: jax.Array) -> Measurement:
    """The joint network starts from the weights from which the episodes start. Its sub-networks as parts (CATsub) beside it."""
    study, n = transfer_study(preset, key), preset.transfer.parts
    means, strong = _means(study["probe"]), _means(variants_study(preset, key)[VARIANTS[2]])
    return _new_task(
        study,
        means[f"CAT{n}"],
        {"wide & deep": means["wide & deep"]},
        extras={name: means[name] for name in ("single", "sub-network", "CAT2", "CATsub2", "untrained, wide", "pixels")}
        | {"gap": means["wide & deep"] - means[f"CAT{n}"], "gap, ten times the decay": strong["wide & deep"] - strong[f"CAT{n}"]},
    )


@paper.claim(
    "R4",
    says="To fine-tune the parts one by one, join them and probe shortly is not worse than to fine-tune CATn all at once",
    source="Figure 1, fine-tuning",
    metric="accuracy of two-stage fine-tuning on the new task",
    holds=on_average(beats("at once")),
    trivial="majority class",
    seeds=SEEDS,
)
def two_stages(preset: Preset, key: jax.Array) -> Measurement:
    """Rates and decays of every network by validation, from one grid."""
    study = {name: float(value) for name, value in fine_tuning_study(preset, key).items()}
    return _new_task(transfer_study(preset, key), study.pop("two stages"), study)


def _distilled(preset: Preset, key: jax.Array, which: int) -> Measurement:
    study, config = transfer_study(preset, key), preset.transfer
    means, n = _means(study["probe"]), config.parts
    student = means[f"DISTILL{n}, tau = {config.temperatures[which]:g}"]
    cat = means[f"CAT{n}"]
    recovered = (student - means["single"]) / (cat - means["single"])
    return _new_task(study, student, {"single": means["single"]}, extras={f"CAT{n}": cat, "share of the gain": recovered})


@paper.claim(
    "R5",
    says="Distilled at a temperature of 2, CATn makes one small network better than an episode of its size",
    source="section on distillation",
    metric="accuracy of the student on the new task",
    holds=on_average(beats("single")),
    trivial="majority class",
    seeds=SEEDS,
    expect="not reproduced",
    because="teachers that are nearly always right, and sure of it, say little beyond the label at this temperature; softer, "
    "the same student learns more from them, see R5b",
)
def distilled(preset: Preset, key: jax.Array) -> Measurement:
    """A student of the width of one episode, with a head for each of the teachers, dropped before the probe."""
    return _distilled(preset, key, 0)


@paper.claim(
    "R5b",
    says="Distilled at a temperature of 10, CATn makes one small network better than an episode of its size",
    source="section on distillation",
    metric="accuracy of the student on the new task",
    holds=on_average(beats("single")),
    trivial="majority class",
    seeds=SEEDS,
)
def distilled_softly(preset: Preset, key: jax.Array) -> Measurement:
    """The same student and teachers."""
    return _distilled(preset, key, -1)


KINDS = ("ERM, IID", "ERM, OOD", "VREx, IID", "VREx, OOD")


@paper.claim(
    "R6",
    says="Under group shift a rich representation is not worse than that of one network, for ERM and for VREx",
    source="Figure 4 of the repository, Camelyon17",
    metric="accuracy outside the training environments, VREx on CAT5, OOD validation",
    holds=all_of(*(on_average(at_least(0, of=f"CATn - ERM: {kind}")) for kind in KINDS)),
    trivial="majority class",
    seeds=SEEDS,
)
def group_shift(preset: Preset, key: jax.Array) -> Measurement:
    """Heads on frozen features; the weight of the variance and the decay by either validation."""
    study, n = shift_study(preset, key), preset.shift.parts
    means = {kind: _means(study["heads"][kind]) for kind in KINDS}
    best = means["VREx, OOD"]
    return Measurement(
        best[f"CAT{n}"],
        f"{study['name']}, coloured, odd against even",
        baselines={"majority class": float(study["majority"]), "ERM": best["ERM"], "wide": best["wide"]},
        extras={f"CATn - ERM: {kind}": of[f"CAT{n}"] - of["ERM"] for kind, of in means.items()}
        | {f"{name}: {kind}": value for kind, of in means.items() for name, value in of.items()}
        | {"networks inside": float(study["networks"][1]), "networks outside": float(study["networks"][3])},
        stand_in_for="Camelyon17, DenseNet-121",
    )


@paper.claim(
    "R7",
    says="Snapshots of a single episode with a high rate give part of the gain when they are joined",
    source="Figure 3 of the repository",
    metric="accuracy of CAT5-s on the new task",
    holds=all_of(beats("single"), above(0, of="CAT5 - CAT5-s")),
    trivial="majority class",
    seeds=SEEDS,
)
def snapshots(preset: Preset, key: jax.Array) -> Measurement:
    """Five equally spaced snapshots; the rate by validation. The snapshot that validates best beside them."""
    study, n = transfer_study(preset, key), preset.transfer.parts
    means = _means(study["probe"])
    value, cat = means[f"CAT{n}-s"], means[f"CAT{n}"]
    return _new_task(
        study,
        value,
        {name: means[name] for name in ("single", "best snapshot")},
        extras={
            f"CAT{n}": cat,
            "CAT5 - CAT5-s": cat - value,
            "share of the gain": (value - means["single"]) / (cat - means["single"]),
            "rate": float(study["high rate"]),
        },
    )


@paper.claim(
    "R8",
    says="In few-shot tasks heads on CATn and on DISTILLn beat heads on one episode, linear ones and those by cosine",
    source="Figure 3 of the repository",
    metric="accuracy of a cosine head on CAT5",
    holds=all_of(
        *(
            on_average(above(0, of=f"{method} - single, {head}"))
            for method in ("CATn", "DISTILLn")
            for head in ("linear", "cosine")
        )
    ),
    trivial="chance",
    seeds=SEEDS,
)
def few_shot(preset: Preset, key: jax.Array) -> Measurement:
    """The same tasks for all."""
    study, config, n = few_shot_study(preset, key), preset.few_shot, preset.transfer.parts
    extras = {}
    for head, by_method in study.items():
        found = {name.split(",")[0]: float(value) for name, value in by_method.items()}
        extras |= {f"{name}, {head}": value for name, value in found.items()}
        extras |= {f"{name}n - single, {head}": found[f"{name}{n}"] - found["single"] for name in ("CAT", "DISTILL")}
    return Measurement(
        extras[f"CAT{n}, cosine"],
        f"{transfer_study(preset, key)['name']}, {config.ways} ways, {config.shots} shots, {config.tasks} tasks",
        baselines={"chance": 1 / config.ways, "single": extras["single, cosine"], "wide": extras["wide, cosine"]},
        extras=extras,
        stand_in_for="miniImageNet and CUB, ResNet",
    )

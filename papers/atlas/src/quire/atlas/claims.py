"""The claims of the paper, in its order: A1 to A7."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.atlas.adaptation import adaptation_study
from quire.atlas.addition import addition_study
from quire.atlas.composition import compose
from quire.atlas.config import Preset
from quire.atlas.few_shot import few_shot_study
from quire.atlas.library import family_of
from quire.atlas.negation import negation_study
from quire.atlas.paper import paper
from quire.atlas.partitions import partition_study
from quire.atlas.task_vectors import TaskVector, stack_task_vectors
from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.data.source import DataFields
from quire.common.random import generator
from quire.common.testing import max_relative_error

STAND_IN = "CLIP's ViTs and 22 image sets"


@paper.claim(
    "A1",
    says="Zero coefficients give the base, a row of ones a fine-tuned model, equal columns the global form",
    source="section 3, equation 2",
    metric="largest difference, float64",
    holds=all_of(below(1e-9), below(1e-6, of="float32")),
    exact=True,
)
def special_coefficients(preset: Preset, key: jax.Array) -> Measurement:
    """A base and three fine-tuned models of normal weights."""
    draw = generator(key)
    shapes = {"w1": (8, 16), "b1": (16,), "w2": (16, 4), "b2": (4,)}
    models = [{name: draw.standard_normal(shape) for name, shape in shapes.items()} for _ in range(4)]
    scales = draw.standard_normal(3)

    def errors(dtype: Any) -> dict[str, float]:
        base, *tuned = jax.tree.map(lambda x: jnp.asarray(x, dtype), models)
        tvs = stack_task_vectors([TaskVector.from_params(base, model) for model in tuned])
        zeros, lam = np.zeros((3, 4), dtype), scales.astype(dtype)
        one = zeros.copy()
        one[1] = 1
        pairs = {
            "zeros": (compose(base, tvs, zeros), base),
            "a row of ones": (compose(base, tvs, one), tuned[1]),
            "equal columns": (compose(base, tvs, np.tile(lam[:, None], 4)), compose(base, tvs, lam)),
        }
        return {name: max(max_relative_error(a[n], b[n]) for n in shapes) for name, (a, b) in pairs.items()}

    return identity(errors, "weights of 4 blocks, 3 task vectors")


def _fields(preset: Preset, note: str) -> DataFields:
    return {"data": f"{family_of(preset).name}; {note}", "stand_in_for": STAND_IN}


@paper.claim(
    "A2",
    says="Added with a coefficient a block, task vectors serve all tasks better than with one a vector or one for all",
    source="section 5.1, task addition",
    metric="mean test accuracy over the domains",
    holds=all_of(
        on_average(at_least(0.02, of="block - global")),
        on_average(at_least(0.66, of="block is ahead")),
        on_average(above(0, of="global - arithmetic")),
    ),
    trivial="majority class",
)
def addition(preset: Preset, key: jax.Array) -> Measurement:
    """Coefficients learned, rates and epochs chosen, on the validation images; task arithmetic chooses its factor there."""
    study = {name: value for name, value in addition_study(preset, key).items() if np.ndim(value) == 0}
    block, glob, arithmetic = (float(study[name]) for name in ("block", "global", "arithmetic"))
    return Measurement(
        block,
        **_fields(preset, f"{len(preset.domains)} domains"),
        baselines={
            "majority class": family_of(preset).majority,
            "zero-shot": float(study["zero-shot"]),
            "task arithmetic": arithmetic,
            "one coefficient a vector": glob,
        },
        extras={
            "block - global": block - glob,
            "block is ahead": float(block > glob),
            "global - arithmetic": glob - arithmetic,
            "linear task arithmetic": float(study["linear arithmetic"]),
            "linear, block": float(study["linear block"]),
        },
    )


@paper.claim(
    "A3",
    says="Negated with a coefficient a block, a task is unlearned as well as with one coefficient, and the control kept",
    source="section 5.2, task negation",
    metric="mean test accuracy on the unlearned domains",
    holds=all_of(
        on_average(at_most(0, of="block - isotropic")),
        on_average(at_least(0.95, of="control kept")),
        on_average(above(0, of="drop")),
    ),
    trivial="zero-shot",
    expect="partly",
    because="at zero the derivatives by all blocks of a perceptron have one sign, AdamW takes steps of one size whatever theirs "
    "is, and the control is lost before the signs part: both forms find almost the same edit",
)
def negation(preset: Preset, key: jax.Array) -> Measurement:
    """The lowest target accuracy with 95 % of the control left, both on the validation images; each domain by itself."""
    study = jax.tree.map(lambda x: float(np.mean(x)), negation_study(preset, key))
    kept = {name: study[f"{name} control"] / study["zero-shot control"] for name in ("block", "global", "arithmetic")}
    return Measurement(
        study["block"],
        **_fields(preset, "control: plain images"),
        baselines={
            "zero-shot": study["zero-shot"],
            "task arithmetic": study["arithmetic"],
            "one coefficient": study["global"],
        },
        extras={
            "block - isotropic": study["block"] - study["global"],
            "drop": study["zero-shot"] - study["block"],
            "control kept": kept["block"],
            "control kept, one coefficient": kept["global"],
            "control kept, task arithmetic": kept["arithmetic"],
            "control, zero-shot": study["zero-shot control"],
        },
    )


def _few_shot(preset: Preset, key: jax.Array, pool: int) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, float]]:
    """Accuracies by shots with one of the pools, baselines of their means over the shots, and extras by shots."""
    study = few_shot_study(preset, key)
    by_shots = {name: np.asarray(study[name][pool]) for name in ("atlas", "full", "lora", "subspace")}
    names = {"full": "full fine-tuning", "lora": "LoRA", "subspace": "random subspace"}
    baselines = {"majority class": family_of(preset).majority, "zero-shot": float(study["zero-shot"][pool])}
    baselines |= {label: float(by_shots[name].mean()) for name, label in names.items()}
    extras = {
        f"{label}, {n} shots": float(value)
        for name, label in ({"atlas": "aTLAS"} | names).items()
        for n, value in zip(preset.shots, by_shots[name], strict=True)
    }
    return by_shots, baselines, extras


@paper.claim(
    "A4",
    says="From few images, coefficients of related task vectors beat zero-shot, and full fine-tuning where shots are fewest",
    source="section 5.3, few-shot adaptation",
    metric="test accuracy, mean over shots",
    holds=all_of(every_seed(above(0, of="least gain over zero-shot")), every_seed(at_least(0, of="aTLAS - full, fewest shots"))),
    trivial="majority class",
)
def few_shots_related(preset: Preset, key: jax.Array) -> Measurement:
    """The target is a rotation, the pool has four other angles and two domains that do not help."""
    by_shots, baselines, extras = _few_shot(preset, key, 0)
    extras["least gain over zero-shot"] = float(by_shots["atlas"].min() - baselines["zero-shot"])
    extras["aTLAS - full, fewest shots"] = float(by_shots["atlas"][0] - by_shots["full"][0])
    return Measurement(
        float(by_shots["atlas"].mean()),
        **_fields(preset, f"target {preset.target_name}, {len(preset.pool)} vectors"),
        baselines=baselines,
        extras=extras,
    )


@paper.claim(
    "A4b",
    says="The same holds where no task vector of the pool is related to the target",
    source="section 5.3; the paper's pools hold 21 other data sets",
    metric="test accuracy, mean over shots",
    holds=all_of(every_seed(above(0, of="least gain over zero-shot")), every_seed(at_least(0, of="aTLAS - full, fewest shots"))),
    trivial="majority class",
    expect="partly",
    because="a few coefficients cannot point where no vector of the pool points: they beat zero-shot, and full fine-tuning of so "
    "small a network beats them at any number of shots",
)
def few_shots_unrelated(preset: Preset, key: jax.Array) -> Measurement:
    """The target is the first domain of addition, the pool the other ones."""
    by_shots, baselines, extras = _few_shot(preset, key, 1)
    extras["least gain over zero-shot"] = float(by_shots["atlas"].min() - baselines["zero-shot"])
    extras["aTLAS - full, fewest shots"] = float(by_shots["atlas"][0] - by_shots["full"][0])
    return Measurement(
        float(by_shots["atlas"].mean()),
        **_fields(preset, f"target {preset.domains[0]}, {len(preset.domains) - 1} vectors"),
        baselines=baselines,
        extras=extras,
    )


@paper.claim(
    "A5",
    says="The subspace that task vectors span is a better one to learn in than a random one of as many dimensions",
    source="abstract: low intrinsic dimensionality",
    metric="test accuracy, mean over shots",
    holds=all_of(beats("random subspace"), beats("random vectors, block by block")),
    trivial="majority class",
)
def better_than_random(preset: Preset, key: jax.Array) -> Measurement:
    """The few-shot task of A4; a random projection from T J numbers, and random vectors in place of task vectors."""
    by_shots, baselines, extras = _few_shot(preset, key, 0)
    study = few_shot_study(preset, key)
    baselines["random vectors, block by block"] = float(np.mean(study["random vectors"]))
    return Measurement(
        float(by_shots["atlas"].mean()),
        **_fields(preset, f"target {preset.target_name}"),
        baselines=baselines,
        extras=extras | {"dimensions": float(study["atlas parameters"])},
    )


@paper.claim(
    "A6",
    says="Random parts of every block give K times the coefficients, and with all the data more of them are better",
    source="section 5.5, parameter-efficient fine-tuning",
    metric="test accuracy with the largest K and all data",
    holds=on_average(at_least(0, of="largest - smallest K, all data")),
    trivial="majority class",
)
def more_parts(preset: Preset, key: jax.Array) -> Measurement:
    """A target without a related vector, on shares of its training images."""
    study = partition_study(preset, key)
    accuracy, parts, fractions = study["accuracy"], preset.parts, preset.fractions
    gain = accuracy[-1] - accuracy[0]
    return Measurement(
        float(accuracy[-1, -1]),
        **_fields(preset, f"target {preset.domains[0]}, {len(preset.domains) - 1} vectors"),
        baselines={
            "majority class": family_of(preset).majority,
            "zero-shot": float(study["zero-shot"]),
            "K = 1": float(accuracy[0, -1]),
            "matrices only": float(study["matrices"][-1]),
        },
        extras={"largest - smallest K, all data": float(gain[-1]), "largest - smallest K, least data": float(gain[0])}
        | {f"K = {k}, {100 * f:g} %": float(accuracy[i, j]) for i, k in enumerate(parts) for j, f in enumerate(fractions)}
        | {f"coefficients, K = {k}": float(count) for k, count in study["parameters"].items()},
    )


@paper.claim(
    "A7",
    says="Without a label, coefficients learned on the test images themselves improve on zero-shot",
    source="section 5.4, test-time adaptation",
    metric="test accuracy after the last step",
    holds=all_of(every_seed(at_least(0, of="gain")), on_average(above(0, of="gain"))),
    trivial="majority class",
)
def without_labels(preset: Preset, key: jax.Array) -> Measurement:
    """UFM with the related pool; nothing is chosen by labels."""
    study = adaptation_study(preset, key)
    return Measurement(
        float(study["UFM"]),
        **_fields(preset, f"target {preset.target_name}, {len(preset.pool)} vectors"),
        baselines={
            "majority class": family_of(preset).majority,
            "zero-shot": float(study["zero-shot"]),
            "entropy": float(study["entropy"]),
        },
        extras={"gain": float(study["UFM"] - study["zero-shot"]), "right among the trusted": float(study["trusted"])},
    )

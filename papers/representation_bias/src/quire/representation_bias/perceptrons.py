"""Perceptrons under all manipulations: binary inputs, one program for the networks of one shape."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import shared
from quire.common.train.finite import leaf_name
from quire.common.train.seeds import stack
from quire.representation_bias.conditions import BOTH, CONDITIONS, VARIANTS, Condition
from quire.representation_bias.config import Perceptrons, Preset
from quire.representation_bias.features import Features, feature_values, held_out_bits, stack_features, unpacked, words_for
from quire.representation_bias.networks import MLP, Outputs, feature_loss, initial_state
from quire.representation_bias.rsa import rsa_matrix
from quire.representation_bias.training import (
    Problem,
    Run,
    Scores,
    Trained,
    last_layer,
    most_likely,
    scores,
    train_multi_feature,
)


class BinaryTask(NamedTuple):
    """What a perceptron learns, as arrays.

    Attributes:
        features: what to compute.
        weights: of the features in the loss, `[steps, m]`.
        prevalence: of the features.
        constant: 1 if the bits of an absent feature are zero, 0 if it is left out of the loss.
        dropout: rate.
    """

    features: Features
    weights: Any
    prevalence: Any
    constant: Any
    dropout: Any


class Batch(NamedTuple):
    """Bits `[n, dim]`, numbers that decide which features are present `[n, m]`, and dropout's `[layers, n, width]` if any."""

    x: jax.Array
    present: jax.Array
    noise: jax.Array | None


def draw(config: Perceptrons, slots: int, noise: tuple[int, int] | None, key: jax.Array, data: None, step: jax.Array) -> Batch:
    """A fresh batch, out of one draw: a generator takes as long to compile as all the rest of the program.

    `noise` is the depth and width of a network with dropout.
    """
    n = config.batch
    sizes = n * words_for(config.dim), n * slots, n * (noise[0] * noise[1] if noise else 0)
    words = jax.random.bits(key, (sum(sizes),), jnp.uint32)
    bits, *rest = jnp.split(words, np.cumsum(sizes[:-1]))
    present, off = ((part >> 8).astype(jnp.float32) / 2**24 for part in rest)
    x = unpacked(bits, n, config.dim)
    return Batch(x, present.reshape(n, slots), off.reshape(noise[0], n, noise[1]) if noise else None)


def loss(model: MLP, batch: Batch, task: BinaryTask, step: jax.Array) -> jax.Array:
    """Cross-entropy of all features, absent ones masked or constant."""
    absent = (batch.present >= task.prevalence[None]).astype(jnp.float32)
    off = task.constant * (absent @ task.features.mask)
    x = batch.x * (1 - off)
    labels = feature_values(task.features, x)
    weights = task.weights[step][None] * (1 - (1 - task.constant) * absent)
    return feature_loss(model(x, batch.noise, task.dropout), labels, task.features.classes, weights)


def answer(model: MLP, x: jax.Array, task: BinaryTask) -> tuple[Outputs, jax.Array, jax.Array]:
    """Outputs without dropout on inputs in which all features are present, the features, and what the network takes them for."""
    outputs = model(x)
    return outputs, feature_values(task.features, x), most_likely(outputs, task.features.classes)


def binary_task(condition: Condition, config: Perceptrons, slots: int) -> BinaryTask:
    """A condition as arrays; of the slots for features, those without one have no weight."""
    count = len(condition.specs)
    phases = np.array(condition.phases or ((1.0,) * count,), np.float32)
    rows = np.arange(config.steps) * len(phases) // config.steps
    fill = ((0, 0), (0, slots - count))
    return BinaryTask(
        stack_features(condition.specs, config.dim, slots=slots),
        np.pad(phases[rows], fill),
        np.pad(np.array([condition.prevalence or (1.0,) * count], np.float32), fill, constant_values=1)[0],
        np.float32(condition.absent == "constant"),
        np.float32(condition.dropout),
    )


def started(conditions: Sequence[Condition], width: int, state: nnx.State, number: int) -> nnx.State:
    """Initial weights of a smaller network as a part of those of a larger one.

    Units that are left out have no weights into them, and stay off. Layers that are left out pass on what comes: their weights
    are the identity, and are not trained.
    """
    condition = conditions[number]
    kept = max(1, round(condition.width * width))

    def change(path, leaf):
        part, *layer, name = leaf_name(path).split(".")
        leaf = np.array(leaf)
        if part == "hidden" and _left_out(condition, int(layer[0])):
            return np.eye(*leaf.shape, dtype=leaf.dtype) if name == "kernel" else 0 * leaf
        if name == "kernel" and not (part == "hidden" and layer[0] == "0"):
            leaf *= (width / kept) ** 0.5  # fewer units feed it
        if part == "hidden" and name == "kernel":
            leaf[:, kept:] = 0
        return leaf

    return jax.tree.map_with_path(change, state)


def moves(condition: Condition, state: nnx.State) -> nnx.State:
    """1 for the parameters that a condition trains."""

    def of(path, leaf):
        part, *layer, _ = leaf_name(path).split(".")
        return np.full_like(leaf, not (part == "hidden" and _left_out(condition, int(layer[0]))))

    return jax.tree.map_with_path(of, state)


def _left_out(condition: Condition, layer: int) -> bool:
    return condition.depth is not None and layer >= condition.depth


class BinaryStudy(NamedTuple):
    """Perceptrons of one shape.

    Attributes:
        names: of the conditions.
        tasks: stacked.
        trained: the networks.
        scores: of the networks.
        fit, test: inputs `[n, dim]` that all networks are measured on.
    """

    names: tuple[str, ...]
    tasks: BinaryTask
    trained: Trained
    scores: Scores
    fit: np.ndarray
    test: np.ndarray


def study(
    config: Perceptrons, conditions: Mapping[str, Condition], keys: Sequence[jax.Array], *, depth: int, width: int
) -> BinaryStudy:
    """Train and measure one perceptron for every seed and condition.

    Args:
        config: sizes; its own depth and width do not count.
        conditions: by name.
        keys: one per seed.
        depth, width: of the networks, of which those of a condition may be a part.

    Raises:
        ValueError: for a condition that is deeper than the networks.
    """
    plan, each = list(conditions.values()), (width,) * depth
    for name, condition in conditions.items():
        if condition.depth is not None and not 1 <= condition.depth <= depth:
            raise ValueError(f"depth of condition {name!r} is {condition.depth}; it must lie between 1 and {depth}")
    slots, classes = max(len(c.specs) for c in plan), max(spec.num_classes for c in plan for spec in c.specs)
    noise = (depth, width) if any(c.dropout for c in plan) else None
    build = partial(_build, config.dim, each, slots, classes)
    problem = Problem(partial(draw, config, slots, noise), loss, answer)
    template = initial_state(build, keys[0])[1]
    tasks = [binary_task(condition, config, slots) for condition in plan]
    runs = [
        Run(
            task,
            np.full(config.steps, config.adam_rate if c.adam else config.rate, np.float32),
            np.float32(c.adam),
            np.float32(c.decay),
            moves(c, template),
        )
        for task, c in zip(tasks, plan, strict=True)
    ]
    trained = train_multi_feature(
        keys, build, problem, runs, steps=config.steps, snapshots=config.snapshots, start=partial(started, plan, width)
    )
    fit, test = held_out_bits(keys[0], config.num_eval, config.dim)
    stacked = stack(tasks)
    return BinaryStudy(tuple(conditions), stacked, trained, scores(trained, problem, stacked, fit, test, classes), fit, test)


def _build(dim: int, widths: Sequence[int], slots: int, classes: int, rngs: nnx.Rngs) -> MLP:
    return MLP(dim, widths, slots, classes, rngs=rngs)


@shared
def perceptron_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`CONDITIONS` at the preset's depth and width.

    Returns:
        `names` of the conditions; `accuracy [seeds, conditions, m]`; `shares` and `untrained [seeds, conditions, layers, m]`, R2
        after and before training; `curves [seeds, conditions, times, m]`, see `Scores.curves`; `order`, see `order_effects`;
        `bits` and `labels`, inputs to measure on and their features; `reps`, last representations `[seeds, n, d]` of these by
        the networks that learn both features, either alone, or nothing; `rsa`, see `mean_similarities`; `steering`, what it
        takes to steer the networks of copy beside xor2 and beside parity4, see `readouts`.
    """
    config = preset.perceptrons
    found = study(config, CONDITIONS, list(keys), depth=config.depth, width=config.width)
    kinds = {"both": "joint", "easy": "easy alone", "hard": "hard alone"}
    rows = [found.names.index(name) for name in kinds.values()]
    reps = dict(zip(kinds, np.moveaxis(last_layer(found.trained, found.test, rows), 1, 0), strict=True))
    reps["untrained"] = last_layer(found.trained, found.test, rows[:1], snapshot=0)[:, 0]
    labels = np.asarray(feature_values(stack_features(BOTH, config.dim), found.test))
    shares = found.scores.shares()
    gaps = {name: shares[:, c, -1, 0] - shares[:, c, -1, 1] for c, name in enumerate(found.names)}
    return {
        "names": found.names,
        "accuracy": found.scores.accuracy[:, :, -1],
        "shares": shares,
        "untrained": found.scores.untrained(),
        "curves": found.scores.curves(),
        "order": order_effects(gaps),
        "bits": np.broadcast_to(found.test, (len(keys), *found.test.shape)),
        "labels": np.broadcast_to(labels, (len(keys), *labels.shape)),
        "reps": reps,
        "rsa": mean_similarities({kind: rep[:, : config.num_rsa] for kind, rep in reps.items()}),
        "steering": {"xor2": readouts(found, "joint"), "parity4": readouts(found, "copy, parity4")},
    }


def order_effects(gaps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the order of learning does to the gap `[seeds]`, and each effect in its standard errors over the seeds.

    NaN for a single seed, which has no standard error.
    """
    effects = {
        "easy first - joint": gaps["easy first"] - gaps["joint"],
        "joint - hard first": gaps["joint"] - gaps["hard first"],
        "hard first": gaps["hard first"],
    }
    seeds = len(gaps["joint"])

    def ratio(x: np.ndarray) -> float:
        return x.mean() / (x.std(ddof=1) / seeds**0.5) if seeds > 1 and np.ptp(x) else np.nan

    return effects | {f"({name}) / s.e.": np.full(seeds, ratio(x)) for name, x in effects.items()}


def readouts(found: BinaryStudy, name: str) -> dict[str, np.ndarray]:
    """Last representations `rep [seeds, n, d]` of a condition, its first two features `labels`, and their readouts.

    The score of class 1 is `weights [seeds, 2, d]` times the representation, plus `biases [seeds, 2]`.
    """
    number = found.names.index(name)
    state = jax.tree.map(lambda x: x[:, number, -1], found.trained.states)
    features = jax.tree.map(lambda x: x[number], found.tasks.features)
    labels = np.asarray(feature_values(features, found.test))[:, :2]
    step = state["head"]["bias"][...].shape[1] // found.tasks.weights.shape[2]
    every = slice(None, 2 * step, step)  # the score of class 1 is the first of a feature
    rep = last_layer(found.trained, found.test, [number])[:, 0]
    return {
        "rep": rep,
        "labels": np.broadcast_to(labels, (len(rep), *labels.shape)),
        "weights": np.moveaxis(np.asarray(state["head"]["kernel"][...])[:, :, every], 1, 2),
        "biases": np.asarray(state["head"]["bias"][...])[:, every],
    }


def mean_similarities(reps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """RSA of networks of two kinds and different seeds.

    Args:
        reps: `[seeds, n, d]` by kind, of the same inputs.

    Returns:
        `"both, easy" [seeds]`, say: the mean over all networks of the second kind that have another seed, since networks of one
        seed share their initial weights. NaN for a single seed.
    """
    kinds, seeds = list(reps), len(next(iter(reps.values())))
    matrix = rsa_matrix(np.concatenate(list(reps.values()))).reshape(len(kinds), seeds, len(kinds), seeds)
    others = ~np.eye(seeds, dtype=bool)
    return {
        f"{a}, {b}": np.array(
            [row[keep].mean() if keep.any() else np.nan for row, keep in zip(matrix[i, :, j], others, strict=True)]
        )
        for i, a in enumerate(kinds)
        for j, b in enumerate(kinds)
    }


@shared
def variant_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`VARIANTS`, and networks that are deeper or wider.

    Returns:
        `names`; `accuracy [seeds, conditions, m]`; `shares` and `untrained [seeds, conditions, layers, m]`; `larger` and `larger
        accuracy`, R2 in the last layer and accuracy `[seeds, m]` of `"deep"` and `"wide"` networks that learn copy and xor2.
    """
    sizes = preset.perceptrons
    config = replace(sizes, batch=sizes.variant_batch, steps=sizes.variant_steps)
    found = study(config, VARIANTS, list(keys), depth=config.depth, width=config.width)
    plan = {"deep": (config.deep, config.width), "wide": (config.depth, config.wide)}
    joint = {"joint": VARIANTS["joint"]}
    larger = {name: study(config, joint, list(keys), depth=depth, width=width).scores for name, (depth, width) in plan.items()}
    return {
        "names": found.names,
        "accuracy": found.scores.accuracy[:, :, -1],
        "shares": found.scores.shares(),
        "untrained": found.scores.untrained(),
        "larger": {name: each.shares()[:, 0, -1] for name, each in larger.items()},
        "larger accuracy": {name: each.accuracy[:, 0, -1] for name, each in larger.items()},
    }

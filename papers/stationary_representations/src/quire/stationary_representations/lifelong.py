"""Improved model replacements in lifelong learning (IAM-CL2R): a model is fine-tuned task by task, and replaced now and then."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fold_keys
from quire.common.train.step import Weights
from quire.stationary_representations.compatibility import compatibility_matrix, search_accuracy
from quire.stationary_representations.config import Preset, Replacement
from quire.stationary_representations.network import switchable_network
from quire.stationary_representations.simplex import slot
from quire.stationary_representations.sources import ScenarioImages, open_scenario
from quire.stationary_representations.task_stream import Memory, TaskStream, balanced_batches
from quire.stationary_representations.training import Networks, Pool, Role


class Method(NamedTuple):
    """A way to stay compatible.

    Attributes:
        fixed: whether the classifier is the simplex; otherwise it learns, and grows with the classes.
        tie: `"hoc"`, `"distillation"`, `"old classifier"` or "", weighted by `1 - lambda`, cross-entropy by lambda.
    """

    fixed: bool
    tie: str = ""

    def weights(self, lam: float) -> tuple[float, ...]:
        """Of cross-entropy, HOC, distillation and the old classifier's cross-entropy, where there is an old model."""
        ties = tuple((1 - lam) * (self.tie == name) for name in TIES)
        return (lam if self.tie else 1.0, *ties)


TIES = ("hoc", "distillation", "old classifier")

METHODS: Mapping[str, Method] = {
    "HOC": Method(True, "hoc"),
    "simplex-only": Method(True),
    "ER": Method(False),
    "LwF": Method(False, "distillation"),
    "BCT": Method(False, "old classifier"),
}
"""The paper's, its ablation without the contrastive term, and rivals whose classifier learns."""


class Run:
    """A scenario under way: networks `[methods x seeds]`, method by method.

    Args:
        images: data and sizes.
        keys: one per seed; within a seed all methods start alike and see the same batches.
        methods: by name.
    """

    def __init__(self, images: ScenarioImages, keys: jax.Array, methods: Mapping[str, Method] = METHODS):
        scenario = images.scenario
        sizes, pixels = scenario.architecture, images.local.images.astype(np.float32)
        self.images, self.scenario, self.keys, self.methods = images, scenario, keys, dict(methods)
        self.num_slots = sizes.num_slots
        self.stream = TaskStream(images.local.labels, scenario.initial, scenario.increment)
        own, others = slot(images.local.labels, self.num_slots), slot(images.other.labels, self.num_slots, reverse=False)
        both = np.concatenate([images.local.images, images.other.images])
        self.pool = Pool(jnp.asarray(both), jnp.asarray(np.concatenate([own, others])))
        mean, std = float(pixels.mean()), float(pixels.std())
        self.networks = Networks(
            lambda rngs: switchable_network(sizes, mean, std, rngs=rngs),
            scenario.training,
            tied=True,
            mu=scenario.mu,
            one_by_one=scenario.one_by_one,
        )

    def start(self, number: int) -> Weights:
        """Fresh networks; their keys are `fold_in(key, number)`."""
        return self.networks.start(fold_keys(self.keys, number), copies=len(self.methods))

    def train(
        self, weights: Weights, indices: list[np.ndarray], keep: np.ndarray, known: np.ndarray
    ) -> tuple[Weights, np.ndarray]:
        """One stage from these weights, tied to themselves as they are now.

        Args:
            weights: of all networks.
            indices: batches of every seed `[steps, batch]`.
            keep: slots of the classifier that learns `[K]`; the simplex has all of them.
            known: slots that the weights have learned before `[K]`; with none, there is no old model.
        """
        methods = [method for method in self.methods.values() for _ in self.keys]
        weighted = [method.weights(self.scenario.lam) if known.any() else (1.0, 0.0, 0.0, 0.0) for method in methods]
        roles = Role(
            np.array([method.fixed for method in methods], np.float32),
            np.array(weighted, np.float32),
            np.array([keep | method.fixed for method in methods]),
            np.array([known] * len(methods)),
        )
        return self.networks.train(weights, weights, roles, self.pool, np.stack(indices * len(self.methods)))

    def replacing(self, replacement: Replacement) -> Weights:
        """Models trained elsewhere, from scratch, on the first classes of the other set; their slots count from the beginning."""
        training, number = self.scenario.training, 100 * replacement.before
        examples = len(self.images.local) + np.flatnonzero(self.images.other.labels < replacement.classes)
        keep = np.arange(self.num_slots) < replacement.classes
        weights = self.start(number)
        for stage in range(replacement.stages):
            keys = fold_keys(self.keys, number + 1 + stage)
            shuffled = [epoch_indices(key, len(examples), training.batch_size, training.steps) for key in keys]
            weights, _ = self.train(weights, [examples[x].astype(np.int32) for x in shuffled], keep, np.zeros_like(keep))
        return weights


def run_lifelong(images: ScenarioImages, keys: jax.Array, methods: Mapping[str, Method] = METHODS) -> dict[str, Any]:
    """Fine-tune through all tasks, replace where the scenario says so, and search the held-out classes with every pair of models.

    Before a task, the model is the last one or a better one from elsewhere. It is tied to itself as it was then, with a new
    optimiser; after a replacement that is the new model.

    Args:
        images: data and sizes.
        keys: one per seed.
        methods: by name.

    Returns:
        `matrix` `[seeds, T, T]` and `losses` `[seeds, T, steps]` by method.
    """
    run = Run(images, keys, methods)
    scenario, training, stream = run.scenario, run.scenario.training, run.stream
    replacements = {each.before: each for each in scenario.replacements}
    searched = np.concatenate([images.gallery.images, images.queries.images])
    weights, memories = run.start(0), [Memory(scenario.memory)] * len(keys)
    seen = known = np.zeros(run.num_slots, bool)
    features, losses = [], []
    for task in range(len(stream)):
        if task in replacements:
            weights = run.replacing(replacements[task])
            known = np.arange(run.num_slots) < replacements[task].classes
        seen = seen | np.isin(np.arange(run.num_slots), slot(stream.classes(task), run.num_slots))
        new, share, task_keys = stream.examples(task), scenario.rehearsal if task else 0.0, fold_keys(keys, 1 + task)
        sizes = training.batch_size, training.steps, share
        batches = [balanced_batches(key, new, each.examples, *sizes) for key, each in zip(task_keys, memories, strict=True)]
        weights, values = run.train(weights, batches, seen, known)
        known = seen
        memories = [each.remember(generator(key), new, stream.labels) for key, each in zip(task_keys, memories, strict=True)]
        features.append(run.networks.features(weights, searched))
        losses.append(values)
    matrices = [_matrix([x[i] for x in features], images) for i in range(len(keys) * len(run.methods))]
    return {"matrix": _by_method(matrices, run), "losses": _by_method(np.stack(losses, axis=1), run)}


def _matrix(features: list[np.ndarray], images: ScenarioImages) -> np.ndarray:
    count = len(images.gallery)
    galleries, queries = [x[:count] for x in features], [x[count:] for x in features]
    return compatibility_matrix(queries, galleries, images.queries.labels, images.gallery.labels)


def _by_method(values: Any, run: Run) -> dict[str, np.ndarray]:
    values = np.asarray(values)
    return dict(zip(run.methods, values.reshape(len(run.methods), len(run.keys), *values.shape[1:]), strict=True))


def pixel_search(images: ScenarioImages) -> float:
    """Search accuracy of the raw pixels: templates are mean images. It has learned nothing."""
    gallery, queries = (x.images.reshape(len(x), -1).astype(np.float32) for x in (images.gallery, images.queries))
    return search_accuracy(gallery, images.gallery.labels, queries, images.queries.labels)


@shared
def lifelong_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`run_lifelong` of the preset's scenario with all methods, and what its tables need."""
    source = open_scenario(preset.scenario)
    images = source.value
    return run_lifelong(images, keys) | {
        "pixels": np.full(len(keys), pixel_search(images)),
        "chance": np.full(len(keys), 1 / len(np.unique(images.gallery.labels))),
        "replace_at": images.scenario.replace_at,
        "data": source.name,
        "stand_in_for": source.stand_in_for,
    }

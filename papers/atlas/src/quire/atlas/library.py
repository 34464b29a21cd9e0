"""The library that everything starts from: a base model for every seed, and a task vector for every domain."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.atlas.composition import linearized_apply
from quire.atlas.config import Preset
from quire.atlas.domains import Family, load_family
from quire.atlas.learning import learn
from quire.atlas.networks import Network, build
from quire.atlas.runs import Run, at, epochs_of, over_runs, shaped
from quire.atlas.task_vectors import blocks_of, with_blocks
from quire.common.claims import shared
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.seeds import stack

PLAIN = "plain"


@lru_cache(maxsize=2)
def family_of(preset: Preset) -> Family:
    """Images of all domains that a preset trains or tests on; the plain ones come first."""
    return load_family(preset.image_set, (PLAIN, *preset.tasks), preset.num_validation)


def network_of(preset: Preset, key: jax.Array) -> tuple[Network, Any, Any]:
    """The backbone of a preset, and initial parameters of its encoder and of its head."""
    family = family_of(preset)
    classes = int(family.train.labels.max()) + 1
    return build(preset.backbone, family.train.images.shape[2:], classes, rngs=nnx.Rngs(key))


@shared
def library(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Base models, and models fine-tuned on every task with the head of their base.

    Returns:
        `network`; `base` and `head` `[seeds, ...]`; `tvs`, task vectors `[seeds, tasks, ...]` by block, tasks in the order of
        `preset.tasks`; test accuracies `zero_shot [seeds, 1 + tasks]`, of plain images first, and `tuned [seeds, tasks]`.
    """
    built = [network_of(preset, key) for key in keys]
    network = built[0][0]
    base, head, zero_shot = _pretrained(preset, network, [{"base": b, "head": h} for _, b, h in built], keys)
    tvs, tuned = _tuned(preset, moved_logits(network), base, head, keys, len(preset.tasks))
    return {"network": network, "base": base, "head": head, "tvs": tvs, "zero_shot": zero_shot, "tuned": tuned}


@shared
def linear_library(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Task vectors of the domains of addition from fine-tuning the linearised model, `f(x; theta_0) + J (theta - theta_0)`.

    Returns:
        `tvs [seeds, domains, ...]` by block, and `tuned`, test accuracies of the linear models `[seeds, domains]`.
    """
    found = [library(preset, key) for key in keys]
    base, head = (stack([f[name] for f in found]) for name in ("base", "head"))
    logits = moved_logits(found[0]["network"], linear=True)
    tvs, tuned = _tuned(preset, logits, base, head, keys, len(preset.domains))
    return {"tvs": tvs, "tuned": tuned}


def moved_logits(network: Network, *, linear: bool = False) -> Callable[..., jax.Array]:
    """`(base, head, deltas, images) -> logits` of parameters that moved by `deltas`, of the network or of its linearisation."""

    def logits(base, head, deltas, images):
        if linear:
            return linearized_apply(lambda p, x: network.logits(p, head, x), base, deltas, images)
        return network.logits(with_blocks(base, jax.tree.map(jnp.add, blocks_of(base), deltas)), head, images)

    return logits


def _pretrained(preset: Preset, network: Network, starts: list[Run], keys: jax.Array):
    """Plain images, then some steps of all domains of addition together; encoder and head alike."""
    family, size = family_of(preset), preset.pretraining.batch_size
    count, domains = len(family.train.labels), family.places(PLAIN, *preset.domains)
    rates = preset.pretraining.learning_rate, preset.finetuning.learning_rate
    plain = epochs_of([jax.random.fold_in(key, 1) for key in keys], count, size, preset.pretraining.steps)
    mixed = epochs_of([jax.random.fold_in(key, 2) for key in keys], count * len(domains), size, preset.mixed_steps)
    runs = [
        start | {"plain": p, "mixed": np.stack([domains[m // count], m % count], -1)}
        for start, p, m in zip(starts, plain, mixed, strict=True)
    ]

    def run(run, c):
        def loss(p, domain, image):
            return smoothed_cross_entropy(network.logits(p["base"], p["head"], c["train"][domain, image]), c["labels"][image])

        start = {"base": run["base"], "head": run["head"]}
        first = learn(lambda p, i: loss(p, 0, i), start, run["plain"], lr=rates[0], weight_decay=0.0).value
        last = learn(lambda p, i: loss(p, i[:, 0], i[:, 1]), first, run["mixed"], lr=rates[1], weight_decay=0.0).value
        score = lambda images: network.accuracy(last["base"], last["head"], images, c["test_labels"])  # noqa: E731
        return last["base"], last["head"], jax.lax.map(score, c["test"])

    return over_runs(run, runs, _images(family), preset.at_once)


def _tuned(preset: Preset, logits: Callable[..., jax.Array], base: Any, head: Any, keys: jax.Array, tasks: int):
    """Task vectors `[seeds, tasks, ...]` of the first tasks, and test accuracies of what was fine-tuned."""
    family, recipe = family_of(preset), preset.finetuning
    pairs = [(seed, task) for seed in range(len(keys)) for task in range(tasks)]
    drawn = [jax.random.fold_in(keys[seed], 10 + task) for seed, task in pairs]
    batches = epochs_of(drawn, len(family.train.labels), recipe.batch_size, recipe.steps)
    runs = [{"seed": s, "domain": 1 + t, "batches": b} for (s, t), b in zip(pairs, batches, strict=True)]

    def run(run, c):
        start, head = at(c["base"], run["seed"]), at(c["head"], run["seed"])
        train, test = c["train"][run["domain"]], c["test"][run["domain"]]
        loss = lambda d, i: smoothed_cross_entropy(logits(start, head, d, train[i]), c["labels"][i])  # noqa: E731
        zeros = jax.tree.map(jnp.zeros_like, blocks_of(start))
        delta = learn(loss, zeros, run["batches"], lr=recipe.learning_rate, weight_decay=0.0).value
        return delta, jnp.mean(logits(start, head, delta, test).argmax(1) == c["test_labels"])

    found = over_runs(run, runs, _images(family) | {"base": base, "head": head}, preset.at_once)
    return shaped(found, len(keys), tasks)


def _images(family: Family) -> dict[str, np.ndarray]:
    train, test = family.train, family.test
    return {"train": train.images, "labels": train.labels, "test": test.images, "test_labels": test.labels}


def parts_of(preset: Preset, keys: jax.Array, names: Sequence[str], images: Sequence[str]) -> tuple[Network, dict[str, Any]]:
    """The network, and what programs read of the library.

    Args:
        preset: sizes.
        keys: of the seeds.
        names: tasks whose vectors are wanted.
        images: domains whose images are wanted.

    Returns:
        `base`, `head` and `tvs` with leading axes `[seeds]` and `[seeds, tasks]`; `train`, `validation` and `test`, images
        `[domains, n, ...]`, and their labels.
    """
    family, found = family_of(preset), [library(preset, key) for key in keys]
    tasks, places = np.array([preset.tasks.index(name) for name in names]), family.places(*images)
    constants = {name: stack([f[name] for f in found]) for name in ("base", "head")}
    constants["tvs"] = stack([jax.tree.map(lambda x: x[tasks], f["tvs"]) for f in found])
    for name in ("train", "validation", "test"):
        part = getattr(family, name)
        constants |= {name: part.images[places], f"{name}_labels": part.labels}
    return found[0]["network"], constants

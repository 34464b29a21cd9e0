"""R2 to R5, R7: one set of episodes on the source task, and what their representations give to the new one.

All methods of a seed share its splits, and the episodes of CATn, their parts, the teachers and the networks to fine-tune are the
same ones.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.claims import shared
from quire.rich_representations.config import Descent, Preset, Transfer
from quire.rich_representations.distillation import distillation
from quire.rich_representations.diversity import cka_matrix, disagreement
from quire.rich_representations.episodes import (
    Models,
    accuracy,
    episode_batches,
    features_of,
    logits_of,
    stack_models,
    train_episodes,
)
from quire.rich_representations.fine_tuning import cat_groups, fine_tune, joined, trunks_of, two_stage, with_fresh_heads
from quire.rich_representations.networks import HE, PYTORCH, Build, Student, backbone, classifier
from quire.rich_representations.probes import Parts, fit_probe
from quire.rich_representations.tasks import Tasks, load_tasks, split_new, split_source

Features = Mapping[str, Float[np.ndarray, "models examples dim"]]


class Setting(NamedTuple):
    """What all methods share.

    Attributes:
        config, tasks: sizes and images.
        keys: of the seeds.
        source: indices to train on and to test on, `[seeds, n]` each.
        new: indices of the new task, `[seeds, n]` each.
    """

    config: Transfer
    tasks: Tasks
    keys: jax.Array
    source: tuple[np.ndarray, np.ndarray]
    new: Parts

    def model_keys(self, number: int, each: int) -> list[jax.Array]:
        """Keys of `each` models for every seed, seed by seed; other numbers give independent ones."""
        return [jax.random.fold_in(key, 1000 * number + i) for key in self.keys for i in range(each)]

    def parts(self, models: int) -> Parts:
        """The new task's indices for so many models, an equal number for every seed."""
        return Parts(*(np.repeat(index, models // len(self.keys), axis=0) for index in self.new))

    def build(self, gain: float = PYTORCH) -> Build:
        """The backbone."""
        return backbone(self.config.backbone, self.tasks.source.images.shape[1:], gain=gain)


def prepare(config: Transfer, keys: jax.Array) -> Setting:
    """Load the images and draw the splits of every seed."""
    tasks = load_tasks(config.image_set)
    source = zip(*[split_source(tasks.source, jax.random.fold_in(key, 1)) for key in keys], strict=True)
    new = [split_new(tasks.new, jax.random.fold_in(key, 2), config.labels, config.validation) for key in keys]
    return Setting(config, tasks, keys, tuple(map(np.stack, source)), Parts(*map(np.stack, zip(*new, strict=True))))


def fresh(setting: Setting, width: int, number: int, each: int, *, gain: float = PYTORCH) -> Models:
    """Untrained classifiers of the source task, `each` for every seed."""
    build = setting.build(gain)
    return stack_models([classifier(build, width, setting.tasks.classes, key) for key in setting.model_keys(number, each)])


def on_source(setting: Setting, models: Models, number: int, descent: Descent, **options) -> Models:
    """Train on the source task, every model in an order of its own."""
    each = models.size // len(setting.keys)
    batches = episode_batches(
        setting.model_keys(number, each), np.repeat(setting.source[0], each, axis=0), descent.batch_size, descent.steps
    )
    return train_episodes(models, tuple(setting.tasks.source), batches, descent, **options)


def last(models: Models) -> Models:
    """Of models trained with one rate and decay, the final ones."""
    return models.take((slice(None), 0, -1))


def by_seed(setting: Setting, values: np.ndarray) -> np.ndarray:
    """Values of models as `[seeds, models of a seed, ...]`."""
    return values.reshape(len(setting.keys), -1, *values.shape[1:])


def probe_all(
    setting: Setting, features: Features, descent: Descent | None = None, *, batch_norm: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Test and validation accuracies `[seeds, models of a seed]` of linear probes; one program for every size of features."""
    pool, found, held = setting.tasks.new, {}, {}
    for dim in sorted({x.shape[-1] for x in features.values()}):
        names = [name for name, x in features.items() if x.shape[-1] == dim]
        together = np.concatenate([by_seed(setting, features[name]) for name in names], axis=1)
        each, flat = together.shape[1], together.reshape(-1, *together.shape[2:])
        probed = fit_probe(
            flat,
            pool.labels,
            setting.parts(len(flat)),
            descent or setting.config.probe,
            setting.model_keys(900, each),
            classes=setting.tasks.classes,
            batch_norm=batch_norm,
        )
        ends = np.cumsum([len(features[name]) // len(setting.keys) for name in names])[:-1]
        for target, values in ((found, probed.test), (held, probed.validation)):
            target.update(zip(names, np.split(by_seed(setting, values), ends, axis=1), strict=True))
    return found, held


def snapshots(setting: Setting) -> Models:
    """Snapshots of one episode for every seed, `[seeds, rates, snapshots, ...]`."""
    config = setting.config
    models = fresh(setting, config.width, 3, 1)
    return on_source(setting, models, 3, replace(config.source, rates=config.high_rates), snapshots=config.parts)


def side_by_side(setting: Setting, episodes: Models) -> Models:
    """Networks of several trunks with one head, trained jointly from the weights that the trunks of CATn start from."""
    n = setting.config.parts
    cats = joined(trunks_of(episodes), n)
    return with_fresh_heads(
        cats, n * dim_of(episodes), setting.tasks.classes, setting.model_keys(4, cats.size // len(setting.keys))
    )


def distilled(setting: Setting, teachers: Models) -> Models:
    """Students of the width of one teacher, from the first concatenation of every seed, `[seeds * temperatures]`."""
    config, tasks, build, students = setting.config, setting.tasks, setting.build(), []
    for key in setting.model_keys(5, 1):
        for tau in config.temperatures:
            rngs = nnx.Rngs(key)
            trunk, dim = build(config.width, rngs)
            students.append(Student(trunk, dim, tasks.classes, config.parts, temperature=tau, rngs=rngs))
    logits = by_seed(setting, logits_of(teachers, tasks.source.images))[:, : config.parts]
    targets = np.repeat(logits.transpose(0, 2, 1, 3), len(config.temperatures), axis=0)
    return last(on_source(setting, stack_models(students), 5, config.distillation, own=(targets,), objective=distillation))


def student_features(setting: Setting, teachers: Models) -> dict[str, np.ndarray]:
    """Features of the students, by temperature."""
    config = setting.config
    features = features_of(distilled(setting, teachers), setting.tasks.new.images)
    by_tau = features.reshape(-1, len(config.temperatures), *features.shape[1:]).swapaxes(0, 1)
    return {f"DISTILL{config.parts}, tau = {tau:g}": x for tau, x in zip(config.temperatures, by_tau, strict=True)}


def dim_of(classifiers: Models) -> int:
    """Number of features of their trunks."""
    return classifiers.stacked().head.kernel.shape[-2]


def source_accuracy(setting: Setting, logits: np.ndarray) -> Float[np.ndarray, "seeds models"]:
    """Accuracies on the test images of the source task."""
    each = len(logits) // len(setting.keys)
    index = np.repeat(setting.source[1], each, axis=0)
    return by_seed(setting, accuracy(logits, setting.tasks.source.labels, index))


def trained_networks(setting: Setting, *, gain: float = PYTORCH) -> dict[str, Models]:
    """The episodes of every seed, and the rivals of the size of CATn: one wide network, and one of several trunks."""
    config = setting.config
    start = fresh(setting, config.width, 1, config.episodes, gain=gain)
    untrained = {
        "single": start,
        "wide": fresh(setting, config.width * config.parts, 2, config.episodes // config.parts, gain=gain),
        "wide & deep": side_by_side(setting, start),
    }
    numbers = enumerate(untrained.items())
    return {name: last(on_source(setting, models, 10 + number, config.source)) for number, (name, models) in numbers}


def representations(setting: Setting, trained: Mapping[str, Models]) -> dict[str, np.ndarray]:
    """Features of the new task's images by all methods but snapshots, `[models, examples, dim]`."""
    config, images = setting.config, setting.tasks.new.images
    found = {name: features_of(models, images) for name, models in trained.items()}
    dim = found["single"].shape[-1]
    deep = found["wide & deep"]
    found |= {f"CAT{n}": cat_groups(found["single"], n) for n in (2, config.parts)}
    found |= {"sub-network": deep[..., :dim], "CATsub2": deep[..., : 2 * dim]}
    untrained = fresh(setting, config.width * config.parts, 2, config.episodes // config.parts)
    pixels = np.broadcast_to(images.reshape(1, len(images), -1), (len(setting.keys), len(images), images[0].size))
    return found | {"untrained, wide": features_of(untrained, images), "pixels": pixels}


def snapshot_features(setting: Setting) -> dict[str, np.ndarray]:
    """Features of all snapshots at every high rate, and of CATn-s, which joins those of one episode."""
    config, n = setting.config, setting.config.parts
    snaps = snapshots(setting)
    rates = len(config.high_rates)
    features = features_of(snaps.flat(3), setting.tasks.new.images)
    by_rate = features.reshape(-1, rates, n, *features.shape[1:]).swapaxes(0, 1)
    found = {}
    for rate, of_rate in zip(config.high_rates, by_rate, strict=True):
        each = of_rate.reshape(-1, *of_rate.shape[2:])
        found |= {f"snapshot, {rate}": each, f"CAT{n}-s, {rate}": cat_groups(each, n)}
    return found


def best_rate(setting: Setting, test: dict[str, np.ndarray], held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Accuracies of snapshots at the rate that validates best in a seed, and of the snapshot that validates best there."""
    config = setting.config
    cat = f"CAT{config.parts}-s"
    best = np.argmax([held[f"{cat}, {rate}"].mean(1) for rate in config.high_rates], axis=0)
    rows = np.arange(len(setting.keys))
    cats, singles, validation = (
        np.stack([source[f"{name}, {rate}"] for rate in config.high_rates])[best, rows]
        for source, name in ((test, cat), (test, "snapshot"), (held, "snapshot"))
    )
    chosen = singles[rows, validation.argmax(1)][:, None]
    return {cat: cats, "snapshot": singles, "best snapshot": chosen, "high rate": np.asarray(config.high_rates)[best]}


@shared
def transfer_study(preset: Preset, keys: jax.Array) -> dict:
    """Networks of all seeds, trained on the source task, and linear probes of their features on the new one.

    Returns:
        `probe`: test accuracies `[seeds, models]` by method; `plain`: of probes without batch norm. `source`: accuracies of the
        networks on the source task, and of CATn with the head of `cat_head`. `cka [seeds, n, n]` and `disagreement [seeds]` of
        episodes. `features [seeds, models, examples, dim]` by method; `networks`: models `[seeds, models, ...]`. `high rate`,
        `majority`, `name`.
    """
    setting = prepare(preset.transfer, keys)
    trained, tasks, n = trained_networks(setting), setting.tasks, preset.transfer.parts
    features = representations(setting, trained) | student_features(setting, trained["single"])
    test, held = probe_all(setting, features | snapshot_features(setting))
    snaps = best_rate(setting, test, held)
    rivals = {name: features[name] for name in (f"CAT{n}", "wide", "wide & deep")}
    plain, _ = probe_all(setting, rivals, preset.transfer.plain_probe, batch_norm=False)
    probe = {name: test[name] for name in features} | {name: snaps[name] for name in snaps if name != "high rate"}

    logits = {name: logits_of(trained[name], tasks.source.images) for name in ("single", "wide", "wide & deep")}
    source = {name: source_accuracy(setting, x) for name, x in logits.items()}
    episodes = by_seed(setting, logits["single"])
    ensemble = episodes.reshape(-1, n, *episodes.shape[2:]).mean(1)
    source[f"CAT{n}"] = source_accuracy(setting, ensemble)
    return {
        "probe": probe,
        "plain": plain,
        "source": source,
        "cka": np.stack([np.asarray(cka_matrix(x)) for x in by_seed(setting, features["single"])]),
        "disagreement": np.array([disagreement(x[:, i]) for x, i in zip(episodes, setting.source[1], strict=True)]),
        "features": {name: by_seed(setting, x) for name, x in features.items()},
        "networks": {name: Models(m.graph, _by_seed(setting, m.state)) for name, m in trained.items()},
        "high rate": snaps["high rate"],
        "majority": majority(setting),
        "name": tasks.name,
    }


def _by_seed(setting: Setting, state):
    return jax.tree.map(lambda leaf: by_seed(setting, np.asarray(leaf)), state)


def majority(setting: Setting) -> dict[str, np.ndarray]:
    """Accuracies `[seeds]` of always answering the most frequent class, on either task."""

    def share(labels, train, test):
        return np.array([np.mean(labels[b] == np.bincount(labels[a]).argmax()) for a, b in zip(train, test, strict=True)])

    return {
        "source": share(setting.tasks.source.labels, *setting.source),
        "new": share(setting.tasks.new.labels, setting.new.train, setting.new.test),
    }


VARIANTS = ("He's weights", "twice the width", "ten times the decay")


@shared
def variants_study(preset: Preset, keys: jax.Array) -> dict:
    """CATn and its rivals under other circumstances: test accuracies `[seeds, models]` of probes by variant and method."""
    config, found = preset.transfer, {}
    strong = replace(config.source, decays=tuple(10 * decay for decay in config.source.decays))
    settings = (config, replace(config, width=2 * config.width), replace(config, source=strong))
    for name, variant, gain in zip(VARIANTS, settings, (HE, PYTORCH, PYTORCH), strict=True):
        setting = prepare(variant, keys)
        trained = trained_networks(setting, gain=gain)
        features = {method: features_of(models, setting.tasks.new.images) for method, models in trained.items()}
        features[f"CAT{config.parts}"] = cat_groups(features["single"], config.parts)
        found[name] = probe_all(setting, features)[0]
    return found


@shared
def fine_tuning_study(preset: Preset, keys: jax.Array) -> dict:
    """CATn and its parts fine-tuned on the new task: test accuracies `[seeds]` by method.

    The parts, one after the other, then joined and probed shortly; the concatenation all at once; a part alone; the wide network.
    """
    setting, config = prepare(preset.transfer, keys), preset.transfer
    networks = [transfer_study(preset, key)["networks"] for key in keys]
    together = {
        name: Models(networks[0][name].graph, stacked([of_seed[name].take(slice(0, count)).state for of_seed in networks]))
        for name, count in (("single", config.parts), ("wide", 1))
    }
    n, classes, pool, descent = config.parts, setting.tasks.classes, setting.tasks.new, config.fine_tuning
    trunks = {name: trunks_of(models) for name, models in together.items()}
    dims = {name: dim_of(models) for name, models in together.items()}
    trunks["joint"], dims["joint"] = joined(trunks["single"], n), n * dims["single"]
    tuned = {}
    for number, (name, of) in enumerate(trunks.items()):
        count = of.size // len(keys)
        models = with_fresh_heads(of, dims[name], classes, setting.model_keys(20 + number, count))
        parts, orders = setting.parts(models.size), setting.model_keys(30 + number, count)
        tuned[name] = fine_tune(models, pool, parts, descent, orders)
    final = two_stage(
        tuned["single"].probes, pool, setting.parts(len(keys)), n, config.short_probe, setting.model_keys(40, 1), classes
    )
    accuracies = {"fine-tuned part": by_seed(setting, tuned["single"].test).mean(1), "two stages": final.test}
    return accuracies | {"at once": tuned["joint"].test, "fine-tuned wide network": tuned["wide"].test}


def stacked(states: list) -> dict:
    """States of several seeds, one after the other on the leading axis."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *states)

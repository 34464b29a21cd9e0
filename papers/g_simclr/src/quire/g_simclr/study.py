"""The studies that claims share: pseudo labels, layouts of batches for SimCLR, batches by true classes."""

from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

from quire.common.claims import shared
from quire.common.data.image_sizes import averaged
from quire.common.data.images import ImageData, pixels
from quire.common.metrics.clustering import nmi
from quire.common.metrics.probe import ridge_probe
from quire.common.random import generator
from quire.g_simclr.classifier import accuracies, fine_tune, train_supervised
from quire.g_simclr.clusters import kmeans
from quire.g_simclr.config import Preset
from quire.g_simclr.denoise import codes_of, in_chunks, train_autoencoder
from quire.g_simclr.guided import GuidedBatches, as_batches, collision_rate, collisions, cycled
from quire.g_simclr.probe import linear_probe
from quire.g_simclr.simclr import SimCLR, train
from quire.g_simclr.sources import open_images

DEPTHS = ("P1", "P2", "P3")
LABELLED = 0.1
"""Part of the labels that fine-tuning sees."""
PERMUTATIONS = 20
"""Random labels that C5 compares with."""


@shared
def pseudo_labels(preset: Preset, keys: jax.Array) -> dict:
    """An autoencoder for every seed, and clusters of its codes: of all images and of those for SimCLR. Arrays `[seeds, ...]`."""
    images = open_images(preset).value.train.images[: preset.num_coded]
    found = [_of_seed(preset, images, key) for key in keys]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def _of_seed(preset: Preset, images: np.ndarray, key: jax.Array) -> dict[str, np.ndarray]:
    coder, k = preset.coder, preset.training.batch_size
    model = coder.build(nnx.Rngs(key))
    options: dict[str, Any] = {"epochs": coder.epochs, "batch_size": coder.batch_size, "learning_rate": coder.learning_rate}
    losses = train_autoencoder(model, images, key=key, **options)
    codes = codes_of(model, open_images(preset).value.train.images)
    small = averaged(images, preset.pixel_side).reshape(len(images), -1) / np.float32(255)
    cluster = lambda x: np.asarray(kmeans(key, x, k, n_iter=coder.iterations, n_init=coder.starts).labels)  # noqa: E731
    return {
        "all": cluster(codes[: len(images)]),
        "pixels": cluster(small),
        "training": cluster(codes[: preset.num_train]),
        "error": np.array(min(losses)),
        "shown": np.asarray(model(pixels(images[:8]))),
    }


def agreement(labels: np.ndarray, classes: np.ndarray, key: jax.Array) -> dict[str, float]:
    """NMI of clusters with classes, and that of the same clusters handed out at random: mean and standard deviation."""
    draw = generator(key)
    chance = [nmi(draw.permutation(labels), classes) for _ in range(PERMUTATIONS)]
    return {"found": nmi(labels, classes), "chance": float(np.mean(chance)), "deviation": float(np.std(chance, ddof=1))}


def shuffled(key: jax.Array, rows: int, batch_size: int, steps: int, *, anew: bool) -> np.ndarray:
    """Random batches `[steps, batch]`, in one order for all epochs or shuffled anew for each; no batch straddles two epochs."""

    def epoch(number):
        draw = generator(jax.random.fold_in(key, number if anew else 0))
        return as_batches(draw.permutation(rows), batch_size)

    return cycled(epoch, steps)


def layouts(preset: Preset, labels: np.ndarray, key: jax.Array) -> dict[str, np.ndarray]:
    """Batches `[steps, batch]` of one seed by name.

    `"random"` and `"guided"` keep one order for all epochs, as the authors' pipelines do; so does `"guided, clean"`, which drops
    what lies behind the smallest cluster. `"reshuffled"` and `"guided, resampled"` draw anew for every epoch.
    """
    steps, size = preset.training.steps, preset.training.batch_size
    of = lambda tail: GuidedBatches(labels, size, tail, jax.random.fold_in(key, 3)).indices(steps)  # noqa: E731
    return {
        "random": shuffled(jax.random.fold_in(key, 2), len(labels), size, steps, anew=False),
        "guided": of("keep"),
        "guided, clean": of("drop"),
        "reshuffled": shuffled(jax.random.fold_in(key, 2), len(labels), size, steps, anew=True),
        "guided, resampled": of("resample"),
    }


@shared
def contrastive_study(preset: Preset, keys: jax.Array) -> dict:
    """SimCLR in all layouts, judged by probes at three depths and by fine-tuning. Accuracies `[seeds]`."""
    data = open_images(preset).value
    images, classes = data.train.images[: preset.num_train], data.train.labels[: preset.num_train]
    by_seed = [layouts(preset, pseudo_labels(preset, key)["training"], key) for key in keys]
    orders = {name: np.stack([one[name] for one in by_seed]) for name in by_seed[0]}
    options = {"how": preset.views, "one_by_one": preset.network.one_by_one}
    tx = preset.training.transformation()
    trained = train(preset.network.build, images, orders, tx, keys, temperature=preset.temperature, **options)
    build = partial(preset.network.classifier, data.num_classes)
    supervised = train_supervised(build, images, classes, orders["reshuffled"], tx, keys, **options)
    part = (images, classes, data)
    probed = {name: probe_depths(preset, trained.graph, states, *part, keys) for name, states in trained.states.items()}
    return {
        "accuracy": probed,
        "gains": {depth: gain(probed["guided"][depth], probed["random"][depth]) for depth in DEPTHS},
        "tuned": tuned(preset, trained.graph, trained.states, *part, keys),
        "supervised": accuracies(*supervised, data.test.images, data.test.labels),
        "pixels": pixel_accuracy(images, classes, data),
        "losses": trained.losses,
        "false negatives": {
            name: np.array([collision_rate(order, classes, order.shape[-1]).mean() for order in of_name])
            for name, of_name in orders.items()
        },
    }


def probe_depths(
    preset: Preset,
    graph: nnx.GraphDef[SimCLR],
    states: Any,
    images: np.ndarray,
    classes: np.ndarray,
    data: ImageData,
    keys: jax.Array,
    depths: tuple[str, ...] = DEPTHS,
) -> dict[str, np.ndarray]:
    """Accuracy `[seeds]` on the test images of linear probes at some depths."""
    features = [
        {name: np.asarray(value) for name, value in zip(DEPTHS, _in_depths(graph, states, split), strict=True)}
        for split in (images, data.test.images)
    ]

    def accuracy(depth, seed):
        options: dict[str, Any] = {"num_classes": data.num_classes, "key": keys[seed], "epochs": preset.probe_epochs}
        probe = linear_probe(features[0][depth][seed], classes, **options)
        return float((probe.predict(features[1][depth][seed]) == data.test.labels).mean())

    return {depth: np.array([accuracy(depth, seed) for seed in range(len(keys))]) for depth in depths}


def _in_depths(graph: nnx.GraphDef, states: Any, images: np.ndarray) -> list[np.ndarray]:
    parts = in_chunks(lambda part: np.concatenate(_probed(graph, states, part), -1), images, axis=1)
    model = nnx.eval_shape(lambda: nnx.merge(graph, jax.tree.map(lambda leaf: leaf[0], states)))
    widths = [model.head.layers[-1].in_features, model.head.layers[0].out_features]
    return np.split(parts, np.cumsum(widths), axis=-1)


@partial(jax.jit, static_argnames="graph")
def _probed(graph: nnx.GraphDef, states: Any, images: jax.Array) -> list[jax.Array]:
    def one(state):
        model = nnx.merge(graph, state)
        model.eval()
        found = model.probed(pixels(images))
        return [found[depth] for depth in DEPTHS]

    return jax.lax.map(one, states)


def tuned(
    preset: Preset,
    graph: nnx.GraphDef,
    states: dict[str, Any],
    images: np.ndarray,
    classes: np.ndarray,
    data: ImageData,
    keys: jax.Array,
) -> dict[str, np.ndarray]:
    """Accuracy `[seeds]` of the authors' two layouts after fine-tuning with a part of the labels."""
    names, count = ("random", "guided"), int(LABELLED * len(images))
    slices = [jax.tree.map(lambda leaf, i=i: leaf[i], states[name]) for name in names for i in range(len(keys))]
    models = [nnx.merge(graph, state) for state in slices]
    options = {"num_classes": data.num_classes, "epochs": preset.tuning_epochs, "one_by_one": preset.network.one_by_one}
    found = fine_tune(models, images[:count], classes[:count], jax.numpy.concatenate([keys] * len(names)), **options)
    scores = accuracies(*found, data.test.images, data.test.labels).reshape(len(names), len(keys))
    return dict(zip(names, scores, strict=True))


@shared
def oracle_study(preset: Preset, keys: jax.Array) -> dict:
    """SimCLR in batches with one image of every class, and in random ones of that size. Arrays `[seeds]`."""
    data = open_images(preset).value
    images, classes = data.train.images[: preset.num_oracle], data.train.labels[: preset.num_oracle]
    steps, size = preset.oracle.steps, preset.oracle.batch_size
    random = np.stack([shuffled(jax.random.fold_in(key, 2), len(images), size, steps, anew=True) for key in keys])
    by_class = np.stack([GuidedBatches(classes, size, "resample", jax.random.fold_in(key, 3)).indices(steps) for key in keys])
    orders = {"random": random, "oracle": by_class}
    options = {"how": preset.views, "temperature": preset.temperature, "one_by_one": preset.network.one_by_one}
    trained = train(preset.network.build, images, orders, preset.oracle.transformation(), keys, **options)
    probed = {
        name: probe_depths(preset, trained.graph, states, images, classes, data, keys, depths=("P3",))["P3"]
        for name, states in trained.states.items()
    }
    return {
        "accuracy": probed,
        "gain": gain(probed["oracle"], probed["random"]),
        "false negatives": {
            name: np.array([collision_rate(order, classes, size).mean() for order in of_name]) for name, of_name in orders.items()
        },
        "worst": np.array([collisions(order, classes, size).max() for order in by_class]),
        "pixels": pixel_accuracy(images, classes, data),
    }


def pixel_accuracy(images: np.ndarray, classes: np.ndarray, data: ImageData) -> float:
    """A linear probe on the pixels themselves, by ridge regression; the best of three penalties."""
    flat = [part.reshape(len(part), -1) / 255 for part in (images, data.test.images)]
    found = [ridge_probe(flat[0], classes, flat[1], ridge=ridge) for ridge in (0.01, 0.1, 1.0)]
    return max(float((predicted == data.test.labels).mean()) for predicted in found)


def gain(found: np.ndarray, over: np.ndarray) -> tuple[float, float]:
    """Mean difference over seeds, which share weights and random numbers, and its standard error."""
    difference = np.asarray(found) - np.asarray(over)
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return float(difference.mean()), float(error)

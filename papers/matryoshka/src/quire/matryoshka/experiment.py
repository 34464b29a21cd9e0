"""The one run that the empirical claims share: MRL, every FF-m and MRL-E, and what each size is worth."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Integer

from quire.common.claims import shared
from quire.common.data.source import Source
from quire.common.train.seeds import fold_keys
from quire.matryoshka import post_hoc
from quire.matryoshka.classifier import NestedClassifier, SlimmableClassifier
from quire.matryoshka.config import Preset
from quire.matryoshka.evaluation import neighbour_accuracy
from quire.matryoshka.sources import Images, open_images
from quire.matryoshka.training import fixed_feature_weights, predict, predictor, train

Samples = tuple[Float[np.ndarray, "seeds n dim"], Integer[np.ndarray, "seeds n"]]
"""Embeddings and classes of every seed."""


class Run(NamedTuple):
    """Results; every array has a leading axis of seeds.

    Attributes:
        source: the data, `source.value.preset` being the preset that was run.
        logits: of the test set, `[sizes, n, C]` by method: `MRL`, `FF`, `MRL-E`, and the `largest MRL classifier, sliced`.
        neighbours: accuracy of the nearest neighbour `[sizes]` by method: `MRL`, `FF`, and what is made of the largest FF:
            `FF prefix`, `random features`, `PCA of FF`, prefix and PCA of the smaller sizes only.
        database, queries: MRL embeddings of training and test set, with their labels.
        models: graph and state of `MRL` and `MRL-E`.
        losses: `[variants, steps]` of MRL and every FF.
    """

    source: Source[Images]
    logits: dict[str, np.ndarray]
    neighbours: dict[str, np.ndarray]
    database: Samples
    queries: Samples
    models: dict[str, tuple[Any, Any]]
    losses: np.ndarray


@shared
def run_all(preset: Preset, keys: jax.Array) -> Run:
    """Train and score everything, all seeds at once."""
    source = open_images(preset)
    images = source.value
    sizes, classes = images.preset.nesting, images.num_classes
    weights = fixed_feature_weights(len(sizes))
    graph, states, losses = train(lambda rngs: NestedClassifier(images.preset, classes, rngs=rngs), images, weights, keys)
    outputs = _predictor(graph, images)
    logits, neighbours, mrl = _score_nested(outputs, states, images, fold_keys(keys, 2))
    kernel, bias = (np.asarray(states.head[name][len(sizes) - 1][...])[0] for name in ("kernels", "biases"))
    logits["largest MRL classifier, sliced"] = np.stack(
        [np.einsum("snd,sdc->snc", mrl[1][0][..., :m], kernel[:, :m]) + bias[:, None] for m in sizes], axis=1
    )
    models = {"MRL": (graph, jax.tree.map(lambda x: x[0], states))}
    models["MRL-E"], logits["MRL-E"] = _train_one(images, keys, partial(NestedClassifier, efficient=True))
    return Run(source, logits, neighbours, *mrl, models, losses.swapaxes(0, 1))


def _train_one(images: Images, keys: jax.Array, kind: Callable[..., NestedClassifier]) -> tuple[tuple[Any, Any], np.ndarray]:
    """Graph and state `[seeds, ...]` of a kind of classifier, all sizes in its loss, and its logits of the test set."""
    sizes, classes = images.preset.nesting, images.num_classes
    graph, state, _ = train(
        lambda rngs: kind(images.preset, classes, rngs=rngs), images, fixed_feature_weights(len(sizes))[:1], keys
    )
    state = jax.tree.map(lambda x: x[0], state)
    return (graph, state), predict(_predictor(graph, images), state, images, "test")[1]


def slimmable_accuracy(preset: Preset, key: jax.Array) -> np.ndarray:
    """Accuracy in percent of slimmable networks of every width `[sizes]`, trained as MRL is.

    Raises:
        ValueError: for a preset whose encoder is not sliced.
    """
    images = open_images(preset).value
    if not images.preset.slimmable:
        raise ValueError("slimmable is False; only patch networks are sliced")
    _, logits = _train_one(images, key[None], SlimmableClassifier)
    truth = np.concatenate([labels for _, labels in images.ordered("test", 2000)])
    return 100 * (logits[0].argmax(-1) == truth).mean(-1)


def _predictor(graph, images: Images):
    return predictor(graph, flip=images.preset.flip, one_by_one=images.arrays is None)


def _score_nested(outputs, states, images: Images, keys: list[jax.Array]):
    """Logits and accuracies of MRL and FF, variant after variant, so that few embeddings are held; and MRL's embeddings."""
    sizes = images.preset.nesting
    few = sizes[: len(sizes) // 2 + 1]  # with more dimensions than classes nothing is lost
    logits, neighbours, mrl = {}, {}, None
    own_logits, own_neighbours = [], []
    for variant in range(len(sizes) + 1):
        state = jax.tree.map(lambda x, v=variant: x[v], states)
        rows, _, classes = predict(outputs, state, images, "train")
        points, found, truth = predict(outputs, state, images, "test")
        if variant == 0:
            logits["MRL"], mrl = found, (_sample(rows, classes), _sample(points, truth))
            neighbours["MRL"] = np.stack([_accuracies(r, p, classes, truth, sizes) for r, p in zip(rows, points, strict=True)])
            continue
        own_logits.append(found[:, variant - 1])
        used = np.arange(sizes[-1]) < sizes[variant - 1]  # numbers that FF-m has; as zeros the others let one program serve all m
        own_neighbours.append(
            [_accuracies(r * used, p * used, classes, truth, sizes[-1:])[0] for r, p in zip(rows, points, strict=True)]
        )
    changes = {
        "FF prefix": lambda rows, key: post_hoc.prefix(rows),
        "random features": post_hoc.random_selection,
        "PCA of FF": lambda rows, key: post_hoc.principal_components(rows),
    }
    for name, make in changes.items():
        scored = []
        for r, p, key in zip(rows, points, keys, strict=True):  # of the last variant, the largest FF
            change = make(r, key)
            scored.append(_accuracies(change(r), change(p), classes, truth, sizes if name == "random features" else few))
        neighbours[name] = np.stack(scored)
    logits = {"FF": np.stack(own_logits, axis=1)} | logits
    return logits, {"FF": np.stack(own_neighbours, axis=1)} | neighbours, mrl


def _accuracies(rows, points, classes, truth, sizes) -> np.ndarray:
    return neighbour_accuracy((rows, classes), (points, truth), sizes)


def _sample(z: np.ndarray, labels: np.ndarray) -> Samples:
    return z, np.broadcast_to(labels, (len(z), len(labels)))


def head_accuracy(run: Run) -> dict[str, np.ndarray]:
    """Accuracy of the classifiers of every size `[sizes]`, by method, in percent; of one seed's slice of a run."""
    truth = run.queries[1]
    return {name: 100 * (logits.argmax(-1) == truth).mean(-1) for name, logits in run.logits.items()}

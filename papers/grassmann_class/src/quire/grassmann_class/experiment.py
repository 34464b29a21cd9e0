"""The one run that the empirical claims share: class vectors, subspaces of every k, and what their features are worth."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import shared
from quire.common.data.source import Source
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.metrics.variability import intra_class_angle
from quire.common.train.batches import HostBatches, epoch_indices
from quire.common.train.fit import fit
from quire.common.train.seeds import fit_seeds, fold_keys, initial_states, stack
from quire.grassmann_class.classifier import Classifier
from quire.grassmann_class.config import Preset
from quire.grassmann_class.optimiser import from_recipe
from quire.grassmann_class.sources import Images, open_images, rotations
from quire.grassmann_class.transfer import transfer_accuracy

VECTORS = ("softmax", "cosine softmax")


class Run(NamedTuple):
    """Results by method: `softmax`, `cosine softmax`, `k = 1`, ...; every array has a leading axis of seeds.

    Attributes:
        source: the data, `source.value.preset` being the preset that was run.
        accuracy: of the test set `[]`.
        angle: within the classes of the test set, radians `[]`; of the `untrained` network too.
        transfer: accuracy `[]` on the rotations, by use of the features; of the `untrained` network and `raw pixels` too.
        losses: `[steps]`.
        subspaces: bases `[C, d, k]`.
        majority: accuracy of always answering the most frequent class, `[]`.
    """

    source: Source[Images]
    accuracy: dict[str, np.ndarray]
    angle: dict[str, np.ndarray]
    transfer: dict[str, dict[str, np.ndarray]]
    losses: dict[str, np.ndarray]
    subspaces: dict[str, np.ndarray]
    majority: np.ndarray


@shared
def run_all(preset: Preset, keys: jax.Array) -> Run:
    """Train and score everything, all seeds at once: one program for class vectors, and one for each k."""
    source = open_images(preset)
    images, count = source.value, len(keys)
    scorer = Scorer(images)
    graph, state, losses = train(images, None, keys)
    halves = [slice(count), slice(count, None)]
    curves = {name: losses[half] for name, half in zip(VECTORS, halves, strict=True)}
    both = scorer(graph, state, np.repeat([0.0, 1.0], count))
    scores = {name: both[half] for name, half in zip(VECTORS, halves, strict=True)}
    scores["untrained"] = scorer(*initial_states(_build(images, None), keys), np.zeros(count))
    subspaces = {}
    for k in images.preset.ks:
        name = f"k = {k}"
        graph, state, curves[name] = train(images, k, keys)
        scores[name] = scorer(graph, state, np.zeros(count))
        subspaces[name] = np.asarray(state.head.subspaces[...])
    scores["raw pixels"] = [scorer.of_pixels()] * count
    return Run(source, *_by_method(scores), curves, subspaces, np.full(count, images.majority))


def train(images: Images, k: int | None, keys: jax.Array) -> tuple[nnx.GraphDef, Any, np.ndarray]:
    """Graph, states and losses `[seeds, ...]` of class subspaces of dimension k; of both kinds of class vectors for None.

    All start from the same encoder and see the same batches within a seed. Class vectors are `[2 seeds, ...]`: the softmax of
    every seed, then the cosine softmax. Images in memory train side by side in one compiled loop, streamed ones one by one.
    """
    recipe, build = images.preset.training, _build(images, k)
    cosine = np.zeros(len(keys), np.float32)
    if k is None:
        keys, cosine = jnp.tile(keys, 2), np.repeat(np.array([0, 1], np.float32), len(keys))

    def loss(model, batch, key):
        pictures, labels, cosine = batch
        return smoothed_cross_entropy(model(pictures, cosine)[1], labels, recipe.label_smoothing)

    if images.data is None:
        runs = [_streamed(build(nnx.Rngs(key)), loss, images, flag, key) for key, flag in zip(keys, cosine, strict=True)]
        return runs[0][0], stack([run[1] for run in runs]), np.stack([run[2] for run in runs])
    part = images.data.train
    sizes = len(part), recipe.batch_size, recipe.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])

    def batch_at(data, step):
        chosen, cosine = data
        return jnp.asarray(part.images)[chosen[step]], jnp.asarray(part.labels)[chosen[step]], cosine

    graph, state, losses = fit_seeds(build, from_recipe(recipe), loss, batch_at, (indices, cosine), steps=recipe.steps, keys=keys)
    return graph, state, np.asarray(losses)


def _build(images: Images, k: int | None) -> Callable[[nnx.Rngs], Classifier]:
    return lambda rngs: Classifier(images.preset, images.num_classes, k, rngs=rngs)


def _streamed(model: Classifier, loss: Callable, images: Images, cosine: np.floating, key: jax.Array):
    batches = images.shuffled(int(jax.random.bits(key)))
    recipe = images.preset.training
    model.train()
    host = HostBatches(lambda _: (*next(batches), cosine))
    history = fit(model, from_recipe(recipe), loss, host, steps=recipe.steps, key=key, chunk_steps=10)
    return *nnx.split(model), history.losses


class Scorer:
    """Scores of states: the same test images and rotated images for all methods.

    Args:
        images: the data.
    """

    def __init__(self, images: Images):
        preset = images.preset
        self.images, self.truth = images, np.concatenate([labels for _, labels in images.ordered("test")])
        sizes = {"train": preset.probe_train, "test": preset.probe_test}
        self.turned = {split: rotations(images.first(split, count)) for split, count in sizes.items()}

    def __call__(self, graph: nnx.GraphDef, state: Any, cosine: np.ndarray) -> list[dict]:
        """`accuracy`, `angle` and `transfer` of every seed."""

        def outputs(model, pictures, cosine):
            model.eval()
            return model(pictures, cosine)

        call = jax.jit(jax.vmap(lambda state, x, flag: outputs(nnx.merge(graph, state), x, flag), (0, None, 0)))
        size = self.images.preset.eval_batch

        def run(batches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            parts = [jax.tree.map(np.asarray, call(state, batch, cosine.astype(np.float32))) for batch in batches]
            features, logits = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
            return features, logits

        features, logits = run(pictures for pictures, _ in self.images.ordered("test"))
        turned = {
            split: run(pictures[i : i + size] for i in range(0, len(pictures), size))[0]
            for split, (pictures, _) in self.turned.items()
        }
        return [
            {
                "accuracy": float(np.mean(logits[seed].argmax(-1) == self.truth)),
                "angle": intra_class_angle(features[seed], self.truth),
                "transfer": self._transfer(turned["train"][seed], turned["test"][seed]),
            }
            for seed in range(len(cosine))
        ]

    def of_pixels(self) -> dict:
        """The transfer of pixels."""
        train, test = (self.turned[split][0].reshape(len(self.turned[split][0]), -1) for split in ("train", "test"))
        return {"transfer": self._transfer(train, test)}

    def _transfer(self, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
        (_, quarters), (_, truth) = self.turned["train"], self.turned["test"]
        return transfer_accuracy((train, quarters), (test, truth), shots=self.images.preset.shots)


def _by_method(scores: dict[str, list[dict]]) -> tuple[dict, dict, dict]:
    """Arrays `[seeds]` by method, out of scores by method and seed."""

    def of(name):
        return {method: np.array([s[name] for s in seeds]) for method, seeds in scores.items() if name in seeds[0]}

    uses = next(iter(scores.values()))[0]["transfer"]
    transfer = {use: {m: np.array([s["transfer"][use] for s in seeds]) for m, seeds in scores.items()} for use in uses}
    accuracy = of("accuracy")
    del accuracy["untrained"]
    return accuracy, of("angle"), transfer

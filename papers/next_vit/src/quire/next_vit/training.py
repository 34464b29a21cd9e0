"""Training and scoring the networks that the claims compare."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.data.images import pixels
from quire.common.layers.resnet import ResNet
from quire.common.layers.transformer import TokenClassifier, vit_block
from quire.common.losses.classification import cutmix, mixup
from quire.common.train.batches import HostBatches, epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.seeds import Build, fit_seeds, fold_keys, over_seeds, stack
from quire.next_vit.config import NextViTConfig, ablations
from quire.next_vit.model import NextViT
from quire.next_vit.presets import Preset, Training
from quire.next_vit.sources import Images, seed_of, thumbnails

Trained = tuple[nnx.GraphDef, Any]
"""Graph, and state with a leading seed axis."""


class ResNetClassifier(nnx.Module):
    """A residual network with a linear classifier."""

    def __init__(self, sizes: Any, in_channels: int, num_classes: int, rngs: nnx.Rngs):
        self.body = ResNet(
            sizes.depths, width=sizes.width, expansion=sizes.expansion, stem=sizes.stem, in_channels=in_channels, rngs=rngs
        )
        dim = sizes.width * 2 ** (len(sizes.depths) - 1) * sizes.expansion
        self.head = nnx.Linear(dim, num_classes, rngs=rngs)

    def __call__(self, images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch classes"]:
        return self.head(self.body(images))


def builders(preset: Preset) -> dict[str, Build]:
    """Every network that a preset trains, by name: the hybrid, other designs, a ResNet, a ViT."""
    config, sizes = preset.network, preset.vit

    def vit(rngs: nnx.Rngs) -> TokenClassifier:
        return TokenClassifier(
            image_size=(preset.image_size, preset.image_size),
            patch_size=sizes.patch_size,
            channels=config.in_channels,
            num_classes=config.num_classes,
            dim=sizes.dim,
            depth=sizes.depth,
            block=vit_block(sizes.dim, sizes.num_heads),
            pool="mean",
            rngs=rngs,
        )

    def network(design: NextViTConfig) -> Build:
        return lambda rngs: NextViT(design, rngs)

    designs = {"hybrid": config} | {name: ablations(config)[name] for name in preset.designs}
    rivals = {"ResNet": lambda rngs: ResNetClassifier(preset.resnet, config.in_channels, config.num_classes, rngs), "ViT": vit}
    return {name: network(design) for name, design in designs.items()} | rivals


def scores(model: nnx.Module, images: Array, *, train: bool = False, key: jax.Array | None = None) -> Array:
    """Class scores of any of the networks."""
    if isinstance(model, NextViT):
        return model(pixels(images), train=train, key=key)
    model.train() if train else model.eval()
    return model(pixels(images))


def make_loss(training: Training, num_classes: int) -> Callable:
    """`loss(model, (images, labels), key)`: cross-entropy against smoothed labels of images that are mixed as the recipe says."""

    def loss(model, batch, key):
        images, labels = pixels(batch[0]), batch[1]
        targets = optax.smooth_labels(jax.nn.one_hot(labels, num_classes), training.label_smoothing)
        mix_key, choice_key, drop_key = jax.random.split(key, 3) if training.mixup or training.cutmix else (key, key, key)
        mixed = [mix(images, targets, mix_key, a) for mix, a in ((mixup, training.mixup), (cutmix, training.cutmix)) if a]
        if mixed:
            first = jax.random.bernoulli(choice_key)
            images, targets = (jnp.where(first, a, b) for a, b in zip(mixed[0], mixed[-1], strict=True))
        return optax.softmax_cross_entropy(scores(model, images, train=True, key=drop_key), targets).mean()

    return loss


def train(name: str, preset: Preset, images: Images, keys: jax.Array) -> Trained:
    """Train one network of `builders` per key: a compiled loop, seed by seed, for images in memory, `fit` for a stream."""
    rates = {"ResNet": preset.resnet.learning_rate, "ViT": preset.vit.learning_rate}
    training = replace(preset.training, learning_rate=rates.get(name, preset.training.learning_rate))
    build, loss = builders(preset)[name], make_loss(training, preset.network.num_classes)
    if images.memory is None:
        return _train_streamed(build, training, loss, images, keys)
    split = images.memory
    sizes = len(split), training.batch_size, training.steps
    indices = stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    arrays = tuple(np.broadcast_to(x, (len(keys), *x.shape)) for x in (split.images, split.labels))
    tx = training.transformation(flat=True)
    return fit_seeds(build, tx, loss, take_batch, (arrays, indices), steps=training.steps, keys=keys, one_by_one=True)[:2]


def _train_streamed(build: Build, training: Training, loss: Callable, images: Images, keys: jax.Array) -> Trained:
    graphs, states = [], []
    for key in keys:
        model, batches = build(nnx.Rngs(key)), images.stream(seed_of(key))
        fetch = HostBatches(lambda _, batches=batches: next(batches))
        fit(model, training.transformation(), loss, fetch, steps=training.steps, key=key, chunk_steps=10)
        graph, state = nnx.split(model)
        graphs.append(graph)
        states.append(state)
    return graphs[0], stack(states)


def accuracy(trained: Trained, images: Images) -> Float[np.ndarray, " seeds"]:
    """Share of the test images that are classified right, in per cent, by seed."""
    graph, state = trained
    count = over_seeds(graph, lambda model, x, y: jnp.sum(scores(model, x).argmax(-1) == y), one_by_one=True)
    right, total = np.zeros(()), 0
    for x, y in images.test():
        right = right + np.asarray(count(state, x, y))
        total += len(y)
    return 100 * right / total


def logistic_regression(images: Images) -> float:
    """Accuracy in per cent of logistic regression on 8 x 8 thumbnails, scaled to unit deviation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(thumbnails(images.sample.images), images.sample.labels)
    right, total = 0, 0
    for x, y in images.test():
        right += int(np.sum(model.predict(thumbnails(x)) == y))
        total += len(y)
    return 100 * right / total

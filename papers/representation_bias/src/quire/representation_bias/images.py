"""Coloured shapes: an easy feature and a hard one of images, for convolutional networks with and without residual connections."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.common.data.shapes import ShapeStyle, shapes
from quire.common.train.seeds import stack
from quire.representation_bias.config import Images, Preset
from quire.representation_bias.networks import ConvNet, Outputs, feature_loss
from quire.representation_bias.training import Problem, Scores, adam_run, most_likely, scores, train_multi_feature

KINDS = ("plain", "residual")
FEATURES = ("colour", "shape")
NUM_CLASSES = 4


def sample_shape_color(key: jax.Array, n: int, size: int) -> tuple[Float[np.ndarray, "n h w 3"], Int[np.ndarray, "n 2"]]:
    """Images of one shape each; colour and shape are independent and uniform over four values each.

    Args:
        key: for labels, place and noise.
        n: images.
        size: side in pixels.

    Returns:
        Images, float32, and labels with the columns colour and shape.

    Raises:
        ValueError: for a negative n or a size below 1.

    >>> images, labels = sample_shape_color(jax.random.key(0), 5, 16)
    >>> images.shape, labels.shape
    ((5, 16, 16, 3), (5, 2))
    """
    style = ShapeStyle(size=size, radii=(0.22, 0.3), centres=((0.5, 0.5),), jitter=0.1)
    drawn = shapes(key, n, style)
    return drawn.images, drawn.labels[:, [1, 0]]


class ImageTask(NamedTuple):
    """Strength of the residual connections, and numbers of classes `[2]`."""

    skip: AnyArray
    classes: AnyArray


class Pictures(NamedTuple):
    """Images and labels."""

    images: AnyArray
    labels: AnyArray


def draw(batch: int, key: jax.Array, data: Pictures, step: Array) -> Pictures:
    """A batch of the training images."""
    chosen = jax.random.randint(key, (batch,), 0, data.labels.shape[0])
    return Pictures(data.images[chosen], data.labels[chosen])


def loss(model: ConvNet, batch: Pictures, task: ImageTask, step: Array) -> Array:
    """Cross-entropy of colour and shape."""
    ones = np.ones((1, len(FEATURES)), np.float32)
    return feature_loss(model(batch.images, task.skip), batch.labels, task.classes, ones)


def answer(model: ConvNet, pictures: Pictures, task: ImageTask) -> tuple[Outputs, AnyArray, Array]:
    """Outputs, labels, and what the network takes them for."""
    outputs = model(pictures.images, task.skip)
    return outputs, pictures.labels, most_likely(outputs, task.classes)


def build_convnet(config: Images, rngs) -> ConvNet:
    """The network of a configuration."""
    return ConvNet(config.channels, config.blocks, len(FEATURES), NUM_CLASSES, rngs=rngs)


def train_convnets(config: Images, keys: Sequence[jax.Array]) -> Scores:
    """Plain and residual networks; scores `[seeds, kinds, 2, ...]`, layers the stages."""
    sets = [sample_shape_color(jax.random.fold_in(key, 1), config.num_train, config.size) for key in keys]
    data = Pictures(*(np.stack(part) for part in zip(*sets, strict=True)))
    fit, test = (Pictures(*sample_shape_color(jax.random.fold_in(keys[0], i), config.num_eval, config.size)) for i in (2, 3))
    build = partial(build_convnet, config)
    tasks = [ImageTask(np.array(kind == "residual", np.float32), np.full(len(FEATURES), NUM_CLASSES, np.int32)) for kind in KINDS]
    problem = Problem(partial(draw, config.batch), loss, answer)
    runs = [adam_run(build, task, config.rate, config.steps) for task in tasks]
    trained = train_multi_feature(keys, build, problem, runs, steps=config.steps, data=data)
    return scores(trained, problem, stack(tasks), fit, test, NUM_CLASSES)


@shared
def image_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """R2 and accuracies of convolutional networks.

    Returns:
        `shares` and `untrained [seeds, kinds, stages, 2]`, R2 of colour and shape; `accuracy [seeds, kinds, 2]`.
    """
    found = train_convnets(preset.images, list(keys))
    return {"shares": found.shares(), "untrained": found.untrained(), "accuracy": found.accuracy[:, :, -1]}

"""A classifier of images: trained, compressed by every method, scored."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float

from quire.common.data.images import ImageSplit, cifar10, digits, pixels
from quire.common.data.source import Source, open_or
from quire.common.random import generator
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import fit_seeds, fold_keys, over_seeds, stack
from quire.jlcm.compression import Compressed, Compression, compress_models
from quire.jlcm.config import VisionSizes
from quire.jlcm.joint_learning import Learning
from quire.jlcm.networks import drawn, mlp


@dataclass(frozen=True)
class Images:
    """Standardised images.

    Attributes:
        name: as tables show it.
        train, test: images float32 `[n, pixels]`, and labels.
        classes: number of them.
        majority: share of the most frequent class.
    """

    name: str
    train: ImageSplit
    test: ImageSplit
    classes: int
    majority: float


def open_images(sizes: VisionSizes) -> Source[Images]:
    """The images of a preset, which stand in for ImageNet.

    Raises:
        DatasetUnavailable: if they are not on this machine and cannot be downloaded.
        ValueError: for another set.
    """
    openers: dict[str, Callable] = {"digits": digits, "cifar10": cifar10}
    if sizes.image_set not in openers:
        raise ValueError(f"image_set is {sizes.image_set!r}; it must be one of {', '.join(openers)}")
    return open_or(lambda: _standardised(openers[sizes.image_set]()), stand_in_for="ImageNet")


def _standardised(data) -> Images:
    flat = [np.asarray(pixels(split.images)).reshape(len(split), -1) for split in (data.train, data.test)]
    mean, deviation = flat[0].mean(), flat[0].std()
    train, test = (
        ImageSplit((x - mean) / deviation, split.labels) for x, split in zip(flat, (data.train, data.test), strict=True)
    )
    return Images(data.name, train, test, data.num_classes, data.majority)


def trained_models(sizes: VisionSizes, images: Images, keys: jax.Array) -> list[nnx.Sequential]:
    """A classifier for each key, in one compiled loop."""
    widths, recipe = (images.train.images.shape[1], *sizes.hidden, images.classes), sizes.training

    def make(rngs):
        return drawn(lambda r: mlp(widths, rngs=r), rngs.params())

    def loss(model, batch, key):
        return optax.softmax_cross_entropy_with_integer_labels(model(batch[0]), batch[1]).mean()

    arrays = tuple(np.broadcast_to(a, (len(keys), *a.shape)) for a in (images.train.images, images.train.labels))
    rows = stack([epoch_indices(key, len(images.train), recipe.batch_size, recipe.steps) for key in fold_keys(keys, 1)])
    tx = recipe.transformation(flat=True)
    graph, state, _ = fit_seeds(make, tx, loss, take_batch, (arrays, rows), steps=recipe.steps, keys=keys)
    host = jax.device_get(state)
    return [nnx.merge(graph, jax.tree.map(lambda a, i=i: jax.numpy.asarray(a[i]), host)) for i in range(len(keys))]


def calibration_images(sizes: VisionSizes, images: Images, keys: jax.Array) -> Float[np.ndarray, "seeds n pixels"]:
    """Training images without their labels, others for each key."""
    draws = [generator(key).choice(len(images.train), sizes.calibration, replace=False) for key in fold_keys(keys, 2)]
    return np.stack([images.train.images[rows] for rows in draws])


def methods(sizes: VisionSizes) -> dict[str, Compression]:
    """What is compared, by the names that tables show."""
    learning = Learning("proximal", steps=sizes.steps, batch_size=sizes.batch_size, rates=sizes.rates)
    learned = Compression(sizes.bits, "single", sizes.groups, learning=learning)
    return {
        "RTN": replace(learned, variant="uniform", fit="none"),
        "k-means": replace(learned, fit="none"),
        "JLCM": learned,
        "softmax gradient": replace(learned, learning=replace(learning, rule="default")),
        "coordinate descent": replace(learned, fit="descend"),
        "S, k-means": replace(learned, variant="scales", fit="none"),
        "M, k-means": replace(learned, variant="codebooks", fit="none"),
        "M random, k-means": replace(learned, variant="codebooks", fit="none", random=True),
        "M, JLCM": replace(learned, variant="codebooks"),
    }


def compressed_models(
    models: list[nnx.Sequential], calib: np.ndarray, sizes: VisionSizes, keys: jax.Array
) -> dict[str, list[Compressed]]:
    """Every model by every method."""
    return {name: compress_models(models, calib, how, keys=fold_keys(keys, 3)) for name, how in methods(sizes).items()}


def accuracy(models: list[nnx.Module], images: Images, *, batch_size: int = 2000) -> Float[np.ndarray, " models"]:
    """Share of right test images."""
    graphs, states = zip(*map(nnx.split, models), strict=True)
    right = over_seeds(graphs[0], lambda model, x, y: (model(x).argmax(-1) == y).sum())
    state = stack(states)
    counts = [np.asarray(right(state, x, y)) for x, y in images.test.batches(batch_size)]
    return np.sum(counts, axis=0) / len(images.test)

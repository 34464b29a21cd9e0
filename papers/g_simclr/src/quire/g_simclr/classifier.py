"""Training with labels: fully supervised, and the fine-tuning of a pre-trained encoder with a few of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_ids
from quire.common.data.images import pixels
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, stack
from quire.g_simclr.augment import Augmentation, augment, draw_views
from quire.g_simclr.denoise import in_chunks
from quire.g_simclr.probe import linear_probe
from quire.g_simclr.simclr import POOL, SimCLR, rows_of


class Classifier(nnx.Module):
    """An encoder and a softmax layer.

    Args:
        encoder: images to features `[n, dim]`.
        dim: of the features.
        num_classes: number of classes.
        rngs: for the initial weights of the layer.
    """

    def __init__(self, encoder: nnx.Module, dim: int, num_classes: int, *, rngs: nnx.Rngs):
        self.encoder, self.layer = encoder, nnx.Linear(dim, num_classes, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits."""
        return self.layer(jax.nn.relu(self.encoder(images)))


def train_supervised(
    build: Callable[[nnx.Rngs], Classifier],
    images: np.ndarray,
    labels: Int[np.ndarray, " n"],
    orders: Int[np.ndarray, "seeds steps batch"],
    tx: optax.GradientTransformation,
    keys: jax.Array,
    *,
    how: Augmentation,
    one_by_one: bool = False,
) -> tuple[nnx.GraphDef, Any]:
    """Classifiers of all seeds, each image of a batch seen in one view; arguments as for `quire.g_simclr.simclr.train`."""
    rows = min(POOL, orders.shape[1] * orders.shape[2])
    draws = [draw_views(jax.random.fold_in(key, 1), rows, how.smallest_area) for key in keys]
    data = stack([(images, labels.astype(np.int32), order, drawn) for order, drawn in zip(orders, draws, strict=True)])

    def batch_at(data, step):
        images, labels, order, draws = data
        batch = order[step]
        return augment(images[batch], rows_of(draws, step, len(batch), 1 if how.per_batch else None), how), labels[batch]

    options: dict[str, Any] = {"steps": orders.shape[1], "keys": keys, "one_by_one": one_by_one}
    return fit_seeds(build, tx, _cross_entropy, batch_at, data, **options)[:2]


def fine_tune(
    models: Sequence[SimCLR],
    images: np.ndarray,
    labels: Int[np.ndarray, " n"],
    keys: jax.Array,
    *,
    num_classes: int,
    epochs: int = 35,
    batch_size: int = 64,
    head_rate: float = 1e-3,
    rate: float = 1e-5,
    one_by_one: bool = False,
) -> tuple[nnx.GraphDef, Any]:
    """Fit a softmax layer on the frozen features (P3), then everything at a small rate, both by Adam, for so many epochs each.

    Statistics of batch normalisation stay those of the pre-training throughout. The images are not augmented.

    Args:
        models: pre-trained, alike in shape; they stay as they are.
        images: bytes `[n, h, w, c]`, or floats in `[0, 1]`.
        labels: their classes.
        keys: of the orders, one a model.
        num_classes: number of classes.
        epochs, batch_size: of each part.
        head_rate, rate: learning rates of the two parts.
        one_by_one: see `fit_seeds`.

    Returns:
        Graph of the classifiers, and their states with a leading axis of models.

    Raises:
        ValueError: without models, for another number of keys, labels out of range, or fewer images than a batch.
    """
    if not models or len(models) != len(keys):
        raise ValueError(f"models has {len(models)} of them and keys {len(keys)}; there must be as many, at least one")
    check_ids("labels", labels, num_classes)
    steps = epochs * max(len(images) // batch_size, 1)
    classifiers, data = [], []
    for model, key in zip(models, keys, strict=True):
        features = in_chunks(partial(_features, *nnx.split(model)), images)
        options: dict[str, Any] = {"num_classes": num_classes, "key": key, "epochs": epochs, "batch_size": batch_size}
        probe = linear_probe(features, labels, learning_rate=head_rate, patience=None, **options)
        classifier = Classifier(nnx.clone(model.encoder), features.shape[1], num_classes, rngs=nnx.Rngs(0))
        classifier.layer.kernel.set_value(jnp.asarray(probe.kernel))
        assert classifier.layer.bias is not None  # a linear map has one
        classifier.layer.bias.set_value(jnp.asarray(probe.bias))
        classifier.eval()
        classifiers.append(classifier)
        order = epoch_indices(jax.random.fold_in(key, epochs), len(images), batch_size, steps)
        data.append((images, np.asarray(labels, np.int32), order))
    ready = iter(classifiers)  # `fit_seeds` asks for one model a key, in their order
    fixed: dict[str, Any] = {"steps": steps, "keys": keys, "one_by_one": one_by_one}
    return fit_seeds(lambda rngs: next(ready), optax.adam(rate), _cross_entropy, _clean_batch, stack(data), **fixed)[:2]


def _clean_batch(data: tuple, step: jax.Array) -> tuple[Array, Array]:
    images, labels, order = data
    return pixels(images[order[step]]), labels[order[step]]


def _cross_entropy(model: Classifier, batch: tuple[Array, Array], key: jax.Array) -> Array:
    images, labels = batch
    return smoothed_cross_entropy(model(images), labels)


@partial(jax.jit, static_argnames="graph")
def _features(graph: nnx.GraphDef, state: Any, images: Array) -> Float[Array, "n dim"]:
    model = nnx.merge(graph, state)
    model.eval()
    return model.features(pixels(images))


def accuracies(
    graph: nnx.GraphDef, states: Any, images: np.ndarray, labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " models"]:
    """Of classifiers with a leading axis of models."""
    predicted = in_chunks(lambda part: _predictions(graph, states, part), images, axis=1)
    return (predicted == np.asarray(labels)).mean(1)


@partial(jax.jit, static_argnames="graph")
def _predictions(graph: nnx.GraphDef, states: Any, images: Array) -> Int[Array, "models n"]:
    def one(state):
        model = nnx.merge(graph, state)
        model.eval()
        return model(pixels(images)).argmax(-1)

    return jax.lax.map(one, states)

"""What every step of a run sees: images or views of them, and the classes that are to agree."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int

from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.hydra.methods import METHODS, Method
from quire.hydra.pairing import Pairing, sample_pairs
from quire.hydra.sources import Images
from quire.hydra.views import random_views


class Batch(NamedTuple):
    """Images `[batch, h, w, c]`; the class of each and that of its partner, or, where views make pairs, the number of the image
    twice; labels for the classifier; what of the model is used.
    """

    images: Any
    y1: Any
    y2: Any
    labels: Any
    method: Method


class Plan(NamedTuple):
    """A run on images in memory: places among the images and their views, and the two classes, `[steps, batch]` each."""

    places: Int[np.ndarray, "steps batch"]
    y1: Int[np.ndarray, "steps batch"]
    y2: Int[np.ndarray, "steps batch"]
    method: Method


def switches(name: str) -> Method:
    """The method of a name as numbers of NumPy, which stack."""
    return Method(*(np.float32(x) for x in METHODS[name][1]))


def plan(images: Images, name: str, key: jax.Array) -> Plan:
    """All batches of a run. Methods with the same key see the same images."""
    preset, (train, _) = images.preset, images.in_memory
    size, count = preset.training.batch_size, len(train)
    pairing, steps = METHODS[name][0], preset.training.steps
    draw = generator(jax.random.fold_in(key, 3))
    base = epoch_indices(jax.random.fold_in(key, 1), count, size, steps)
    if pairing is None:
        half = base[:, : size // 2]
        first = draw.integers(0, preset.views, half.shape)
        second = (first + draw.integers(1, preset.views, half.shape)) % preset.views  # another one
        places = np.concatenate([half + count * (1 + view) for view in (first, second)], axis=1).astype(np.int32)
        both = np.concatenate([half, half], axis=1)
        return Plan(places, both, both, switches(name))
    copy = draw.integers(1, preset.views + 1, base.shape) if preset.augmented else np.zeros_like(base)
    y1 = train.labels[base]
    y2 = _partners(jax.random.split(jax.random.fold_in(key, 4), steps), y1, images.num_classes, pairing)
    return Plan((base + count * copy).astype(np.int32), y1, np.asarray(y2), switches(name))


@partial(jax.jit, static_argnums=(2, 3))
def _partners(keys: jax.Array, y: Array, num_classes: int, pairing: Pairing) -> Array:
    return jax.vmap(lambda key, y: sample_pairs(key, y, num_classes, pairing))(keys, y)


def streamed(images: Images, name: str, key: jax.Array, seed: int) -> Callable[[int], Batch]:
    """Batches of a run on photographs, one at a time; SimCLR's two views are made of one crop each."""
    pairing, stream, draw = METHODS[name][0], images.stream(seed), generator(jax.random.fold_in(key, 3))
    half = images.preset.training.batch_size // 2

    def batch(step: int) -> Batch:
        x, labels = next(stream)
        if pairing is None:
            views = np.concatenate([random_views(x[:half], draw), random_views(x[:half], draw)])
            number = np.tile(np.arange(half, dtype=np.int32), 2)
            return Batch(views, number, number, np.tile(labels[:half], 2), switches(name))
        y2 = sample_pairs(jax.random.fold_in(key, step), labels, images.num_classes, pairing)
        return Batch(x, labels, np.asarray(y2), labels, switches(name))

    return batch

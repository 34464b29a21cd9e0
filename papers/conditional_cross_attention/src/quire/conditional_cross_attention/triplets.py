"""Triplets: anchor and positive share the value of an attribute, the negative has another; all three are embedded under it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Integer

from quire.common.checks import check_at_least
from quire.common.losses.triplet import triplet_cosine, triplet_sqeuclidean
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.conditional_cross_attention.config import Training

MISSING = -1
"""Label of an attribute that an image does not have, or whose value nobody knows."""

LOSSES = {"cosine": triplet_cosine, "sqeuclidean": triplet_sqeuclidean}


class Triplets(NamedTuple):
    """Rows of images, and the attribute that each triplet is about; int32 `[m]` each."""

    anchor: Integer[np.ndarray, " m"]
    positive: Integer[np.ndarray, " m"]
    negative: Integer[np.ndarray, " m"]
    attribute: Integer[np.ndarray, " m"]


def sample_triplets(key: jax.Array, labels: Integer[np.ndarray, "n attributes"], count: int) -> Triplets:
    """Fixed triplets: the attribute uniform, then the anchor, the positive and the negative uniform among those that there are.

    Args:
        key: for the draw, made on the host.
        labels: -1 where one is missing: such an image takes no part in triplets of that attribute.
        count: of triplets.

    Raises:
        ValueError: for a count below 1, labels of another shape, or without any triplet.

    >>> found = sample_triplets(jax.random.key(0), np.array([[0, -1], [1, 0], [0, -1]]), 4)
    >>> sorted(set(zip(found.anchor.tolist(), found.positive.tolist(), found.negative.tolist(), found.attribute.tolist())))
    [(0, 2, 1, 0), (2, 0, 1, 0)]
    """
    check_at_least("count", count)
    labels = np.asarray(labels)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels is {labels.dtype} {labels.shape}; it needs integers, a column for each attribute")
    groups = [_Sorted.of(column) for column in labels.T]
    usable = np.array([a for a, group in enumerate(groups) if group is not None])
    if not len(usable):
        raise ValueError("labels has no attribute with two images of one value and one of another; there is no triplet")
    rng = generator(key)
    attribute = usable[rng.integers(0, len(usable), count)].astype(np.int32)
    rows = np.empty((3, count), np.int32)
    for a in usable:
        own = attribute == a
        rows[:, own] = groups[a].draw(rng, int(own.sum()))
    return Triplets(*rows, attribute)


class _Sorted(NamedTuple):
    """Images that know an attribute, in the order of its values: those of one value are neighbours."""

    images: np.ndarray
    first: np.ndarray
    count: np.ndarray
    anchors: np.ndarray

    @classmethod
    def of(cls, column: np.ndarray) -> "_Sorted | None":
        """None without a triplet. `first` and `count`: where the value of each place begins, and how many have it."""
        images = np.argsort(column, kind="stable")
        images = images[column[images] != MISSING]
        _, first, inverse, count = np.unique(column[images], return_index=True, return_inverse=True, return_counts=True)
        first, count = first[inverse], count[inverse]
        anchors = np.flatnonzero((count > 1) & (count < len(images)))
        return cls(images, first, count, anchors) if len(anchors) else None

    def draw(self, rng: np.random.Generator, m: int) -> np.ndarray:
        """Anchor, positive and negative `[3, m]`."""
        anchor = self.anchors[rng.integers(0, len(self.anchors), m)]
        first, count = self.first[anchor], self.count[anchor]
        positive = first + rng.integers(0, count - 1)
        positive += positive >= anchor  # any of its value but itself
        negative = rng.integers(0, len(self.images) - count)
        negative += np.where(negative >= first, count, 0)  # any of another value
        return self.images[np.stack([anchor, positive, negative])]


class BatchTriplets(NamedTuple):
    """For each attribute and image of a batch as the anchor: a positive, a negative, and whether both exist."""

    positive: Int[Array, "attributes b"]
    negative: Int[Array, "attributes b"]
    valid: Bool[Array, "attributes b"]


def in_batch_triplets(key: jax.Array, labels: Int[Array, "b attributes"]) -> BatchTriplets:
    """Triplets out of a batch, so that each image is encoded once a step: the largest of uniform noise among what is allowed.

    Args:
        key: for the noise.
        labels: -1 where one is missing.

    >>> found = in_batch_triplets(jax.random.key(0), jnp.array([[0], [1], [0], [-1]]))
    >>> found.positive[0, :3].tolist(), found.negative[0, :3].tolist(), found.valid[0].tolist()
    ([2, 0, 0], [1, 2, 1], [True, False, True, False])
    """
    columns = labels.T
    known = columns != MISSING
    both = known[:, :, None] & known[:, None, :]
    same = columns[:, :, None] == columns[:, None, :]
    another = ~jnp.eye(len(labels), dtype=bool)[None]
    noise = jax.random.uniform(key, (2, *same.shape))
    candidates = jnp.stack([both & same & another, both & ~same])
    positive, negative = jnp.argmax(jnp.where(candidates, noise, -1.0), axis=-1)
    return BatchTriplets(positive, negative, candidates.any(-1).all(0))


def in_batch_loss(
    embeddings: Float[Array, "b attributes dim"], labels: Int[Array, "b attributes"], key: jax.Array, training: Training
) -> Float[Array, ""]:
    """Mean of the triplet loss over all triplets of `in_batch_triplets` that exist.

    Args:
        embeddings: of the images under every attribute.
        labels: -1 where one is missing.
        key: for the triplets.
        training: margin and loss.
    """
    found = in_batch_triplets(key, labels)
    e = jnp.moveaxis(embeddings, 1, 0)
    positive, negative = (jnp.take_along_axis(e, index[..., None], axis=1) for index in (found.positive, found.negative))
    anchor, positive, negative = (x.reshape(-1, x.shape[-1]) for x in (e, positive, negative))
    return LOSSES[training.loss](anchor, positive, negative, training.margin, found.valid.reshape(-1))


Batch = tuple[Array, Array]
"""Images `[b]` with their labels `[b, A]` for triplets drawn in the batch; for fixed ones images `[3 m]`, anchors first, then
positives, then negatives, with the attribute of each triplet `[m]`."""


def triplet_loss(training: Training) -> Callable[[nnx.Module, Batch, jax.Array], Array]:
    """`loss(model, batch, key)`, for `fit`."""

    def of_batch(model, batch, key):
        images, labels = batch
        return in_batch_loss(model.embed_all(images), labels, key, training)

    def of_fixed(model, batch, key):
        images, attribute = batch
        anchor, positive, negative = jnp.split(model(images, jnp.tile(attribute, 3)), 3)
        return LOSSES[training.loss](anchor, positive, negative, training.margin)

    return of_batch if training.triplets == "in-batch" else of_fixed


class Plan(NamedTuple):
    """Which images every step sees `[steps, b]`, and what is told of them: see `Batch`."""

    images: Integer[np.ndarray, "steps b"]
    told: Integer[np.ndarray, "steps _ *a"]


def plan_batches(key: jax.Array, labels: Integer[np.ndarray, "n attributes"], training: Training) -> Plan:
    """The batches of a training run: shuffled epochs of images, or of fixed triplets.

    Raises:
        ValueError: as `sample_triplets`, for fixed ones.
    """
    if training.triplets == "in-batch":
        images = epoch_indices(key, len(labels), training.batch_size, training.steps)
        return Plan(images, labels[images])
    found = sample_triplets(key, labels, training.num_triplets)
    chosen = epoch_indices(jax.random.fold_in(key, 1), training.num_triplets, training.batch_size, training.steps)
    return Plan(np.concatenate([rows[chosen] for rows in found[:3]], axis=1), found.attribute[chosen])

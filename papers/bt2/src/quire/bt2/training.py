"""Training: the old model, then everything that is trained beside it, side by side where memory allows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from quire.bt2.config import Backbone, Preset
from quire.bt2.loss import bct_loss, bt2_loss, matching_loss
from quire.bt2.models import BT2Model, Classifier
from quire.bt2.prototypes import class_prototypes
from quire.common.data.images import ImageSplit
from quire.common.layers.nested import unit_rows
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys

EMBEDDED_AT_ONCE = 2000


class Objective(NamedTuple):
    """What a classifier is trained for, as arrays, so that all kinds of them are one program.

    Attributes:
        mask: 1 for the numbers of the vector that it has.
        influence: alpha, weight of the old prototypes.
        matching: weight of the cosine with the old vectors.
        unit: 1 for vectors of length 1.
    """

    mask: Float[np.ndarray, "*runs dim"]
    influence: Float[np.ndarray, "*runs"]
    matching: Float[np.ndarray, "*runs"]
    unit: Float[np.ndarray, "*runs"]


class Targets(NamedTuple):
    """What a frozen old model says of the training images: its vectors, and the mean of every class."""

    vectors: Float[np.ndarray, "*runs n d_old"]
    prototypes: Float[np.ndarray, "*runs classes d_old"]


class Weights(NamedTuple):
    """What BT^2 is trained with, as arrays.

    Attributes:
        scale: C.
        lambdas: of the losses, see `bt2_loss`.
    """

    scale: Float[np.ndarray, "*runs"]
    lambdas: Float[np.ndarray, "*runs 3"]


class Trained(NamedTuple):
    """Models of one class; arrays have a leading axis for the runs, `[kinds x seeds]`.

    Attributes:
        graph, state: of the models.
        kinds: `Objective` or `Weights` of every run.
        losses: of every step.
    """

    graph: nnx.GraphDef
    state: Any
    kinds: Objective | Weights
    losses: Float[np.ndarray, "runs steps"]

    def outputs(self, function: Callable, images: np.ndarray, one_by_one: bool = False) -> Any:
        """`function(model, images, kind)` of every run, `[runs, n, ...]`, in evaluation mode."""
        size = min(EMBEDDED_AT_ONCE, len(images))
        padded = np.pad(images, ((0, -len(images) % size), *((0, 0),) * (images.ndim - 1)))  # one program for all parts
        parts = [padded[i : i + size] for i in range(0, len(padded), size)]
        found = [jax.tree.map(np.asarray, _outputs(self.graph, function, one_by_one, self.state, self.kinds, x)) for x in parts]
        return jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, : len(images)], *found)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _outputs(graph, function, one_by_one, state, kinds, images):
    def one(run):
        state, kind = run
        model = nnx.merge(graph, state)
        model.eval()
        return function(model, images, kind)

    return jax.lax.map(one, (state, kinds)) if one_by_one else jax.vmap(one)((state, kinds))


def objectives(preset: Preset) -> dict[str, Objective]:
    """The classifiers that are compared: independent, BCT, matching without prototypes, naive extra dimensions.

    The rivals of BT^2 have vectors of length 1: without, BCT gains by length instead of direction. So has a second independent
    model where the first has not.
    """
    dim = preset.new_dim + preset.extra
    narrow, wide = (np.arange(dim) < size for size in (preset.new_dim, dim))
    _, _, match_old = preset.lambdas
    plan = {
        "independent": (narrow, 0.0, 0.0, preset.normalize),
        "BCT": (narrow, preset.alpha, 0.0, True),
        "matching": (narrow, 0.0, match_old, True),
        "naive extra": (wide, preset.alpha, 0.0, True),
    }
    if not preset.normalize:
        plan["independent, unit"] = (narrow, 0.0, 0.0, True)
    return {name: Objective(*(np.asarray(x, np.float32) for x in values)) for name, values in plan.items()}


def classifier_vectors(model: Classifier, images: jax.Array, objective: Objective) -> jax.Array:
    """Vectors of images, zeros behind the numbers that the objective has."""
    vectors = model.features(images) * objective.mask[None]
    return jnp.where(objective.unit > 0, unit_rows(vectors), vectors)


def classifier_loss(model: Classifier, batch: Any, key: jax.Array | None = None) -> jax.Array:
    """Cross-entropy and what an `Objective` adds to it, for `(images, labels, (old vectors,), prototypes, objective)`."""
    images, labels, (old,), prototypes, objective = batch
    vectors = classifier_vectors(model, images, objective)
    loss = bct_loss(model.classifier(vectors), vectors, labels, prototypes, objective.influence)
    return loss + objective.matching * matching_loss(vectors[:, : old.shape[1]], old)


def bt2_model_loss(model: BT2Model, batch: Any, key: jax.Array | None = None) -> jax.Array:
    """`bt2_loss` for `(images, labels, (old vectors, new vectors), prototypes, weights)`."""
    images, labels, (old, new), prototypes, weights = batch
    return bt2_loss(model(images, weights.scale), labels, old, new, prototypes, weights.lambdas)


def train_old(preset: Preset, train: ImageSplit, keys: jax.Array) -> Trained:
    """The old model of every seed: it knows the first classes only, and no other model."""
    rows = np.flatnonzero(train.labels < preset.old_classes)
    split, dim, seeds = ImageSplit(train.images[rows], train.labels[rows]), preset.old_dim, len(keys)
    nothing = Targets(np.zeros((seeds, len(rows), dim), np.float32), np.zeros((seeds, preset.old_classes, dim), np.float32))
    alone = Objective(np.ones((1, dim), np.float32), *np.array([[0], [0], [preset.normalize]], np.float32))
    return train_classifiers(preset, split, preset.old_backbone, alone, nothing, keys)


def train_classifiers(
    preset: Preset, split: ImageSplit, config: Backbone, kinds: Objective, old: Targets, keys: jax.Array
) -> Trained:
    """Every kind of classifier with every seed, `[kinds x seeds]`.

    Args:
        preset: recipe.
        split: training images.
        config: of the backbone.
        kinds: `[kinds, ...]`.
        old: of every seed.
        keys: one per seed.
    """
    dim, classes = kinds.mask.shape[1], old.prototypes.shape[1]

    def build(rngs: nnx.Rngs) -> Classifier:
        return Classifier(config, dim, classes, rngs=rngs)

    return _train(preset, split, build, classifier_loss, (old.vectors,), old.prototypes, kinds, keys)


def train_bt2(
    preset: Preset,
    split: ImageSplit,
    config: Backbone,
    old: Targets,
    new: Float[np.ndarray, "seeds n d_new"],
    keys: jax.Array,
    scales: Sequence[float] = (),
) -> Trained:
    """BT^2 with every scale and seed, `[scales x seeds]`.

    Args:
        preset: sizes, weights, recipe.
        split: training images.
        config: of the backbone.
        old: of every seed.
        new: vectors of the training images by the independent model of every seed.
        keys: one per seed.
        scales: values of C; that of the preset for none.
    """
    values = np.asarray(scales or (preset.scale,), np.float32)
    lambdas = np.tile(np.asarray(preset.lambdas, np.float32), (len(values), 1))
    classes, old_dim = old.prototypes.shape[1:]

    def build(rngs: nnx.Rngs) -> BT2Model:
        return BT2Model(preset, config, classes, old_dim=old_dim, rngs=rngs)

    rows = old.vectors, new
    return _train(preset, split, build, bt2_model_loss, rows, old.prototypes, Weights(values, lambdas), keys)


def _train(preset, split, build, loss, rows, prototypes, kinds, keys) -> Trained:
    """All kinds and seeds; within a seed from the same weights and on the same batches.

    Args:
        rows: vectors of the training images `[seeds, n, ...]`, of which a batch has some.
        prototypes: `[seeds, ...]`.
        kinds: `[kinds, ...]`.
    """
    training, count = preset.training, len(jax.tree.leaves(kinds)[0])
    sizes = len(split), training.batch_size, training.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)

    def batch_at(data, step):
        (indices, rows, prototypes), kind = data
        chosen = indices[step]
        return images[chosen], labels[chosen], jax.tree.map(lambda x: x[chosen], rows), prototypes, kind

    of_seed = jax.tree.map(lambda x: np.tile(x, (count, *(1,) * (x.ndim - 1))), (indices, rows, prototypes))
    of_kind = jax.tree.map(lambda x: np.repeat(x, len(keys), axis=0), kinds)
    graph, state, losses = fit_seeds(
        build,
        training.transformation(flat=True),
        loss,
        batch_at,
        (of_seed, of_kind),
        steps=training.steps,
        keys=jnp.tile(keys, count),
        one_by_one=preset.one_by_one,
    )
    return Trained(graph, state, of_kind, np.asarray(losses))


def targets(vectors: Float[np.ndarray, "seeds n d_old"], labels: Int[np.ndarray, " n"], num_classes: int) -> Targets:
    """What a frozen model says of the training images, for every seed."""
    return Targets(vectors, np.stack([class_prototypes(x, labels, num_classes) for x in vectors]))

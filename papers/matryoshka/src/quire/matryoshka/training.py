"""Training: MRL and every FF-m as one program, told apart by the weights of the loss."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.train.batches import HostBatches, epoch_indices
from quire.common.train.fit import fit
from quire.common.train.seeds import fit_seeds, fold_keys, over_seeds, stack
from quire.matryoshka.classifier import NestedClassifier
from quire.matryoshka.config import Training
from quire.matryoshka.loss import matryoshka_ce
from quire.matryoshka.sources import Images, Split

Build = Callable[[nnx.Rngs], NestedClassifier]
LossWeights = Float[np.ndarray, "variants sizes"]


def fixed_feature_weights(sizes: int) -> LossWeights:
    """Weights of the loss: row 0 is MRL, all ones; row 1 + g is FF of the g-th size, one there and zero elsewhere.

    >>> fixed_feature_weights(2).tolist()
    [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    return np.concatenate([np.ones((1, sizes)), np.eye(sizes)]).astype(np.float32)


def nested_loss(label_smoothing: float) -> Callable:
    """`loss(model, (images, labels, weights), key)`: the weighted sum over sizes."""

    def loss(model, batch, key):
        images, labels, weights = batch
        return matryoshka_ce(model(images), labels, weights, label_smoothing)

    return loss


def train(build: Build, images: Images, weights: LossWeights, keys: jax.Array) -> tuple[nnx.GraphDef, Any, np.ndarray]:
    """Train every variant with every seed: from the same initial weights and on the same batches within a seed.

    Args:
        build: makes a model.
        images: data, and the preset's recipe.
        weights: of the loss, a row for each variant.
        keys: one per seed.

    Returns:
        Graph, state and losses `[variants, seeds, ...]`. Images in memory train all variants side by side in one compiled loop;
        streamed ones, one after the other.
    """
    training: Training = images.preset.training
    loss = nested_loss(training.label_smoothing)
    if images.arrays is None:
        runs = [_streamed(build, loss, images, row, key, seed) for row in weights for seed, key in enumerate(keys)]
        graph = runs[0][0]
        state, losses = stack([run[1] for run in runs]), stack([run[2] for run in runs])
    else:
        split = images.arrays["train"]
        sizes = len(split), training.batch_size, training.steps
        indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])

        def batch_at(data, step):
            chosen, row = data
            return jax.numpy.asarray(split.images)[chosen[step]], jax.numpy.asarray(split.labels)[chosen[step]], row

        variants = len(weights)
        data = np.tile(indices, (variants, 1, 1)), np.repeat(weights, len(keys), axis=0)
        all_keys = jax.numpy.tile(keys, variants)
        tx = training.transformation(flat=not training.decay_kernels_only)
        graph, state, losses = fit_seeds(build, tx, loss, batch_at, data, steps=training.steps, keys=all_keys)
    return graph, *jax.tree.map(lambda x: np.asarray(x).reshape(len(weights), len(keys), *x.shape[1:]), (state, losses))


def _streamed(build: Build, loss: Callable, images: Images, row: np.ndarray, key: jax.Array, seed: int):
    training = images.preset.training
    model, batches = build(nnx.Rngs(key)), images.augmented(training.batch_size, seed)
    model.train()
    history = fit(
        model,
        training.transformation(),
        loss,
        HostBatches(lambda _: (*next(batches), row)),
        steps=training.steps,
        key=key,
        chunk_steps=10,
    )
    return *nnx.split(model), history.losses


def predictor(graph: nnx.GraphDef, *, flip: bool, one_by_one: bool = False) -> Callable:
    """`(state, images) -> embeddings [seeds, n, d], logits [seeds, sizes, n, C]`, compiled once for states of one shape.

    Args:
        graph: of the models.
        flip: average the logits over an image and its mirror image.
        one_by_one: one seed after the other.
    """

    def predict(model, images):
        model.eval()
        z, logits = model.outputs(images)
        return z, (logits + model.outputs(images[:, :, ::-1])[1]) / 2 if flip else logits

    return over_seeds(graph, predict, one_by_one=one_by_one)


def predict(predictor: Callable, state: Any, images: Images, split: Split, batch_size: int = 2000):
    """Embeddings `[seeds, n, d]`, logits `[seeds, sizes, n, C]` and labels `[n]` of a split.

    Args:
        predictor: see `predictor`.
        state: `[seeds, ...]`.
        images: data.
        split: `"train"` or `"test"`.
        batch_size: images at once.
    """
    parts = [(*jax.tree.map(np.asarray, predictor(state, x)), y) for x, y in images.ordered(split, batch_size)]
    z, logits, labels = zip(*parts, strict=True)
    return np.concatenate(z, axis=1), np.concatenate(logits, axis=2), np.concatenate(labels)

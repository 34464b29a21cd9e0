"""Contrastive MRL: two towers whose prefixes are all trained to find each other (section 3; ALIGN and BERT in the paper)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.data.images import pixels
from quire.common.train.batches import epoch_indices
from quire.common.train.recipe import Recipe
from quire.common.train.seeds import fit_seeds, over_seeds
from quire.matryoshka.classifier import Images as Pixels
from quire.matryoshka.classifier import build_encoder
from quire.matryoshka.config import Preset
from quire.matryoshka.evaluation import neighbour_accuracy
from quire.matryoshka.loss import matryoshka_info_nce
from quire.matryoshka.sources import Images

Embeddings = Float[Array, "batch dim"]


class TwoTowers(nnx.Module):
    """An encoder of the upper and one of the lower halves of images: pairs without labels, as pictures and captions are.

    Args:
        preset: of the encoders.
        rngs: for the initial weights.
    """

    def __init__(self, preset: Preset, *, rngs: nnx.Rngs):
        self.upper, self.lower = (build_encoder(preset.encoder, preset.dim, rngs=rngs) for _ in range(2))

    def __call__(self, images: Pixels) -> tuple[Embeddings, Embeddings]:
        """Embeddings of both halves; the other half is zero."""
        images = pixels(images)
        top = images.at[:, images.shape[1] // 2 :].set(0)
        return self.upper(top), self.lower(images - top)


def contrastive_accuracy(
    images: Images, weights: Float[np.ndarray, "variants sizes"], recipe: Recipe, temperature: float, key: jax.Array
) -> Float[np.ndarray, "variants sizes"]:
    """How often the nearest lower half of another image shows what an upper half shows, by prefixes of every size.

    Args:
        images: data in memory; no label is seen in training.
        weights: of the loss of each size, a row for each variant.
        recipe: of the training.
        temperature: t.
        key: of initial weights and batches, the same for all variants.

    Raises:
        ValueError: for images that are streamed.
    """
    if images.arrays is None:
        raise ValueError(f"images are {images.name}, which are streamed; the two towers need images in memory")
    train, test, sizes = images.arrays["train"], images.arrays["test"], images.preset.nesting
    indices = epoch_indices(jax.random.fold_in(key, 1), len(train), recipe.batch_size, recipe.steps)

    def loss(model, batch, key):
        pairs, row = batch
        return matryoshka_info_nce(*model(pairs), sizes, temperature, row)

    def batch_at(row, step):
        return jnp.asarray(train.images)[jnp.asarray(indices)[step]], row

    keys = jnp.stack([key] * len(weights))
    tx = recipe.transformation(flat=True)
    graph, state, _ = fit_seeds(
        lambda rngs: TwoTowers(images.preset, rngs=rngs), tx, loss, batch_at, weights, steps=recipe.steps, keys=keys
    )
    embed = over_seeds(graph, lambda model, x: model(x))
    rows, points = embed(state, train.images)[1], embed(state, test.images)[0]
    pairs = zip(np.asarray(rows), np.asarray(points), strict=True)
    return np.stack([neighbour_accuracy((r, train.labels), (p, test.labels), sizes) for r, p in pairs])

"""Training and scoring the networks that the claims compare."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.data.images import ImageSplit
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.recipe import Recipe
from quire.lie_decompositions.baselines import CNN, CNNConfig
from quire.lie_decompositions.groups import Samples
from quire.lie_decompositions.resnet import GResNet, NetworkConfig, PathSamples


class SampledNet(nnx.Module):
    """A `GResNet` that brings its samples along: the same ones for good, or new ones for every forward pass.

    Args:
        config: of the network.
        fixed: whether the samples are drawn once.
        rngs: for weights and samples.
    """

    def __init__(self, config: NetworkConfig, *, fixed: bool, rngs: nnx.Rngs):
        self.net = GResNet(config, rngs=rngs)
        drawn = jax.jit(config.draw)(rngs.params()) if fixed else None
        self.drawn = None if drawn is None else nnx.Variable([[s.g, s.g_inv] for s in drawn])

    @property
    def samples(self) -> PathSamples | None:
        """The fixed samples, or None."""
        return None if self.drawn is None else PathSamples(*(Samples(*pair) for pair in self.drawn.get_value()))

    def __call__(
        self, x: Num[Array | np.ndarray, "batch h w c"], *, key: jax.Array | None = None, train: bool = False
    ) -> Float[Array, "batch classes"]:
        """Class scores; the key draws samples and dropout where there are any."""
        return self.net(x, self.samples, key=key, train=train)


def build(config: NetworkConfig | CNNConfig, rngs: nnx.Rngs, *, fixed: bool = True) -> SampledNet | CNN:
    """The network of a configuration."""
    return CNN(config, rngs=rngs) if isinstance(config, CNNConfig) else SampledNet(config, fixed=fixed, rngs=rngs)


def cross_entropy(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Array:
    """Mean cross-entropy while training."""
    images, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(images, key=key, train=True), labels).mean()


def train(model: SampledNet | CNN, recipe: Recipe, split: ImageSplit, key: jax.Array) -> np.ndarray:
    """Train in place on images as they are; returns the losses."""
    order = epoch_indices(jax.random.fold_in(key, 1), len(split), recipe.batch_size, recipe.steps)
    data = ((split.images, split.labels), order)
    tx = recipe.transformation(flat=True)
    chunk = recipe.steps if recipe.steps <= 1000 else 500  # short runs are one program
    return fit(model, tx, cross_entropy, take_batch, data, steps=recipe.steps, key=key, chunk_steps=chunk).losses


def accuracy(model: SampledNet | CNN, splits: dict[str, ImageSplit], key: jax.Array, *, batch: int = 200) -> dict[str, float]:
    """Share of images that are classified right, in per cent, by name of the split."""
    graph, state = nnx.split(model)
    predict = jax.jit(lambda state, x, key: nnx.merge(graph, state)(x, key=key).argmax(-1))
    return {name: 100 * _share(lambda x: predict(state, x, key), split, batch) for name, split in splits.items()}


def _share(predict: Any, split: ImageSplit, batch: int) -> float:
    right = 0
    for x, y in split.batches(batch):
        padded = np.concatenate([x, np.zeros((batch - len(x), *x.shape[1:]), x.dtype)])  # one program for all
        right += int(np.sum(np.asarray(predict(jnp.asarray(padded)))[: len(y)] == y))
    return right / len(split)

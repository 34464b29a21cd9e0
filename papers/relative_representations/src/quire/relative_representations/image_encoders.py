"""Encoders of images, trained as classifiers: a patch network, or a ResNet with the projection of the paper."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.data.images import pixels
from quire.common.layers.initialisers import linear
from quire.common.layers.norms import BatchNorm
from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import resnet18
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, over_seeds
from quire.relative_representations.config import Images
from quire.relative_representations.sources import LabelledImages
from quire.relative_representations.stitching import LinearHead

ENCODED_AT_ONCE = 1000


class LatentProjection(nnx.Module):
    """Features to latents: linear, batch norm, tanh, linear, tanh.

    Args:
        in_features, dim: of features and of latents.
        rngs: for the initial weights.
    """

    def __init__(self, in_features: int, dim: int, *, rngs: nnx.Rngs):
        self.first, self.second = linear(in_features, dim, rngs=rngs), linear(dim, dim, rngs=rngs)
        self.norm = BatchNorm(dim)

    def __call__(self, x: Float[Array, "n features"]) -> Float[Array, "n dim"]:
        """Latents in `(-1, 1)`."""
        return jnp.tanh(self.second(jnp.tanh(self.norm(self.first(x)))))


class ImageEncoder(nnx.Module):
    """Images, bytes or floats in `[0, 1]`, to latents.

    Args:
        channels: of a patch network; none for a ResNet-18 and a `LatentProjection`.
        config: patch, channels of the images, dimension.
        mean, std: of the pixels.
        rngs: for the initial weights.
    """

    def __init__(self, channels: Sequence[int], config: Images, mean: float, std: float, *, rngs: nnx.Rngs):
        self.mean, self.std = mean, std
        if channels:
            self.backbone = PatchNet(channels, config.dim, patch=config.patch, in_channels=config.in_channels, rngs=rngs)
        else:
            self.backbone = resnet18(stem="cifar", in_channels=config.in_channels, rngs=rngs)
        self.projection = None if channels else LatentProjection(512, config.dim, rngs=rngs)

    def __call__(self, images: Num[Array, "n h w c"]) -> Float[Array, "n dim"]:
        """Latents."""
        z = self.backbone((pixels(images) - self.mean) / self.std)
        return z if self.projection is None else self.projection(z)


class Classifier(nnx.Module):
    """An encoder and a linear head on its latents.

    Args:
        encoder: images to latents of `dim` numbers.
        dim, num_classes: of the head.
        rngs: for its initial weights.
    """

    def __init__(self, encoder: nnx.Module, dim: int, num_classes: int, *, rngs: nnx.Rngs):
        self.encoder, self.head = encoder, linear(dim, num_classes, rngs=rngs)

    def __call__(self, images: Num[Array, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits."""
        return self.head(self.encoder(images))


def classification_loss(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of a model's logits, `batch = (images, labels)`."""
    return smoothed_cross_entropy(model(batch[0]), batch[1])


def trained_encoders(images: LabelledImages, keys: jax.Array) -> tuple[dict[str, np.ndarray], LinearHead]:
    """Train every encoder of every seed: encoders of one architecture side by side, one architecture after the other.

    Args:
        images: data and sizes.
        keys: one per seed.

    Returns:
        Latents of the `train` and `test` images `[seeds, encoders, n, dim]`, and the heads that they were trained with
        `[seeds, encoders, ...]`; encoders of one architecture follow each other.
    """
    config, parts = images.config, []
    for number, channels in enumerate(config.architectures):
        own = jax.vmap(lambda key, n=number: jax.random.split(jax.random.fold_in(key, n), config.per_architecture))(keys)
        latents, head = _one_architecture(images, channels, own.reshape(-1))
        shape = len(keys), config.per_architecture
        parts.append(jax.tree.map(lambda x, s=shape: x.reshape(*s, *x.shape[1:]), (latents, head)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *parts)


def _one_architecture(images: LabelledImages, channels: tuple[int, ...], keys: jax.Array) -> tuple[dict, LinearHead]:
    config, data, training = images.config, images.data, images.config.training
    indices = np.stack([epoch_indices(key, len(data.train), training.batch_size, training.steps) for key in keys])
    inputs, labels = jax.device_put(data.train.images), jax.device_put(data.train.labels)

    def build(rngs):
        encoder = ImageEncoder(channels, config, images.mean, images.std, rngs=rngs)
        return Classifier(encoder, config.dim, data.num_classes, rngs=rngs)

    def batch_at(indices, step):
        return inputs[indices[step]], labels[indices[step]]

    graph, state, _ = fit_seeds(
        build,
        training.transformation(flat=True),
        classification_loss,
        batch_at,
        indices,
        steps=training.steps,
        keys=keys,
        one_by_one=not channels,
    )
    head = LinearHead(*(np.asarray(state["head"][name][...]) for name in ("kernel", "bias")))
    encode = over_seeds(graph, encode_frozen, one_by_one=not channels)
    return {name: in_batches(encode, state, split.images) for name, split in (("train", data.train), ("test", data.test))}, head


def encode_frozen(model: Classifier, images: Num[Array, "n h w c"]) -> Float[Array, "n dim"]:
    """Latents in evaluation mode: with the statistics of a batch, what an anchor is would depend on its company."""
    model.eval()
    return model.encoder(images)


def in_batches(function, state, images: np.ndarray) -> np.ndarray:
    """`function(state, images)` `[models, n, ...]` by batches of one size, so that any number of images is one program."""
    padded = np.pad(images, ((0, -len(images) % ENCODED_AT_ONCE), *((0, 0),) * (images.ndim - 1)))
    parts = [np.asarray(function(state, x)) for x in padded.reshape(-1, ENCODED_AT_ONCE, *images.shape[1:])]
    return np.concatenate(parts, axis=1)[:, : len(images)]

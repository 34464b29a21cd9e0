"""Autoencoders, absolute and relative, and what a decoder makes of the codes of another's encoder."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.claims import shared
from quire.common.data.images import pixels
from quire.common.layers.initialisers import he_normal
from quire.common.layers.patch_net import PatchNet
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds
from quire.relative_representations.anchors import select_anchors
from quire.relative_representations.config import Preset
from quire.relative_representations.model import RelativeModel
from quire.relative_representations.sources import LabelledImages, open_images

PAIR = 2
"""Autoencoders of a seed."""
SMALLEST_VARIANCE = float(np.exp(-12))


def optimal_sigma_loss(x: Num[Array, "*shape"], x_hat: Num[Array, "*shape"]) -> Float[Array, ""]:
    """Gaussian negative log-likelihood at the variance that is best for the whole batch, per number and without its constant.

    `mean(0.5 ((x - x_hat) / s)^2) + log s` with `log s = 0.5 log mse`, so its value is `0.5 + 0.5 log mse`: errors shrink by
    factors however small they are. The variance stays above `exp(-12)`, where a perfect reconstruction ends.

    Args:
        x, x_hat: data and reconstruction.

    Raises:
        ValueError: if shapes differ or are empty.

    >>> print(f"{optimal_sigma_loss(jnp.zeros(4), jnp.full(4, 0.1)):.4f}")
    -1.8026

    References:
        Rybkin et al., *Simple and Effective VAE Training with Calibrated Decoders*, 2021, section 3.
    """
    if x.shape != x_hat.shape or x.size == 0:
        raise ValueError(f"x has shape {x.shape} and x_hat {x_hat.shape}; they need one shape, with at least one number")
    mse = jnp.mean((jnp.asarray(x) - x_hat) ** 2)
    variance = jnp.maximum(mse, SMALLEST_VARIANCE)
    return 0.5 * mse / variance + 0.5 * jnp.log(variance)


class Decoder(nnx.Module):
    """Codes to images: linear, gelu, linear, sigmoid.

    Args:
        in_features: numbers of a code.
        hidden: in between.
        shape: of an image, `(height, width, channels)`.
        rngs: for the initial weights.
    """

    def __init__(self, in_features: int, hidden: int, shape: tuple[int, int, int], *, rngs: nnx.Rngs):
        size = int(np.prod(shape))
        self.first = nnx.Linear(in_features, hidden, kernel_init=he_normal, rngs=rngs)
        self.second = nnx.Linear(hidden, size, kernel_init=he_normal, rngs=rngs)
        self.shape = tuple(shape)

    def __call__(self, codes: Float[Array, "n features"]) -> Float[Array, "n h w c"]:
        """Grey values in `(0, 1)`."""
        return jax.nn.sigmoid(self.second(jax.nn.gelu(self.first(codes)))).reshape(len(codes), *self.shape)


class PixelEncoder(nnx.Module):
    """Images, bytes or floats in `[0, 1]`, to latents by a patch network. Arguments as for `PatchNet`."""

    def __init__(self, channels: tuple[int, ...], dim: int, *, patch: int, in_channels: int, rngs: nnx.Rngs):
        self.network = PatchNet(channels, dim, patch=patch, in_channels=in_channels, rngs=rngs)

    def __call__(self, images: Num[Array, "n h w c"]) -> Float[Array, "n dim"]:
        """Latents."""
        return self.network(pixels(images))


class Autoencoder(nnx.Module):
    """The absolute one: `decoder(encoder(images))`."""

    def __init__(self, encoder: nnx.Module, decoder: nnx.Module):
        self.encoder, self.head = encoder, decoder

    def codes(self, images: Num[Array, "n h w c"]) -> Float[Array, "n dim"]:
        """What the decoder reads: latents."""
        return self.encoder(images)

    def __call__(self, images: Num[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Reconstructions."""
        return self.head(self.codes(images))


def build_autoencoder(images: LabelledImages, anchors: np.ndarray | None, rngs: nnx.Rngs) -> Autoencoder | RelativeModel:
    """A relative autoencoder with these images as anchors, or an absolute one without any."""
    config, sizes = images.config, images.config.autoencoding
    encoder = PixelEncoder(sizes.channels, sizes.latent, patch=config.patch, in_channels=config.in_channels, rngs=rngs)
    width = sizes.latent if anchors is None else len(anchors)
    decoder = Decoder(width, sizes.hidden, images.data.train.images.shape[1:], rngs=rngs)
    return Autoencoder(encoder, decoder) if anchors is None else RelativeModel(encoder, decoder, anchors)


def reconstruction_loss(model: nnx.Module, images: Array, key: jax.Array) -> Float[Array, ""]:
    """`optimal_sigma_loss` of a model's reconstructions."""
    return optimal_sigma_loss(pixels(images), model(images))


def train_autoencoders(images: LabelledImages, keys: jax.Array, anchors: np.ndarray | None = None) -> tuple[nnx.GraphDef, Any]:
    """One autoencoder for each key: graph, and states with a leading axis."""
    training, inputs = images.config.autoencoding.training, jax.device_put(images.data.train.images)
    indices = np.stack([epoch_indices(key, len(inputs), training.batch_size, training.steps) for key in keys])

    def build(rngs):
        return build_autoencoder(images, anchors, rngs)

    def batch_at(indices, step):
        return inputs[indices[step]]

    tx = training.transformation(flat=True)
    return fit_seeds(build, tx, reconstruction_loss, batch_at, indices, steps=training.steps, keys=keys)[:2]


@shared
def autoencoder_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Latents of the anchors and of the test images by two absolute autoencoders a seed, `[seeds, 2, n, latent]`, and `trained`,
    their graph and states."""
    images = open_images(preset.images).value
    own = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, 2), PAIR))(keys).reshape(-1)
    graph, state = train_autoencoders(images, own)
    count, training = max(images.config.anchor_counts), images.data.train.images
    ids = [select_anchors(jax.random.fold_in(key, 3), training.reshape(len(training), -1), count) for key in keys]
    encode = jax.jit(jax.vmap(lambda state, x: nnx.merge(graph, state).encoder(x), (0, 0)))
    samples = [np.concatenate([training[each], images.data.test.images]) for each in ids]
    latents = np.asarray(encode(state, np.repeat(np.stack(samples), PAIR, axis=0)))
    latents = latents.reshape(len(keys), PAIR, *latents.shape[1:])
    states = jax.tree.map(lambda x: np.asarray(x).reshape(len(keys), PAIR, *x.shape[1:]), state)
    return {"anchors": latents[:, :, :count], "test": latents[:, :, count:], "trained": (graph, states)}


def swapped_decoders(
    images: LabelledImages,
    key: jax.Array,
    *,
    relative: bool,
    trained: tuple[nnx.GraphDef, Any] | None = None,
    shown: int = 8,
) -> dict[str, np.ndarray | float]:
    """Two autoencoders of one kind, and every decoder on the codes of every encoder.

    Args:
        images: data and sizes.
        key: of everything that is random.
        relative: trained on relative codes, or on latents.
        trained: graph and states of two such autoencoders; they are trained by default.
        shown: test images whose reconstructions come back.

    Returns:
        `errors` `[2, 2]`, root mean squared error over the test images of decoder i on encoder j; `pictures`
        `[2, 2, shown, h, w, c]`; `originals`; `trivial`, the error of answering the mean training image.
    """
    train, test = pixels(images.data.train.images), pixels(images.data.test.images)
    count = images.config.autoencoding.relative_anchors
    flat = images.data.train.images.reshape(len(train), -1)
    anchors = images.data.train.images[select_anchors(key, flat, count)] if relative else None
    graph, state = trained or train_autoencoders(images, jax.random.split(key, PAIR), anchors)

    @jax.jit
    def swapped(state, x):
        codes = jax.vmap(lambda s: nnx.merge(graph, s).codes(x))(state)
        return jax.vmap(lambda s: jax.vmap(nnx.merge(graph, s).head)(codes))(state)

    decoded = np.asarray(swapped(state, images.data.test.images))
    errors = np.sqrt(np.mean((decoded - np.asarray(test)[None, None]) ** 2, axis=(2, 3, 4, 5)))
    trivial = float(np.sqrt(np.mean((np.asarray(test) - np.asarray(train).mean(0)) ** 2)))
    return {"errors": errors, "pictures": decoded[:, :, :shown], "originals": np.asarray(test)[:shown], "trivial": trivial}

"""The layers in other tasks, small: a segmentation head and a generative adversarial network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.data.images import digits
from quire.common.layers.convolution import Conv
from quire.common.layers.mobile import NormAct
from quire.common.random import generator
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.recipe import Recipe
from quire.evonorm.networks import PreActBlock, norm_factory

RECIPE = Recipe(2000, 32, 1e-3, schedule="cosine", optimiser="adam")


@dataclass(frozen=True)
class TransferConfig:
    """Both tasks.

    Attributes:
        width: channels of the networks.
        groups: of layers with groups.
        recipe: of the training.
        scenes: generated scenes to train on; a quarter as many test.
        latent: numbers that an image is generated from.
        samples: generated images that are compared with real ones.
    """

    width: int = 32
    groups: int = 8
    recipe: Recipe = RECIPE
    scenes: int = 2000
    latent: int = 16
    samples: int = 1000


# --- Segmentation: which digit does a pixel belong to? ---

CLASSES = 11
"""Background and ten digits."""


def draw_scenes(key: jax.Array, count: int, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two digits in different quarters of a noisy 16 x 16 image, and for every pixel its digit + 1, or 0.

    Args:
        key: of places and noise.
        count: how many.
        images: `[n, 8, 8, 1]` in `[0, 1]`.
        labels: their digits.

    Returns:
        float32 `[count, 16, 16, 1]` and int32 `[count, 16, 16]`.
    """
    draw = generator(key)
    scenes = 0.3 * draw.random((count, 16, 16), np.float32)
    masks = np.zeros((count, 16, 16), np.int32)
    for scene, mask in zip(scenes, masks, strict=True):
        for quarter, one in zip(draw.permutation(4)[:2], draw.integers(len(labels), size=2), strict=True):
            top, left = 8 * (quarter // 2), 8 * (quarter % 2)
            view, target = (array[top : top + 8, left : left + 8] for array in (scene, mask))
            np.maximum(view, images[one, :, :, 0], out=view)
            target[images[one, :, :, 0] > 0.3] = labels[one] + 1
    return scenes[..., None], masks


class SegmentationNet(nnx.Module):
    """Two residual blocks at half the resolution, then a head that brings it back: layer, upsampling, convolution."""

    def __init__(self, width: int, *, norm: NormAct, rngs: nnx.Rngs):
        self.stem = Conv(1, width, 3, use_bias=False, rngs=rngs)
        self.body = nnx.List(
            [
                PreActBlock(width, 2 * width, 1, 2, norm=norm, rngs=rngs),
                PreActBlock(2 * width, 2 * width, 1, 1, norm=norm, rngs=rngs),
            ]
        )
        self.norms = nnx.List([norm(2 * width, True), norm(width, True)])
        self.convs = nnx.List([Conv(2 * width, width, 3, rngs=rngs), Conv(width, CLASSES, 3, rngs=rngs)])

    def __call__(self, images: Float[Array, "batch h w 1"]) -> Float[Array, "batch h w classes"]:
        """Logits of every pixel."""
        h = self.stem(images)
        for block in self.body:
            h = block(h)
        h = self.convs[0](upsampled(self.norms[0](h)))
        return self.convs[1](self.norms[1](h))


def upsampled(x: Float[Array, "batch h w c"]) -> Float[Array, "batch h2 w2 c"]:
    """Every pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def segmentation_loss(model: nnx.Module, batch: Any, key: jax.Array) -> jax.Array:
    """Mean cross-entropy over pixels."""
    return optax.softmax_cross_entropy_with_integer_labels(model(batch[0]), batch[1]).mean()


def mean_iou(predicted: Int[np.ndarray, "..."], wanted: Int[np.ndarray, "..."], classes: int = CLASSES) -> float:
    """Intersection over union, the mean over the classes that occur in either.

    Raises:
        ValueError: if the shapes differ, or there is no pixel.

    >>> mean_iou(np.array([0, 1, 1]), np.array([0, 1, 0]), 3)
    0.5
    """
    predicted, wanted = np.asarray(predicted), np.asarray(wanted)
    if predicted.shape != wanted.shape or predicted.size == 0:
        raise ValueError(f"predicted is {predicted.shape} and wanted {wanted.shape}; they must be equal and not empty")
    shared = [((predicted == c) & (wanted == c)).sum() for c in range(classes)]
    either = [((predicted == c) | (wanted == c)).sum() for c in range(classes)]
    return float(np.mean([a / b for a, b in zip(shared, either, strict=True) if b]))


def segmentation(config: TransferConfig, layers: Sequence[str], key: jax.Array) -> dict[str, float]:
    """Mean intersection over union on test scenes for every layer, and for background everywhere.

    Args:
        config: sizes.
        layers: names of `networks.LAYERS`.
        key: of scenes, weights and batches.
    """
    data = digits()
    keys = jax.random.split(key, 3)
    train = draw_scenes(keys[0], config.scenes, data.train.images, data.train.labels)
    test = draw_scenes(keys[1], max(1, config.scenes // 4), data.test.images, data.test.labels)
    found = {"background": mean_iou(np.zeros_like(test[1]), test[1])}
    for layer in layers:
        model = SegmentationNet(config.width, norm=norm_factory(layer, groups=config.groups), rngs=nnx.Rngs(keys[2]))
        _train(model, config.recipe, segmentation_loss, train, keys[2])
        logits = np.asarray(nnx.jit(lambda model, x: model(x))(model, test[0]))
        found[layer] = mean_iou(logits.argmax(-1), test[1])
    return found


def _train(model, recipe: Recipe, loss, data, key):
    """Train, and leave the model in evaluation."""
    indices = epoch_indices(key, len(data[0]), recipe.batch_size, recipe.steps)
    model.train()
    fit(model, recipe.transformation(), loss, take_batch, (data, indices), steps=recipe.steps, key=key, chunk_steps=recipe.steps)
    model.eval()


# --- A generative adversarial network ---


class Generator(nnx.Module):
    """Latent numbers to images: a linear map to 2 x 2 pixels, then a layer, an upsampling and a 3 x 3 convolution, twice."""

    def __init__(self, latent: int, width: int, *, norm: NormAct, rngs: nnx.Rngs):
        self.start = Conv(latent, 4 * 2 * width, (1,), rngs=rngs)
        self.norms = nnx.List([norm(2 * width, True), norm(width, True)])
        self.convs = nnx.List([Conv(2 * width, width, 3, rngs=rngs), Conv(width, 1, 3, rngs=rngs)])

    def __call__(self, z: Float[Array, "batch latent"]) -> Float[Array, "batch 8 8 1"]:
        """Grey values in `[0, 1]`."""
        h = self.start(z[:, None]).reshape(len(z), 2, 2, -1)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = conv(upsampled(norm(h)))
        return jax.nn.sigmoid(h)


class Adversaries(nnx.Module):
    """A generator, and a discriminator without any normaliser, so that layers are compared in the generator alone."""

    def __init__(self, latent: int, width: int, *, norm: NormAct, rngs: nnx.Rngs):
        self.generator = Generator(latent, width, norm=norm, rngs=rngs)
        self.discriminator = nnx.List(
            [
                Conv(1, width, 3, stride=2, rngs=rngs),
                Conv(width, 2 * width, 3, stride=2, rngs=rngs),
                Conv(8 * width, 1, (1,), rngs=rngs),
            ]
        )
        self.latent = latent


def judged(layers: Sequence[Conv], images: Float[Array, "batch 8 8 1"]) -> Float[Array, " batch"]:
    """What a discriminator thinks of images: positive for real."""
    h = images
    for conv in layers[:-1]:
        h = jax.nn.leaky_relu(conv(h), 0.2)
    return layers[-1](h.reshape(len(h), 1, -1))[:, 0, 0]


def adversarial_loss(model: Adversaries, batch: tuple, key: jax.Array) -> jax.Array:
    """Both non-saturating losses in one: the discriminator sees fixed images, the generator a fixed discriminator."""
    (real,) = batch
    fake = model.generator(jax.random.normal(key, (len(real), model.latent)))
    of_real, of_fake = jnp.split(judged(model.discriminator, jnp.concatenate([real, jax.lax.stop_gradient(fake)])), 2)
    graph, state = nnx.split(model.discriminator)
    fixed = nnx.merge(graph, jax.lax.stop_gradient(state))
    generator_loss = jax.nn.softplus(-judged(fixed, fake)).mean()
    return jax.nn.softplus(-of_real).mean() + jax.nn.softplus(of_fake).mean() + generator_loss


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """`|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2))` of the normal distributions with these means and covariances.

    Raises:
        ValueError: for fewer than two rows, or different columns.

    >>> x = np.random.default_rng(0).standard_normal((100, 3))
    >>> print(f"{abs(frechet_distance(x, x)):.6f} {frechet_distance(x, x + 2.0):.3f}")
    0.000000 12.000
    """
    if min(len(x), len(y)) < 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"x is {x.shape} and y {y.shape}; both need at least two rows and as many columns")
    covariances = [np.atleast_2d(np.cov(np.asarray(part, float), rowvar=False)) for part in (x, y)]
    roots = []
    for covariance in covariances:
        values, vectors = np.linalg.eigh(covariance)
        roots.append((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    traces = sum(np.trace(covariance) for covariance in covariances)
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + traces - 2 * cross)


def generation(config: TransferConfig, layers: Sequence[str], key: jax.Array) -> dict[str, float]:
    """Fréchet distance of generated to real test digits for every layer in the generator, and for pixels drawn independently.

    Args:
        config, layers, key: as for `segmentation`.
    """
    data = digits()
    weights_key, sample_key = jax.random.split(key)
    real = data.test.images.reshape(len(data.test), -1)
    draw = generator(sample_key)
    pixels = data.train.images.reshape(len(data.train), -1)
    shuffled = np.stack([draw.choice(column, config.samples) for column in pixels.T], axis=1)
    found = {"independent pixels": frechet_distance(shuffled, real)}
    z = draw.standard_normal((config.samples, config.latent)).astype(np.float32)
    for layer in layers:
        norm = norm_factory(layer, groups=config.groups)
        model = Adversaries(config.latent, config.width, norm=norm, rngs=nnx.Rngs(weights_key))
        _train(model, config.recipe, adversarial_loss, (data.train.images,), weights_key)
        fake = np.asarray(nnx.jit(lambda model, z: model.generator(z))(model, z))
        found[layer] = frechet_distance(fake.reshape(config.samples, -1), real)
    return found

"""A residual network of low-rank convolutions, and the order of work: pre-train, cluster, recalibrate, fine-tune."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.data.images import ImageData, cifar10, cifar10_subset, digits, pixels
from quire.common.layers.norms import BatchNorm
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.common.train.recipe import Recipe
from quire.lr2vq.config import Preset, Residual
from quire.lr2vq.layers import Conv, DenseWeight, Linear, LowRankWeight, low_rank_conv, quantize
from quire.lr2vq.sizes import compressed_bits


class Block(nnx.Module):
    """Two convolutions with batch norm beside a shortcut; the first may stride, the shortcut then is a convolution of 1 x 1."""

    def __init__(self, a: int, b: int, stride: int, *, m: int, d: int, rngs: nnx.Rngs):
        self.first = low_rank_conv(a, b, (3, 3), m=m, d=d, stride=stride, rngs=rngs)
        self.second = low_rank_conv(b, b, (3, 3), m=m, d=d, rngs=rngs)
        self.norms = nnx.List([BatchNorm(b), BatchNorm(b)])
        # rows of a 1 x 1 kernel run over channels
        size = np.gcd(m, a * b)
        self.shortcut = (
            None if a == b else low_rank_conv(a, b, (1, 1), m=int(size), d=min(d, int(size)), stride=stride, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c2"]:
        """Outputs."""
        h = self.norms[1](self.second(jax.nn.relu(self.norms[0](self.first(x)))))
        return jax.nn.relu(h + (x if self.shortcut is None else self.shortcut(x)))


class ResidualNet(nnx.Module):
    """A dense first convolution, stages of blocks, the mean over places, a dense last map: the ends stay as they are.

    Args:
        config: channels, blocks, rows and rank.
        in_channels, classes: of the images.
        rngs: for the weights.

    >>> net = ResidualNet(Residual(channels=(4, 8)), 1, 10, rngs=nnx.Rngs(0))
    >>> net(jnp.zeros((2, 8, 8, 1))).shape, len(low_rank_layers(net))
    ((2, 10), 5)
    """

    def __init__(self, config: Residual, in_channels: int, classes: int, *, rngs: nnx.Rngs):
        width = config.channels[0]
        draw = jax.random.normal(rngs.params(), (width, in_channels, 3, 3))
        self.stem, self.norm = Conv(DenseWeight((2 / (9 * in_channels)) ** 0.5 * draw)), BatchNorm(width)
        blocks = []
        for stage, channels in enumerate(config.channels):
            for block in range(config.blocks):
                stride = 2 if stage and not block else 1
                blocks.append(Block(width, channels, stride, m=config.m, d=config.d, rngs=rngs))
                width = channels
        self.blocks = nnx.List(blocks)
        last = jax.random.normal(rngs.params(), (classes, width)) / width**0.5
        self.head = Linear(DenseWeight(last), jnp.zeros(classes))

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
        """Scores of the classes."""
        x = jax.nn.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


def low_rank_layers(model: nnx.Module) -> list[tuple[nnx.Module, str, Conv | Linear]]:
    """Modules, attributes and layers whose weight is low-rank."""
    found = []
    for _, module in model.iter_modules():
        for name, layer in vars(module).items():
            if isinstance(layer, Conv | Linear) and isinstance(layer.weight, LowRankWeight):
                found.append((module, name, layer))
    return found


def cluster_layers(model: nnx.Module, k: int, key: jax.Array) -> int:
    """Quantise every low-rank layer in place, each with a codebook of its own.

    Args:
        model: any module of `Conv` and `Linear`.
        k: codewords, or as many as a layer has rows.
        key: for k-means++.

    Returns:
        Bits that the quantised weights take.

    Raises:
        ValueError: if no layer is low-rank.
    """
    layers = low_rank_layers(model)
    if not layers:
        raise ValueError("model has no low-rank layer; there is nothing to cluster")
    bits = 0
    for number, (module, name, layer) in enumerate(layers):
        weight = layer.weight
        assert isinstance(weight, LowRankWeight)
        n, d = weight.rows.shape
        setattr(module, name, quantize(layer, min(k, n), jax.random.fold_in(key, number)))
        bits += compressed_bits(n, weight.basis.shape[1], min(k, n), d)
    return bits


def recalibrate(model: nnx.Module, images: Float[Array, "n h w c"]) -> None:
    """Running statistics of every batch norm from one pass over images, in place: clustering has moved what they describe."""
    norms = [module for _, module in model.iter_modules() if isinstance(module, BatchNorm)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    _scores(model, images)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    model.eval()


def train(model: nnx.Module, data: tuple[np.ndarray, np.ndarray], recipe: Recipe, key: jax.Array) -> np.ndarray:
    """Train in place; losses of all steps."""
    model.train()
    batches = epoch_indices(key, len(data[0]), recipe.batch_size, recipe.steps)
    return fit(
        model, recipe.transformation(), _loss, take_batch, (data, batches), steps=recipe.steps, key=key, chunk_steps=50
    ).losses


def _loss(model, batch, key):
    images, labels = batch
    return smoothed_cross_entropy(model(images), labels)


@nnx.jit
def _scores(model, images):
    return model(images)


def accuracy(model: nnx.Module, images: np.ndarray, labels: Int[np.ndarray, " n"]) -> float:
    """Share of right answers, with running statistics."""
    model.eval()
    return float((np.asarray(_scores(model, images)).argmax(1) == labels).mean())


def load_images(image_set: str) -> ImageData:
    """Images of a preset.

    Raises:
        DatasetUnavailable: if they are missing and cannot be downloaded.
        ValueError: for another set.
    """
    loaders = {"digits": digits, "cifar10-subset": cifar10_subset, "cifar10": cifar10}
    if image_set not in loaders:
        raise ValueError(f"image_set is {image_set!r}; it must be one of {', '.join(loaders)}")
    return loaders[image_set]()


def residual_steps(preset: Preset, key: jax.Array) -> dict[str, float | str]:
    """Accuracy after every step of the order of work, and how much smaller the convolutions became."""
    config, data = preset.residual, load_images(preset.residual.image_set)
    train_x, test_x = (np.asarray(pixels(part.images)) for part in (data.train, data.test))
    test = test_x, data.test.labels
    model = ResidualNet(config, train_x.shape[-1], data.num_classes, rngs=nnx.Rngs(key))
    weights = [layer.weight for _, _, layer in low_rank_layers(model)]
    dense = 32 * sum(math.prod(weight.shape) for weight in weights if isinstance(weight, LowRankWeight))
    train(model, (train_x, data.train.labels), config.pretraining, jax.random.fold_in(key, 1))
    found = {"low-rank": accuracy(model, *test)}
    found["ratio"] = dense / cluster_layers(model, config.k, jax.random.fold_in(key, 2))
    found["clustered"] = accuracy(model, *test)
    recalibrate(model, jnp.asarray(train_x[:1000]))
    found["recalibrated"] = accuracy(model, *test)
    train(model, (train_x, data.train.labels), config.finetuning, jax.random.fold_in(key, 3))
    found["fine-tuned"] = accuracy(model, *test)
    return found | {"majority": data.majority, "name": data.name}

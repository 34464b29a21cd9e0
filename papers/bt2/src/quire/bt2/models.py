"""The networks: a backbone, and behind it a linear classifier or the head of BT^2."""

import jax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.bt2.config import Backbone, Preset
from quire.bt2.head import BT2Head, BT2Out
from quire.common.data.images import pixels
from quire.common.layers.initialisers import normal
from quire.common.layers.norms import layer_norm
from quire.common.layers.patch_net import PatchNet, gelu
from quire.common.layers.resnet import ConvNorm, ResNet

Images = Num[Array, "batch h w c"]


class EmbeddingBlock(nnx.Module):
    """The last block of the authors' residual networks: a bottleneck whose output has as many channels as the embedding.

    Args:
        before: channels of x.
        width: of the 3 x 3 convolution.
        dim: channels of the output.
        rngs: for the initial weights.
    """

    def __init__(self, before: int, width: int, dim: int, *, rngs: nnx.Rngs):
        plan = [(before, width, 1), (width, width, 3), (width, dim, 1)]
        self.layers = nnx.List([ConvNorm(*sizes, rngs=rngs) for sizes in plan])
        self.shortcut = ConvNorm(before, dim, 1, rngs=rngs) if before != dim else None

    def __call__(self, x: Images) -> Float[Array, "batch h w dim"]:
        """`relu(f(x) + shortcut(x))`."""
        h = x
        for layer in self.layers[:-1]:
            h = jax.nn.relu(layer(h))
        return jax.nn.relu(self.layers[-1](h) + (x if self.shortcut is None else self.shortcut(x)))


def embedding_resnet(config: Backbone, dim: int, *, rngs: nnx.Rngs) -> ResNet:
    """A bottleneck network whose last block gives `dim` channels, as in the authors' code.

    Raises:
        ValueError: if the last stage has fewer than two blocks.

    >>> images = jax.numpy.ones((2, 32, 32, 3))
    >>> embedding_resnet(Backbone(depths=(1, 2), width=4), 6, rngs=nnx.Rngs(0))(images).shape
    (2, 6)
    """
    if not config.depths or config.depths[-1] < 2:
        raise ValueError(f"depths is {config.depths}; the last stage needs at least two blocks")
    net = ResNet(config.depths, width=config.width, expansion=4, in_channels=config.in_channels, rngs=rngs)
    width = config.width * 2 ** (len(config.depths) - 1)
    net.stages[-1][-1] = EmbeddingBlock(4 * width, width, dim, rngs=rngs)
    return net


def build_backbone(config: Backbone, dim: int, *, rngs: nnx.Rngs) -> nnx.Module:
    """A network from images to `dim` numbers, see `Backbone`."""
    if not config.channels:
        return embedding_resnet(config, dim, rngs=rngs)
    norm, act = (None, jax.nn.relu) if config.plain else (layer_norm, gelu)
    return PatchNet(config.channels, dim, patch=config.patch, in_channels=config.in_channels, norm=norm, act=act, rngs=rngs)


class Classifier(nnx.Module):
    """A backbone, and a linear classifier without bias.

    The old model, the independent new one, BCT and what is like it.

    Args:
        config: of the backbone.
        dim: of the vectors.
        num_classes: of the logits.
        rngs: for the initial weights.
    """

    def __init__(self, config: Backbone, dim: int, num_classes: int, *, rngs: nnx.Rngs):
        self.backbone, self.rectified = build_backbone(config, dim, rngs=rngs), config.rectified
        self.classifier = nnx.Linear(dim, num_classes, use_bias=False, kernel_init=normal(dim**-0.5), rngs=rngs)

    def features(self, images: Images) -> Float[Array, "batch dim"]:
        """Features of images, bytes or grey values in `[0, 1]`, of any length."""
        features = self.backbone(pixels(images))
        return jax.nn.relu(features) if self.rectified else features


class BT2Model(nnx.Module):
    """A backbone, and the head.

    Args:
        preset: sizes.
        config: of the backbone.
        num_classes: of the logits.
        old_dim: d_o; that of the preset for None.
        rngs: for the initial weights.
    """

    def __init__(self, preset: Preset, config: Backbone, num_classes: int, *, old_dim: int | None = None, rngs: nnx.Rngs):
        old_dim = old_dim or preset.old_dim
        self.backbone, self.rectified = build_backbone(config, preset.new_dim + old_dim, rngs=rngs), config.rectified
        self.head = BT2Head(
            preset.new_dim,
            old_dim,
            num_classes,
            extra=preset.extra,
            scale=preset.scale,
            method=preset.parametrisation,
            rngs=rngs,
        )

    def features(self, images: Images) -> Float[Array, "batch width"]:
        """What goes into the head."""
        features = self.backbone(pixels(images))
        return jax.nn.relu(features) if self.rectified else features

    def __call__(self, images: Images, scale: float | Array | None = None) -> BT2Out:
        """The head's outputs for images; see `BT2Head`."""
        return self.head(self.features(images), scale)

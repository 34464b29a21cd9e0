"""Backbones whose class head lies outside: encoder parameters as plain dictionaries, logits and features as functions of them."""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.atlas.config import MLP, ViT
from quire.common.layers.patches import pool_tokens
from quire.common.layers.transformer import TokenClassifier, vit_block


class Perceptron(nnx.Module):
    """Linear maps with ReLUs between them, and a linear head without a bias.

    Args:
        sizes: numbers in an image, and widths of the hidden layers.
        num_classes: of the head.
        rngs: for the weights.
    """

    def __init__(self, sizes: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(sizes)])
        self.head = nnx.Linear(sizes[-1], num_classes, use_bias=False, rngs=rngs)

    def embed(self, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """What the head reads."""
        x = images.reshape(len(images), -1)
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return x

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
        return self.head(self.embed(images))


class VisionTransformer(TokenClassifier):
    """ViT that also gives what its head reads."""

    def embed(self, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """The class token after the last norm."""
        return self.head_norm(pool_tokens(self.features(images), self.pool))


class Network(NamedTuple):
    """A backbone as functions of its parameters.

    Attributes:
        graph: of the module.
    """

    graph: nnx.GraphDef

    def logits(self, params: Any, head: Any, images: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
        """Class scores."""
        return nnx.merge(self.graph, head, params)(images)

    def embed(self, params: Any, head: Any, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Features, what the head reads."""
        return nnx.merge(self.graph, head, params).embed(images)

    def accuracy(self, params: Any, head: Any, images: Float[Array, "n h w c"], labels: Int[Array, " n"]) -> Float[Array, ""]:
        """Share of right answers."""
        return jnp.mean(self.logits(params, head, images).argmax(1) == labels)


def build(
    config: MLP | ViT, image_shape: tuple[int, int, int], num_classes: int, *, rngs: nnx.Rngs
) -> tuple[Network, dict[str, Any], dict[str, Any]]:
    """A network, the parameters of its encoder and those of its head.

    Args:
        config: which backbone.
        image_shape: height, width, channels.
        num_classes: of the head.
        rngs: for the weights.
    """
    height, width, channels = image_shape
    if isinstance(config, MLP):
        model = Perceptron((height * width * channels, *config.hidden), num_classes, rngs=rngs)
    else:
        model = VisionTransformer(
            image_size=(height, width),
            patch_size=config.patch,
            channels=channels,
            num_classes=num_classes,
            dim=config.dim,
            depth=config.depth,
            block=vit_block(config.dim, config.num_heads),
            rngs=rngs,
        )
    graph, head, params = nnx.split(model, lambda path, _: path[0] == "head", ...)
    return Network(graph), nnx.to_pure_dict(params), nnx.to_pure_dict(head)

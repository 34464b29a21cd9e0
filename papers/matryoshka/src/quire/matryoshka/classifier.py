"""Encoders with the heads that are compared: MRL and FF-m, MRL-E, slimmable networks."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.data.images import pixels
from quire.common.layers.convolution import conv_nd
from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import ResNet, resnet50
from quire.matryoshka.config import Encoder, Preset
from quire.matryoshka.head import MatryoshkaHead

Images = Num[Array | np.ndarray, "batch h w c"]


def build_encoder(config: Encoder, dim: int, *, rngs: nnx.Rngs) -> PatchNet | ResNet:
    """The backbone, images `[batch, h, w, c]` to embeddings `[batch, dim]`.

    Raises:
        ValueError: if a ResNet-50 is asked for another dimension than 2048.
    """
    if config.channels:
        net = partial(PatchNet, config.channels, dim, patch=config.patch, in_channels=config.in_channels, rngs=rngs)
        return net(norm=None, act=jax.nn.relu) if config.plain else net()
    if dim != 2048:
        raise ValueError(f"dim is {dim}; a ResNet-50 has embeddings of 2048 numbers")
    return resnet50(in_channels=config.in_channels, rngs=rngs)


class NestedClassifier(nnx.Module):
    """An encoder, and a head for every prefix of its embedding.

    Args:
        preset: encoder and nesting list.
        num_classes: C.
        efficient: MRL-E instead of MRL.
        rngs: for the initial weights.
    """

    def __init__(self, preset: Preset, num_classes: int, *, efficient: bool = False, rngs: nnx.Rngs):
        self.encoder = build_encoder(preset.encoder, preset.dim, rngs=rngs)
        self.head = MatryoshkaHead(preset.nesting, num_classes, efficient=efficient, rngs=rngs)

    def embed(self, images: Images) -> Float[Array, "batch dim"]:
        """Embeddings z."""
        return self.encoder(pixels(images))

    def outputs(self, images: Images) -> tuple[Float[Array, "batch dim"], Float[Array, "sizes batch classes"]]:
        """Embeddings, and logits of every size."""
        z = self.embed(images)
        return z, self.head(z)

    def __call__(self, images: Images) -> Float[Array, "sizes batch classes"]:
        """Logits of every size."""
        return self.outputs(images)[1]


class SlimmableClassifier(NestedClassifier):
    """Slimmable networks (Yu et al. 2019): every size has a network of its own width, a slice of the weights of the widest.

    Size m of d has the fraction m / d of the channels of every layer, and so of the embedding, and the classifier's slice. In
    contrast to MRL the small sizes are cheaper to compute, and all of them are computed apart.
    """

    def __init__(self, preset: Preset, num_classes: int, *, rngs: nnx.Rngs):
        super().__init__(preset, num_classes, efficient=True, rngs=rngs)

    def outputs(self, images: Images) -> tuple[Float[Array, "batch dim"], Float[Array, "sizes batch classes"]]:
        """Embeddings of the widest network, and logits of every width."""
        sizes = self.head.nesting
        assert isinstance(self.encoder, PatchNet), "only patch networks are sliced"
        slices = [slim_features(self.encoder, pixels(images), m, sizes[-1]) for m in sizes]
        return slices[-1], jnp.stack([self.head.at(z, m) for z, m in zip(slices, sizes, strict=True)])


def slim_features(net: PatchNet, images: Float[Array, "batch h w c"], size: int, dim: int) -> Float[Array, "batch size"]:
    """What the slice of a patch network computes that has `size / dim` of its channels in every layer, rounded up.

    Raises:
        ValueError: unless `1 <= size <= dim`.
    """
    if check_at_least("size", size) > dim:
        raise ValueError(f"size is {size}; it must be at most dim, {dim}")
    h = images
    for stage in net.stages:
        width = math.ceil(stage.kernel.shape[-1] * size / dim)
        assert stage.bias is not None  # those of a patch network all have one
        kernel = stage.kernel[...][..., : h.shape[-1], :width]
        h = conv_nd(h, kernel, stride=stage.stride, padding=stage.padding, impl=stage.impl) + stage.bias[:width][None, None, None]
        h = net.act(h if net.norm is None else net.norm(h))
    pooled = h.mean((1, 2))
    assert net.head.bias is not None
    return pooled @ net.head.kernel[0, : pooled.shape[-1], :size] + net.head.bias[:size][None]
